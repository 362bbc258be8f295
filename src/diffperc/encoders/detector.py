"""A detector of persons, by transformers. It is never part of a model or a checkpoint."""

from __future__ import annotations

import functools

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoImageProcessor, AutoModelForObjectDetection

from diffperc.encoders.from_transformers import load_model
from diffperc.errors import ConfigError, WeightsError, first_line
from diffperc.weights.locate import locate_at

Box = tuple[float, float, float, float]
_PERSON = "person"


class Detector:
    """Finds persons in an image.

    Args:
        model: of transformers, such as DETR or RT-DETR; it is frozen here.
        processor: the model's own.

    Raises:
        ConfigError: none of its labels is "person".
    """

    def __init__(self, model: AutoModelForObjectDetection, processor: AutoImageProcessor) -> None:
        self.model, self.processor = model.eval().requires_grad_(False), processor
        labels = {str(name).lower(): int(index) for index, name in model.config.id2label.items()}
        if _PERSON not in labels:
            known = ", ".join(list(labels)[:5])
            raise ConfigError(f"detector: none of its {len(labels)} labels is '{_PERSON}'; it has {known} and so on.")
        self.person = labels[_PERSON]

    @torch.inference_mode()
    def __call__(self, image: NDArray[np.uint8], least: float) -> list[Box]:
        """Boxes (x, y, width, height) in pixels of persons in (H, W, 3) uint8 RGB, the most certain first.

        Args:
            image: of any size.
            least: the score in [0, 1] from which on a person counts.
        """
        height, width = image.shape[:2]
        inputs = self.processor(images=[image], return_tensors="pt", input_data_format="channels_last")
        found = self.model(**inputs.to(self.model.device))
        (one,) = self.processor.post_process_object_detection(
            found, threshold=least, target_sizes=torch.tensor([[height, width]])
        )
        boxes = []
        for index in one["scores"].argsort(descending=True).tolist():
            if int(one["labels"][index]) != self.person:
                continue
            x0, y0, x1, y1 = one["boxes"][index].tolist()
            x0, x1 = max(0.0, x0), min(float(width), x1)
            y0, y1 = max(0.0, y0), min(float(height), y1)
            if x1 - x0 >= 1 and y1 - y0 >= 1:
                boxes.append((x0, y0, x1 - x0, y1 - y0))
        return boxes


@functools.lru_cache(maxsize=1)
def load_detector(where: str, device: str) -> Detector:
    """A detector with its image processor.

    Args:
        where: a folder that transformers wrote, or a hub id with ``@commit``.
        device: for the model.

    Raises:
        WeightsError: there is none, or it is incomplete.
        ConfigError: it does not detect persons.
    """
    kinds = "a folder that transformers wrote, or a hub id such as owner/name@commit"
    folder = locate_at(where, ["*.json", "model.safetensors"], "detector", kinds).path
    if not folder.is_dir():
        raise WeightsError(f"detector: {folder} is a file; give the folder that transformers wrote.")
    try:
        processor = AutoImageProcessor.from_pretrained(str(folder), use_fast=False)
    except Exception as error:  # transformers raises every kind for a damaged folder
        raise WeightsError(
            f"detector: {folder}: its image processor cannot be loaded ({first_line(error)})."
        ) from error
    return Detector(load_model(AutoModelForObjectDetection, folder).to(device), processor)
