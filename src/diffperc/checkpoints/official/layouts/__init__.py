"""The layouts of the authors' checkpoints, and of mmsegmentation's, by kind."""

from diffperc.checkpoints.official.layouts.base import Layout, State
from diffperc.checkpoints.official.layouts.ecodepth import ECoDepth
from diffperc.checkpoints.official.layouts.meta_prompts import MetaPromptsDepth, MetaPromptsSegmentation
from diffperc.checkpoints.official.layouts.mmseg import MMSegVPDDepth
from diffperc.checkpoints.official.layouts.vpd import VPDDepth, VPDReferring, VPDSegmentation

LAYOUTS: dict[str, type[Layout]] = {
    layout.kind: layout
    for layout in (
        VPDDepth,
        VPDSegmentation,
        VPDReferring,
        MetaPromptsDepth,
        MetaPromptsSegmentation,
        ECoDepth,
        MMSegVPDDepth,
    )
}

__all__ = ["LAYOUTS", "Layout", "State"]
