"""The layouts of Meta Prompts' released checkpoints."""

from __future__ import annotations

import re
from typing import ClassVar

from diffperc.checkpoints.official.layouts.base import HEAD, STRATEGY, DepthLayout, Layout, mmcv_block
from diffperc.data import ADE20K, Cityscapes
from diffperc.weights.ldm_names import ModuleNames


class MetaPromptsDepth(DepthLayout):
    """Meta Prompts, NYUv2 and KITTI, whose tensors have the same shapes; any number of steps."""

    kind = "meta_prompts_depth"
    markers = ("encoder.t1", "encoder.meta_prompts1", "encoder.text_adapter1.", "encoder.layer4.", "decoder.")
    experiments: ClassVar = {"nyuv2": "meta_prompts_nyuv2", "kitti": "meta_prompts_kitti"}
    absent = ("model.backbone.unet.time_embedding.",)
    aliases = re.compile(r"^encoder\.cross_unet_conv\d+\.")

    def modules(self) -> ModuleNames:
        pairs = {
            "encoder.layer1": f"{STRATEGY}.readout.levels.0",
            "encoder.out_layer": f"{STRATEGY}.readout.fuse",
            **self.decoder_modules(),
        }
        for i in range(1, 4):
            pairs[f"encoder.layer{i + 1}.deconv_layers"] = f"{STRATEGY}.readout.levels.{i}.0"
            pairs[f"encoder.layer{i + 1}.conv_layers"] = f"{STRATEGY}.readout.levels.{i}.1"
        for step in range(_steps(self)):
            pairs[f"encoder.t{step + 1}"] = f"{STRATEGY}.times.{step}"
            pairs[f"encoder.meta_prompts{step + 1}"] = f"{STRATEGY}.prompts.{step}"
            pairs[f"encoder.text_adapter{step + 1}.fc"] = f"{STRATEGY}.adapters.{step}.fc"
        return pairs

    def widths(self) -> list[str]:
        prompts, steps = self.size("encoder.meta_prompts1", 0), _steps(self)
        return [f"strategy.prompts={prompts}", f"strategy.steps={steps}", *self.decoder_widths()]


class MetaPromptsSegmentation(Layout):
    """Meta Prompts, ADE20K and Cityscapes; any number of steps."""

    kind = "meta_prompts_segmentation"
    markers = ("t1", "meta_prompts", "upconv1.", "decode_head.psp_modules.", "auxiliary_head.")
    experiments: ClassVar = {"ade20k": "meta_prompts_ade20k", "cityscapes": "meta_prompts_cityscapes"}
    aliases = re.compile(r"^cross_unet_conv\d+\.")

    def modules(self) -> ModuleNames:
        pairs = {
            "meta_prompts": f"{STRATEGY}.prompts.0",
            "decode_head.conv_seg": f"{HEAD}.classify.1",
            "auxiliary_head.conv_seg": f"{HEAD}.fcn.2",
            **mmcv_block("auxiliary_head.convs.0", f"{HEAD}.fcn.0"),
            **mmcv_block("decode_head.bottleneck", f"{HEAD}.bottleneck"),
            **mmcv_block("decode_head.fpn_bottleneck", f"{HEAD}.fuse"),
        }
        for i in range(4):
            pairs[f"upconv{i + 1}"] = f"{STRATEGY}.readout.levels.{i}"
            pairs |= mmcv_block(f"decode_head.psp_modules.{i}.1", f"{HEAD}.pools.{i}.1")
        for i in range(3):
            pairs |= mmcv_block(f"decode_head.lateral_convs.{i}", f"{HEAD}.laterals.{i}")
            pairs |= mmcv_block(f"decode_head.fpn_convs.{i}", f"{HEAD}.smooth.{i}")
        for step in range(_steps(self)):
            pairs[f"t{step + 1}"] = f"{STRATEGY}.times.{step}"
        return pairs

    def alternatives(self) -> tuple[str, ...]:
        """The number of classes determines the data set."""
        known = {"ade20k": len(ADE20K.classes), "cityscapes": len(Cityscapes.classes)}
        return (self.dataset_with_classes("decode_head.conv_seg.weight", known),)

    def widths(self) -> list[str]:
        return [
            f"strategy.prompts={self.size('meta_prompts', 0)}",
            f"strategy.steps={_steps(self)}",
            f"head.channels={self.size('decode_head.bottleneck.conv.weight', 0)}",
        ]


def _steps(layout: Layout) -> int:
    """The number of denoising steps: that of the last learned time vector, or of the last copy of the output layers."""
    root = re.escape(layout.root)
    pattern = re.compile(rf"^{root}t([0-9]{{1,2}})$|^{root}cross_unet_conv([0-9]{{1,2}})\.")
    matches = filter(None, map(pattern.match, layout.state))
    return max((int(match[1] or match[2]) for match in matches), default=1)
