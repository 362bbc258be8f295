"""Checkpoints: our own, rebuilt without network, and the authors', imported. No code in a file is ever run."""

from diffperc.checkpoints.in_folder import checkpoint_in, trained_models
from diffperc.checkpoints.native import (
    check_fits,
    load,
    load_task,
    read_checkpoint,
    set_up_for_inference,
    steps_of,
)
from diffperc.checkpoints.newest import newest_sound
from diffperc.checkpoints.official import Imported, identify, import_official
from diffperc.checkpoints.stable_diffusion import from_original, to_original

__all__ = [
    "Imported",
    "check_fits",
    "checkpoint_in",
    "from_original",
    "identify",
    "import_official",
    "load",
    "load_task",
    "newest_sound",
    "read_checkpoint",
    "set_up_for_inference",
    "steps_of",
    "to_original",
    "trained_models",
]
