"""Results as answers to requests: json with everything, the picture as png, or the numbers as npy."""

from __future__ import annotations

import base64
import threading
import typing
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from diffperc.results.base import Result

JSON, PNG, NPY = "application/json", "image/png", "application/octet-stream"
MEDIA = (JSON, PNG, NPY)
"""What a request may accept; the first where it does not say."""
Found = TypeVar("Found")
_drawing = threading.Lock()  # matplotlib draws in one thread at a time


def _encoded(media: str) -> Any:
    return Field(json_schema_extra={"contentEncoding": "base64", "contentMediaType": media})


class Answer(BaseModel, Generic[Found]):
    """A result: `found` are its plain values, `picture` a png and `array` an npy file, both in base64."""

    summary: str
    width: int
    height: int
    found: Found
    picture: Annotated[str, _encoded(PNG)]
    array: Annotated[str, _encoded(NPY)]


class Problem(BaseModel):
    """What was wrong, in a sentence."""

    detail: str


class Health(BaseModel):
    """That the server answers, and for which tasks."""

    status: Literal["ok"] = "ok"
    version: str
    tasks: list[str]


def answer_model(kind: type[Result]) -> Any:
    """The model of answers with results of a class."""
    found: Any = kind.found  # a property
    return Answer[typing.get_type_hints(found.fget)["return"]]  # type: ignore[misc]


def answer(result: Result, media: str) -> Response:
    """A result in one of `MEDIA`."""
    if media == NPY:
        return Response(result.npy(), media_type=NPY)
    with _drawing:
        picture = result.png()
    if media == PNG:
        return Response(picture, media_type=PNG)
    height, width = result.image.shape[:2]
    content = answer_model(type(result))(
        summary=result.summary,
        width=width,
        height=height,
        found=result.found,
        picture=base64.b64encode(picture).decode(),
        array=base64.b64encode(result.npy()).decode(),
    )
    return Response(content.model_dump_json(), media_type=JSON)


def wanted(accept: str) -> str:
    """Which of `MEDIA` a request wants most.

    Args:
        accept: its header, such as ``image/png, */*;q=0.5``; empty: anything.

    Raises:
        HTTPException: 406, it accepts none of them.
    """
    best, most = None, 0.0
    for part in accept.lower().split(",") if accept.strip() else ["*/*"]:
        kind, *parameters = (text.strip() for text in part.split(";"))
        weight = next((_weight(text[2:]) for text in parameters if text.startswith("q=")), 1.0)
        found = next((media for media in MEDIA if kind in ("*/*", media, f"{media.partition('/')[0]}/*")), None)
        if found is not None and weight > most:
            best, most = found, weight
    if best is None:
        raise HTTPException(406, f"accept: answers are {', '.join(MEDIA)}; accept one of these.")
    return best


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
