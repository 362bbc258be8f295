"""What a network computed on its way to a prediction, for pictures and for notebooks."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from diffperc.backbones import Backbone
from diffperc.types import Conditioning, Features


@dataclass(frozen=True)
class Pass:
    """One pass of the UNet: what conditioned it, and its features with the attention at every stride that has some."""

    conditioning: Conditioning
    features: Features


@dataclass(frozen=True)
class Observation:
    """A prediction with what led to it.

    Attributes:
        dense: as `Prediction.dense`, after the first pass, the second, and so on; the last is the model's prediction.
        readouts: the features that the head got for each of them.
        passes: of the UNet; there may be none.
        names: of the tokens that conditioned them, in their order; empty for padding.
    """

    dense: tuple[Tensor, ...]
    readouts: tuple[Features, ...]
    passes: tuple[Pass, ...]
    names: tuple[str, ...]


class ObservedBackbone:
    """Stands in the place of a backbone and keeps what each of its passes computed.

    Args:
        backbone: computes.
        without: tokens that are replaced by the mean of the others, as if they said nothing; a single one becomes zero.
    """

    def __init__(self, backbone: Backbone, without: Collection[int] = ()) -> None:
        self.backbone, self.without = backbone, sorted(without)
        self.passes: list[Pass] = []

    def extract(self, latents: Tensor, conditioning: Conditioning, attention: Collection[int] = ()) -> Features:
        """See `Backbone.extract`."""
        if self.without:
            conditioning = dataclasses.replace(conditioning, tokens=_neutral(conditioning.tokens, self.without))
        features = self.backbone.extract(latents, conditioning, self.backbone.attention_strides)
        self.passes.append(Pass(conditioning, features))
        return features

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backbone, name)


def _neutral(tokens: Tensor, without: Sequence[int]) -> Tensor:
    others = [i for i in range(tokens.shape[1]) if i not in without]
    changed = tokens.clone()
    changed[:, list(without)] = tokens[:, others].mean(1, keepdim=True) if others else 0.0
    return changed


def token_groups(names: Sequence[str]) -> dict[str, list[int]]:
    """Indices of the tokens by their names: pieces of one word together, a word that comes again with a number.

    >>> token_groups(["", "the", "book", "book", "on", "the"])
    {'the': [1], 'book': [2, 3], 'on': [4], 'the (2)': [5]}
    """
    groups: dict[str, list[int]] = {}
    current, key = "", ""
    for i, name in enumerate(names):
        if name and name == current:
            groups[key].append(i)
        elif name:
            times = 1 + sum(known == name or known.startswith(f"{name} (") for known in groups)
            key = name if times == 1 else f"{name} ({times})"
            groups[key] = [i]
        current = name
    return groups
