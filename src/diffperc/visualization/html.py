"""Self-contained web pages: everything is in one file, and a browser asks no other host for anything."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources

import cv2
import matplotlib
import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure
from PIL import Image

from diffperc.types import Picture

_LONGEST = 1200  # pixels of a side: larger pictures are reduced, or a page of photos would be too large to send
_QUALITY = 88  # of JPEG


@dataclass(frozen=True)
class Embedded:
    """A picture with its caption.

    Attributes:
        source: a data address.
        caption: below it; also what a screen reader says.
        small: shown in a column with others; else as wide as the page.
    """

    source: str
    caption: str = ""
    small: bool = True


@dataclass(frozen=True)
class Table:
    """Rows of texts below headings, of which all but the first column are aligned to the right.

    Attributes:
        numbers: False aligns them to the left.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: bool = True


@dataclass(frozen=True)
class Chart:
    """A drawing of matplotlib, as svg, with its caption."""

    svg: Markup
    caption: str = ""


@dataclass(frozen=True)
class Details:
    """A longer text that is shown when its title is clicked, every space as it is."""

    title: str
    text: str


Block = str | Details | Embedded | Table | Chart | Sequence[Embedded]
"""A paragraph, a picture, a table, a chart, or pictures side by side."""


@dataclass
class Section:
    """A part of a page, with its heading."""

    title: str
    blocks: list[Block] = field(default_factory=list)


def embedded(picture: Picture, caption: str = "", small: bool = True, exact: bool = False) -> Embedded:
    """A picture for a page.

    Args:
        picture: (H, W, 3) uint8 RGB.
        caption: below it.
        small: see `Embedded`.
        exact: as png, for drawings; else as jpeg, for photos.
    """
    ratio = _LONGEST / max(picture.shape[:2])
    if ratio < 1:
        size = (max(1, round(picture.shape[1] * ratio)), max(1, round(picture.shape[0] * ratio)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    file = io.BytesIO()
    kind, options = ("PNG", {"optimize": True}) if exact else ("JPEG", {"quality": _QUALITY})
    Image.fromarray(np.ascontiguousarray(picture)).save(file, kind, **options)
    text = base64.b64encode(file.getvalue()).decode()
    return Embedded(f"data:image/{kind.lower()};base64,{text}", caption, small)


def chart(figure: Figure, caption: str = "") -> Chart:
    """A figure for a page, whose texts stay texts."""
    file = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        figure.savefig(file, format="svg", bbox_inches="tight", metadata={"Date": None})
    svg = file.getvalue()
    return Chart(Markup(svg[svg.index("<svg") :]), caption)


def page(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """A page; texts are escaped."""
    template = resources.files("diffperc.assets").joinpath("page.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    kinds = {"is_image": lambda block: isinstance(block, Embedded), "is_table": lambda block: isinstance(block, Table)}
    kinds["is_details"] = lambda block: isinstance(block, Details)
    kinds |= {"is_chart": lambda block: isinstance(block, Chart), "is_text": lambda block: isinstance(block, str)}
    return environment.from_string(template).render(title=title, subtitle=subtitle, sections=sections, **kinds)
