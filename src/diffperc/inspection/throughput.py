"""The speed of the training loader."""

from __future__ import annotations

import time
from collections.abc import Iterator

from diffperc.engine.datamodule import PerceptionData
from diffperc.errors import DataError
from diffperc.types import Batch


def loader_speed(data: PerceptionData, seconds: float) -> float | None:
    """Images per second from the training loader, augmentation included, measured for that long.

    Returns:
        None if a batch cannot be made, for example from images of different sizes: training reports why.
    """
    assert data.train is not None
    loader = data.loader(data.train, data.batch_size, training=True)

    def batches() -> Iterator[Batch]:  # a small data set is read several times
        while True:
            yield from loader

    endless = batches()
    try:
        next(endless)  # the time to start processes does not count
        images, start = 0, time.perf_counter()
        for batch in endless:
            images += len(batch)
            if time.perf_counter() - start > seconds:
                break
        return images / (time.perf_counter() - start)
    except DataError:
        return None


def describe_speed(loader: dict[str, float]) -> str:
    """A line about the speed, and whether it is sufficient if the time of a step is known."""
    speed, processes = loader["images_per_second"], round(loader["processes"])
    text = f"loader: {speed:.1f} images/s, augmentation included, num_workers={processes}"
    needed = loader.get("needed_per_second")
    if needed is None:
        return f"{text}; step_seconds=... shows whether that is enough"
    verdict = "enough"
    if speed < needed:
        verdict = "too slow: training would wait; raise num_workers or store smaller images"
    return f"{text}; {needed:.1f} are needed: {verdict}"
