"""Importing the authors' checkpoints of VPD and Meta Prompts: the model they belong to is read off their tensors."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hydra.errors import InstantiationException
from omegaconf import DictConfig
from torch import Tensor

from diffperc.checkpoints.native import empty_task
from diffperc.checkpoints.official.layouts import LAYOUTS, Layout, State
from diffperc.config.compose import composed
from diffperc.encoders import ExpressionEncoder
from diffperc.encoders.clip_image import describe_text_encoder, text_encoder_at
from diffperc.engine.build import info_without_data, provenance
from diffperc.errors import CheckpointError, WeightsError
from diffperc.tasks import PerceptionTask
from diffperc.weights import ldm_names as ldm
from diffperc.weights.locate import Architecture, architecture, unwrapped

_UNET, _VAE = "unet.unet.diffusion_model.", "encoder_vq."
# copies of Stable Diffusion's noise schedule, and the half of the VAE that makes images: no model here reads them
_UNUSED = ("sd_model.", "encoder_vq.post_quant_conv.")


@dataclass(frozen=True)
class Imported:
    """An imported checkpoint.

    Attributes:
        kind: of `identify`.
        dataset: the data set it was trained on.
        alternatives: data sets whose checkpoints cannot be told from this one, itself among them.
        task: with the trained model, in evaluation mode.
        config: as if it had been trained here.
        names: of each of the task's tensors, its name in the authors' file.
        unused: names of tensors that no model here reads: schedules, and further copies of the same tensors.
    """

    kind: str
    dataset: str
    alternatives: tuple[str, ...]
    task: PerceptionTask
    config: DictConfig
    names: Mapping[str, str]
    unused: tuple[str, ...]

    def save(self, path: Path) -> None:
        """Write a checkpoint that `evaluate`, `predict` and `diffperc.load` read; all of it or nothing.

        Raises:
            CheckpointError: the disk is full, the folder cannot be written, or the model lacks its text encoder.
        """
        if self.task.text(self.task.info).kind == "expression" and self.task.model.expression is None:
            raise CheckpointError(f"a {self.kind} checkpoint needs CLIP's text encoder to be used: give text_encoder.")
        # a name of its own: another file of the folder may be the mapped source
        unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save({"state_dict": self.task.state_dict(), "diffperc": self.task.provenance}, unfinished)
            os.replace(unfinished, path)
        except (OSError, RuntimeError) as error:
            raise CheckpointError(f"{path}: cannot be written ({str(error).splitlines()[0]}).") from error
        finally:
            with contextlib.suppress(OSError):
                unfinished.unlink()


def identify(state: State) -> str:
    """Which kind of checkpoint a state dict is, by the names of its tensors.

    Returns:
        ``vpd_depth``, ``vpd_segmentation``, ``vpd_referring``, ``meta_prompts_depth``, ``meta_prompts_segmentation``, or
        ``stable_diffusion`` for Stable Diffusion itself in the original naming.

    Raises:
        WeightsError: it is none of them.
    """
    state = _bare(state)
    if any(key.startswith(ldm.UNET) for key in state):
        return "stable_diffusion"
    if any(key.startswith("model.backbone.") for key in state):
        raise WeightsError("this is a checkpoint of diffperc already; evaluate and predict read it as it is.")
    # the share of a layout's markers: one missing tensor must not hide what the file is
    shares = {
        kind: sum(any(k.startswith(m) for k in state) for m in layout.markers) / len(layout.markers)
        for kind, layout in LAYOUTS.items()
    }
    best = max(shares, key=lambda kind: shares[kind])
    if shares[best] <= 0.5:
        raise WeightsError(
            f"a state dict of {len(state)} tensors such as '{next(iter(state), '')}' is none of the known checkpoints: "
            f"{', '.join(LAYOUTS)}."
        )
    return best


def import_official(state: State, trained_on: str | None = None, text_encoder: str | None = None) -> Imported:
    """Build the model of an authors' checkpoint and fill it.

    Tensors are taken over as they are, without a copy. Widths, numbers of prompts, steps, classes and tokens come from
    their shapes.

    Args:
        state: the authors' state dict, or a file's content around it (mmcv, DistributedDataParallel).
        trained_on: the data set, such as ``kitti``; None: what the tensors tell, else the first of `Imported.alternatives`.
            Depth models of Meta Prompts for NYUv2 and KITTI look the same, and so do VPD's for RefCOCO and RefCOCO+.
        text_encoder: for ``vpd_referring``, where CLIP's text encoder is: a diffusers folder, one file of Stable Diffusion,
            or a hub id with ``@commit``. None: the model then takes `Batch.expression_tokens` alone and cannot be saved.

    Raises:
        WeightsError: tensors are missing, unexpected, of another shape, or copies of one tensor disagree; each is named.
        ConfigError: there is no such checkpoint for that data set.
    """
    kind = identify(state)
    state = _bare(state)
    if kind not in LAYOUTS:
        raise WeightsError(
            "this is Stable Diffusion itself, without a perception model around it: no conversion is needed, give it as "
            "backbone.pretrained to diffperc.train."
        )
    layout = LAYOUTS[kind](state)
    chosen = layout.dataset(trained_on)
    arch = _architecture(layout)
    cfg = composed("train", [f"experiment={layout.experiments[chosen]}", *layout.widths()])
    info = info_without_data(cfg, chosen)
    encoder = None
    if text_encoder is not None and kind == "vpd_referring":
        encoder = text_encoder_at(text_encoder, "text_encoder", width=arch["unet"]["cross_attention_dim"])
        describe_text_encoder(encoder, arch)
    try:
        task = empty_task(cfg, arch, info)
    except (InstantiationException, ValueError, ZeroDivisionError, RuntimeError) as error:
        # of layers that cannot be that wide, or of memory that does not suffice
        raise WeightsError(
            f"the shapes of this {kind} checkpoint describe no model ({error.__cause__ or error})."
        ) from error
    if task.model.expression is not None:
        task.model.expression = None if encoder is None else ExpressionEncoder(encoder, info.expression_length)
    names, unused = _fill(task, layout, arch)
    task.provenance = provenance(cfg, info, arch)
    return Imported(kind, chosen, layout.alternatives(), task.eval(), cfg, names, tuple(unused))


def _bare(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors alone, without the ``module.`` that DistributedDataParallel puts before their names."""
    tensors = unwrapped(state)
    while tensors and all(k.startswith("module.") for k in tensors):
        tensors = {k.removeprefix("module."): v for k, v in tensors.items()}
    return tensors


