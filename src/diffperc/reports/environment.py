"""Where a result was computed."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from diffperc.version import __version__

_LIBRARIES = ("torch", "lightning", "diffusers", "transformers", "torchmetrics", "albumentations", "numpy", "peft")


def hardware() -> str:
    """The GPU, or the kind of CPU."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"{platform.machine()} CPU"


def commit() -> str:
    """The commit of the running checkout; empty for an installed package."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def environment() -> dict[str, str]:
    """Versions and hardware, as texts by name."""
    found = {"diffperc": __version__, "commit": commit(), "python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    threads = f"{torch.get_num_threads()} threads on {os.cpu_count()} cores"
    return {**found, "system": platform.platform(), "hardware": hardware(), "cpu": threads}
