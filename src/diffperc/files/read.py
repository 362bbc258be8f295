"""Files and folders: reading them with errors that name the file, and which files there are."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from diffperc.errors import DataError

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


@contextmanager
def reading(path: Path, kind: str, *errors: type[Exception]) -> Iterator[None]:
    """Replace what reading a file raises by a sentence about the file.

    Args:
        path: the file.
        kind: what it should be, such as ``an image``.
        errors: what the reader raises for a damaged file.

    Raises:
        DataError: the file is missing or damaged.
    """
    damage: tuple[type[Exception], ...] = (OSError, *errors)
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file.") from error
    except IsADirectoryError as error:
        raise DataError(f"{path}: is a folder, not {kind}.") from error
    except damage as error:
        # libraries repeat the path, and some write several lines
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"{path}: cannot be read as {kind} ({reason}); replace or remove it.") from error


def read_text(path: Path) -> str:
    """A text file in UTF-8, without the byte order mark that some editors write.

    Raises:
        DataError: missing, not a file, or in another encoding.
    """
    with reading(path, "a text"):
        content = path.read_bytes()
    if not content.strip():
        raise DataError(f"{path}: is empty.")
    if content.startswith(b"version https://git-lfs"):
        raise DataError(f"{path}: is a pointer of git-lfs and not the file itself; run git lfs pull.")
    if content.startswith(b"\x1f\x8b"):
        raise DataError(f"{path}: is compressed by gzip; unpack it with gunzip.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not a text in UTF-8; save it as such.") from error


def read_json(path: Path) -> Any:
    """The content of a json file.

    Raises:
        DataError: missing, or not json.
    """
    text = read_text(path)
    try:
        return parse_json(text)
    except RecursionError as error:
        raise DataError(f"{path}: is not valid json: its brackets are nested too deeply.") from error
    except ValueError as error:
        raise DataError(f"{path}: is not valid json ({error}); it may be cut short, so copy it again.") from error


def parse_json(text: str, **options: Any) -> Any:
    """As `json.loads`, for text that can be written again.

    Raises:
        ValueError: it is not json, or has half of a pair of code units, which is no character and cannot be a file's name.
        RecursionError: its brackets are nested too deeply.
    """
    content = json.loads(text, **options)
    if _SURROGATE.search(text):
        try:
            json.dumps(content, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"{error.object[error.start]!r} is no character") from error
    return content


def check_root(dataset: str, root: Path, holds: str) -> None:
    """Check that a data set's folder exists.

    Args:
        dataset: the name of its class.
        root: the folder.
        holds: what the folder should hold.

    Raises:
        DataError: there is no such folder.
    """
    if not root.is_dir():
        raise DataError(
            f"{dataset}: there is no folder '{root}'. Set dataset.root=/path/to/{dataset.lower()}, the folder that holds "
            f"{holds}."
        )


class Listing:
    """Which files exist. Each folder is listed once, because 100,000 single queries are slow on a network disk."""

    def __init__(self) -> None:
        self._names: dict[str, frozenset[str]] = {}

    def __contains__(self, path: Path) -> bool:
        folder, name = os.path.split(path)
        if folder not in self._names:
            try:
                self._names[folder] = frozenset(os.listdir(folder))
            except OSError:  # no such folder: nothing in it
                self._names[folder] = frozenset()
        return name in self._names[folder]
