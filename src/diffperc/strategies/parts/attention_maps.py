"""Cross-attention maps as further channels of the feature maps (methods.md 0.5)."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

import torch

from diffperc.types import Features, FeatureSpec


def widened(spec: FeatureSpec, strides: Collection[int], tokens: int) -> FeatureSpec:
    """The spec after `append`: `tokens` more channels at each of the strides."""
    channels = (c + tokens * (s in strides) for c, s in zip(spec.channels, spec.strides, strict=True))
    return dataclasses.replace(spec, channels=tuple(channels))


def append(features: Features, strides: Collection[int], detach: bool) -> Features:
    """Features whose maps at the strides have the attention to each token as further channels.

    Args:
        features: with attention maps at those strides, of any aspect ratio.
        detach: no gradient through the maps, as in the released training (methods.md 10.11).
    """
    if not strides:
        return features
    maps = []
    for feature, stride in zip(features.maps, features.spec.strides, strict=True):
        if stride in strides:
            attention = features.attention[stride].to(feature.dtype)
            feature = torch.cat([feature, attention.detach() if detach else attention], 1)
        maps.append(feature)
    spec = dataclasses.replace(features.spec, channels=tuple(m.shape[1] for m in maps))
    return Features(tuple(maps), spec, features.attention)
