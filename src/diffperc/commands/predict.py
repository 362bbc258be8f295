"""Predicting files: from an image, a folder or a pattern to results as data and as images."""

from __future__ import annotations

import contextlib
import glob
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig
from rich.progress import track

from diffperc.commands.predictors import given_options, loaded_or_exported
from diffperc.errors import ConfigError, DataError
from diffperc.files.headers import image_facts
from diffperc.files.images import IMAGE_SUFFIXES
from diffperc.files.read import parse_json

if TYPE_CHECKING:
    from diffperc.deploy.exported import ExportedPredictor
    from diffperc.inference.batching import Together
    from diffperc.inference.predictor import Predictor
    from diffperc.results.base import Result
    from diffperc.types import Picture

_WAIT = 0.2  # seconds that an image waits for others that are being prepared
_RATE = 25  # frames per second of a folder of frames
VIDEO_SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
_OWN = (
    *(
        "ckpt",
        "model",
        "input",
        "output",
        "overwrite",
        "max_side",
        "batch",
        "device",
        "precision",
        "optimize",
        "compile",
    ),
    *("video", "smooth", "fps", "trust", "hydra"),
)
"""Keys of ``conf/predict.yaml`` for this command; all others are options of predictors."""


def input_files(pattern: str) -> list[Path]:
    """The images of a file, a folder or a glob pattern, sorted.

    Raises:
        DataError: there are none.
    """
    path = Path(pattern).expanduser()
    if path.is_file():
        return [path]
    if path.is_dir():
        found = [file for file in sorted(path.iterdir()) if file.suffix.lower() in IMAGE_SUFFIXES]
        if not found:
            raise DataError(f"{path}: the folder holds no image ({', '.join(IMAGE_SUFFIXES)}).")
        return found
    matches = map(Path, glob.glob(str(path), recursive=True))
    found = sorted(filter(Path.is_file, matches))
    if not found:
        raise DataError(f"input: there is no file, folder or match for '{pattern}'.")
    return found


def read_boxes(boxes: Any) -> Mapping[str, list[Any]] | list[Any] | None:
    """The boxes of persons: a list of [x, y, width, height] for every image, or a json file ``{"image.jpg": [[...], ...]}``.

    Raises:
        DataError: the file is missing or has another format.
    """
    if boxes is None or isinstance(boxes, list):
        return boxes
    path = Path(str(boxes)).expanduser()
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"boxes: {path} cannot be read as json ({type(error).__name__}).") from error
    if not isinstance(content, dict | list):
        raise DataError(f'boxes: {path} must hold {{"image.jpg": [[x, y, width, height], ...]}} or a list of boxes.')
    return content


def predict_files(cfg: DictConfig) -> None:
    """Predict each file; what is wrong with one is reported at the end and does not stop the others.

    Raises:
        DataError: files could not be read or written; the message names each. Or results would replace files that exist.
        ConfigError: the checkpoint's task does not have an option.
    """
    files = input_files(cfg.input)  # before the checkpoint is read: a wrong name is found at once
    given = given_options(cfg, _OWN)
    if cfg.get("video") or any(file.suffix.lower() in VIDEO_SUFFIXES for file in files):
        _predict_videos(cfg, files, given)
        return
    for key in ("smooth", "fps"):
        if cfg.get(key) is not None:
            raise ConfigError(f"{key}: is of videos; for a folder of frames set video=true, else leave it out.")
    check_names(files)
    boxes = read_boxes(given.get("boxes"))
    predictor = loaded_or_exported(cfg, given)
    output = Path(cfg.output).expanduser()
    check_free(files, output, predictor.result.endings, bool(cfg.overwrite))
    check_boxes(files, boxes)
    failed = _predict_each(predictor, files, output, given, boxes, cfg.get("batch", 1))
    if failed:
        raise DataError("\n".join(failed[file] for file in files if file in failed))


def _predict_videos(cfg: DictConfig, files: Sequence[Path], given: dict[str, Any]) -> None:
    """Predict a folder of frames as one video, or each video file."""
    from diffperc.commands.video import predict_video, video_endings
    from diffperc.inference.video import frame_rate, frames_of, images_as_frames

    if cfg.get("batch", 1) > 1:
        raise ConfigError("batch: is of images; the frames of a video are predicted one after the other, leave it out.")
    films = [file for file in files if file.suffix.lower() in VIDEO_SUFFIXES]
    if films and len(films) < len(files):
        raise DataError(
            f"input: {films[0]} is a video and others of the {len(files)} files are not; predict them apart."
        )
    if films and cfg.fps is not None:
        raise ConfigError(f"fps: {films[0]} says itself how many frames it has per second; leave it out.")
    given["boxes"] = read_boxes(given.get("boxes"))
    if isinstance(given["boxes"], Mapping):
        raise ConfigError(
            "boxes: of a video are a list, the same for every frame; or give a detector, which finds persons in each."
        )
    given = {name: value for name, value in given.items() if value is not None}
    check_names(films)
    rates = [frame_rate(film) for film in films]
    predictor = loaded_or_exported(cfg, given)
    output = Path(cfg.output).expanduser()
    stems = films or [Path(str(cfg.input).rstrip("/*")).with_suffix("")]
    check_free(stems, output, video_endings(predictor), bool(cfg.overwrite))
    output.mkdir(parents=True, exist_ok=True)
    for i, film in enumerate(stems):
        frames = frames_of(film) if films else images_as_frames(files)
        shown = track(frames, description=f"predicting {film.name}", total=None if films else len(files))
        rate = rates[i] if films else Fraction(cfg.fps or _RATE).limit_denominator(1001)
        print(f"{film}: {predict_video(predictor, iter(shown), rate, output / film.stem, given, cfg.smooth)}")


