"""The authors' checkpoints: what their tensors are called, what they are here, and which model they belong to.

Layouts of methods.md 8. Names of the UNet and the VAE are those of Stable Diffusion's original checkpoints
(`diffperc.weights.ldm_names`); the rest is listed here, module by module.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from diffperc.data import ADE20K, Cityscapes
from diffperc.errors import ConfigError, WeightsError, did_you_mean
from diffperc.weights.ldm_names import Pairs

State = Mapping[str, Tensor]
_LONGEST = 77
_STRATEGY, _HEAD = "model.strategy", "model.head"


class Layout(ABC):
    """One kind of checkpoint, read off its tensors.

    Attributes:
        kind: its name.
        markers: beginnings of names that tell it from the others.
        root: what stands before the names of UNet and VAE.
        experiments: by data set, the experiment that describes the model.
        absent: beginnings of names of this project whose tensors the authors deleted, because nothing reads them.
        aliases: a pattern of names that are further copies of the UNet's output layers.

    Args:
        state: the tensors, without wrappers.
    """

    kind: ClassVar[str]
    markers: ClassVar[tuple[str, ...]]
    root: ClassVar[str] = ""
    experiments: ClassVar[dict[str, str]]
    absent: ClassVar[tuple[str, ...]] = ()
    aliases: ClassVar[re.Pattern[str] | None] = None

    def __init__(self, state: State) -> None:
        self.state = state

    @abstractmethod
    def modules(self) -> Pairs:
        """Of strategy and head: the authors' name of a module or tensor, and ours."""

    @abstractmethod
    def widths(self) -> list[str]:
        """Overrides of the experiment that follow from shapes."""

    def dataset(self, wanted: str | None) -> str:
        """The data set it was trained on.

        Args:
            wanted: what the user says; None: as the tensors say, else the first.

        Raises:
            ConfigError: there is no such checkpoint for that data set.
        """
        possible = self.alternatives()
        if wanted is not None and wanted not in possible:
            raise ConfigError(
                f"trained_on: this {self.kind} checkpoint is not one of '{wanted}'{did_you_mean(wanted, possible)}"
            )
        return wanted or possible[0]

    def alternatives(self) -> tuple[str, ...]:
        """Data sets whose checkpoints cannot be told from this one."""
        return tuple(self.experiments)

    def size(self, name: str, axis: int) -> int:
        """Of one tensor along one axis.

        Raises:
            WeightsError: it is not there, or has fewer axes.
        """
        if name not in self.state:
            raise WeightsError(f"a {self.kind} checkpoint without '{name}': the file is incomplete or damaged.")
        if self.state[name].dim() <= axis:
            shape = tuple(self.state[name].shape)
            raise WeightsError(f"a {self.kind} checkpoint with '{name}' of shape {shape}: the file is damaged.")
        return self.state[name].shape[axis]


def _depth_decoder() -> Pairs:
    return {
        "decoder.deconv_layers": f"{_HEAD}.decoder.0",
        "decoder.conv_layers": f"{_HEAD}.decoder.1",
        "last_layer_depth": f"{_HEAD}.output",
    }


def _mmcv_block(theirs: str, ours: str) -> Pairs:
    """mmcv's convolution with norm, and our Sequential."""
    return {f"{theirs}.conv": f"{ours}.0", f"{theirs}.bn": f"{ours}.1"}


class VPDDepth(Layout):
    """VPD, NYUv2."""

    kind = "vpd_depth"
    markers = ("encoder.class_embeddings", "encoder.gamma", "encoder.text_adapter.", "encoder.layer1.3.", "decoder.")
    root = "encoder."
    experiments: ClassVar = {"nyuv2": "vpd_nyuv2"}
    absent = ("model.backbone.unet.conv_norm_out.", "model.backbone.unet.conv_out.")

    def modules(self) -> Pairs:
        return {
            "encoder.gamma": f"{_STRATEGY}.adapter.gamma",
            "encoder.text_adapter.fc": f"{_STRATEGY}.adapter.mlp.fc",
            "encoder.class_embeddings": f"{_STRATEGY}.table.vectors",
            "encoder.layer1": f"{_HEAD}.aggregation.fine",
            "encoder.layer2.0": f"{_HEAD}.aggregation.middle",
            "encoder.out_layer": f"{_HEAD}.aggregation.fuse",
            **_depth_decoder(),
        }

    def widths(self) -> list[str]:
        return [f"recipe.neck_channels={self.size('encoder.out_layer.0.weight', 0)}", *_decoder_widths(self)]


