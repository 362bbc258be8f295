"""Stable Diffusion itself, from the names of its original checkpoints to those of diffusers and back (methods.md 0.9)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from diffperc.errors import WeightsError
from diffperc.weights import ldm_names as ldm
from diffperc.weights.architecture import architecture
from diffperc.weights.read import without_prefix

# 1.x and 2.x have the same modules
_ARCHITECTURE = architecture("sd15", None)


def from_original(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The tensors of ``unet``, ``vae`` and ``text_encoder``, by these folders of the diffusers layout.

    Args:
        state: of an original checkpoint. Only the encoder of its VAE is taken, and no schedules; the VAE and the text
            encoder may be missing.

    Raises:
        WeightsError: there is no UNet, or a tensor does not belong to this architecture.
    """
    unet = without_prefix(state, ldm.UNET)
    if not unet:
        raise WeightsError(f"there are no tensors under '{ldm.UNET}': not a checkpoint of Stable Diffusion.")
    parts = {
        "unet": ldm.unet_from_ldm(unet, _ARCHITECTURE["unet"]),
        "vae": ldm.vae_from_ldm(without_prefix(state, ldm.VAE), _ARCHITECTURE["vae"]),
        "text_encoder": without_prefix(state, ldm.TEXT),
    }
    return {part: tensors for part, tensors in parts.items() if tensors}


def to_original(parts: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The inverse of `from_original`: a single state dict, for example of a backbone that was trained here.

    >>> to_original({"unet": backbone.unet.state_dict(), "vae": backbone.vae.state_dict()})

    Args:
        parts: tensors by part; ``vae`` and ``text_encoder`` may be missing.

    Raises:
        WeightsError: a tensor does not belong to this architecture.
    """
    unet = ldm.unet_to_ldm(parts["unet"], _ARCHITECTURE["unet"])
    vae = ldm.vae_to_ldm(parts.get("vae", {}), _ARCHITECTURE["vae"])
    return {
        **_with_prefix(unet, ldm.UNET),
        **_with_prefix(vae, ldm.VAE),
        **_with_prefix(parts.get("text_encoder", {}), ldm.TEXT),
    }


def _with_prefix(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}
