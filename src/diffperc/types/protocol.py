"""Evaluation protocols: how a task is scored on a data set. Printed and stored with every result."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass


@dataclass(frozen=True)
class Protocol:
    """What all protocols have; a task's own is in its folder, `diffperc.tasks.<task>.protocol`.

    Attributes:
        name: printed with every result, such as ``nyu_eigen``.
        flip: average with the prediction of the mirrored image.
    """

    name: str
    flip: bool = False

    @property
    def resizes_target(self) -> bool:
        """Whether the ground truth is scored at the size that the network sees instead of its own."""
        return False

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, list):  # from a yaml or a checkpoint
                object.__setattr__(self, entry.name, tuple(value))
