"""Timing ways of computing the same against each other: one after the other in every round, so that noise meets all."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from diffperc.cost.peaks import wait_for


@dataclass
class Cost:
    """What one way cost.

    Attributes:
        seconds: of each round, on the wall; on a GPU between CUDA events.
        cpu_seconds: of all threads of this process, in each round.
        grown: bytes by which memory grew during a round, at most.
    """

    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    grown: int = 0

    @property
    def median(self) -> float:
        """Median of the seconds."""
        return statistics.median(self.seconds)


def alternate(calls: Mapping[str, Callable[[], Any]], rounds: int, device: torch.device) -> dict[str, Cost]:
    """Call each in turn, `rounds` times after a first one that does not count.

    Returns:
        By name, the cost.
    """
    costs = {name: Cost() for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            before = _start_of_peak(device)
            seconds, cpu_seconds = _timed(call, device)
            if number > 0:
                costs[name].seconds.append(seconds)
                costs[name].cpu_seconds.append(cpu_seconds)
                costs[name].grown = max(costs[name].grown, _peak(device) - before)
    return costs


def _timed(call: Callable[[], Any], device: torch.device) -> tuple[float, float]:
    wait_for(device)
    cpu = time.process_time()
    if device.type == "cuda":
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        call()
        end.record()
        wait_for(device)
        return start.elapsed_time(end) / 1000, time.process_time() - cpu
    begin = time.perf_counter()
    call()
    wait_for(device)
    return time.perf_counter() - begin, time.process_time() - cpu


def _start_of_peak(device: torch.device) -> int:
    """Forget the peak so far; returns the bytes in use."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return resident_bytes()


def resident_bytes() -> int:
    """Memory of this process; 0 where the operating system does not report it."""
    return _status("VmRSS")


def _peak(device: torch.device) -> int:
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else _status("VmHWM")


def _status(name: str) -> int:
    """A number of this process in bytes; 0 where the operating system does not report it."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return 0
    return int(status.partition(f"{name}:")[2].split()[0]) * 1024
