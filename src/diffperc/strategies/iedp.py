"""IEDP: implicit and explicit language guidance (Wang et al., TMM 2025, arXiv 2404.07600; methods.md 3).

Implicit branch: tokens of a frozen CLIP image encoder, projected; learned queries attend to themselves and to them in
one pre-norm decoder block:

    Qs = Q + SA(LN(Q));  Qc = Qs + CA(LN(Qs), LN(F));  tokens = Qc + FFN(LN(Qc))

Explicit branch, in training only: text of the true label through VPD's adapter. Both branches share the UNet and the
head; the loss is L_implicit + weight * L_explicit. Prediction uses the implicit branch alone.

There is no public code. Our guesses, each a field: CLIP ViT-L/14 patch tokens with the class token, projector
Linear-GELU-Linear, 77 queries for depth, 8 heads, one block, explicit weight 1, prompt "a photo of a {scene}".
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from diffperc.backbones import Backbone
from diffperc.backbones.clip import ClipImageEncoder
from diffperc.nn.blocks import ResidualTokenMLP, TokenMLP
from diffperc.strategies.base import Strategy, constant_timestep
from diffperc.strategies.scene_table import SceneTable
from diffperc.types import Batch, Branch, Conditioning, DatasetInfo


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
    """Learned queries over CLIP image tokens; in training also the true label's text.

    Args:
        backbone: for its widths, and as the source of CLIP's encoders.
        info: whose scene labels are the explicit branch's text.
        queries: number of tokens of the implicit branch.
        heads: of the query block.
        explicit_weight: of the explicit branch's loss; 0 leaves the branch out.
        prompt: of the explicit branch, with one ``{}``.
        timestep: diffusion timestep the UNet is told.
    """

    def __init__(
        self,
        backbone: Backbone,
        info: DatasetInfo,
        queries: int = 77,
        heads: int = 8,
        explicit_weight: float = 1.0,
        prompt: str = "a photo of a {}",
        timestep: int = 1,
    ) -> None:
        super().__init__()
        width = backbone.token_dim
        self.out_spec = backbone.spec
        self.explicit_weight, self.prompt, self.timestep = explicit_weight, prompt, timestep
        self.image_encoder = ClipImageEncoder(backbone.architecture["image_encoder"])
        self.projector = TokenMLP(self.image_encoder.width, width)
        self.queries = nn.Parameter(torch.randn(queries, width) * 0.02)
        self.block = QueryBlock(width, heads)
        if explicit_weight:
            self.table = SceneTable(info, width)
            self.adapter = ResidualTokenMLP(width)

    @property
    def trains(self) -> tuple[str, ...]:
        """All but the output layers."""
        return ("features", "time_embedding", "attention_scores")

    def initialise(self, backbone: Backbone) -> None:
        """Load CLIP's image encoder and the labels' text vectors."""
        backbone.load_image_encoder(self.image_encoder)
        if self.explicit_weight:
            self.table.fill(backbone, [self.prompt])

    def forward(self, backbone: Backbone, latents: Tensor, batch: Batch) -> list[Branch]:
        """Two passes in training, one in evaluation; see `Strategy.forward`."""
        tokens = self.block(self.queries, self.projector(self.image_encoder(batch.image)))
        branches = [self._branch(backbone, latents, tokens, "implicit", 1.0)]
        if self.training and self.explicit_weight:
            tokens = self.adapter(self.table(batch.scene, latents.shape[0]))
            branches.append(self._branch(backbone, latents, tokens, "explicit", self.explicit_weight))
        return branches

    def _branch(self, backbone: Backbone, latents: Tensor, tokens: Tensor, name: str, weight: float) -> Branch:
        conditioning = Conditioning(tokens, constant_timestep(latents, self.timestep))
        return Branch(backbone.extract(latents, conditioning), name, weight)
