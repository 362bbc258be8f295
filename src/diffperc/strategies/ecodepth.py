"""ECoDepth: one token computed from the image's content (Patni et al., CVPR 2024, arXiv 2403.18807; methods.md 4).

The image, padded to a square, is classified by a frozen ViT. The logits weight learned embeddings:

    weights = softmax(Linear-GELU-Linear(logits));  token = adapter(weights @ embeddings)

The adapter is that of VPD. Latents are multiplied by 0.18215; timestep 1; one pass. In referring segmentation, which the
paper does not treat, the expression's tokens are appended.

Differences from the released code (its first version, which the paper describes):
- The cross-attention over a single token is replaced by its constant result, see VPD.
- The released loss is ten times as large, which has no effect with AdamW, apart from its epsilon.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from diffperc.backbones import Backbone
from diffperc.encoders.classifier import ImageClassifier, ViTFields, load_classifier
from diffperc.layers.blocks import ResidualTokenMLP
from diffperc.ranges import Positive, Timestep
from diffperc.strategies.base import Strategy, constant_timestep, expression_length, with_expression
from diffperc.types import Batch, Branch, Conditioning, TextSpec

log = logging.getLogger(__name__)

_HIDDEN, _EMBEDDINGS = 400, 100


class ECoDepth(Strategy):
    """One token per image, a mean of learned embeddings weighted by the output of a frozen classifier.

    Args:
        backbone: gives the widths.
        text: gives the length of expressions.
        classifier: a folder that transformers wrote, or a hub id with ``@commit``; None: random weights.
        vit: see `ImageClassifier`.
        timestep: diffusion timestep of the UNet's pass.
        latent_scale: factor on the latents; 0.18215 gives those of Stable Diffusion a standard deviation of about 1.

    Raises:
        ConfigError: see `ImageClassifier`.
    """

    def __init__(
        self,
        backbone: Backbone,
        text: TextSpec,
        classifier: str | None = None,
        vit: ViTFields | None = None,
        timestep: Timestep = 1,
        latent_scale: Positive = 0.18215,
    ) -> None:
        super().__init__()
        self.out_spec = backbone.spec
        self.source, self.timestep, self.latent_scale = classifier, timestep, latent_scale
        self.count = 1 + expression_length(text)
        self.classifier = ImageClassifier(vit or ViTFields())
        self.fc = nn.Sequential(nn.Linear(self.classifier.classes, _HIDDEN), nn.GELU(), nn.Linear(_HIDDEN, _EMBEDDINGS))
        self.embeddings = nn.Parameter(torch.randn(_EMBEDDINGS, backbone.token_dim))
        self.adapter = ResidualTokenMLP(backbone.token_dim)

    @property
    def trains(self) -> tuple[str, ...]:
        """The attention scores only where there is more than one token, see VPD."""
        if self.count == 1:
            return ("features", "time_embedding")
        return ("features", "time_embedding", "attention_scores")

    def initialise(self, backbone: Backbone) -> None:
        """Load the classifier."""
        if self.source is not None:
            load_classifier(self.classifier, self.source, "strategy.classifier")
            return
        log.warning(
            "strategy.classifier is null: ECoDepth's image classifier has RANDOM weights, so its token carries almost no "
            "information about the image. That is enough to try things; for results set strategy.classifier."
        )

    def token_names(self, batch: Batch, words: Sequence[str]) -> tuple[str, ...]:
        """The image's token, and the words of the expression."""
        return ("image", *words)

    def forward(self, backbone: Backbone, latents: Tensor, batch: Batch) -> list[Branch]:
        """One pass; see `Strategy.forward`."""
        tokens = with_expression(self.token(batch.image), batch)
        conditioning = Conditioning(tokens, constant_timestep(latents, self.timestep))
        return [Branch(backbone.extract(latents, conditioning), "image")]

    def token(self, image: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] to their tokens (B, 1, D)."""
        weights = self.fc(self.classifier(_square(image))).softmax(-1)
        return self.adapter((weights @ self.embeddings)[:, None])


def _square(image: Tensor) -> Tensor:
    """Pad images (B, 3, H, W) to squares with black, at the right or at the bottom."""
    height, width = image.shape[-2:]
    return F.pad(image, (0, max(height - width, 0), 0, max(width - height, 0)))
