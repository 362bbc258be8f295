"""How referring segmentation is evaluated (methods.md 1.2)."""

from __future__ import annotations

from dataclasses import dataclass

from diffperc.types import Protocol


@dataclass(frozen=True, kw_only=True)
class ReferringProtocol(Protocol):
    """At which size masks are compared.

    Attributes:
        resized_target: compare at the size the network sees, against the resized mask, as published; False: at the size of
            the image.
    """

    resized_target: bool = False

    @property
    def resizes_target(self) -> bool:
        return self.resized_target
