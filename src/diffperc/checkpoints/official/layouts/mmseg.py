"""The layout of VPD's depth model in mmsegmentation 1.x, which has VPD's modules under other names."""

from __future__ import annotations

from typing import ClassVar

import torch

from diffperc.checkpoints.official.layouts.base import HEAD, STRATEGY, Layout, State
from diffperc.errors import WeightsError
from diffperc.weights.ldm_names import ModuleNames

_TABLE = "backbone.class_embeddings"
# of entries near 1, also in half precision
_TOLERANCE = 0.02


class MMSegVPDDepth(Layout):
    """VPD, NYUv2, as mmsegmentation trained it: the scenes are VPD's, in VPD's order.

    Its table ends in the mean of the other rows, for images whose scene is not known. This is also what such images get
    here, so that the row is not kept.
    """

    kind = "mmseg_vpd_depth"
    markers = (
        _TABLE,
        "backbone.gamma",
        "backbone.text_adapter.",
        "decode_head.conv_aggregation.",
        "decode_head.depth_pred_layer.",
        "decode_head.decoder.",
    )
    root = "backbone."
    experiments: ClassVar = {"nyuv2": "vpd_nyuv2"}

    def __init__(self, state: State) -> None:
        super().__init__(_without_mean(state))

    def modules(self) -> ModuleNames:
        return {
            "backbone.gamma": f"{STRATEGY}.adapter.gamma",
            "backbone.text_adapter.fc": f"{STRATEGY}.adapter.mlp.fc",
            _TABLE: f"{STRATEGY}.table.vectors",
            "decode_head.conv1": f"{HEAD}.aggregation.fine",
            "decode_head.conv2": f"{HEAD}.aggregation.middle",
            "decode_head.conv_aggregation": f"{HEAD}.aggregation.fuse",
            "decode_head.decoder.deconv_layers": f"{HEAD}.decoder.0",
            "decode_head.decoder.conv_layers": f"{HEAD}.decoder.1",
            "decode_head.depth_pred_layer": f"{HEAD}.output",
        }

    def widths(self) -> list[str]:
        return [
            f"head.neck_channels={self.size('decode_head.conv_aggregation.0.weight', 0)}",
            f"head.filters={self.size('decode_head.decoder.deconv_layers.0.weight', 1)}",
            f"head.channels={self.size('decode_head.decoder.conv_layers.0.weight', 0)}",
        ]


def _without_mean(state: State) -> State:
    """The tensors with the table's last row, the mean of the others, left out.

    Raises:
        WeightsError: the last row is another: without `class_embed_select` the whole table conditions every image.
    """
    table = state.get(_TABLE)
    if table is None or table.dim() != 2 or not table.is_floating_point() or table.is_meta or len(table) < 2:
        return state  # what is wrong is said where tensors are checked
    scenes, last = table[:-1], table[-1]
    if not torch.allclose(scenes.float().mean(0), last.float(), rtol=0, atol=_TOLERANCE):
        raise WeightsError(
            f"'{_TABLE}' does not end in the mean of its other rows: a model without class_embed_select, which is "
            "conditioned on the whole table and not on the scene, is not read."
        )
    return {**state, _TABLE: scenes}
