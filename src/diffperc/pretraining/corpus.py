"""Captioned pictures of one size, kept in two files so that the stages read them fast."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from diffperc.data.formats.image_folder import captioned_images
from diffperc.data.formats.images import read_image
from diffperc.errors import ConfigError
from diffperc.scenes import caption, render, sample_scene

# far from the scenes that tasks train and validate on (`diffperc.data.Scenes`)
_SEED = 7_000_001


@dataclass(frozen=True)
class Corpus:
    """Pictures and a sentence about each.

    Attributes:
        images: (N, S, S, 3) uint8, mapped from disk.
        captions: N sentences.
        held_out: the last so many are never trained on.
    """

    images: NDArray[np.uint8]
    captions: tuple[str, ...]
    held_out: int

    @property
    def train(self) -> range:
        """Indices to train on."""
        return range(len(self.captions) - self.held_out)

    @property
    def test(self) -> range:
        """Indices held out."""
        return range(len(self.captions) - self.held_out, len(self.captions))


def corpus(folder: Path, images: str | None, scenes: int, held_out: int, size: int, processes: int) -> Corpus:
    """The corpus of a run; made where it is not there yet.

    Args:
        folder: where it is kept, in ``images.npy`` and ``captions.json``.
        images: a folder with a metadata file that has captions; None: rendered scenes.
        scenes: how many of them.
        held_out: of all pictures, how many are never trained on.
        size: side in pixels.
        processes: that render.

    Raises:
        DataError: an image cannot be read.
        ConfigError: there are too few pictures, or those in the folder are of another size or number.
    """
    file, text = folder / "images.npy", folder / "captions.json"
    if not text.is_file():
        given = captioned_images(Path(images).expanduser()) if images is not None else []
        count = len(given) if images is not None else scenes
        if count < 3 * held_out:
            where = (
                f"{images}: has {count} pictures with captions" if images is not None else f"scenes={count}: are few"
            )
            raise ConfigError(f"{where}; with held_out={held_out} at least {3 * held_out} are needed.")
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / "unfinished.npy"
        pixels = np.lib.format.open_memmap(unfinished, "w+", np.uint8, (count, size, size, 3))
        make = partial(_photo, given, size) if images is not None else partial(_scene, size)
        captions = []
        with Progress(transient=True) as progress:
            bar = progress.add_task("pictures", total=count)
            for i, (picture, sentence) in enumerate(_each(make, count, processes)):
                pixels[i] = picture
                captions.append(sentence)
                progress.advance(bar)
        pixels.flush()
        os.replace(unfinished, file)
        text.write_text(json.dumps(captions), encoding="utf-8")
    found = Corpus(np.load(file, mmap_mode="r"), tuple(json.loads(text.read_text(encoding="utf-8"))), held_out)
    if len(found.train) < 2 * held_out or found.images.shape[1] != size:
        raise ConfigError(
            f"{folder}: has {len(found.captions)} pictures of {found.images.shape[1]} pixels; at least {3 * held_out} of "
            f"{size} are needed. Remove it to have it made anew, or correct scenes, held_out and size."
        )
    return found


def _each(
    make: partial[tuple[NDArray[np.uint8], str]], count: int, processes: int
) -> Iterator[tuple[NDArray[np.uint8], str]]:
    if processes < 2:
        yield from map(make, range(count))
        return
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        yield from pool.imap(make, range(count), chunksize=16)


def _scene(size: int, index: int) -> tuple[NDArray[np.uint8], str]:
    scene = sample_scene(_SEED, index)
    drawn = render(scene, (size, size))
    return drawn.image, caption(scene, drawn)


def _photo(given: list[tuple[Path, str]], size: int, index: int) -> tuple[NDArray[np.uint8], str]:
    """The middle of a photograph, as a square."""
    file, sentence = given[index]
    pixels = read_image(file)
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = pixels[top : top + side, left : left + side]
    resized = cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8), sentence
