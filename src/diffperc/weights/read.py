"""Reading files of weights without running the code that a file may hold."""

from __future__ import annotations

import argparse
import datetime
import json
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path, PosixPath
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from diffperc.errors import WeightsError, first_line

# keys under which training programs store the tensors
_WRAPPERS = ("state_dict", "model", "model_state_dict", "net")
# the first byte of a zip archive, and of a pickle
_TORCH_BEGINNINGS = (b"P", b"\x80")
# the beginnings of what is downloaded in place of weights
_WRONG = {
    b"version https://git-lfs": "is a pointer of git-lfs and not the file itself; run git lfs pull, or download the file",
    b"<!doctype": "is a web page, such as one that asks for a login; download the file itself",
    b"<html": "is a web page, such as one that asks for a login; download the file itself",
    b"gguf": "is a quantised model (GGUF), which is not read; take the .safetensors of the model",
}
# of a vocabulary, the largest size of a model; it has fewer layers, each of which takes time
_LARGEST_SIZE, _MOST_LAYERS, _MOST_ENTRIES = 1_000_000, 256, 256
# types that training programs store beside tensors: records and numbers, none of which runs code
_NUMPY_TYPES = [type(np.dtype(code)) for code in "efdbhilBHIL?"]
_NUMPY_SCALAR = np.float64(0).__reduce__()[0]
_PLAIN: list[Any] = [
    argparse.Namespace,
    PosixPath,
    datetime.datetime,
    np.dtype,
    *_NUMPY_TYPES,
    _NUMPY_SCALAR,
    (_NUMPY_SCALAR, "numpy.core.multiarray.scalar"),
]


def read_state(path: Path) -> dict[str, Tensor]:
    """Tensors of a ``.safetensors`` file or of a pickle without code; a nested ``state_dict`` or ``model`` is unpacked.

    Tensors of a pickle are mapped from disk: only those that are used are read.

    Raises:
        WeightsError: the file is missing, damaged, not a file of weights, or would run code when opened.
    """
    content = read_file(path)
    tensors = unwrapped(content)
    if tensors:
        return tensors
    top = type(content).__name__
    if isinstance(content, Mapping):
        top = ", ".join(map(str, list(content)[:8]))
    raise WeightsError(f"{path}: holds no named tensors where they are expected; its top level holds: {top}.")


def read_file(path: Path) -> Any:
    """The content of a file of weights or a checkpoint, without running code; tensors of a pickle are mapped from disk.

    Raises:
        WeightsError: see `read_state`.
    """
    if path.is_dir():
        raise WeightsError(f"{path}: is a folder, not a file.")
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such file.")
    wrong = _wrong_content(path)
    if wrong:
        raise WeightsError(f"{path}: {wrong}.")
    if path.suffix == ".safetensors":
        read = load_file
    elif _first_byte(path) in _TORCH_BEGINNINGS:
        read = _unpickled
    else:
        raise WeightsError(f"{path}: is no file that torch has written; is the download complete, and the right file?")
    packed = _packed(path)
    if packed:
        raise WeightsError(f"{path}: {packed}.")
    try:
        content = read(path)
        hollow = _hollow(content, path.stat().st_size)
    except Exception as error:  # torch and safetensors raise every kind for damaged files
        raise WeightsError(f"{path}: {_why_unreadable(error)}") from error
    if hollow:
        raise WeightsError(f"{path}: {hollow}.")
    return content


def _packed(path: Path) -> str:
    """Why an archive is none that torch writes, in which everything has its own size; empty if it is one, or no archive."""
    if not is_archive(path):
        return ""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return ""  # reading it says why
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        return "is a compressed archive, which torch does not write: refused, as it could unpack to any size"
    return ""


def is_archive(path: Path) -> bool:
    """Whether a file ends as a zip archive does; one that claims to be a part of several is damaged, and none."""
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:
        return False


