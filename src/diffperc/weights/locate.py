"""Where weights come from: a hub id at a pinned revision, a diffusers folder, or one file in the original naming."""

from __future__ import annotations

import argparse
import datetime
import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PosixPath
from typing import Any

import numpy as np
import torch
from diffusers.utils import logging as diffusers_logging
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers.utils import logging as transformers_logging

from diffperc.errors import WeightsError, did_you_mean
from diffperc.weights import ldm_names as ldm

_LOGGING = (transformers_logging, diffusers_logging)

Architecture = dict[str, dict[str, Any]]
PARTS = ("unet", "vae", "text_encoder", "image_encoder")
_WRAPPERS = ("state_dict", "model", "model_state_dict", "net")
_FILES = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
# what a hub repository is asked for: not the same weights a second time in other formats and precisions
_PATTERNS = [f"{part}/*{end}" for part in PARTS for end in ("config.json", "model.safetensors")] + ["tokenizer/*"]


@dataclass(frozen=True)
class Source:
    """A folder in the diffusers layout or a single file; `name` is what the user wrote."""

    name: str
    path: Path

    @property
    def is_file(self) -> bool:
        """True for a single file in the original (LDM) naming."""
        return self.path.is_file()


def locate(
    pretrained: str,
    revision: str | None = None,
    patterns: list[str] | None = None,
    key: str = "backbone.pretrained",
    kinds: str = "tiny, a diffusers folder, a .ckpt or .safetensors file, a hub id (owner/name), or null for random weights",
) -> Source:
    """Find weights in the package or on disk, or fetch them from the hub.

    Args:
        pretrained: ``tiny``, a folder, a ``.ckpt`` or ``.safetensors`` file, or a hub id such as ``owner/name``.
        revision: commit of the hub repository.
        patterns: which of its files are needed; default those of a diffusers pipeline.
        key: what the user sets, for messages.
        kinds: what it may be set to, for messages.

    Raises:
        WeightsError: there is no such thing, or the hub cannot be reached.
    """
    shipped = _shipped().get(pretrained)
    if shipped is not None and (shipped / "model_index.json").is_file():
        return Source(pretrained, shipped)
    path = Path(pretrained).expanduser()
    if path.exists():
        return Source(pretrained, path)
    looks_like_path = path.is_absolute() or pretrained.startswith((".", "~")) or pretrained.count("/") != 1
    if looks_like_path or path.suffix in (".ckpt", ".safetensors", ".pt", ".bin"):
        raise WeightsError(f"{key}: there is no file or folder '{pretrained}'. Give {kinds}.")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        folder = snapshot_download(pretrained, revision=revision, allow_patterns=patterns or _PATTERNS)
    except (OSError, HfHubHTTPError, ValueError) as error:
        raise WeightsError(
            f"{key}: the hub model '{pretrained}' (revision {revision or 'main'}) is not in the local "
            f"cache and could not be downloaded ({type(error).__name__}). Connect this machine, or download it elsewhere "
            f"and give its place: {kinds}."
        ) from error
    return Source(pretrained, Path(folder))


def locate_at(where: str, patterns: list[str], key: str, kinds: str) -> Source:
    """As `locate`, from one text: a path, or a hub id with ``@commit``."""
    name, _, revision = (where, "", "") if Path(where).expanduser().exists() else where.partition("@")
    return locate(name, revision or None, patterns, key, kinds)


def read_state(path: Path) -> dict[str, Tensor]:
    """Tensors of a ``.safetensors`` file or of a pickle without code; a nested ``state_dict`` or ``model`` is unpacked.

    Tensors of a pickle are mapped from disk: only those that are used are read.

    Raises:
        WeightsError: the file is missing, damaged, no weights file, or would run code when opened.
    """
    content = read_file(path)
    tensors = unwrapped(content)
    if not tensors:
        keys = ", ".join(map(str, list(content)[:8])) if isinstance(content, Mapping) else type(content).__name__
        raise WeightsError(f"{path}: holds no named tensors where they are looked for; at its top there is: {keys}.")
    return tensors


