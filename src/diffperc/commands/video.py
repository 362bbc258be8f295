"""Predicting a video: frame by frame, smoothed in time where the image stands still."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from diffperc.errors import DataError
from diffperc.files.write import unfinished, write_array, write_text
from diffperc.inference.video import ArrayFile, VideoFile, stillness
from diffperc.results.base import Result
from diffperc.types import Picture
from diffperc.visualization.colours import Scale
from diffperc.visualization.panels import with_key

if TYPE_CHECKING:
    from diffperc.deploy.exported import ExportedPredictor
    from diffperc.inference.predictor import Predictor

_STILL = 0.5  # of `stillness`, from which on a change of the prediction is flicker


@dataclass
class Flicker:
    """How much predictions change from frame to frame where the image does not."""

    means: list[float] = field(default_factory=list)

    def add(self, result: Result, before: Result, still: NDArray[np.float32]) -> None:
        """Count a frame; one that moves everywhere says nothing."""
        change = result.difference(before)
        counted = change[still >= _STILL] if change.shape == still.shape else change
        if counted.size:
            self.means.append(float(counted.mean()))

    @property
    def mean(self) -> float | None:
        """Over all frames."""
        return float(np.mean(self.means)) if self.means else None


def video_endings(predictor: Predictor | ExportedPredictor) -> tuple[str, str, str]:
    """The endings of the files that a video gives: drawn, as numbers, and what was measured."""
    base = predictor.result.endings[0].rpartition(".")[0]
    return f"{base}.mp4", f"{base}.npy", f"{base}_video.json"


def predict_video(
    predictor: Predictor | ExportedPredictor,
    frames: Iterator[Picture],
    rate: Fraction,
    stem: Path,
    given: Mapping[str, Any],
    smooth: float | None,
) -> str:
    """Predict frames, and write them as a video, as npy, and what was measured as json.

    Args:
        predictor: of each frame.
        frames: (H, W, 3) uint8 RGB, of one size.
        rate: frames per second.
        stem: of the files, a path without ending.
        given: options of the predictor, the same for every frame.
        smooth: the share in [0, 1) of the frame before, where the image stands still; None: nothing is smoothed.

    Returns:
        What was found, for a message.

    Raises:
        DataError: there is no frame, or one cannot be read; nothing is left of the files then.
    """
    drawn, numbers, measured = (stem.with_name(stem.name + ending) for ending in video_endings(predictor))
    plain, smoothed = Flicker(), Flicker()
    predicted = (predictor(frame, **given) for frame in frames)
    count = 0
    with unfinished(drawn) as drawn_part, unfinished(numbers) as numbers_part:
        with VideoFile(drawn_part, rate) as film, ArrayFile(numbers_part) as array:
            ragged: list[NDArray[Any]] = []
            scale: Scale | None = None
            for result in _in_time(predicted, smooth, plain, smoothed):
                key = result.key()
                if isinstance(key, Scale):
                    scale = result.scale = scale or key  # the same colours in all frames
                film.add(result.drawing() if scale is None else with_key(result.drawing(), scale))
                numbered = np.asarray(result)
                if numbered.shape[:2] == result.image.shape[:2]:
                    array.add(numbered)
                else:
                    ragged.append(numbered)  # of persons, whose number varies
                count += 1
        if not count:
            raise DataError(f"{stem}: the video has no frame.")
        if ragged:
            write_array(numbers_part, _padded(ragged))
    unit = predictor.result.difference_unit
    content = {"frames": count, "frames_per_second": float(rate), "flicker": plain.mean, "flicker_unit": unit}
    write_text(measured, content | {"smooth": smooth, "flicker_smoothed": smoothed.mean})
    said = "nothing stands still from frame to frame, so that flicker is not known"
    if plain.mean is not None:
        said = f"flicker {plain.mean:.4f} {unit}".strip()
        if smoothed.mean is not None:
            said += f", smoothed {smoothed.mean:.4f}"
    return f"{count} frames, {said} -> {drawn}, {numbers.name}, {measured.name}"


def _in_time(predicted: Iterable[Result], smooth: float | None, plain: Flicker, smoothed: Flicker) -> Iterator[Result]:
    """Results of frames, each mixed with the one before where that is wanted; adds to both measures of flicker."""
    before: tuple[Result, Result] | None = None
    for found in predicted:
        result = found
        if before is not None:
            still = stillness(found.image, before[0].image)
            plain.add(found, before[0], still)
            if smooth is not None:
                result = found.smoothed(before[1], smooth * still)
                smoothed.add(result, before[1], still)
        before = (found, result)
        yield result


def _padded(rows: list[NDArray[Any]]) -> NDArray[Any]:
    """Arrays (N, ...) of different N as one (frames, largest N, ...); NaN where there is none."""
    most = max(len(row) for row in rows)
    filled = np.full((len(rows), most, *rows[0].shape[1:]), np.nan, np.float32)
    for i, row in enumerate(rows):
        filled[i, : len(row)] = row
    return filled
