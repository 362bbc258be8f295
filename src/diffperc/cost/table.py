"""The table of costs, a csv file per device."""

from __future__ import annotations

import csv
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from diffperc.errors import ConfigError, first_line

COLUMNS = (
    *("task", "strategy", "backbone", "images", "height", "width", "mode", "precision", "device", "compared_with"),
    *("seconds", "reference_seconds", "speedup", "peak_bytes", "reference_peak_bytes", "max_rel_deviation"),
    *("flops", "gemm_peak_flops", "convolution_peak_flops", "fraction_of_peak", "seconds_min_max"),
    *("reference_seconds_min_max", "cpu_seconds", "loader_images_per_second", "parameters", "rounds", "threads"),
    *("torch", "machine"),
)


def table_in(folder: Path, device: torch.device) -> Path:
    """The file for the rows of a device, checked before anything is measured.

    Raises:
        ConfigError: it cannot be written, or has other columns.
    """
    name = re.sub("[^a-z0-9]+", "-", machine_name(device).lower()).strip("-")
    file = folder / f"benchmark-{name}.csv"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_new = not file.is_file()
        if not is_new and file.read_text(encoding="utf-8").splitlines()[:1] != [",".join(COLUMNS)]:
            raise ConfigError(f"results: {file} has other columns; move it away, or set results=another/folder.")
        with file.open("a", encoding="utf-8"):
            pass
        if is_new:
            file.unlink()
    except OSError as error:
        raise ConfigError(f"results: {file} cannot be written ({first_line(error)}).") from error
    return file


def append(rows: Sequence[Mapping[str, str]], file: Path) -> None:
    """Add rows, each with all of `COLUMNS`, to a table that may be there already."""
    is_new = not file.is_file()
    with file.open("a", newline="", encoding="utf-8") as table:
        writer = csv.DictWriter(table, COLUMNS)
        if is_new:
            writer.writeheader()
        writer.writerows(rows)


def machine_name(device: torch.device) -> str:
    """The name of a device; of a CPU with the instructions that torch uses."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name} {torch.backends.cpu.get_cpu_capability()}"
