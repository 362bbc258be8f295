"""Small checkpoints: what they share with a backbone of the package is not stored again.

Of a fine-tuned backbone only the difference is stored, in whole numbers of a few levels with a scale per output channel;
everything else in half precision. The models that come with the package are such files (``scripts/ship_models.py``).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import torch
from torch import Tensor

from diffperc.backbones import StableDiffusionBackbone
from diffperc.errors import CheckpointError

BACKBONES = ("tiny",)
"""Backbones of the package that a file may refer to."""
_BACKBONE, _EXPRESSION = "model.backbone.", "model.expression.model."
_DIFFERENCE, _SCALE = "|difference", "|scale"


@functools.cache
def _shared(backbone: str) -> dict[str, Tensor]:
    """The tensors of a backbone and its text encoder, by their names in a task."""
    built = StableDiffusionBackbone(pretrained=backbone, config=backbone)
    encoder = built.text_encoder().model.state_dict()
    tensors = {f"{_BACKBONE}{name}": tensor for name, tensor in built.state_dict().items()}
    return tensors | {f"{_EXPRESSION}{name}": tensor for name, tensor in encoder.items()}


def without_shared(state: Mapping[str, Tensor], backbone: str, levels: int) -> dict[str, Tensor]:
    """What has to be stored of a task's tensors beside those of a backbone.

    Args:
        state: of a task.
        backbone: one of `BACKBONES`.
        levels: the differences of a channel are rounded to so many steps on each side of zero, up to 127.
    """
    shared, kept = _shared(backbone), {}
    for name, tensor in state.items():
        if name not in shared or not tensor.is_floating_point():
            kept[name] = tensor.half() if tensor.is_floating_point() else tensor
            continue
        difference = tensor.float() - shared[name].float()
        if not difference.any():
            continue
        rows = difference.flatten(1) if difference.dim() > 1 else difference[:, None]
        scale = (rows.abs().amax(1) / levels).clamp(min=1e-12)
        rounded = (rows / scale[:, None]).round().clamp(-levels, levels).to(torch.int8)
        kept[name + _DIFFERENCE], kept[name + _SCALE] = rounded.reshape(difference.shape), scale
    return kept


def with_shared(kept: Mapping[str, Tensor], backbone: str, with_text: bool, path: str) -> dict[str, Tensor]:
    """A task's tensors in single precision: the inverse of `without_shared`, up to its rounding.

    Args:
        kept: the content of a file.
        backbone: to which it refers.
        with_text: whether the task has a text encoder of its own, as those that read expressions.
        path: the file, for messages.

    Raises:
        CheckpointError: there is no such backbone, or the tensors do not fit it.
    """
    if backbone not in BACKBONES:
        raise CheckpointError(
            f"{path}: refers to a backbone '{backbone}' of the package, which has {', '.join(BACKBONES)}; it was made by "
            "another version of diffperc, or is damaged."
        )
    shared = _shared(backbone)
    used = [name for name in shared if name.startswith(_BACKBONE) or (with_text and name.startswith(_EXPRESSION))]
    # copies: a network may be changed, and the next one that is loaded must not see it
    state = {name: _as_float32(shared[name], copy=True) for name in used}
    for name, tensor in kept.items():
        if name.endswith(_SCALE):
            continue
        own = name.removesuffix(_DIFFERENCE)
        if own == name:
            state[name] = _as_float32(tensor)
            continue
        scale = kept.get(own + _SCALE)
        if own not in state or scale is None or state[own].shape != tensor.shape or len(scale) != len(tensor):
            raise CheckpointError(f"{path}: '{name}' does not fit the backbone {backbone}; the file is damaged.")
        state[own] = state[own] + tensor.float() * scale.float().reshape(-1, *[1] * (tensor.dim() - 1))
    return state


def _as_float32(tensor: Tensor, copy: bool = False) -> Tensor:
    """Whole numbers stay as they are."""
    return tensor.to(torch.float32 if tensor.is_floating_point() else tensor.dtype, copy=copy)
