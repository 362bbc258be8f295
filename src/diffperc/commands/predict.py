"""Predicting files: from an image, a folder or a pattern to results as data and as images."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf
from rich.progress import track

from diffperc.data.formats.files import parse_json
from diffperc.data.formats.headers import image_facts
from diffperc.data.formats.images import IMAGE_SUFFIXES
from diffperc.errors import ConfigError, DataError

if TYPE_CHECKING:
    from diffperc.inference.predictor import Predictor

_OWN = ("ckpt", "input", "output", "overwrite", "max_side", "device", "precision", "optimize", "trust", "hydra")
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
    _check_names(files)
    plain = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(plain, dict)
    given = {str(name): value for name, value in plain.items() if name not in _OWN and value is not None}
    boxes = read_boxes(given.get("boxes"))
    from diffperc.checkpoints import load

    predictor = load(cfg.ckpt, cfg.device, trust=cfg.trust, precision=str(cfg.precision), optimize=bool(cfg.optimize))
    if cfg.max_side is not None:
        if predictor.preprocess.person_crop is not None:
            raise ConfigError("max_side: is not read for persons, which are cut out at one size; leave it out.")
        predictor.preprocess.max_side = cfg.max_side
    foreign = sorted(given.keys() - set(predictor.options))
    if foreign:
        raise ConfigError(
            f"{foreign[0]}: the model of this checkpoint has no such option; it has {', '.join(predictor.options)}."
        )
    output = Path(cfg.output).expanduser()
    _check_free(files, output, predictor.endings, bool(cfg.overwrite))
    _check_boxes(files, boxes)
    failed: list[str] = []
    for file in track(files, description="predicting", disable=len(files) == 1):
        if isinstance(boxes, Mapping):
            given["boxes"] = boxes.get(file.name, [])
        elif boxes is not None:
            given["boxes"] = boxes
        try:
            print(f"{file}: {_predicted(predictor, file, output, given)}")
        except DataError as error:
            failed.append(error.sentence)
        except OSError as error:  # of writing
            failed.append(f"{file}: its results cannot be written to {output} ({error.strerror}).")
    if failed:
        raise DataError("\n".join(failed))


def _predicted(predictor: Predictor, file: Path, output: Path, given: Mapping[str, Any]) -> str:
    """Predict a file and write its results; returns what was found."""
    from diffperc.inference.images import picture

    pixels = picture(file)
    result = predictor(pixels, **given)
    output.mkdir(parents=True, exist_ok=True)
    written = predictor.write(output / file.stem, pixels, result, given)
    (height, width), bounded = predictor.preprocess.evaluation_size(pixels.shape[0], pixels.shape[1])
    if bounded and predictor.preprocess.person_crop is None:
        written += f" (reduced to {width}x{height} pixels before the prediction, by max_side)"
    return "\n".join([written, *(f"note: images such as this one {fact}" for fact in image_facts(file))])


def _check_free(files: Sequence[Path], output: Path, endings: Sequence[str], overwrite: bool) -> None:
    """Raise a `DataError` if results would replace files, unless that is wanted."""
    present = {entry.name for entry in output.iterdir()} if output.is_dir() else set()
    replaced = [f"{file.stem}{ending}" for file in files for ending in endings if f"{file.stem}{ending}" in present]
    if replaced and not overwrite:
        raise DataError(
            f"output: {output / replaced[0]} is there already ({len(replaced)} files in all); give another output=..., or "
            "overwrite=true."
        )


def _check_boxes(files: Sequence[Path], boxes: Any) -> None:
    """Raise a `DataError` if boxes are given for images that are not predicted."""
    unknown = sorted(boxes.keys() - {file.name for file in files}) if isinstance(boxes, Mapping) else []
    if unknown:
        raise DataError(f"boxes: has boxes for {unknown[0]}, which is not among the {len(files)} images of input.")


def _check_names(files: Sequence[Path]) -> None:
    """Raise a `DataError` if results of two files would have the same name, because only their suffixes differ."""
    first: dict[str, Path] = {}
    for file in files:
        before = first.setdefault(file.stem, file)
        if before != file:
            raise DataError(
                f"input: {before} and {file} would be written under one name; predict them one folder at a time, with "
                "another output=... each."
            )