def _hollow(content: Any, size: int) -> str:
    """What in a file's content is larger than the file, or no plain tensor; empty if nothing is.

    A tensor is a view of stored numbers, and a view can repeat one number a million million times.
    """
    pending, seen = [content], set()
    while pending:
        value = pending.pop()
        if isinstance(value, Tensor):
            if value.layout != torch.strided or value.is_meta or value.is_quantized:
                return f"holds a tensor that is not stored plainly ({value.layout}, {value.device}, {value.dtype})"
            if value.numel() * value.element_size() > size:
                return f"holds a tensor of shape {tuple(value.shape)}, which is larger than the file: refused"
        elif isinstance(value, Mapping | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            pending += value.values() if isinstance(value, Mapping) else value
    return ""


def unwrapped(content: Any, depth: int = 8) -> dict[str, Tensor]:
    """The named tensors of a file's content, from below keys such as ``state_dict``."""
    if not isinstance(content, Mapping) or depth == 0:
        return {}
    for wrapper in _WRAPPERS:
        inner = content.get(wrapper)
        if isinstance(inner, Mapping) and inner:
            return unwrapped(inner, depth - 1)
    tensors = {}
    for name, value in content.items():
        if isinstance(name, str) and isinstance(value, Tensor):
            tensors[name] = value
    return tensors


def without_prefix(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors under a prefix, without it."""
    found = {}
    for name, tensor in state.items():
        if name.startswith(prefix):
            found[name.removeprefix(prefix)] = tensor
    return found


def as_float32(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors in float32, the precision in which models are built here."""
    return {name: tensor.float() for name, tensor in state.items()}


def check_finite(state: Mapping[str, Tensor], where: str) -> None:
    """Check that weights are numbers.

    Raises:
        WeightsError: one is infinite or not a number; the message names the first tensor.
    """
    for name, tensor in state.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise WeightsError(
                f"{where}: '{name}' holds what is not a number; the file is damaged, or training diverged."
            )


def read_config(file: Path) -> dict[str, Any]:
    """A model's ``config.json``.

    Raises:
        WeightsError: the file is missing, is not JSON, or describes a model of any size.
    """
    config = read_object(file)
    problem = oversized(config)
    if problem:
        raise WeightsError(f"{file}: {problem}, which is no model's: refused.")
    return config


def read_object(file: Path) -> dict[str, Any]:
    """The fields of a json file beside weights.

    Raises:
        WeightsError: the file is missing, or is not JSON.
    """
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{file}: is missing or damaged; not a diffusers folder.") from error
    if not isinstance(fields, dict):
        raise WeightsError(f"{file}: must hold the fields of a model, found {type(fields).__name__}.")
    return fields


def oversized(config: Any) -> str:
    """A number or list in a model's config that would take any amount of time or memory; empty if there is none."""
    pending: list[tuple[str, Any]] = [("", config)]
    while pending:
        key, value = pending.pop()
        if isinstance(value, dict):
            pending += [(str(name), inner) for name, inner in value.items() if name != "tokenizer"]
        elif isinstance(value, list):
            if len(value) > _MOST_ENTRIES:
                return f"'{key[:60]}' has {len(value)} entries"
            pending += [(key, inner) for inner in value]
        elif type(value) is int and abs(value) > (_MOST_LAYERS if "layers" in key or key == "depth" else _LARGEST_SIZE):
            return f"'{key[:60]}' is a number of {len(str(abs(value)))} digits"
    return ""


def _wrong_content(path: Path) -> str:
    """What a file is that was saved under the name of weights; empty if nothing is recognised."""
    with path.open("rb") as file:
        beginning = file.read(64)
    if not beginning:
        return "is empty; download it again"
    for mark, what in _WRONG.items():
        if beginning.lstrip().lower().startswith(mark):
            return what
    return ""


def _first_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1)


def _unpickled(path: Path) -> Any:
    """The content of a torch file; besides tensors, only what `_PLAIN` lists."""
    with torch.serialization.safe_globals(_PLAIN):
        # files written by torch before 1.6 are not archives and cannot be mapped
        return torch.load(path, map_location="cpu", weights_only=True, mmap=is_archive(path))


def _why_unreadable(error: Exception) -> str:
    """The end of a sentence: why a file could not be read, and what to do."""
    refused = re.search(r"GLOBAL (\S+)", str(error))
    if refused and isinstance(error, pickle.UnpicklingError):
        return (
            f"it refers to '{refused[1]}', which is not plain data and could run code: refused. If you trust its source, "
            "save its tensors alone as .safetensors where it was made."
        )
    reason = first_line(error).partition(". ")[0]
    return f"cannot be read as weights, it is damaged or incomplete ({reason})."
