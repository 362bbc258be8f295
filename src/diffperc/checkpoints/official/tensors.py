"""The tensors of the authors' checkpoints: their names there and here, checks of their values, and their assignment."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

import torch
from torch import Tensor, nn

from diffperc.checkpoints.official.layouts import Layout
from diffperc.errors import WeightsError
from diffperc.weights import ldm_names as ldm
from diffperc.weights.architecture import Architecture
from diffperc.weights.assign import misshapen

# prefixes of the UNet and the VAE, behind the layout's root
UNET, VAE = "unet.unet.diffusion_model.", "encoder_vq."
# copies of Stable Diffusion's noise schedule, and the VAE's decoder: no model here uses them
_UNUSED = ("sd_model.", "encoder_vq.post_quant_conv.", "encoder_vq.decoder.")
# the text encoder has its own weights, which the authors' files do not hold
_EXPRESSION = "model.expression."
_VAE_ATTENTION = re.compile(r"model\.backbone\.vae\..*\.attentions\.")
_COUNTER = "num_batches_tracked"
_INTEGERS = (torch.int64, torch.int32)


def put_in_place(task: nn.Module, layout: Layout, arch: Architecture) -> tuple[dict[str, str], list[str]]:
    """Assign the authors' tensors to a task, without copying those that are float32 already.

    Args:
        task: the task of that layout's experiment, with an empty backbone.
        layout: with the authors' tensors.
        arch: the architecture of the task's backbone.

    Returns:
        The authors' names by the names of the task's tensors, and the names of tensors that no model here uses.

    Raises:
        WeightsError: tensors are missing, unexpected, of another shape or kind, or copies of one tensor differ.
    """
    unused = _unused(layout) + _aliases(layout)
    theirs = dict(layout.state)
    for name in unused:
        theirs.pop(name)
    for name, tensor in theirs.items():
        _check_numbers(name, tensor)
    own = task.state_dict()
    origins = ldm.rename({name: name for name in theirs}, _modules(layout, arch))
    _check_known(own, origins, theirs, layout.kind)
    state = {ours: _as_here(ours, theirs[name]) for ours, name in origins.items()}
    state |= _not_in_file(own.keys() - state.keys(), own, layout)
    names = authors_names(own, layout, arch)
    _check_complete(own, state, names, layout.kind)
    task.load_state_dict(state, assign=True)
    return names, unused


def _unused(layout: Layout) -> list[str]:
    prefixes = tuple(layout.root + prefix for prefix in _UNUSED)
    return [name for name in layout.state if name.startswith(prefixes)]


def authors_names(own: Iterable[str], layout: Layout, arch: Architecture) -> dict[str, str]:
    """The authors' names by ours, for the tensors that the authors' file holds."""
    not_there = (_EXPRESSION, *layout.absent)
    kept = {name: name for name in own if not name.startswith(not_there)}
    return ldm.inverted(ldm.rename(kept, ldm.inverted(_modules(layout, arch))))


def _modules(layout: Layout, arch: Architecture) -> ldm.ModuleNames:
    """Prefixes of all modules: the authors' names, and ours."""
    unet, vae = ldm.unet_modules(arch["unet"]), ldm.vae_modules(arch["vae"])
    return {
        **layout.modules(),
        **ldm.with_prefixes(unet, layout.root + UNET, "model.backbone.unet."),
        **ldm.with_prefixes(vae, layout.root + VAE, "model.backbone.vae."),
    }


def _aliases(layout: Layout) -> list[str]:
    """Names of further copies of the UNet's output layers.

    Raises:
        WeightsError: a copy differs.
    """
    if layout.aliases is None:
        return []
    found = list(filter(layout.aliases.match, layout.state))
    for name in found:
        layer = name.removeprefix(layout.root).partition(".")[2]
        original = f"{layout.root}{UNET}out.{layer}"
        if original not in layout.state or not torch.equal(layout.state[name], layout.state[original]):
            raise WeightsError(
                f"'{name}' and '{original}' are copies of one tensor in every {layout.kind} checkpoint, and differ here: "
                "the file is damaged, or was put together from several."
            )
    return found


def _not_in_file(names: Iterable[str], own: Mapping[str, Tensor], layout: Layout) -> dict[str, Tensor]:
    """Values of the tensors that the authors' file may lack."""
    values = {}
    for name in names:
        if name.startswith(layout.absent):
            # the authors deleted it, because nothing uses it
            values[name] = torch.zeros(own[name].shape)
        elif name.startswith(_EXPRESSION) or name.endswith(_COUNTER):
            # the text encoder is filled already; torch before 0.4.1 did not count batches, and nothing uses the count
            values[name] = own[name]
    return values


def _check_known(own: Collection[str], origins: Mapping[str, str], theirs: Collection[str], kind: str) -> None:
    """Raise a `WeightsError` where a tensor has no place here, or two have the same one.

    Args:
        own: our names.
        origins: the authors' names by those that they would have here.
        theirs: all names in the authors' file.
        kind: of the checkpoint.
    """
    unknown = [name for ours, name in origins.items() if ours not in own]
    unknown += sorted(set(theirs) - set(origins.values()))
    if unknown:
        raise WeightsError(
            f"{ldm.counted(unknown)} not belong to a {kind} checkpoint, the first is '{unknown[0]}': the file is damaged, "
            "or of another version of the code."
        )


def _check_complete(
    own: Mapping[str, Tensor], state: Mapping[str, Tensor], names: Mapping[str, str], kind: str
) -> None:
    """Raise a `WeightsError` in the authors' names where tensors are missing or of another shape."""
    problems = []
    missing = [theirs for ours, theirs in names.items() if ours not in state]
    if missing:
        tensors = "tensor" if len(missing) == 1 else "tensors"
        problems.append(f"{len(missing)} {tensors} missing, the first '{missing[0]}'")
    wrong = misshapen(own, state)
    if wrong:
        first = wrong[0]
        shape, expected = tuple(state[first].shape), tuple(own[first].shape)
        problems.append(f"'{names.get(first, first)}' of shape {shape} instead of {expected}")
    if problems:
        raise WeightsError(f"a {kind} checkpoint with {', and '.join(problems)}: it is incomplete or damaged.")


def _check_numbers(name: str, tensor: Tensor) -> None:
    """Raise a `WeightsError` unless a tensor holds finite floating point numbers, or counts batches."""
    has_numbers = tensor.is_floating_point()
    if name.endswith(_COUNTER):
        has_numbers = has_numbers or tensor.dtype in _INTEGERS
    if not has_numbers or tensor.layout != torch.strided or tensor.device.type != "cpu":
        kind = f"{tensor.dtype}, {tensor.layout}, on {tensor.device}"
        raise WeightsError(f"'{name}' is no plain tensor of floating point numbers ({kind}): save it as float32.")
    if not torch.isfinite(tensor.float()).all():
        raise WeightsError(f"'{name}' holds numbers that are not finite: the training that wrote it had diverged.")


def _as_here(name: str, tensor: Tensor) -> Tensor:
    """The tensor in the shape and precision of this project, by its name here.

    The VAE's attention was made of 1x1 convolutions, and is made of linear layers here; all numbers are float32.
    """
    if _VAE_ATTENTION.match(name) and tensor.dim() == 4:
        tensor = tensor.flatten(1)
    if tensor.is_floating_point():
        return tensor.float()
    return tensor