def _architecture(layout: Layout) -> Architecture:
    """That of Stable Diffusion 1.5 with the widths of the file."""
    arch = architecture("sd15", None)
    unet, vae = layout.root + _UNET, layout.root + _VAE
    layers = arch["unet"]["layers_per_block"] + 1
    arch["unet"]["block_out_channels"] = [
        layout.size(f"{unet}input_blocks.{1 + layers * i}.0.out_layers.3.weight", 0) for i in range(4)
    ]
    attention = f"{unet}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
    arch["unet"]["cross_attention_dim"] = layout.size(attention, 1)
    arch["vae"]["block_out_channels"] = [
        layout.size(f"{vae}encoder.down.{i}.block.0.conv1.weight", 0) for i in range(4)
    ]
    return arch


def _fill(task: PerceptionTask, layout: Layout, arch: Architecture) -> tuple[dict[str, str], list[str]]:
    """Put the tensors into the task; returns the authors' names of its tensors, and the names that nothing reads."""
    aliases = _aliases(layout)
    unused = [k for k in layout.state if k.startswith(tuple(layout.root + u for u in _UNUSED))]
    theirs = {k: v for k, v in layout.state.items() if k not in aliases and k not in unused}
    modules = _modules(layout, arch)
    for name, tensor in theirs.items():
        _check_numbers(name, tensor)
    own = task.state_dict()
    state = {k: _as_here(k, v) for k, v in ldm.rename(theirs, modules).items()}
    # torch before 0.4.1 did not count batches, and nothing reads the count
    state |= {k: v for k, v in own.items() if k.endswith("num_batches_tracked") and k not in state}
    # CLIP's text encoder is filled already; what the authors deleted is nowhere read
    state |= {k: v for k, v in own.items() if k.startswith("model.expression.")}
    state |= {k: torch.zeros(v.shape) for k, v in own.items() if k.startswith(layout.absent) and k not in state}
    names = authors_names(own, layout, arch)
    missing = [name for k, name in names.items() if k not in state]
    wrong = [k for k in own.keys() & state.keys() if own[k].shape != state[k].shape]
    problems = [f"{len(missing)} tensor{'s' * (len(missing) > 1)} missing, the first '{missing[0]}'"] if missing else []
    problems += [
        f"'{names.get(k, k)}' of shape {tuple(state[k].shape)} instead of {tuple(own[k].shape)}" for k in wrong[:1]
    ]
    if problems:
        raise WeightsError(f"a {layout.kind} checkpoint with {', and '.join(problems)}: it is incomplete or damaged.")
    task.load_state_dict(state, assign=True)
    return names, [*unused, *aliases]