def _predict_each(
    predictor: Predictor | ExportedPredictor,
    files: Sequence[Path],
    output: Path,
    given: Mapping[str, Any],
    boxes: Any,
    batch: int,
) -> dict[Path, str]:
    """Predict files, `batch` of them at a time, and write their results; returns why those that failed did."""
    from diffperc.inference.images import picture

    failed: dict[Path, str] = {}

    def predicted(shared: Together | None, read: Future[Picture], file: Path) -> Result:
        options = dict(given)
        if boxes is not None:
            options["boxes"] = boxes.get(file.name, []) if isinstance(boxes, Mapping) else boxes
        pixels = read.result()
        with contextlib.nullcontext() if shared is None else shared.caller():
            return predictor(pixels, **options)

    # the next files are read, and the last result written, beside the prediction of these
    with (
        _shared(predictor) as shared,
        ThreadPoolExecutor(1) as writer,
        ThreadPoolExecutor(batch) as callers,
        ThreadPoolExecutor(1) as reader,
    ):
        jobs: deque[Future[Result]] = deque()
        writing: Future[None] | None = None
        try:
            for i, file in enumerate(track(files, description="predicting", disable=len(files) == 1)):
                for later in files[i + len(jobs) : i + 2 * batch]:
                    jobs.append(callers.submit(predicted, shared, reader.submit(picture, later), later))
                try:
                    result = jobs.popleft().result()
                except DataError as error:
                    failed[file] = error.sentence
                    continue
                if writing is not None:
                    writing.result()
                writing = writer.submit(_write, predictor, file, output, result, failed)
            if writing is not None:
                writing.result()
        finally:
            for job in jobs:  # after an error
                job.cancel()
    return failed


def _shared(predictor: Predictor | ExportedPredictor) -> AbstractContextManager[Together | None]:
    """A network that threads share; of an exported model none, so that torch is not imported."""
    from diffperc.deploy.exported import ExportedPredictor

    if isinstance(predictor, ExportedPredictor):
        return contextlib.nullcontext()
    from diffperc.inference.batching import together

    return together(predictor, _WAIT)


def _write(
    predictor: Predictor | ExportedPredictor,
    file: Path,
    output: Path,
    result: Result,
    failed: dict[Path, str],
) -> None:
    """Write the results of a file and say what was found; why that is not possible goes to `failed`."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        written = listed(result.summary, result.write(output / file.stem))
        (height, width), bounded = predictor.preprocess.evaluation_size(*result.image.shape[:2])
        if bounded and predictor.preprocess.person_crop is None:
            written += f" (reduced to {width}x{height} pixels before the prediction, by max_side)"
        notes = [f"note: images such as this one {fact}" for fact in image_facts(file)]
        print(f"{file}: " + "\n".join([written, *notes]))
    except DataError as error:
        failed[file] = error.sentence
    except OSError as error:
        failed[file] = f"{file}: its results cannot be written to {output} ({error.strerror})."


def listed(summary: str, files: Sequence[Path]) -> str:
    """A line: what was found, and the files, whose common beginning is written once."""
    first, *others = files
    return f"{summary} -> {', '.join([str(first), *(file.name for file in others)])}"


def check_free(files: Sequence[Path], output: Path, endings: Sequence[str], overwrite: bool) -> None:
    """Raise a `DataError` if results would replace files, unless that is wanted."""
    present = {entry.name for entry in output.iterdir()} if output.is_dir() else set()
    replaced = [f"{file.stem}{ending}" for file in files for ending in endings if f"{file.stem}{ending}" in present]
    if replaced and not overwrite:
        raise DataError(
            f"output: {output / replaced[0]} is there already ({len(replaced)} files in all); give another output=..., or "
            "overwrite=true."
        )


def check_boxes(files: Sequence[Path], boxes: Any) -> None:
    """Raise a `DataError` if boxes are given for images that are not predicted."""
    unknown = sorted(boxes.keys() - {file.name for file in files}) if isinstance(boxes, Mapping) else []
    if unknown:
        raise DataError(f"boxes: has boxes for {unknown[0]}, which is not among the {len(files)} images of input.")


def check_names(files: Sequence[Path]) -> None:
    """Raise a `DataError` if results of two files would have the same name, because only their suffixes differ."""
    first: dict[str, Path] = {}
    for file in files:
        before = first.setdefault(file.stem, file)
        if before != file:
            raise DataError(
                f"input: {before} and {file} would be written under one name; predict them one folder at a time, with "
                "another output=... each."
            )
