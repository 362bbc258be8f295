"""Cross-attention maps as further channels of the feature maps (methods.md 0.5)."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

import torch

from diffperc.types import Features, FeatureSpec


def widened(spec: FeatureSpec, strides: Collection[int], tokens: int) -> FeatureSpec:
    """The spec after `append_attention`: `tokens` more channels at each of the strides."""
    added = dict.fromkeys(strides, tokens)
    channels = [c + added.get(stride, 0) for c, stride in zip(spec.channels, spec.strides, strict=True)]
    return dataclasses.replace(spec, channels=tuple(channels))


def append_attention(features: Features, strides: Collection[int], detach: bool) -> Features:
    """Append to the maps at some strides the attention to each token, as further channels.

    Args:
        features: with attention maps at these strides, of any aspect ratio.
        strides: in image pixels; with none the features are returned as they are.
        detach: no gradient through the attention maps, as in the released training (methods.md 10.11).
    """
    if not strides:
        return features
    maps = list(features.maps)
    for level, stride in enumerate(features.spec.strides):
        if stride not in strides:
            continue
        attention = features.attention[stride].to(maps[level].dtype)
        if detach:
            attention = attention.detach()
        maps[level] = torch.cat([maps[level], attention], 1)
    channels = tuple(m.shape[1] for m in maps)
    return Features(tuple(maps), dataclasses.replace(features.spec, channels=channels), features.attention)
