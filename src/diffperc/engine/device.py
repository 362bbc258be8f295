"""Which device a command runs on."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from diffperc.errors import ConfigError, did_you_mean

_BYTES_PER_PIXEL = 10_000
"""Of activations at Stable Diffusion's size in float32, twice what was measured (docs/performance.md)."""
_KINDS = ("auto", "cpu", "cuda", "mps")


def find_device(name: str | torch.device) -> torch.device:
    """``cpu``, ``cuda``, ``cuda:1``, ``mps``, or ``auto``: the first GPU that is there, else the CPU.

    Raises:
        ConfigError: there is no such device on this machine.
    """
    name = str(name)
    kind = name.partition(":")[0]
    if kind not in _KINDS:
        raise ConfigError(f"device: there is no '{name}'{did_you_mean(kind, _KINDS)}")
    gpus = _gpus()
    if kind == "auto":
        return torch.device(next(iter(gpus), "cpu"))
    if kind != "cpu" and kind not in gpus:
        raise ConfigError(f"device={name}: torch finds no such device on this machine; use device=cpu or device=auto.")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device={name}: must be one of {', '.join(_KINDS)}, or such as cuda:1.") from error
    if kind == "cuda" and (device.index or 0) >= gpus["cuda"]:
        raise ConfigError(f"device={name}: this machine has {gpus['cuda']} GPUs, counted from 0.")
    return device


def pixels_at_once(device: torch.device) -> int:
    """How many pixels of images go through a network together: on a GPU what half of its free memory holds; 0: not known."""
    if device.type != "cuda":
        return 0
    return torch.cuda.mem_get_info(device)[0] // 2 // _BYTES_PER_PIXEL


def compile_network(network: nn.Module, device: torch.device) -> None:
    """Let torch compile a network when it is first run, which takes minutes, and again for images of another size.

    Args:
        network: changed in place; its weights keep their names.
        device: on which it runs.

    Raises:
        ConfigError: this machine has nothing to compile with.
    """
    if device.type == "cuda" and find_spec("triton") is None:
        raise ConfigError("compile=true: needs triton, which is not installed; pip install triton, or leave it out.")
    if device.type == "cpu" and shutil.which(os.environ.get("CXX", "g++")) is None:
        raise ConfigError("compile=true: needs a C++ compiler, and g++ is not installed (or set CXX); leave it out.")
    network.compile()


def accelerator(name: str) -> torch.device:
    """The kind of device that Lightning takes for ``trainer.accelerator``."""
    return find_device("auto" if name in ("auto", "gpu") else name) if name != "tpu" else torch.device("cpu")


def _gpus() -> dict[str, int]:
    """How many GPUs of each kind torch finds; the preferred kind comes first."""
    found = {}
    if torch.cuda.is_available():
        found["cuda"] = torch.cuda.device_count()
    if torch.backends.mps.is_available():
        found["mps"] = 1
    return found


def trainer_options(device: torch.device) -> dict[str, Any]:
    """``accelerator`` and ``devices`` of a Lightning Trainer on one device."""
    devices = 1 if device.index is None else [device.index]
    return {"accelerator": device.type, "devices": devices}
