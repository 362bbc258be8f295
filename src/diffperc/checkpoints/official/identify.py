"""Identifying a released checkpoint by the names of its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from diffperc.checkpoints.official.layouts import LAYOUTS, Layout, State
from diffperc.errors import WeightsError
from diffperc.weights import ldm_names as ldm
from diffperc.weights.read import unwrapped, without_prefix

# by a prefix of tensors' names: checkpoints of the authors' that are not read
_NOT_READ = {
    "encoder.unet.input_blocks.": "a checkpoint of ECoDepth's second version, whose token is computed in another way; "
    "only those of its first version are read, whose names begin with encoder.unet.unet",
    "encoder.vit_model.": "a checkpoint of ECoDepth before its release, whose timestep is not in the file; only those of "
    "its first version are read, whose classifier is encoder.cide_module.vit_model",
}
_OF_MMSEG = "backbone.unet.unet.diffusion_model."


def identify(state: State) -> str:
    """The kind of a checkpoint.

    Args:
        state: the authors' state dict, or the content of a file that holds it.

    Returns:
        One of `LAYOUTS`, such as ``vpd_depth``, or ``stable_diffusion`` for Stable Diffusion itself in the original naming.

    Raises:
        WeightsError: it is none of them.
    """
    state = bare(state)
    if _any_begins(state, ldm.UNET):
        return "stable_diffusion"
    if _any_begins(state, "model.backbone."):
        raise WeightsError("this is a checkpoint of diffperc already; evaluate and predict read it as it is.")
    for prefix, what in _NOT_READ.items():
        if _any_begins(state, prefix):
            raise WeightsError(f"this is {what}.")
    # a share, because one missing tensor must not prevent the identification
    shares = {kind: _share_of_markers(layout, state) for kind, layout in LAYOUTS.items()}
    best = max(shares, key=shares.__getitem__)
    if shares[best] <= 0.5 and _any_begins(state, _OF_MMSEG):
        raise WeightsError("this is a checkpoint of mmsegmentation other than VPD's depth model, which alone is read.")
    if shares[best] <= 0.5:
        example = next(iter(state), "")
        raise WeightsError(
            f"a state dict of {len(state)} tensors such as '{example}' is none of the known checkpoints: "
            f"{', '.join(LAYOUTS)}."
        )
    return best


def bare(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors alone, without the prefix ``module.`` of DistributedDataParallel."""
    tensors = unwrapped(state)
    inner = without_prefix(tensors, "module.")
    while tensors and len(inner) == len(tensors):
        tensors = inner
        inner = without_prefix(tensors, "module.")
    return tensors


def _share_of_markers(layout: type[Layout], state: State) -> float:
    """The share of a layout's markers with which a tensor's name begins, from 0 to 1."""
    found = sum(_any_begins(state, marker) for marker in layout.markers)
    return found / len(layout.markers)


def _any_begins(state: State, prefix: str) -> bool:
    return any(name.startswith(prefix) for name in state)
