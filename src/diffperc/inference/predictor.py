"""One image in, one result out, any size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from diffperc.data.io import read_image
from diffperc.errors import ConfigError
from diffperc.inference.whole_image import predict_whole
from diffperc.model import PerceptionModel
from diffperc.types import Batch, DatasetInfo


class Predictor:
    """Predicts single images at the scale the network was trained at.

    Args:
        model: in evaluation mode.
        info: of the data set it was trained on.
    """

    def __init__(self, model: PerceptionModel, info: DatasetInfo) -> None:
        self.model, self.info = model.eval(), info

    @torch.inference_mode()
    def __call__(
        self, image: str | Path | NDArray[np.uint8], scene: str | None = None, flip: bool = False
    ) -> NDArray[np.float32]:
        """Predict one image.

        Args:
            image: a file, or (H, W, 3) uint8 RGB.
            scene: its scene label, for strategies that read one; None is "unknown".
            flip: average with the mirror image.

        Returns:
            Depth: (H, W) float32 metres.

        Raises:
            DataError: the file is no image.
            ConfigError: the scene label is not one of the data set's.
        """
        pixels = image if isinstance(image, np.ndarray) else read_image(Path(image))
        device = next(self.model.parameters()).device
        tensor = torch.from_numpy(pixels.copy()).to(device).permute(2, 0, 1)[None].float() / 255
        size = tensor.shape[-2:]
        short = self.info.short_side
        if short is not None and min(size) != short:
            scale = short / min(size)
            shape = [max(1, round(s * scale)) for s in size]
            tensor = F.interpolate(tensor, size=shape, mode="bilinear", antialias=True).clamp(0, 1)
        batch = Batch(tensor, scene=torch.tensor([self._scene(scene)], device=device))
        dense = predict_whole(lambda b: self.model(b).dense, batch, flip=flip)
        return F.interpolate(dense, size=size, mode="bilinear", align_corners=False)[0, 0].float().cpu().numpy()

    def _scene(self, name: str | None) -> int:
        if name is None:
            return -1
        if name not in self.info.scenes:
            raise ConfigError(
                f"scene: '{name}' is not a label of {self.info.name}; known: {', '.join(self.info.scenes)}"
            )
        return self.info.scenes.index(name)
