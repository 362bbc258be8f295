"""Finding weights: shipped with the package, on this machine, or on the Hugging Face hub at a pinned revision."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from diffperc.errors import WeightsError

# the parts of a diffusers folder that models here read
PARTS = ("unet", "vae", "text_encoder", "image_encoder")
_SUFFIXES = (".ckpt", ".safetensors", ".pt", ".bin")
# the files of a hub repository that are needed, without the same weights in other formats and precisions
_CONFIGS = [f"{part}/*config.json" for part in PARTS]
_WEIGHTS = [f"{part}/*model.safetensors" for part in PARTS]
_PIPELINE = ("model_index.json", *_CONFIGS, *_WEIGHTS, "tokenizer/*")


@dataclass(frozen=True)
class WeightsSource:
    """A folder in the diffusers layout or a single file; `name` is the user's text."""

    name: str
    path: Path

    @property
    def is_file(self) -> bool:
        """True for a single file in the original (LDM) naming."""
        return self.path.is_file()


def locate(
    pretrained: str,
    revision: str | None = None,
    patterns: Sequence[str] = _PIPELINE,
    key: str = "backbone.pretrained",
    kinds: str = "tiny, a diffusers folder, a .ckpt or .safetensors file, a hub id (owner/name), or null for random weights",
) -> WeightsSource:
    """Find weights in the package or on disk, or download them from the hub.

    Args:
        pretrained: ``tiny``, a folder, a ``.ckpt`` or ``.safetensors`` file, or a hub id such as ``owner/name``.
        revision: commit of the hub repository.
        patterns: which files of the repository are needed; default: those of a diffusers pipeline.
        key: the name of the setting, for messages.
        kinds: the values it may have, for messages.

    Raises:
        WeightsError: there is no such file or folder, or the download failed.
    """
    shipped = shipped_models().get(pretrained)
    if shipped is not None and (shipped / "model_index.json").is_file():
        return WeightsSource(pretrained, shipped)
    path = Path(pretrained).expanduser()
    if path.exists():
        return WeightsSource(pretrained, path)
    if not _is_hub_id(pretrained):
        raise WeightsError(f"{key}: there is no file or folder '{pretrained}'. Give {kinds}.")
    return WeightsSource(pretrained, _download(pretrained, revision, patterns, key, kinds))


def locate_at(where: str, patterns: Sequence[str], key: str, kinds: str) -> WeightsSource:
    """As `locate`, from a single text: a path, or a hub id with ``@commit``."""
    if Path(where).expanduser().exists():
        return locate(where, None, patterns, key, kinds)
    name, _, revision = where.partition("@")
    return locate(name, revision or None, patterns, key, kinds)


def shipped_models() -> dict[str, Path]:
    """Model folders that come with the package, by name; that of ``tiny`` holds weights beside its configs."""
    models = Path(str(resources.files("diffperc.assets").joinpath("models")))
    return {folder.name: folder for folder in models.iterdir()}


def _is_hub_id(name: str) -> bool:
    """Whether a name reads ``owner/name`` and not as a path."""
    return re.fullmatch(r"[^./~][^/]*/[^/]*", name) is not None and not name.endswith(_SUFFIXES)


def _download(repository: str, revision: str | None, patterns: Sequence[str], key: str, kinds: str) -> Path:
    """The local folder of a hub repository, from the cache if it is there."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=list(patterns)))
    except (OSError, HfHubHTTPError, ValueError) as error:
        raise WeightsError(
            f"{key}: the hub model '{repository}' (revision {revision or 'main'}) is not in the local "
            f"cache and could not be downloaded ({type(error).__name__}). Connect this machine, or download it elsewhere "
            f"and give its place: {kinds}."
        ) from error
