"""The network: backbone, strategy, head and fit, without any framework around them."""

from __future__ import annotations

from torch import Tensor, nn

from diffperc.backbones import Backbone
from diffperc.heads import Head
from diffperc.nn.fit import Fit
from diffperc.strategies import Strategy
from diffperc.types import Batch, Branch, Prediction


class PerceptionModel(nn.Module):
    """A batch of images of any size to a dense prediction of that size, in the task's units.

    Args:
        backbone, strategy, head: the parts.
        fit: how images are fitted to the backbone's multiple, and features back.
        output: from the head's raw numbers to units, for depth `BoundedDepth`.
    """

    def __init__(self, backbone: Backbone, strategy: Strategy, head: Head, fit: Fit, output: nn.Module) -> None:
        super().__init__()
        self.backbone, self.strategy, self.head, self.fit, self.output = backbone, strategy, head, fit, output
        backbone.train_only(strategy.trains)

    def forward(self, batch: Batch) -> Prediction:
        """Predict; in training mode also the further branches, each with the weight of its loss."""
        size = (batch.image.shape[-2], batch.image.shape[-1])
        image = self.fit.prepare(batch.image, self.backbone.multiple)
        latents = self.backbone.encode(image) * self.strategy.latent_scale
        first, *others = self.strategy(self.backbone, latents, batch)
        extras = tuple((b.name, b.weight, self._read(b, size)) for b in others)
        return Prediction(self._read(first, size), first.weight, extras)

    def _read(self, branch: Branch, size: tuple[int, int]) -> Tensor:
        features = self.fit.restore(self.head.aggregate(branch.features), size)
        return self.output(self.fit.finish(self.head(features), size))
