"""diffperc: a pretrained text-to-image diffusion model as a perception model.

The heavy parts are imported when they are first used, so that ``import diffperc`` and every ``--help`` stay instant.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

# albumentations would ask the network for news of itself at import
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

__version__ = "0.1.0"
__all__ = ["__version__", "load"]

if TYPE_CHECKING:
    from diffperc.checkpoints import load


def __getattr__(name: str) -> Any:
    if name == "load":
        from diffperc.checkpoints import load

        return load
    raise AttributeError(f"module 'diffperc' has no attribute {name!r}")
