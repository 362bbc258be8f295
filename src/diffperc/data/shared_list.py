"""Long lists in little memory."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar, overload

import numpy as np

T = TypeVar("T")


class SharedList(Sequence[T], Generic[T]):
    """Values of a data set, serialised into one block of memory and deserialised one by one on access.

    A list of 100,000 objects takes tens of megabytes, and every loader process gradually makes a copy of it, because
    Python counts references inside the objects. A block of bytes is shared.

    Args:
        values: plain values, such as tuples of paths.
    """

    def __init__(self, values: Iterable[T]) -> None:
        written = [pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL) for value in values]
        self._ends = np.cumsum([len(w) for w in written], dtype=np.int64)
        self._bytes = np.frombuffer(b"".join(written), dtype=np.uint8)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        start = int(self._ends[index - 1]) if index else 0
        value: T = pickle.loads(self._bytes[start : int(self._ends[index])].tobytes())
        return value
