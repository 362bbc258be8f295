"""Files of predicted referents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from diffperc.inference.output_files import write_picture
from diffperc.types import Picture
from diffperc.visualization.colours import PREDICTION
from diffperc.visualization.overlays import outlined
from diffperc.visualization.panels import panels


def write_referent(stem: Path, image: Picture, mask: NDArray[np.bool_], expression: str) -> str:
    """``<stem>_referent.png`` (8 bit, 255 where the expression points) and ``<stem>_referent_colour.png``.

    Args:
        stem: path without ending.
        image: (H, W, 3).
        mask: (H, W).
        expression: the sentence.

    Returns:
        What was found and the names of the files, for a message.
    """
    base = stem.with_name(stem.name + "_referent")
    figure = panels([("image", image), ("found", outlined(image, mask, PREDICTION))], title=f"“{expression}”")
    write_picture(base.with_name(base.name + ".png"), mask.astype(np.uint8) * 255)
    write_picture(base.with_name(base.name + "_colour.png"), figure)
    return f'"{expression}" is {mask.mean():.1%} of the image -> {base}.png, _colour.png'
