"""Stable Diffusion itself: from the names of its original checkpoints to those of diffusers, and back (methods.md 0.9)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from diffperc.errors import WeightsError
from diffperc.weights import ldm_names as ldm
from diffperc.weights.locate import architecture, without_prefix

Parts = dict[str, dict[str, Tensor]]
# 1.x and 2.x have the same modules
_ARCHITECTURE = architecture("sd15", None)


def from_original(state: Mapping[str, Tensor]) -> Parts:
    """Parts by their folder in the diffusers layout, of those that are there: ``unet``, ``vae``, ``text_encoder``.

    Args:
        state: of an original checkpoint. Of the VAE the encoder is taken; schedules are left out.

    Raises:
        WeightsError: there is no UNet, or a tensor is no part of this architecture.
    """
    unet, vae, text = (without_prefix(state, prefix) for prefix in (ldm.UNET, ldm.VAE, ldm.TEXT))
    if not unet:
        raise WeightsError(f"there are no tensors under '{ldm.UNET}': not a checkpoint of Stable Diffusion.")
    parts = {"unet": ldm.unet_from_ldm(unet, _ARCHITECTURE["unet"])}
    if vae:
        parts["vae"] = ldm.vae_from_ldm(vae, _ARCHITECTURE["vae"])
    if text:
        parts["text_encoder"] = text
    return parts


def to_original(parts: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The inverse of `from_original`: one state dict, for example of a backbone that was trained here.

    >>> to_original({"unet": backbone.unet.state_dict(), "vae": backbone.vae.state_dict()})

    Raises:
        WeightsError: a tensor is no part of this architecture.
    """
    state = {ldm.UNET + k: v for k, v in ldm.unet_to_ldm(parts["unet"], _ARCHITECTURE["unet"]).items()}
    if "vae" in parts:
        state |= {ldm.VAE + k: v for k, v in ldm.vae_to_ldm(parts["vae"], _ARCHITECTURE["vae"]).items()}
    return state | {ldm.TEXT + k: v for k, v in parts.get("text_encoder", {}).items()}
