"""The tensors of one part of a source, in diffusers' names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from diffperc.errors import WeightsError
from diffperc.weights import ldm_names as ldm
from diffperc.weights.architecture import Architecture
from diffperc.weights.locate import WeightsSource
from diffperc.weights.marigold import image_half, is_marigold
from diffperc.weights.read import as_float32, check_finite, read_object, read_state, without_prefix

STEM = "diffusion_pytorch_model"
_LDM = {"unet": (ldm.UNET, ldm.unet_from_ldm), "vae": (ldm.VAE, ldm.vae_from_ldm)}
# attention had these names in diffusers before 0.15, and the hub's SD 1.5 folder still has them
_OLD_ATTENTION = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}


def part_state(source: WeightsSource, part: str, arch: Architecture) -> dict[str, Tensor]:
    """The float32 tensors of ``unet`` or of ``vae``, of which only the encoder is used, in diffusers' names.

    Raises:
        WeightsError: the part is missing, or its file is unreadable or of another architecture.
    """
    state = _from_file(source, part, arch) if source.is_file else _from_folder(source, part)
    if part == "unet" and is_marigold(source.path):
        state = image_half(state, source.name)
    if part == "vae":
        state = _with_current_names(ldm.encoding_half(state))
    check_finite(state, f"{source.name}, {part}")
    return as_float32(state)


def _from_file(source: WeightsSource, part: str, arch: Architecture) -> dict[str, Tensor]:
    prefix, in_diffusers_names = _LDM[part]
    state = without_prefix(read_state(source.path), prefix)
    if not state:
        raise WeightsError(f"{source.name}: no tensors under '{prefix}'; not a Stable Diffusion checkpoint.")
    return in_diffusers_names(state, arch[part])


def _from_folder(source: WeightsSource, part: str) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for file in weight_files(source.path / part, STEM, source.name):
        state |= read_state(file)
    return state


def weight_files(place: Path, stem: str, where: str) -> list[Path]:
    """The file of weights of a part, or its shards; those in full precision before a variant such as fp16.

    Args:
        place: the folder of the part.
        stem: of the file's name, such as ``diffusion_pytorch_model``.
        where: the source, for messages.

    Raises:
        WeightsError: there is none, or a shard is missing.
    """
    for ending in (".safetensors", ".bin"):
        for variant in ("", *_variants(place, stem, ending)):
            single, index = place / f"{stem}{variant}{ending}", place / f"{stem}{ending}.index{variant}.json"
            if single.is_file():
                return [single]
            if index.is_file():
                return _shards(index, where)
    raise WeightsError(f"{where}: no {place.name}/{stem}.safetensors; the download is incomplete.")


def _variants(place: Path, stem: str, ending: str) -> list[str]:
    """Such as ``.fp16``, in the names of single files and of indices."""
    found = {file.name.removeprefix(stem).removesuffix(ending) for file in place.glob(f"{stem}.*{ending}")}
    for file in place.glob(f"{stem}{ending}.index.*.json"):
        found.add(file.name.removeprefix(f"{stem}{ending}.index").removesuffix(".json"))
    return sorted(found - {""})


def _shards(index: Path, where: str) -> list[Path]:
    listed = read_object(index).get("weight_map")
    names = sorted(set(listed.values())) if isinstance(listed, dict) else []
    if not names or not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise WeightsError(f"{index}: names no files of weights; it is damaged.")
    for name in names:
        if not (index.parent / name).is_file():
            raise WeightsError(
                f"{where}: no {index.parent.name}/{name}, which {index.name} names; complete the download."
            )
    return [index.parent / name for name in names]


def _with_current_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A VAE's tensors with the names that its attention has in diffusers now."""
    return {_current_name(name): tensor for name, tensor in state.items()}


def _current_name(name: str) -> str:
    if ".attentions." not in name:
        return name
    for old, current in _OLD_ATTENTION.items():
        name = name.replace(old, current)
    return name
