"""How normals are evaluated."""

from __future__ import annotations

from dataclasses import dataclass

from diffperc.types import Protocol


@dataclass(frozen=True, kw_only=True)
class NormalsProtocol(Protocol):
    """Angular errors over all measured pixels of all images, as is usual on NYUv2 (Fouhey et al., ICCV 2013)."""
