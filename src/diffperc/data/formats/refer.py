"""REFER's ``refs(unc).p``: a pickled list of dicts, read without running the code that a pickle may hold.

A pickle is a program that can import and call anything. These files need nothing but lists, dicts, strings and
numbers, for which the unpickler imports no name: every import is refused.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any, NoReturn

from diffperc.errors import DataError
from diffperc.files.read import reading

_KINDS: dict[str, type] = {"ann_id": int, "image_id": int, "split": str, "sentences": list}


class _RefusedError(Exception):
    """The pickle asked for a name; the argument is that name."""


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> NoReturn:
        raise _RefusedError(f"{module_name}.{global_name}")


def read_refs(path: Path) -> list[dict[str, Any]]:
    """The refs of a file, each with at least ``ann_id``, ``image_id``, ``split`` and ``sentences``.

    Strings that Python 2 wrote as bytes are read as Latin-1.

    Raises:
        DataError: missing, damaged, another kind of file, or a pickle that would import something.
    """
    with reading(path, "a pickle"):
        content = path.read_bytes()
    try:
        # from memory: a length beyond the end of the file then allocates nothing
        refs = _PlainUnpickler(io.BytesIO(content), encoding="latin1").load()
    except _RefusedError as error:
        raise DataError(
            f"{path}: wants to import {error}: not opened. REFER's files hold lists, dicts, strings and numbers only; "
            "fetch the file again from a source you trust."
        ) from error
    except Exception as error:  # damaged pickles raise nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: cannot be read as a pickle ({reason}); replace it.") from error
    if not isinstance(refs, list):
        raise DataError(f"{path}: is not a list of refs, each with {', '.join(_KINDS)}.")
    for number, entry in enumerate(refs):
        _check_ref(entry, f"{path}: ref number {number}")
    return refs


def _check_ref(entry: Any, where: str) -> None:
    lacks = [key for key in _KINDS if key not in entry] if isinstance(entry, dict) else list(_KINDS)
    if lacks:
        raise DataError(f"{where} has no {', '.join(lacks)}; replace the file by the published one.")
    wrong = [key for key, kind in _KINDS.items() if not isinstance(entry[key], kind)]
    if not wrong and not all(isinstance(sentence, dict) for sentence in entry["sentences"]):
        wrong = ["sentences"]
    if wrong:
        raise DataError(
            f"{where} has {wrong[0]} {repr(entry[wrong[0]])[:60]}, which is not in REFER's format; replace the file by the "
            "published one."
        )
