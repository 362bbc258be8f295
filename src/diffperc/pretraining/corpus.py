"""The images and captions of the pretraining, at one size, in two files that the stages read fast."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from diffperc.data.formats.captioned_images import captioned_images
from diffperc.errors import ConfigError
from diffperc.files.images import read_image
from diffperc.scenes import caption, render, sample_scene

# far from the scenes that tasks train and validate on (`diffperc.data.Scenes`)
_SEED = 7_000_001

Pair = tuple[NDArray[np.uint8], str]
"""An image (S, S, 3) and its caption."""


@dataclass(frozen=True)
class Corpus:
    """Images and one caption per image.

    Attributes:
        images: (N, S, S, 3) uint8, mapped from disk.
        captions: N sentences.
        held_out: number of images, the last ones, that are never trained on.
    """

    images: NDArray[np.uint8]
    captions: tuple[str, ...]
    held_out: int

    @property
    def everything(self) -> range:
        """Indices of all images."""
        return range(len(self.captions))

    @property
    def train(self) -> range:
        """Indices to train on."""
        return self.everything[: len(self.captions) - self.held_out]

    @property
    def test(self) -> range:
        """Indices held out."""
        return self.everything[len(self.captions) - self.held_out :]


def prepare_corpus(folder: Path, images: str | None, scenes: int, held_out: int, size: int, processes: int) -> Corpus:
    """Open the corpus in a folder; where there is none, make it first.

    Args:
        folder: of the corpus, ``images.npy`` and ``captions.json``.
        images: a folder of images with a metadata file that has captions; None renders scenes.
        scenes: number of scenes to render.
        held_out: number of images that are never trained on.
        size: side in pixels.
        processes: number of processes that read or render.

    Raises:
        DataError: an image cannot be read.
        ConfigError: there are too few images, or those in the folder have another size or number.
    """
    if not (folder / "captions.json").is_file():
        make, count = _source(images, scenes, held_out, size)
        _write(folder, _pairs(make, count, processes), count, size)
    pixels = np.load(folder / "images.npy", mmap_mode="r")
    captions = json.loads((folder / "captions.json").read_text(encoding="utf-8"))
    corpus = Corpus(pixels, tuple(captions), held_out)
    if len(corpus.train) < 2 * held_out or pixels.shape[1] != size:
        raise ConfigError(
            f"{folder}: has {len(captions)} images of {pixels.shape[1]} pixels; at least {3 * held_out} of "
            f"{size} are needed. Remove the folder so that it is made again, or correct scenes, held_out and size."
        )
    return corpus


def _source(images: str | None, scenes: int, held_out: int, size: int) -> tuple[Callable[[int], Pair], int]:
    """A function from an index to an image and its caption, and the number of images."""
    make: Callable[[int], Pair]
    if images is None:
        make, count = partial(_rendered, size), scenes
        problem = f"scenes={scenes}: is too few"
    else:
        files = captioned_images(Path(images).expanduser())
        make, count = partial(_read, files, size), len(files)
        problem = f"{images}: has {count} images with captions"
    if count < 3 * held_out:
        raise ConfigError(f"{problem}; with held_out={held_out} at least {3 * held_out} are needed.")
    return make, count


def _write(folder: Path, pairs: Iterator[Pair], count: int, size: int) -> None:
    """Write the corpus; the captions come last, so a folder that has them is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / "unfinished.npy"
    pixels = np.lib.format.open_memmap(unfinished, "w+", np.uint8, (count, size, size, 3))
    captions = []
    with Progress(transient=True) as progress:
        for i, (image, sentence) in enumerate(progress.track(pairs, total=count, description="images")):
            pixels[i] = image
            captions.append(sentence)
    pixels.flush()
    os.replace(unfinished, folder / "images.npy")
    (folder / "captions.json").write_text(json.dumps(captions), encoding="utf-8")


def _pairs(make: Callable[[int], Pair], count: int, processes: int) -> Iterator[Pair]:
    if processes < 2:
        yield from map(make, range(count))
        return
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        yield from pool.imap(make, range(count), chunksize=16)


def _rendered(size: int, index: int) -> Pair:
    scene = sample_scene(_SEED, index)
    drawn = render(scene, (size, size))
    return drawn.image, caption(scene, drawn)


def _read(files: list[tuple[Path, str]], size: int, index: int) -> Pair:
    """The central square of an image file, resized."""
    file, sentence = files[index]
    pixels = read_image(file)
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = pixels[top : top + side, left : left + side]
    resized = cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8), sentence
