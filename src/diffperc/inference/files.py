"""Predicting files: a photograph, a folder or a pattern in; depth as png, npy and a picture out."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from rich.progress import track

from diffperc.errors import DataError
from diffperc.inference.pictures import colour

_ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}


def input_files(pattern: str) -> list[Path]:
    """The images that a file, a folder or a glob pattern names, sorted.

    Raises:
        DataError: there are none.
    """
    path = Path(pattern).expanduser()
    if path.is_file():
        return [path]
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.suffix.lower() in _ENDINGS)
        if not found:
            raise DataError(f"{path}: the folder holds no image ({', '.join(sorted(_ENDINGS))}).")
        return found
    found = sorted(Path(p) for p in glob.glob(str(path), recursive=True) if Path(p).is_file())
    if not found:
        raise DataError(f"input: there is no file, folder or match for '{pattern}'.")
    return found


def predict_files(cfg: DictConfig) -> None:
    """Predict each file; one that is no image is reported at the end and does not stop the others.

    Raises:
        DataError: names every file that could not be read.
    """
    files = input_files(cfg.input)  # before the checkpoint is read: a wrong name is found at once
    from diffperc.checkpoints import load

    predictor = load(cfg.ckpt, cfg.device)
    output = Path(cfg.output).expanduser()
    output.mkdir(parents=True, exist_ok=True)
    failed: list[str] = []
    for file in track(files, description="predicting", disable=len(files) == 1):
        try:
            depth = predictor(file, cfg.scene, cfg.flip)
        except DataError as error:
            failed.append(error.sentence)
            continue
        written = write_depth(output / file.stem, depth)
        print(f"{file}: {depth.min():.2f} to {depth.max():.2f} m, mean {depth.mean():.2f} m -> {written}")
    if failed:
        raise DataError("\n".join(failed))


def write_depth(stem: Path, depth: NDArray[np.float32]) -> str:
    """Write ``<stem>_depth.png`` (16 bit, millimetres), ``.npy`` (float32, metres) and ``<stem>_depth_colour.png``.

    Args:
        stem: path without ending.
        depth: (H, W) metres.

    Returns:
        The names of the three files, for a message.
    """
    base = stem.with_name(stem.name + "_depth")
    text = PngInfo()
    text.add_text("unit", "millimetre")
    text.add_text("scale", "1000 counts a metre, 0 = not measured")
    millimetres = np.clip(np.round(depth * 1000), 0, 65535).astype(np.uint16)
    picture = colour(depth, float(depth.min()), float(depth.max()))
    _write(base.with_name(base.name + ".png"), lambda p: Image.fromarray(millimetres).save(p, "PNG", pnginfo=text))
    _write(base.with_name(base.name + ".npy"), lambda p: _save_array(p, depth))
    _write(base.with_name(base.name + "_colour.png"), lambda p: Image.fromarray(picture).save(p, "PNG"))
    return f"{base}.png, .npy, _colour.png"


def _save_array(path: Path, array: NDArray[np.float32]) -> None:
    with path.open("wb") as file:  # np.save would append another ending to a path
        np.save(file, array)


def _write(path: Path, save: Callable[[Path], None]) -> None:
    """Write a file at once or not at all."""
    unfinished = path.with_name(path.name + ".part")
    save(unfinished)
    os.replace(unfinished, path)
