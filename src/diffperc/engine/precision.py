"""Training whose weights themselves are in another precision than float32."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import torch
from lightning.pytorch.plugins.precision import Precision

from diffperc.types import Batch

TRUE = ("bf16-true", "64-true")
_DTYPES = {"bf16-true": torch.bfloat16, "64-true": torch.float64}


class TruePrecision(Precision):
    """The network in bfloat16 or float64; ground truth, losses and metrics in float32 or better, as in mixed precision.

    Lightning's plugins of these names convert every tensor of the module and of the batch: depth in bfloat16 has steps of
    6 cm at 10 m, and sums over a data set are wrong.

    Args:
        precision: ``bf16-true`` or ``64-true``.
    """

    def __init__(self, precision: Literal["bf16-true", "64-true"]) -> None:
        self.precision = precision
        self._dtype = _DTYPES[precision]

    def convert_module(self, module: Any) -> Any:
        """The network of a task."""
        module.model.to(self._dtype)
        return module

    def convert_input(self, data: Any) -> Any:
        """The image of a batch."""
        if isinstance(data, Batch):
            return dataclasses.replace(data, image=data.image.to(self._dtype))
        return data
