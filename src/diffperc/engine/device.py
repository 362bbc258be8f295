"""Which device a command runs on."""

from __future__ import annotations

from typing import Any

import torch

from diffperc.errors import ConfigError, did_you_mean

_KINDS = ("auto", "cpu", "cuda", "mps")


def find_device(name: str) -> torch.device:
    """``cpu``, ``cuda``, ``cuda:1``, ``mps``, or ``auto``: the first GPU that is there, else the CPU.

    Raises:
        ConfigError: there is no such device on this machine.
    """
    kind = name.partition(":")[0]
    if kind not in _KINDS:
        raise ConfigError(f"device: there is no '{name}'{did_you_mean(kind, _KINDS)}")
    has_cuda, has_mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if kind == "auto":
        found = [name for name, there in (("cuda", has_cuda), ("mps", has_mps)) if there]
        return torch.device(found[0] if found else "cpu")
    if (kind == "cuda" and not has_cuda) or (kind == "mps" and not has_mps):
        raise ConfigError(f"device={name}: torch finds no such device on this machine; use device=cpu or device=auto.")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device={name}: must be one of {', '.join(_KINDS)}, or such as cuda:1.") from error
    if kind == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device={name}: this machine has {torch.cuda.device_count()} GPUs, counted from 0.")
    return device


def trainer_options(device: torch.device) -> dict[str, Any]:
    """``accelerator`` and ``devices`` of a Lightning Trainer on one device."""
    accelerator = "gpu" if device.type == "cuda" else device.type
    return {"accelerator": accelerator, "devices": 1 if device.index is None else [device.index]}
