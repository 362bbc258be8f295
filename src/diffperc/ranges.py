"""What arguments may be, as annotations: the configuration is checked against them before anything is built.

def __init__(self, lr: Positive, dropout: Share = 0.1) -> None
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any


@dataclass(frozen=True)
class Range:
    """The numbers from `low` to `high`; infinity and NaN are in none.

    Attributes:
        low: the smaller bound.
        high: the larger bound.
        above: whether `low` itself is outside.
        below: whether `high` itself is outside.
        also: a number outside of the bounds that has a meaning of its own, such as -1.
    """

    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    below: bool = False
    also: float | None = None

    def __contains__(self, value: float) -> bool:
        if self.also is not None and value == self.also:
            return True
        inside = self.low < value if self.above else self.low <= value
        return math.isfinite(value) and inside and (value < self.high if self.below else value <= self.high)

    def __str__(self) -> str:
        """Such as ``at least 1`` or ``more than 0 and less than 1``."""
        parts = []
        if self.low > -math.inf:
            parts.append(f"{'more than' if self.above else 'at least'} {self.low:g}")
        if self.high < math.inf:
            parts.append(f"{'less than' if self.below else 'at most'} {self.high:g}")
        text = " and ".join(parts) or "finite"
        return text if self.also is None else f"{text}, or {self.also:g}"


@dataclass(frozen=True)
class OnlyWith:
    """An argument that is read only while another one is not null, false or empty.

    Attributes:
        argument: the other one.
        least: if it is a number, the smallest with which this one is read.
        equal: its value with which alone this one is read.
    """

    argument: str
    least: float | None = None
    equal: Any = None

    def is_read(self, value: Any) -> bool:
        """Whether the argument is read beside that value of the other."""
        if self.equal is not None:
            return bool(value == self.equal)
        return bool(value) and (self.least is None or value >= self.least)


Finite = Annotated[float, Range()]
Positive = Annotated[float, Range(0, above=True)]
NotNegative = Annotated[float, Range(0)]
Weight = Annotated[float, Range(0, 1000)]
"""Of a term in a loss."""
Power = Annotated[float, Range(0, 100)]
"""Of a polynomial that the learning rate follows."""
Depth = Annotated[float, Range(0, 1e6, above=True)]
"""Metres."""
Share = Annotated[float, Range(0, 1)]
Count = Annotated[int, Range(1)]
WholeNumber = Annotated[int, Range(0)]
Timestep = Annotated[int, Range(0, 999)]
"""Of a diffusion process of 1,000 steps, as that of Stable Diffusion."""
Length = Annotated[int, Range(2, 77)]
"""Tokens of a sentence: at least its first and last, at most as many as CLIP has positions."""
WithAttention = Annotated[bool, OnlyWith("attention")]
"""What is done with attention maps, of which there may be none."""