class VPDSegmentation(Layout):
    """VPD, ADE20K."""

    kind = "vpd_segmentation"
    markers = ("class_embeddings", "gamma", "text_adapter.", "neck.lateral_convs.", "decode_head.scale_heads.")
    experiments: ClassVar = {"ade20k": "vpd_ade20k"}

    def modules(self) -> Pairs:
        pairs = {
            "gamma": f"{_STRATEGY}.adapter.gamma",
            "text_adapter.fc": f"{_STRATEGY}.adapter.mlp.fc",
            "class_embeddings": f"{_STRATEGY}.table.vectors",
            "decode_head.conv_seg": f"{_HEAD}.classify",
        }
        for i in range(4):
            pairs[f"neck.lateral_convs.{i}.conv"] = f"{_HEAD}.laterals.{i}"
            pairs[f"neck.fpn_convs.{i}.conv"] = f"{_HEAD}.outputs.{i}"
            for j in range(max(1, i)):
                # between two convolutions stands a doubling, which counts
                pairs |= _mmcv_block(f"decode_head.scale_heads.{i}.{2 * j}", f"{_HEAD}.levels.{i}.{j}")
        return pairs

    def widths(self) -> list[str]:
        _with_classes(self, "decode_head.conv_seg.weight", {"ade20k": len(ADE20K.classes)})
        return [f"recipe.head_channels={self.size('neck.lateral_convs.0.conv.weight', 0)}"]


class VPDReferring(Layout):
    """VPD, RefCOCO, RefCOCO+ and RefCOCOg. CLIP's text encoder, which it needs, is not in the file."""

    kind = "vpd_referring"
    markers = ("gamma", "text_adapter.", "classifier.conv1_4.", "classifier.conv1_1.")
    experiments: ClassVar = {"refcoco": "vpd_refcoco", "refcoco+": "vpd_refcoco_plus", "refcocog": "vpd_refcocog"}

    def modules(self) -> Pairs:
        pairs = {
            "gamma": f"{_STRATEGY}.adapter.gamma",
            "text_adapter.fc": f"{_STRATEGY}.adapter.mlp.fc",
            "classifier.conv1_1": f"{_HEAD}.classify",
        }
        for level, stage in enumerate((4, 3, 2)):
            for block in (1, 2):
                ours = f"{_HEAD}.levels.{level}.{block - 1}"
                pairs |= {f"classifier.conv{block}_{stage}": f"{ours}.0", f"classifier.bn{block}_{stage}": f"{ours}.1"}
        return pairs

    def alternatives(self) -> tuple[str, ...]:
        """RefCOCO and RefCOCO+ look the same; RefCOCOg is known by its longer sentences."""
        return ("refcocog",) if self._tokens() > 40 else ("refcoco", "refcoco+")

    def widths(self) -> list[str]:
        return [
            f"recipe.head_channels={self.size('classifier.conv1_4.weight', 0)}",
            f"dataset.expression_length={self._tokens()}",
        ]

    def _tokens(self) -> int:
        """The attention to each token is a channel more of the map at stride 32."""
        unet = "unet.unet.diffusion_model.output_blocks"
        maps = (self.size(f"{unet}.{i}.0.out_layers.3.weight", 0) for i in (1, 4))
        tokens = self.size("classifier.conv1_4.weight", 1) - sum(maps)
        if not 1 <= tokens <= _LONGEST:
            raise WeightsError(
                f"'classifier.conv1_4.weight' leaves room for {tokens} tokens of a sentence, and CLIP reads up to "
                f"{_LONGEST}: the file is damaged."
            )
        return tokens


class MetaPromptsDepth(Layout):
    """Meta Prompts, NYUv2 and KITTI, which look the same; any number of steps."""

    kind = "meta_prompts_depth"
    markers = ("encoder.t1", "encoder.meta_prompts1", "encoder.text_adapter1.", "encoder.layer4.", "decoder.")
    root = "encoder."
    experiments: ClassVar = {"nyuv2": "meta_prompts_nyuv2", "kitti": "meta_prompts_kitti"}
    absent = ("model.backbone.unet.time_embedding.",)
    aliases = re.compile(r"^encoder\.cross_unet_conv\d+\.")

    def modules(self) -> Pairs:
        pairs = {
            "encoder.layer1": f"{_STRATEGY}.readout.levels.0",
            "encoder.out_layer": f"{_STRATEGY}.readout.fuse",
            **_depth_decoder(),
        }
        for i in range(1, 4):
            pairs[f"encoder.layer{i + 1}.deconv_layers"] = f"{_STRATEGY}.readout.levels.{i}.0"
            pairs[f"encoder.layer{i + 1}.conv_layers"] = f"{_STRATEGY}.readout.levels.{i}.1"
        for step in range(_steps(self, "encoder.t")):
            pairs[f"encoder.t{step + 1}"] = f"{_STRATEGY}.times.{step}"
            pairs[f"encoder.meta_prompts{step + 1}"] = f"{_STRATEGY}.prompts.{step}"
            pairs[f"encoder.text_adapter{step + 1}.fc"] = f"{_STRATEGY}.adapters.{step}.fc"
        return pairs

    def widths(self) -> list[str]:
        prompts, steps = self.size("encoder.meta_prompts1", 0), _steps(self, "encoder.t")
        return [f"strategy.prompts={prompts}", f"strategy.steps={steps}", *_decoder_widths(self)]


