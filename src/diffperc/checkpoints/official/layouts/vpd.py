"""The layouts of VPD's released checkpoints."""

from __future__ import annotations

from typing import ClassVar

from diffperc.checkpoints.official.layouts.base import HEAD, STRATEGY, DepthLayout, Layout, mmcv_block
from diffperc.data import ADE20K
from diffperc.errors import WeightsError
from diffperc.weights.ldm_names import ModuleNames

# tokens that CLIP's text encoder reads
_LONGEST = 77
# RefCOCO's expressions are cut to 40 tokens (methods.md 1.2)
_SHORT = 40


class VPDDepth(DepthLayout):
    """VPD, NYUv2."""

    kind = "vpd_depth"
    markers = ("encoder.class_embeddings", "encoder.gamma", "encoder.text_adapter.", "encoder.layer1.3.", "decoder.")
    experiments: ClassVar = {"nyuv2": "vpd_nyuv2"}
    absent = ("model.backbone.unet.conv_norm_out.", "model.backbone.unet.conv_out.")

    def modules(self) -> ModuleNames:
        return {
            "encoder.gamma": f"{STRATEGY}.adapter.gamma",
            "encoder.text_adapter.fc": f"{STRATEGY}.adapter.mlp.fc",
            "encoder.class_embeddings": f"{STRATEGY}.table.vectors",
            **self.aggregation_modules(),
            **self.decoder_modules(),
        }

    def widths(self) -> list[str]:
        return [*self.aggregation_widths(), *self.decoder_widths()]


class VPDSegmentation(Layout):
    """VPD, ADE20K."""

    kind = "vpd_segmentation"
    markers = ("class_embeddings", "gamma", "text_adapter.", "neck.lateral_convs.", "decode_head.scale_heads.")
    experiments: ClassVar = {"ade20k": "vpd_ade20k"}

    def modules(self) -> ModuleNames:
        pairs = {
            "gamma": f"{STRATEGY}.adapter.gamma",
            "text_adapter.fc": f"{STRATEGY}.adapter.mlp.fc",
            "class_embeddings": f"{STRATEGY}.table.vectors",
            "decode_head.conv_seg": f"{HEAD}.classify",
        }
        for i in range(4):
            pairs[f"neck.lateral_convs.{i}.conv"] = f"{HEAD}.laterals.{i}"
            pairs[f"neck.fpn_convs.{i}.conv"] = f"{HEAD}.outputs.{i}"
            for j in range(max(1, i)):
                # the authors' list has an upsampling between two convolutions
                pairs |= mmcv_block(f"decode_head.scale_heads.{i}.{2 * j}", f"{HEAD}.levels.{i}.{j}")
        return pairs

    def widths(self) -> list[str]:
        self.dataset_with_classes("decode_head.conv_seg.weight", {"ade20k": len(ADE20K.classes)})
        return [f"head.channels={self.size('neck.lateral_convs.0.conv.weight', 0)}"]


class VPDReferring(Layout):
    """VPD, RefCOCO, RefCOCO+ and RefCOCOg. The file does not hold CLIP's text encoder, which the model needs."""

    kind = "vpd_referring"
    markers = ("gamma", "text_adapter.", "classifier.conv1_4.", "classifier.conv1_1.")
    experiments: ClassVar = {"refcoco": "vpd_refcoco", "refcoco+": "vpd_refcoco_plus", "refcocog": "vpd_refcocog"}

    def modules(self) -> ModuleNames:
        pairs = {
            "gamma": f"{STRATEGY}.adapter.gamma",
            "text_adapter.fc": f"{STRATEGY}.adapter.mlp.fc",
            "classifier.conv1_1": f"{HEAD}.classify",
        }
        for level, stage in enumerate((4, 3, 2)):
            for block in (1, 2):
                ours = f"{HEAD}.levels.{level}.{block - 1}"
                pairs |= {f"classifier.conv{block}_{stage}": f"{ours}.0", f"classifier.bn{block}_{stage}": f"{ours}.1"}
        return pairs

    def alternatives(self) -> tuple[str, ...]:
        """RefCOCO's and RefCOCO+'s have the same shapes; RefCOCOg's has more tokens per sentence."""
        return ("refcocog",) if self._tokens() > _SHORT else ("refcoco", "refcoco+")

    def widths(self) -> list[str]:
        return [
            f"head.channels={self.size('classifier.conv1_4.weight', 0)}",
            f"dataset.expression_length={self._tokens()}",
        ]

    def _tokens(self) -> int:
        """The number of tokens per sentence: the head reads one attention map per token, as a channel at stride 32."""
        unet = "unet.unet.diffusion_model.output_blocks"
        coarsest = self.size(f"{unet}.1.0.out_layers.3.weight", 0)
        coarse = self.size(f"{unet}.4.0.out_layers.3.weight", 0)
        tokens = self.size("classifier.conv1_4.weight", 1) - coarsest - coarse
        if not 1 <= tokens <= _LONGEST:
            raise WeightsError(
                f"'classifier.conv1_4.weight' leaves room for {tokens} tokens of a sentence, and CLIP reads up to "
                f"{_LONGEST}: the file is damaged."
            )
        return tokens
