"""IEDP: implicit and explicit language guidance (Wang et al., TMM 2025, arXiv 2404.07600; methods.md 3).

Implicit branch: the tokens of a frozen CLIP image encoder are projected. Learned queries attend to each other and to
these tokens in one pre-norm decoder block:

    Qs = Q + SA(LN(Q));  Qc = Qs + CA(LN(Qs), LN(F));  tokens = Qc + FFN(LN(Qc))

Explicit branch, in training only: the text vectors of the ground truth's labels, through VPD's adapter. Both branches
share the UNet and the head; the loss is L_implicit + weight * L_explicit. Prediction uses the implicit branch alone.

The explicit text is

- depth: one vector per image, that of its scene label;
- segmentation: one vector per class, zero for classes that do not occur in the crop; pose: the same with keypoint names;
- referring: the same with the referent's category. The expression's tokens are appended to those of both branches.

With `attention` both branches must have the same number of tokens, because their maps share the head (methods.md 3).

There is no public code. Our assumptions: CLIP ViT-L/14 patch tokens with the class token, projector Linear-GELU-Linear,
one query per name (77 for depth), 8 heads, one block, explicit weight 1, prompt "a photo of a {}".
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from diffperc.backbones import Backbone
from diffperc.encoders import ClipImageEncoder
from diffperc.errors import ConfigError
from diffperc.layers.blocks import ResidualTokenMLP, TokenMLP
from diffperc.ranges import Count, Timestep, Weight, WithAttention
from diffperc.strategies.base import Strategy, constant_timestep, expression_length, with_expression
from diffperc.strategies.parts.attention_maps import append_attention, widened
from diffperc.strategies.parts.text_table import Templates, TextTable
from diffperc.types import Batch, Branch, Conditioning, TextSpec


class QueryBlock(nn.Module):
    """One pre-norm transformer decoder block.

    Args:
        width: D.
        heads: number of heads of both attentions.
        expansion: hidden width of the feed-forward layers, in multiples of D.
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
        # self-attention comes before the image enters, so it is computed once for the whole batch
        q = queries[None]
        s = self.norm_self(q)
        q = q + self.self_attention(s, s, s, need_weights=False)[0]
        q = q.expand(image.shape[0], -1, -1)
        memory = self.norm_image(image)
        q = q + self.cross_attention(self.norm_query(q), memory, memory, need_weights=False)[0]
        return q + self.feed(self.norm_feed(q))


class IEDP(Strategy):
    """Learned queries over CLIP's image tokens; in training also the text of the labels.

    Args:
        backbone: gives the widths and CLIP's encoders.
        text: gives the names for the explicit branch, and the length of expressions.
        queries: number of tokens of the implicit branch; None: one per name, 77 for depth.
        heads: number of heads in the query block.
        explicit_weight: weight of the explicit branch's loss; 0 leaves the branch out.
        templates: sentences of the explicit branch, with one ``{}`` for the name.
        timestep: diffusion timestep of the UNet's passes.
        attention: strides in image pixels at which attention maps are appended to the features.
        detach_attention: no gradient through the appended maps.

    Raises:
        ConfigError: the explicit branch has no names, or with `attention` a different number of tokens.
    """

    def __init__(
        self,
        backbone: Backbone,
        text: TextSpec,
        queries: Count | None = None,
        heads: Count = 8,
        explicit_weight: Weight = 1.0,
        templates: Templates = "a photo of a {}",
        timestep: Timestep = 1,
        attention: Sequence[Count] = (),
        detach_attention: WithAttention = True,
    ) -> None:
        super().__init__()
        width = backbone.token_dim
        count = queries or _default_queries(text)
        explicit = 1 if text.kind == "scene" else len(text.names)
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

    def token_names(self, batch: Batch, words: Sequence[str]) -> tuple[str, ...]:
        """Numbered queries, and the words of the expression."""
        return (*(f"query {i + 1}" for i in range(len(self.queries))), *words)

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
            return self.table.one(batch.scene, batch.image.shape[0])
        if batch.labels is None:
            raise ValueError("IEDP's explicit branch needs Batch.labels in training")
        return self.table.present(batch.labels)

    def _branch(self, backbone: Backbone, latents: Tensor, tokens: Tensor, name: str, weight: float) -> Branch:
        conditioning = Conditioning(tokens, constant_timestep(latents, self.timestep))
        features = backbone.extract(latents, conditioning, self.attention)
        return Branch(append_attention(features, self.attention, self.detach_attention), name, weight)


def _default_queries(text: TextSpec) -> int:
    if text.kind == "scene" or not text.names:
        return 77
    return len(text.names)