class MetaPromptsSegmentation(Layout):
    """Meta Prompts, ADE20K and Cityscapes; any number of steps."""

    kind = "meta_prompts_segmentation"
    markers = ("t1", "meta_prompts", "upconv1.", "decode_head.psp_modules.", "auxiliary_head.")
    experiments: ClassVar = {"ade20k": "meta_prompts_ade20k", "cityscapes": "meta_prompts_cityscapes"}
    aliases = re.compile(r"^cross_unet_conv\d+\.")

    def modules(self) -> Pairs:
        pairs = {
            "meta_prompts": f"{_STRATEGY}.prompts.0",
            "decode_head.conv_seg": f"{_HEAD}.classify.1",
            "auxiliary_head.conv_seg": f"{_HEAD}.fcn.2",
            **_mmcv_block("auxiliary_head.convs.0", f"{_HEAD}.fcn.0"),
            **_mmcv_block("decode_head.bottleneck", f"{_HEAD}.bottleneck"),
            **_mmcv_block("decode_head.fpn_bottleneck", f"{_HEAD}.fuse"),
        }
        for i in range(4):
            pairs[f"upconv{i + 1}"] = f"{_STRATEGY}.readout.levels.{i}"
            pairs |= _mmcv_block(f"decode_head.psp_modules.{i}.1", f"{_HEAD}.pools.{i}.1")
        for i in range(3):
            pairs |= _mmcv_block(f"decode_head.lateral_convs.{i}", f"{_HEAD}.laterals.{i}")
            pairs |= _mmcv_block(f"decode_head.fpn_convs.{i}", f"{_HEAD}.smooth.{i}")
        return pairs | {f"t{step + 1}": f"{_STRATEGY}.times.{step}" for step in range(_steps(self, "t"))}

    def alternatives(self) -> tuple[str, ...]:
        """The number of classes tells them apart."""
        known = {"ade20k": len(ADE20K.classes), "cityscapes": len(Cityscapes.classes)}
        return (_with_classes(self, "decode_head.conv_seg.weight", known),)

    def widths(self) -> list[str]:
        return [
            f"strategy.prompts={self.size('meta_prompts', 0)}",
            f"strategy.steps={_steps(self, 't')}",
            f"recipe.head_channels={self.size('decode_head.bottleneck.conv.weight', 0)}",
        ]


LAYOUTS: dict[str, type[Layout]] = {
    kind.kind: kind for kind in (VPDDepth, VPDSegmentation, VPDReferring, MetaPromptsDepth, MetaPromptsSegmentation)
}


def _decoder_widths(layout: Layout) -> list[str]:
    return [
        f"recipe.head_filters={layout.size('decoder.deconv_layers.0.weight', 1)}",
        f"recipe.head_channels={layout.size('decoder.conv_layers.0.weight', 0)}",
    ]


def _steps(layout: Layout, name: str) -> int:
    """The number of the last learned time vector, of which there is one a step, or of the last copy of the output layers."""
    pattern = re.compile(rf"^{re.escape(name)}([0-9]{{1,2}})$|^{layout.root}cross_unet_conv([0-9]{{1,2}})\.")
    return max((int(m[1] or m[2]) for key in layout.state if (m := pattern.match(key))), default=1)


def _with_classes(layout: Layout, name: str, known: Mapping[str, int]) -> str:
    """The data set with as many classes as the classifier has outputs."""
    count = layout.size(name, 0)
    for dataset, classes in known.items():
        if classes == count:
            return dataset
    listed = ", ".join(f"{dataset} {classes}" for dataset, classes in known.items())
    raise WeightsError(f"'{name}' has {count} classes; known: {listed}.")
