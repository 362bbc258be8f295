from __future__ import annotations

import pytest
import torch

from diffperc.backbones import StableDiffusionBackbone
from diffperc.strategies import MetaPrompts
from diffperc.types import Batch, Conditioning, DatasetInfo
from tests.strategies.contract import StrategyContract


class TestMetaPrompts(StrategyContract):
    strategy = MetaPrompts


class TestMetaPromptsOneStep(StrategyContract):
    strategy = MetaPrompts
    overrides = {"steps": 1, "prompts": 9}  # noqa: RUF012


def test_refinement_is_the_loop_of_the_paper(
    backbone: StableDiffusionBackbone, info: DatasetInfo, batch: Batch
) -> None:
    """By hand: own prompts, adapter and time each step, feedback through the output layers, last step read out."""
    strategy = MetaPrompts(backbone, info, prompts=6, steps=2).eval()
    with torch.no_grad():
        latents = backbone.encode(batch.image)
        tokens = [a.fc(p)[None].expand(3, -1, -1) for a, p in zip(strategy.adapters, strategy.prompts, strict=True)]
        times = [t.expand(3, -1) for t in strategy.times]
        first = backbone.extract(latents, Conditioning(tokens[0], time_embedding=times[0]))
        normed = backbone.unet.conv_norm_out(first.maps[0])
        second = backbone.extract(
            backbone.unet.conv_out(normed * normed.sigmoid()), Conditioning(tokens[1], time_embedding=times[1])
        )
        levels = [level(m) for level, m in zip(strategy.readout.levels, second.maps, strict=True)]
        fused = strategy.readout.fuse(torch.cat(levels, 1))
        expected = (fused[:, None] * tokens[1][..., None, None]).sum(2)
        (branch,) = strategy(backbone, latents, batch)
    assert branch.features.maps[0].shape == (3, 6, 8, 16)
    torch.testing.assert_close(branch.features.maps[0], expected, rtol=1e-3, atol=1e-4)


def test_a_batch_of_as_many_images_as_prompts_is_nothing_special(
    backbone: StableDiffusionBackbone, info: DatasetInfo
) -> None:
    """The released code changes the context's shape there (methods.md 2.1)."""
    strategy = MetaPrompts(backbone, info, prompts=4, steps=1).eval()
    images = torch.rand(4, 3, 64, 64)
    with torch.no_grad():
        four = strategy(backbone, backbone.encode(images), Batch(images))[0].features.maps[0]
        three = strategy(backbone, backbone.encode(images[:3]), Batch(images[:3]))[0].features.maps[0]
    torch.testing.assert_close(four[:3], three, rtol=1e-3, atol=1e-4)


def test_no_step_is_refused(backbone: StableDiffusionBackbone, info: DatasetInfo) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        MetaPrompts(backbone, info, steps=0)
