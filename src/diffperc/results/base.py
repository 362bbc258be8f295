"""What a model found in one image: numbers, a drawing, files."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from diffperc.types import Picture
from diffperc.visualization.colours import Legend, Scale
from diffperc.visualization.maps import enlarged
from diffperc.visualization.panels import panel_figure, with_key

_SHOWN = 320  # pixels, to which a small image is enlarged in a notebook


class Result(ABC):
    """A prediction of one image. ``np.asarray(result)`` is its array; a notebook shows it as a picture.

    Args:
        image: (H, W, 3) uint8 RGB, which was predicted.

    Attributes:
        endings: of the files that `write` makes, behind the stem.
        main: name of the attribute that ``np.asarray`` gives.
        difference_unit: of `difference`; empty for plain numbers.
        scale: of the drawing, for results whose key is one; None: that of this image's values.
    """

    endings: ClassVar[tuple[str, ...]]
    main: ClassVar[str]
    difference_unit: ClassVar[str] = ""

    @classmethod
    def task(cls) -> str:
        """The task, such as ``depth`` of `DepthResult`."""
        return cls.__name__.removesuffix("Result").lower()

    def __init__(self, image: Picture) -> None:
        self.image = image
        self.scale: Scale | None = None

    @property
    @abstractmethod
    def confidence(self) -> NDArray[np.float32]:
        """How certain the model is, in [0, 1], for each pixel (H, W), or for each keypoint of each person (N, K).

        It orders pixels by how far the prediction is to be trusted; it is not a probability.
        """

    def confidence_scale(self) -> Scale | None:
        """The colours of the confidence, from its smallest to its largest; None where it is not one of pixels."""
        if self.confidence.shape != self.image.shape[:2]:
            return None
        return Scale(float(self.confidence.min()), float(self.confidence.max()), colormap="cividis")

    @property
    @abstractmethod
    def summary(self) -> str:
        """What was found, in some words."""

    @property
    def found(self) -> Any:
        """What was found as plain values, an instance of the dataclass that the annotation names; by default nothing."""
        return None

    @abstractmethod
    def drawing(self) -> Picture:
        """The result over the image, or in its place, at the image's size (H, W, 3)."""

    def key(self) -> Scale | Legend:
        """What the colours of `drawing` mean; by default nothing has to be said."""
        return []

    def note(self) -> str:
        """What is written below the drawing, such as that nothing was found; by default nothing."""
        return ""

    def smoothed(self, before: Self, weight: NDArray[np.float32]) -> Self:
        """This result of a video's frame, mixed with that of the frame before; by default it stays as it is.

        Args:
            before: of the frame before, itself smoothed.
            weight: (H, W) in [0, 1), its share.
        """
        return self

    def difference(self, other: Self) -> NDArray[np.float32]:
        """How much the result of another frame differs, (H, W) or (N, K), in `difference_unit`; by default as numbers."""
        return np.abs(np.asarray(self, np.float32) - np.asarray(other, np.float32))

    @abstractmethod
    def write(self, stem: Path) -> list[Path]:
        """Write files that begin with `stem`, a path without ending; returns them.

        Raises:
            DataError: a file cannot be written.
        """

    def picture(self, least: int = 0) -> Picture:
        """`drawing` at the image's size, with its key and note below.

        Args:
            least: pixels to which the longer side of a smaller image is enlarged.
        """
        return with_key(enlarged(self.drawing(), least), self.key(), self.note())

    def figure(self) -> Figure:
        """The image beside the result, as a figure of matplotlib, which it can save as pdf or svg."""
        key = self.key()
        name = self.task()
        if isinstance(key, Scale):
            return panel_figure([("image", self.image), (name, self.drawing(), key)], self.note())
        return panel_figure([("image", self.image), (name, self.drawing())], self.note(), key)

    def show(self) -> None:
        """Open the picture in the system's viewer."""
        Image.fromarray(self.picture()).show()

    def save(self, folder: str | Path, name: str = "image") -> list[Path]:
        """Write the files that ``diffperc predict`` writes.

        Args:
            folder: made where it is missing; files of these names are replaced.
            name: with which the files' names begin.

        Returns:
            The files.
        """
        folder = Path(folder).expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        return self.write(folder / name)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(getattr(self, self.main), dtype=dtype, copy=copy)

    def png(self, least: int = 0) -> bytes:
        """`picture` as a png file."""
        file = io.BytesIO()
        Image.fromarray(self.picture(least)).save(file, "PNG")
        return file.getvalue()

    def npy(self) -> bytes:
        """What ``np.asarray`` gives as an npy file."""
        file = io.BytesIO()
        np.save(file, np.asarray(self))
        return file.getvalue()

    def _repr_png_(self) -> bytes:
        return self.png(_SHOWN)

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        return f"<{type(self).__name__} of {width}x{height} pixels: {self.summary}>"
