"""The tensors of one part of a source, in diffusers' names."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from diffperc.errors import WeightsError
from diffperc.weights import ldm_names as ldm
from diffperc.weights.architecture import Architecture
from diffperc.weights.locate import WeightsSource
from diffperc.weights.read import as_float32, read_state, without_prefix

_FILES = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
_LDM = {"unet": (ldm.UNET, ldm.unet_from_ldm), "vae": (ldm.VAE, ldm.vae_from_ldm)}
# attention had these names in diffusers before 0.15, and the hub's SD 1.5 folder still has them
_OLD_ATTENTION = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}


def part_state(source: WeightsSource, part: str, arch: Architecture) -> dict[str, Tensor]:
    """The float32 tensors of ``unet`` or of ``vae``, of which only the encoder is used, in diffusers' names.

    Raises:
        WeightsError: the part is missing, or its file is unreadable or of another architecture.
    """
    state = _from_file(source, part, arch) if source.is_file else _from_folder(source, part)
    if part == "vae":
        state = _with_current_names(ldm.encoding_half(state))
    return as_float32(state)


def _from_file(source: WeightsSource, part: str, arch: Architecture) -> dict[str, Tensor]:
    prefix, in_diffusers_names = _LDM[part]
    state = without_prefix(read_state(source.path), prefix)
    if not state:
        raise WeightsError(f"{source.name}: no tensors under '{prefix}'; not a Stable Diffusion checkpoint.")
    return in_diffusers_names(state, arch[part])


def _from_folder(source: WeightsSource, part: str) -> dict[str, Tensor]:
    for name in _FILES:
        file = source.path / part / name
        if file.is_file():
            return read_state(file)
    raise WeightsError(f"{source.name}: no {part}/{_FILES[0]}; the download is incomplete.")


def _with_current_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A VAE's tensors with the names that its attention has in diffusers now."""
    return {_current_name(name): tensor for name, tensor in state.items()}


def _current_name(name: str) -> str:
    if ".attentions." not in name:
        return name
    for old, current in _OLD_ATTENTION.items():
        name = name.replace(old, current)
    return name
