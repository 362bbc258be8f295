"""Files of predicted classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from diffperc.inference.output_files import write_file, write_picture
from diffperc.types import Picture
from diffperc.visualization.colours import class_colours
from diffperc.visualization.overlays import overlay, rgb_of
from diffperc.visualization.panels import panels

_NAMED = 4  # classes in the message


def write_classes(stem: Path, image: Picture, mask: NDArray[np.uint8], classes: Sequence[str]) -> str:
    """``<stem>_mask.png`` (8-bit palette png of class ids) and ``<stem>_mask_colour.png`` (overlay with legend).

    Args:
        stem: path without ending.
        image: (H, W, 3).
        mask: (H, W) class ids.
        classes: their names.

    Returns:
        What was found and the names of the files, for a message.
    """
    base = stem.with_name(stem.name + "_mask")
    colours = class_colours(len(classes))
    indexed = Image.fromarray(mask)
    indexed.putpalette(colours.tobytes())
    shares = np.bincount(mask.ravel(), minlength=len(classes)) / mask.size
    ordered = [int(i) for i in np.argsort(-shares) if shares[i] > 0]
    labels = [f"{classes[i]} {shares[i]:.0%}" for i in ordered]
    legend = [(label, rgb_of(colours[i])) for label, i in zip(labels, ordered, strict=True)]
    figure = panels([("image", image), ("classes", overlay(image, mask, colours))], legend=legend)
    write_file(base.with_name(base.name + ".png"), lambda part: indexed.save(part, "PNG"))
    write_picture(base.with_name(base.name + "_colour.png"), figure)
    return f"{', '.join(labels[:_NAMED])} -> {base}.png, _colour.png"
