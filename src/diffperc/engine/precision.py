"""Numeric precision: what a device is fast at, and networks whose weights themselves are not in float32."""

from __future__ import annotations

import dataclasses
import functools
import logging
import time
from typing import Any

import torch
from lightning.pytorch.plugins.precision import Precision
from torch import nn

from diffperc.errors import ConfigError
from diffperc.types import Batch

log = logging.getLogger(__name__)

TRUE = ("bf16-true", "16-true", "64-true")
DTYPES = {"32-true": torch.float32, "bf16-true": torch.bfloat16, "16-true": torch.float16, "64-true": torch.float64}
KNOWN = (*DTYPES, "bf16-mixed", "16-mixed", "32")
LARGE = 100_000_000
"""Parameters of a network whose cost matters; the bundled small model gains nothing from bfloat16 on a CPU."""
_WORTH_IT = 1.2


def training_precision(wanted: str, device: torch.device, parameters: int | None = None) -> str:
    """The precision of training, as ``trainer.precision`` names it.

    Args:
        wanted: as configured; ``auto`` becomes ``bf16-mixed`` where the device is fast at it, else ``16-mixed`` on a GPU of
            NVIDIA, else ``32-true``. Another choice is kept, and a warning says where it is slower than float32.
        device: of training.
        parameters: of the network, below which bfloat16 gains nothing on a CPU; None: it is known to gain.
    """
    if wanted != "auto":
        _warn_if_slow(wanted, device)
        return wanted
    if _gains_from_bf16(device, parameters):
        return "bf16-mixed"
    return "16-mixed" if device.type == "cuda" else "32-true"


def inference_precision(wanted: str, device: torch.device, parameters: int) -> str:
    """As `training_precision`, of a network that is only run: ``bf16-true`` or ``16-true``, weights included."""
    chosen = training_precision(wanted, device, parameters)
    return chosen.replace("-mixed", "-true") if wanted == "auto" else chosen


def convert(model: nn.Module, precision: str, device: torch.device) -> None:
    """Move a network to a device, and convert its weights where the precision is that of weights.

    Raises:
        ConfigError: there is no such precision.
    """
    if precision not in KNOWN:
        raise ConfigError(f"precision={precision}: must be one of auto, {', '.join(DTYPES)}")
    model.to(device, DTYPES.get(precision))


def allow_tf32() -> None:
    """Let GPUs of NVIDIA round the factors of float32 products to 10 bits of mantissa, which is several times faster.

    The environment variable ``NVIDIA_TF32_OVERRIDE=0`` prevents it.
    """
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True


def _gains_from_bf16(device: torch.device, parameters: int | None) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    is_large = parameters is None or parameters >= LARGE
    return device.type == "cpu" and is_large and speed_of_bf16() > _WORTH_IT


def _warn_if_slow(precision: str, device: torch.device) -> None:
    if device.type != "cpu" or not precision.startswith(("bf16", "16")):
        return
    if precision.startswith("16"):
        log.warning("precision %s: float16 is slow on every CPU; take auto or 32-true.", precision)
    elif speed_of_bf16() < 1:
        log.warning(
            "precision %s: this CPU computes products %.0f times slower in bfloat16 than in float32; take auto or 32-true.",
            precision,
            1 / speed_of_bf16(),
        )


@functools.cache
def speed_of_bf16() -> float:
    """How many times faster this CPU multiplies matrices in bfloat16 than in float32, measured in a tenth of a second."""
    return _seconds_of_product(torch.float32) / _seconds_of_product(torch.bfloat16)


def _seconds_of_product(dtype: torch.dtype) -> float:
    factor = torch.ones(384, 384, dtype=dtype)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        factor @ factor
        seconds.append(time.perf_counter() - start)
    return min(seconds)


class TruePrecision(Precision):
    """The network in bfloat16 or float64; ground truth, losses and metrics in float32 or better, as in mixed precision.

    Lightning's plugins of these names convert every tensor of the module and of the batch: depth in bfloat16 has steps of
    6 cm at 10 m, and sums over a data set are wrong.

    Args:
        precision: ``bf16-true`` or ``64-true``; for evaluation also ``16-true``.
    """

    def __init__(self, precision: Any) -> None:
        self.precision = precision
        self._dtype = DTYPES[precision]

    def convert_module(self, module: Any) -> Any:
        """The network of a task."""
        module.model.to(self._dtype)
        return module

    def convert_input(self, data: Any) -> Any:
        """The image of a batch."""
        if isinstance(data, Batch):
            return dataclasses.replace(data, image=data.image.to(self._dtype))
        return data


def precision_options(precision: str) -> dict[str, Any]:
    """Options of a Lightning Trainer; an ``auto`` that is not decided yet counts as ``32-true``."""
    if precision in TRUE:
        return {"precision": None, "plugins": [TruePrecision(precision)]}
    return {"precision": "32-true" if precision == "auto" else precision}
