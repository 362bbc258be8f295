from __future__ import annotations

import dataclasses
import logging
from typing import Any

import pytest
import torch
from torch import Tensor

from diffperc.engine.build import build_dataset, build_model
from diffperc.models import LatentCache, PerceptionModel, make_fast
from diffperc.types import Batch
from tests.helpers import composed


def model_that_counts(cache: LatentCache, *overrides: str) -> tuple[PerceptionModel, list[int]]:
    """A network, and the sizes of the batches that it has encoded."""
    torch.manual_seed(0)
    cfg = composed("task=depth", "strategy=unconditional", *overrides)
    model = build_model(cfg, build_dataset(cfg, "val").info).eval().requires_grad_(False)
    model.keep_latents(cache)
    encoded: list[int] = []
    backbone: Any = model.backbone
    encode = backbone.encode

    def counted(image: Tensor) -> Tensor:
        encoded.append(len(image))
        found: Tensor = encode(image)
        return found

    backbone.encode = counted
    return model, encoded


def batch(seed: int, images: int = 2) -> Batch:
    return Batch(torch.rand(images, 3, 64, 64, generator=torch.Generator().manual_seed(seed)))


def test_an_image_is_encoded_once_and_the_prediction_stays_to_the_bit() -> None:
    model, encoded = model_that_counts(LatentCache(10**9))
    first = model(batch(0)).dense
    again = model(batch(0)).dense
    assert encoded == [2]
    assert torch.equal(first, again)
    model(dataclasses.replace(batch(0), image=batch(0).image.flip(-1)))  # the mirror image is another
    assert encoded == [2, 2]
    mixed = Batch(torch.cat([batch(0).image[:1], batch(1).image[:1]]))
    torch.testing.assert_close(model(mixed).dense[0], first[0])
    assert encoded == [2, 2, 2]
    one = model(Batch(batch(0).image[1:])).dense
    assert encoded == [2, 2, 2]
    torch.testing.assert_close(one[0], first[1])


def test_another_network_with_the_same_encoder_shares_and_one_with_another_does_not() -> None:
    cache = LatentCache(10**9)
    model, _ = model_that_counts(cache)
    model(batch(0))
    other, encoded = model_that_counts(cache, "strategy=meta_prompts")
    make_fast(other)
    other(batch(0))
    assert encoded == []
    foreign, encoded = model_that_counts(cache, "backbone.pretrained=null", "backbone.config=tiny")
    foreign(batch(0))
    assert encoded == [2]


def test_training_encodes_always_and_in_another_precision_too() -> None:
    model, encoded = model_that_counts(LatentCache(10**9))
    model(batch(0))
    model.train()(batch(0))
    assert encoded == [2, 2]
    model.eval()
    for dtype in (torch.bfloat16, torch.float16):
        with torch.autocast("cpu", dtype):
            model(batch(0))
    model.bfloat16()(Batch(batch(0).image.bfloat16()))
    assert encoded == [2, 2, 2, 2, 2]


def test_memory_is_bounded_and_that_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    kilobyte = 4 * 8 * 8 * 4  # latents of an image
    cache = LatentCache(3 * kilobyte)
    model, encoded = model_that_counts(cache)
    with caplog.at_level(logging.INFO):
        for seed in (0, 1, 2, 0, 2):
            model(batch(seed))
    assert encoded == [2, 2, 2, 2]
    assert (len(cache), cache.size) == (3, 3 * kilobyte)
    assert caplog.text.count("latents of 3 images are kept") == 1
    none, encoded = model_that_counts(LatentCache(0))
    none(batch(0))
    none(batch(0))
    assert encoded == [2, 2]