def read_file(path: Path) -> Any:
    """The content of a weights file or checkpoint, without running code; tensors of a pickle are mapped from disk.

    Raises:
        WeightsError: see `read_state`.
    """
    if path.is_dir():
        raise WeightsError(f"{path}: is a folder, not a file.")
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such file.")
    if path.suffix != ".safetensors" and _first_byte(path) not in (b"P", b"\x80"):
        raise WeightsError(f"{path}: is no file that torch has written; is the download complete, and the right file?")
    try:
        return load_file(path) if path.suffix == ".safetensors" else _unpickled(path)
    except Exception as error:  # torch and safetensors raise every kind for damaged files
        wanted = re.search(r"GLOBAL (\S+)", str(error)) if isinstance(error, pickle.UnpicklingError) else None
        if wanted:
            raise WeightsError(
                f"{path}: it refers to '{wanted[1]}', which is no plain data and could run code: refused. If you trust its "
                "source, save its tensors alone as .safetensors where it was made."
            ) from error
        reason = (str(error) or type(error).__name__).splitlines()[0].partition(". ")[0][:120]
        raise WeightsError(f"{path}: cannot be read as weights, it is damaged or incomplete ({reason}).") from error


def _first_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1)


def unwrapped(content: Any) -> dict[str, Tensor]:
    """The tensors of a file's content, without what training programs put around them, such as ``state_dict``."""
    inner = content
    while isinstance(inner, Mapping):
        content = inner
        wrapped = (content.get(wrapper) for wrapper in _WRAPPERS)
        inner = next((w for w in wrapped if isinstance(w, Mapping) and w), None)
    state = content if isinstance(content, Mapping) else {}
    return {k: v for k, v in state.items() if isinstance(k, str) and isinstance(v, Tensor)}


def _unpickled(path: Path) -> Any:
    """The content of a torch file; besides tensors, the plain records and numbers that training programs put there."""
    scalar = np.float64(0).__reduce__()[0]
    kinds = ["e", "f", "d", "b", "h", "i", "l", "B", "H", "I", "L", "?"]
    numbers = [type(np.dtype(kind)) for kind in kinds]
    plain: list[Any] = [argparse.Namespace, PosixPath, datetime.datetime, np.dtype, *numbers, scalar]
    plain.append((scalar, "numpy.core.multiarray.scalar"))
    with torch.serialization.safe_globals(plain):
        # files of before torch 1.6 cannot be mapped
        mapped = zipfile.is_zipfile(path)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped or None)


def architecture(config: str | Mapping[str, Any] | None, source: Source | None) -> Architecture:
    """The configs of UNet, VAE, text encoder and image encoder.

    Args:
        config: name of a shipped one (``sd15``, ``sd21``, ``tiny``), a folder in the diffusers layout, the mapping
            kept in a checkpoint, or None: read from the source.

    Raises:
        WeightsError: it cannot be told.
    """
    if isinstance(config, Mapping):
        return {part: dict(values) for part, values in config.items()}
    if config is None and source is not None:
        config = _recognise(source) if source.is_file else str(source.path)
    if config is None:
        raise WeightsError("backbone.config: needed where backbone.pretrained is null, for example config=tiny.")
    found: Architecture = {}
    folder = config_folder(config)
    for part in PARTS:
        file = folder / part / "config.json"
        if file.is_file():
            found[part] = json.loads(file.read_text(encoding="utf-8"))
    missing = [p for p in ("unet", "vae") if p not in found]
    if missing:
        raise WeightsError(
            f"{folder}: no {' and no '.join(f'{p}/config.json' for p in missing)}; not a diffusers folder."
        )
    # Stable Diffusion's own folders have no image encoder; that of CLIP ViT-L/14 is the twin of its text encoder
    found.setdefault("image_encoder", json.loads((config_folder("sd15") / "image_encoder/config.json").read_text()))
    return found


def config_folder(config: str) -> Path:
    """The folder of a shipped config by name, or the folder itself."""
    shipped = _shipped()
    if config in shipped:
        return shipped[config]
    if Path(config).is_dir():
        return Path(config)
    raise WeightsError(f"backbone.config: there is no config or folder '{config}'{did_you_mean(config, shipped)}")


def _shipped() -> dict[str, Path]:
    """Folders that come with the package, by name; that of ``tiny`` holds weights beside its configs."""
    folder = resources.files("diffperc.assets").joinpath("models")
    return {Path(str(p)).name: Path(str(p)) for p in folder.iterdir()}


