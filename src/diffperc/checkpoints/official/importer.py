"""Importing checkpoints of the authors' code and of mmsegmentation: the tensors determine the model they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from hydra.errors import InstantiationException
from omegaconf import DictConfig

from diffperc.checkpoints.native import empty_task
from diffperc.checkpoints.official.identify import bare, identify
from diffperc.checkpoints.official.layouts import LAYOUTS, Layout, State
from diffperc.checkpoints.official.tensors import UNET, VAE, put_in_place
from diffperc.config.compose import composed
from diffperc.encoders import ExpressionEncoder
from diffperc.encoders.clip_text import describe_text_encoder, text_encoder_at
from diffperc.engine.build import info_without_data, provenance
from diffperc.errors import CheckpointError, WeightsError, first_line
from diffperc.files.write import write_file
from diffperc.tasks import PerceptionTask
from diffperc.types import DatasetInfo
from diffperc.weights.architecture import Architecture, architecture


@dataclass(frozen=True)
class Imported:
    """An imported checkpoint.

    Attributes:
        kind: as `identify` returns it.
        dataset: the data set it was trained on.
        alternatives: the data sets on which it may have been trained; the tensors do not determine which one.
        task: with the trained model, in evaluation mode.
        config: as if it had been trained here.
        names: the tensors' names in the authors' file, by their names in the task.
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
        """Write a checkpoint that `evaluate`, `predict` and `diffperc.load` read, all of it or nothing.

        Args:
            path: of the new file; its folder is created.

        Raises:
            CheckpointError: the disk is full, the folder cannot be written, or the model lacks its text encoder.
        """
        if self.task.text(self.task.info).kind == "expression" and self.task.model.expression is None:
            raise CheckpointError(f"a {self.kind} checkpoint needs CLIP's text encoder to be used: give text_encoder.")
        content = {"state_dict": self.task.state_dict(), "diffperc": self.task.provenance}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, lambda part: torch.save(content, part))
        except (OSError, RuntimeError) as error:
            raise CheckpointError(f"{path}: cannot be written ({first_line(error)}).") from error


def import_official(state: State, trained_on: str | None = None, text_encoder: str | None = None) -> Imported:
    """Build the model of an authors' checkpoint and assign the checkpoint's tensors to it.

    Tensors are not copied. Widths and the numbers of prompts, steps, classes and tokens follow from their shapes.

    Args:
        state: the authors' state dict, or a file's content around it (mmcv, DistributedDataParallel).
        trained_on: the data set, such as ``kitti``; None: the first of `Imported.alternatives`. Depth models of Meta
            Prompts for NYUv2 and KITTI have the same shapes, and so have VPD's for RefCOCO and RefCOCO+.
        text_encoder: for ``vpd_referring``, where CLIP's text encoder is: a diffusers folder, a single file of Stable
            Diffusion, or a hub id with ``@commit``. None: the model then takes `Batch.expression_tokens` alone and cannot
            be saved.

    Raises:
        WeightsError: tensors are missing, unexpected or of another shape, or copies of one tensor differ; the message
            names them.
        ConfigError: there is no such checkpoint for that data set.
    """
    kind = identify(state)
    if kind not in LAYOUTS:
        raise WeightsError(
            "this is Stable Diffusion itself, without a perception model around it: no conversion is needed, give it as "
            "backbone.pretrained to diffperc.train."
        )
    layout = LAYOUTS[kind](bare(state))
    chosen = layout.dataset(trained_on)
    arch = _architecture(layout)
    cfg = composed("train", [f"experiment={layout.experiments[chosen]}", *layout.widths()])
    info = info_without_data(cfg, chosen)
    encoder = None
    if kind == "vpd_referring" and text_encoder is not None:
        encoder = text_encoder_at(text_encoder, "text_encoder", width=arch["unet"]["cross_attention_dim"])
        describe_text_encoder(encoder, arch)
    task = _empty_task(kind, cfg, arch, info)
    if task.model.expression is not None:
        task.model.expression = None if encoder is None else ExpressionEncoder(encoder, info.expression_length)
    names, unused = put_in_place(task, layout, arch)
    task.provenance = provenance(cfg, info, arch)
    return Imported(kind, chosen, layout.alternatives(), task.eval(), cfg, names, tuple(unused))


def _empty_task(kind: str, cfg: DictConfig, arch: Architecture, info: DatasetInfo) -> PerceptionTask:
    try:
        return empty_task(cfg, arch, info)
    except (InstantiationException, ValueError, ZeroDivisionError, RuntimeError) as error:
        # layers cannot be that wide, or there is not enough memory
        reason = error.__cause__ or error
        raise WeightsError(f"the shapes of this {kind} checkpoint describe no model ({reason}).") from error


def _architecture(layout: Layout) -> Architecture:
    """That of Stable Diffusion 1.5 with the widths of the file."""
    arch = architecture("sd15", None)
    unet, vae = layout.root + UNET, layout.root + VAE
    layers = arch["unet"]["layers_per_block"] + 1
    first_layers = [f"{unet}input_blocks.{1 + layers * i}.0.out_layers.3.weight" for i in range(4)]
    attention = f"{unet}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
    encoder_layers = [f"{vae}encoder.down.{i}.block.0.conv1.weight" for i in range(4)]
    arch["unet"]["block_out_channels"] = [layout.size(name, 0) for name in first_layers]
    arch["unet"]["cross_attention_dim"] = layout.size(attention, 1)
    arch["vae"]["block_out_channels"] = [layout.size(name, 0) for name in encoder_layers]
    return arch
