"""IEDP: implicit and explicit language guidance (Wang et al., TMM 2025, arXiv 2404.07600; methods.md 3).

Implicit branch: tokens of a frozen CLIP image encoder, projected; learned queries attend to themselves and to them in
one pre-norm decoder block:

    Qs = Q + SA(LN(Q));  Qc = Qs + CA(LN(Qs), LN(F));  tokens = Qc + FFN(LN(Qc))

Explicit branch, in training only: text of the true label through VPD's adapter. Both branches share the UNet and the
head; the loss is L_implicit + weight * L_explicit. Prediction uses the implicit branch alone.

The explicit text is

- depth: one vector an image, that of its scene label;
- segmentation: one vector a class, zero for classes that do not occur in the crop; pose: the same with keypoint names;
- referring: the same with the category of what is meant. The expression's tokens stand behind those of both branches.

With `attention` both branches have equally many tokens, because their maps share the head (methods.md 3).

There is no public code. Our guesses, each a field: CLIP ViT-L/14 patch tokens with the class token, projector
Linear-GELU-Linear, one query a name (77 for depth), 8 heads, one block, explicit weight 1, prompt "a photo of a {}".
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from diffperc.backbones import Backbone
from diffperc.encoders import ClipImageEncoder
from diffperc.errors import ConfigError
from diffperc.layers.blocks import ResidualTokenMLP, TokenMLP
from diffperc.strategies.attention_maps import append, widened
from diffperc.strategies.base import Strategy, constant_timestep, expression_length, with_expression
from diffperc.strategies.text_table import Templates, TextTable
from diffperc.types import Batch, Branch, Conditioning, TextSpec


class QueryBlock(nn.Module):
    """One pre-norm transformer decoder block.

    Args:
        width: D.
        heads: of both attentions.
        expansion: hidden width of the feed-forward layers, in D.
    """

    def __init__(self, width: int, heads: int = 8, expansion: int = 4) -> None:
        super().__init__()
        self.norm_self, self.norm_query = nn.LayerNorm(width), nn.LayerNorm(width)
        self.norm_image, self.norm_feed = nn.LayerNorm(width), nn.LayerNorm(width)
        self.self_attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.cross_attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.feed = nn.Sequential(nn.Linear(width, expansion * width), nn.GELU(), nn.Linear(expansion * width, width))

    def forward(self, queries: Tensor, image: Tensor) -> Tensor:
        """Queries (N, D) and image tokens (B, P, D) to (B, N, D)."""
        # the queries see one another before they see an image: once, whatever the batch
        q = queries[None]
        s = self.norm_self(q)
        q = q + self.self_attention(s, s, s, need_weights=False)[0]
        q = q.expand(image.shape[0], -1, -1)
        memory = self.norm_image(image)
        q = q + self.cross_attention(self.norm_query(q), memory, memory, need_weights=False)[0]
        return q + self.feed(self.norm_feed(q))


class IEDP(Strategy):
    """Learned queries over CLIP image tokens; in training also the true labels' text.

    Args:
        backbone: for its widths, and as the source of CLIP's encoders.
        text: whose names are the explicit branch's text.
        queries: number of tokens of the implicit branch; None: one a name, 77 for depth.
        heads: of the query block.
        explicit_weight: of the explicit branch's loss; 0 leaves the branch out.
        templates: of the explicit branch, with one ``{}``.
        timestep: diffusion timestep the UNet is told.
        attention: strides in image pixels at which attention maps are appended to the features.
        detach_attention: no gradient through the appended maps.

    Raises:
        ConfigError: the explicit branch has no names, or with `attention` another number of tokens.
    """

    def __init__(
        self,
        backbone: Backbone,
        text: TextSpec,
        queries: int | None = None,
        heads: int = 8,
        explicit_weight: float = 1.0,
        templates: Templates = "a photo of a {}",
        timestep: int = 1,
        attention: Sequence[int] = (),
        detach_attention: bool = True,
    ) -> None:
        super().__init__()
        width, names = backbone.token_dim, len(text.names)
        count = queries or (77 if text.kind == "scene" or not names else names)
        explicit = 1 if text.kind == "scene" else names
        if attention and explicit_weight and explicit != count:
            raise ConfigError(
                f"strategy.queries is {count} and the explicit branch has {explicit} tokens; with strategy.attention their "
                f"maps share the head: set strategy.queries={explicit}, strategy.attention=[] or "
                "strategy.explicit_weight=0."
            )
        self.kind, self.explicit_weight = text.kind, explicit_weight
        self.templates, self.timestep = templates, timestep
        self.attention, self.detach_attention = tuple(attention), detach_attention
        self.out_spec = widened(backbone.spec, self.attention, count + expression_length(text))
        self.image_encoder = ClipImageEncoder(backbone.architecture["image_encoder"])
        self.projector = TokenMLP(self.image_encoder.width, width)
        self.queries = nn.Parameter(torch.randn(count, width) * 0.02)
        self.block = QueryBlock(width, heads)
        if explicit_weight:
            self.table = TextTable(text.names, width)
            self.adapter = ResidualTokenMLP(width)

    @property
    def trains(self) -> tuple[str, ...]:
        """All but the output layers."""
        return ("features", "time_embedding", "attention_scores")

    def initialise(self, backbone: Backbone) -> None:
        """Load CLIP's image encoder and the labels' text vectors."""
        backbone.load_image_encoder(self.image_encoder)
        if self.explicit_weight:
            self.table.fill(backbone, self.templates)

    def forward(self, backbone: Backbone, latents: Tensor, batch: Batch) -> list[Branch]:
        """Two passes in training, one in evaluation; see `Strategy.forward`."""
        tokens = self.block(self.queries, self.projector(self.image_encoder(batch.image)))
        branches = [self._branch(backbone, latents, with_expression(tokens, batch), "implicit", 1.0)]
        if self.training and self.explicit_weight:
            tokens = with_expression(self.adapter(self._labels(batch)), batch)
            branches.append(self._branch(backbone, latents, tokens, "explicit", self.explicit_weight))
        return branches

    def _labels(self, batch: Batch) -> Tensor:
        if self.kind == "scene":
            return self.table.one(batch.scene, len(batch))
        if batch.labels is None:
            raise ValueError("IEDP's explicit branch needs Batch.labels in training")
        return self.table.present(batch.labels)

    def _branch(self, backbone: Backbone, latents: Tensor, tokens: Tensor, name: str, weight: float) -> Branch:
        conditioning = Conditioning(tokens, constant_timestep(latents, self.timestep))
        features = backbone.extract(latents, conditioning, self.attention)
        return Branch(append(features, self.attention, self.detach_attention), name, weight)
