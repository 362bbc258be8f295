"""The layout of ECoDepth's released checkpoints, of the first version of its code (methods.md 4)."""

from __future__ import annotations

import re
from typing import ClassVar

from diffperc.checkpoints.official.layouts.base import STRATEGY, DepthLayout
from diffperc.encoders.classifier import stored_modules
from diffperc.errors import WeightsError
from diffperc.weights.ldm_names import ModuleNames

_CIDE = "encoder.cide_module."
_VIT = f"{_CIDE}vit_model."
# by width, the number of heads of the published ViTs, which no shape tells
_HEADS = {192: 3, 384: 6, 768: 12, 1024: 16, 1280: 16}


class ECoDepth(DepthLayout):
    """ECoDepth, NYUv2 and KITTI, whose tensors have the same shapes; with the frozen image classifier."""

    kind = "ecodepth_depth"
    markers = (
        f"{_CIDE}embeddings",
        f"{_CIDE}gamma",
        f"{_CIDE}fc.",
        f"{_CIDE}embedding_adapter.",
        _VIT,
        "encoder.unet.unet.",
        "encoder.out_layer.",
        "decoder.",
    )
    experiments: ClassVar = {"nyuv2": "ecodepth_nyuv2", "kitti": "ecodepth_kitti"}
    absent = ("model.backbone.unet.conv_norm_out.", "model.backbone.unet.conv_out.")

    def modules(self) -> ModuleNames:
        classifier = f"{STRATEGY}.classifier.model"
        pairs = {
            f"{_CIDE}embeddings": f"{STRATEGY}.embeddings",
            f"{_CIDE}gamma": f"{STRATEGY}.adapter.gamma",
            f"{_CIDE}fc": f"{STRATEGY}.fc",
            f"{_CIDE}embedding_adapter.fc": f"{STRATEGY}.adapter.mlp.fc",
            _VIT.rstrip("."): classifier,
            **self.aggregation_modules(),
            **self.decoder_modules(),
        }
        for stored, here in stored_modules(self._layers()).items():
            pairs[_VIT + stored] = f"{classifier}.{here}"
        return pairs

    def widths(self) -> list[str]:
        return [*self._vit(), *self.aggregation_widths(), *self.decoder_widths()]

    def _layers(self) -> int:
        """The number of the classifier's layers."""
        pattern = re.compile(rf"^{re.escape(_VIT)}vit\.encoder\.layer\.([0-9]{{1,3}})\.")
        return max((int(match[1]) + 1 for match in map(pattern.match, self.state) if match), default=0)

    def _vit(self) -> list[str]:
        """Overrides that follow from the classifier's shapes."""
        patches, layer = f"{_VIT}vit.embeddings.patch_embeddings.projection.weight", f"{_VIT}vit.encoder.layer.0."
        width, patch = self.size(patches, 0), self.size(patches, 2)
        if width not in _HEADS:
            raise WeightsError(
                f"'{patches}' is {width} wide, which is no published ViT's ({', '.join(map(str, _HEADS))}): the number of "
                "heads is not known."
            )
        # one of the positions is the class token's
        side = round((self.size(f"{_VIT}vit.embeddings.position_embeddings", 1) - 1) ** 0.5)
        fields = {
            "hidden_size": width,
            "num_hidden_layers": self._layers(),
            "num_attention_heads": _HEADS[width],
            "intermediate_size": self.size(f"{layer}intermediate.dense.weight", 0),
            "image_size": side * patch,
            "patch_size": patch,
            "num_labels": self.size(f"{_VIT}classifier.weight", 0),
        }
        return [f"+strategy.vit.{name}={value}" for name, value in fields.items()]
