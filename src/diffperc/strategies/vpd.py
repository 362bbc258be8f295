"""VPD: visual perception with a pretrained diffusion model (Zhao et al., ICCV 2023; methods.md 1).

Text vectors go through a residual adapter with learned gain, ``c + gamma * mlp(c)``; timestep 1; one pass. They are

- depth: one vector per image, that of its scene label averaged over 80 templates;
- segmentation: one vector per class, all of them for every image;
- referring: the token vectors of the expression;
- pose (not in the paper): one vector per keypoint name, as for classes.

With several tokens, cross-attention maps can become further channels of the feature maps (`attention`).

Differences from the released code:
- The cross-attention over a single token is replaced by its constant result. The query and key weights, which get no
  gradient from it, are frozen (in the released code weight decay still shrinks them).
- An unknown scene gets the mean of the table; the released code fails.
- Any image size and shape is accepted; the released code accepts a few squares.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from diffperc.backbones import Backbone
from diffperc.layers.blocks import ResidualTokenMLP
from diffperc.ranges import Count, Timestep, WithAttention
from diffperc.strategies.base import Strategy, constant_timestep
from diffperc.strategies.parts.attention_maps import append_attention, widened
from diffperc.strategies.parts.text_table import Templates, TextTable
from diffperc.types import Batch, Branch, Conditioning, TextSpec


class VPD(Strategy):
    """Text vectors and their adapter.

    Args:
        backbone: gives the widths.
        text: gives the names, or the length of expressions.
        timestep: diffusion timestep of the UNet's pass.
        templates: sentences with one ``{}`` for the name, whose vectors are averaged; or ``imagenet``, CLIP's 80.
        class_embeddings: a file with the table (names, D); None computes the table with the text encoder.
        attention: strides in image pixels at which attention maps are appended; 16 and 32 as published.
        detach_attention: no gradient through the appended maps, as in the released training (methods.md 0.5).
        adapter: False leaves the adapter out, the paper's ablation.
    """

    def __init__(
        self,
        backbone: Backbone,
        text: TextSpec,
        timestep: Timestep = 1,
        templates: Templates = "imagenet",
        class_embeddings: str | None = None,
        attention: Sequence[Count] = (),
        detach_attention: WithAttention = True,
        adapter: bool = True,
    ) -> None:
        super().__init__()
        self.kind, self.names, self.timestep, self.templates = text.kind, text.names, timestep, templates
        self.class_embeddings = class_embeddings
        self.attention, self.detach_attention = tuple(attention), detach_attention
        self.table = TextTable(text.names, backbone.token_dim) if text.kind != "expression" else None
        self.adapter = ResidualTokenMLP(backbone.token_dim) if adapter else nn.Identity()
        self.count = {"scene": 1, "names": len(text.names), "expression": text.length}[text.kind]
        self.out_spec = widened(backbone.spec, self.attention, self.count)

    @property
    def trains(self) -> tuple[str, ...]:
        """The attention scores only where there is more than one token: a softmax over one has no effect."""
        if self.count == 1:
            return ("features", "time_embedding")
        return ("features", "time_embedding", "attention_scores")

    def initialise(self, backbone: Backbone) -> None:
        """Fill the table of text vectors."""
        if self.table is not None:
            self.table.fill(backbone, self.templates, self.class_embeddings)

    def token_names(self, batch: Batch, words: Sequence[str]) -> tuple[str, ...]:
        """Class or keypoint names, the scene, or the words of the expression."""
        if self.kind == "expression":
            return tuple(words)
        return ("scene",) if self.kind == "scene" else self.names

    def forward(self, backbone: Backbone, latents: Tensor, batch: Batch) -> list[Branch]:
        """One pass; see `Strategy.forward`."""
        conditioning = Conditioning(self._tokens(batch), constant_timestep(latents, self.timestep))
        features = backbone.extract(latents, conditioning, self.attention)
        return [Branch(append_attention(features, self.attention, self.detach_attention), "text")]

    def _tokens(self, batch: Batch) -> Tensor:
        if self.table is None:
            assert batch.expression_tokens is not None
            return self.adapter(batch.expression_tokens)
        if self.kind == "scene":
            return self.adapter(self.table.one(batch.scene, batch.image.shape[0]))
        return self.adapter(self.table.vectors).expand(batch.image.shape[0], -1, -1)