def authors_names(own: Iterable[str], layout: Layout, arch: Architecture) -> dict[str, str]:
    """Of our tensors' names, those that the authors' file has, with the authors' names."""
    kept = {k: k for k in own if not k.startswith(("model.expression.", *layout.absent))}
    renamed = ldm.rename(kept, {ours: name for name, ours in _modules(layout, arch).items()})
    return {ours: name for name, ours in renamed.items()}


def _aliases(layout: Layout) -> list[str]:
    """Names of further copies of the UNet's output layers.

    Raises:
        WeightsError: a copy differs.
    """
    found = [k for k in layout.state if layout.aliases is not None and layout.aliases.match(k)]
    for name in found:
        original = f"{layout.root}{_UNET}out.{name.removeprefix(layout.root).partition('.')[2]}"
        if original not in layout.state or not torch.equal(layout.state[name], layout.state[original]):
            raise WeightsError(
                f"'{name}' and '{original}' are copies of one tensor in every {layout.kind} checkpoint, and differ here: "
                "the file is damaged, or was put together from several."
            )
    return found


def _modules(layout: Layout, arch: Architecture) -> ldm.Pairs:
    """All prefixes of the authors' names, and ours."""
    pairs = layout.modules()
    for prefix, ours, inner in (
        (layout.root + _UNET, "model.backbone.unet.", ldm.unet_modules(arch["unet"])),
        (layout.root + _VAE, "model.backbone.vae.", ldm.vae_modules(arch["vae"])),
    ):
        pairs |= {prefix + a: ours + b for a, b in inner.items()}
    return pairs


def _check_numbers(name: str, tensor: Tensor) -> None:
    """Raise a `WeightsError` for what is no plain tensor of numbers."""
    plain = tensor.layout == torch.strided and not tensor.is_quantized and tensor.device.type == "cpu"
    counts = name.endswith("num_batches_tracked")
    if not plain or tensor.is_complex() or not (tensor.is_floating_point() or counts):
        kind = "quantized" if tensor.is_quantized else f"{tensor.dtype}, {tensor.layout}, on {tensor.device}"
        raise WeightsError(f"'{name}' is no plain tensor of floating point numbers ({kind}): save it as float32.")
    if not torch.isfinite(tensor.float()).all():
        raise WeightsError(f"'{name}' holds numbers that are not finite: the training that wrote it had diverged.")


def _as_here(name: str, tensor: Tensor) -> Tensor:
    """The VAE's attention was made of 1x1 convolutions; everything is float32 here."""
    if tensor.dim() == 4 and name.startswith("model.backbone.vae.") and ".attentions." in name:
        tensor = tensor.flatten(1)
    return tensor.float() if tensor.is_floating_point() else tensor