def _recognise(source: Source) -> str:
    """Which shipped architecture a single file is of: the width of its context tells."""
    state = read_state(source.path)
    key = f"{ldm.UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
    if key not in state:
        raise WeightsError(f"{source.name}: not a Stable Diffusion checkpoint: it has no '{key}'.")
    names = {768: "sd15", 1024: "sd21"}
    width = state[key].shape[1]
    if width not in names:
        raise WeightsError(f"{source.name}: unknown architecture (context width {width}); set backbone.config.")
    return names[width]


def part_state(source: Source, part: str, arch: Architecture) -> dict[str, Tensor]:
    """The float32 tensors of ``unet`` or ``vae`` (its encoder half) in diffusers' names."""
    if source.is_file:
        prefix = {"unet": ldm.UNET, "vae": ldm.VAE}[part]
        convert = {"unet": ldm.unet_from_ldm, "vae": ldm.vae_from_ldm}[part]
        state = without_prefix(read_state(source.path), prefix)
        if not state:
            raise WeightsError(f"{source.name}: no tensors under '{prefix}'; not a Stable Diffusion checkpoint.")
        state = convert(state, arch[part])
    else:
        file = next((f for n in _FILES if (f := source.path / part / n).is_file()), None)
        if file is None:
            raise WeightsError(f"{source.name}: no {part}/{_FILES[0]}; the download is incomplete.")
        state = read_state(file)
    if part == "vae":
        state = _current_vae_names({k: v for k, v in state.items() if k.startswith(("encoder.", "quant_conv."))})
    return {k: v.float() for k, v in state.items()}


def _current_vae_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The hub's SD 1.5 folder still has the names that diffusers' attention had before 0.15."""
    old = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}

    def current(key: str) -> str:
        for before, now in old.items():
            key = key.replace(before, now)
        return key

    return {current(k) if ".attentions." in k else k: v for k, v in state.items()}


def without_prefix(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors under a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def fill(module: nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    """Put tensors into a module, all of them or none.

    Raises:
        WeightsError: names or shapes differ; the first of each kind is named.
    """
    own = module.state_dict()
    missing, extra = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    wrong = [k for k in own.keys() & state.keys() if own[k].shape != state[k].shape]
    problems = [f"{len(missing)} tensors missing, the first '{missing[0]}'"] if missing else []
    problems += [f"{len(extra)} tensors unexpected, the first '{extra[0]}'"] if extra else []
    problems += [f"'{k}' is {tuple(state[k].shape)} where {tuple(own[k].shape)} is needed" for k in sorted(wrong)[:1]]
    if problems:
        raise WeightsError(f"{where}: {'; '.join(problems)}.")
    module.load_state_dict(dict(state), assign=True)


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Without what transformers and diffusers say about small things while they load and save.

    They list what is in a file for other classes, such as CLIP's projections, show bars for milliseconds, and ask for
    torchvision and accelerate, which nothing here uses.
    """
    before = [(library, library.get_verbosity(), library.is_progress_bar_enabled()) for library in _LOGGING]
    for library in _LOGGING:
        library.set_verbosity_error()
        library.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*torch_dtype.*is deprecated.*")
            yield
    finally:
        for library, verbosity, bars in before:
            library.set_verbosity(verbosity)
            if bars:
                library.enable_progress_bar()


def checked(kind: Any, folder: str) -> Any:
    """A model of transformers by its `from_pretrained`, refusing what that would only warn about.

    Raises:
        WeightsError: the folder is damaged, or tensors are missing or of another shape.
    """
    try:
        with quiet_loading():
            model, info = kind.from_pretrained(folder, output_loading_info=True, torch_dtype=torch.float32)
    except Exception as error:  # transformers raises every kind for a damaged folder
        reason = (str(error) or type(error).__name__).splitlines()[0][:120]
        raise WeightsError(f"{folder}: cannot be loaded ({reason}).") from error
    missing = [k for k in info["missing_keys"] if not k.endswith("position_ids")]
    if missing or info["mismatched_keys"]:
        first = sorted(missing)[0] if missing else sorted(info["mismatched_keys"])[0]
        raise WeightsError(f"{folder}: incomplete: '{first}' is missing or of another shape.")
    return model
