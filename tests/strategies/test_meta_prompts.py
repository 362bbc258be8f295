from __future__ import annotations

from typing import Any

import pytest
import torch

from diffperc.backbones import StableDiffusionBackbone
from diffperc.strategies import MetaPrompts
from diffperc.types import Batch, Conditioning
from tests.contracts.strategy import TEXTS, StrategyContract


class TestMetaPrompts(StrategyContract):
    strategy = MetaPrompts


class TestMetaPromptsOneStep(StrategyContract):
    strategy = MetaPrompts
    overrides = {"steps": 1, "prompts": 9}  # noqa: RUF012


class TestMetaPromptsForSegmentation(StrategyContract):
    strategy = MetaPrompts
    overrides = {"steps": 2, "prompts": 9, "shared": True, "adapter": False, "readout": "pyramid"}  # noqa: RUF012


class TestMetaPromptsSupervised(StrategyContract):
    strategy = MetaPrompts
    overrides = {"steps": 3, "prompts": 5, "supervise_steps": 0.5}  # noqa: RUF012
    training_branches = 3


def test_the_pyramid_is_read_out_level_by_level(backbone: StableDiffusionBackbone, batch: Batch) -> None:
    """Twice the size, 3x3 convolution to the tokens' width, group norm, ReLU, product with the raw prompts (2.2)."""
    strategy = MetaPrompts(backbone, TEXTS["names"], prompts=6, steps=1, shared=True, adapter=False, readout="pyramid")
    with torch.no_grad():
        latents = backbone.encode(batch.image)
        (branch,) = strategy.eval()(backbone, latents, batch)
        tokens = strategy.prompts[0].expand(3, -1, -1)
        time = strategy.times[0].expand(3, -1)
        maps = backbone.extract(latents, Conditioning(tokens, time_embedding=time)).maps
        for level, m, found in zip(strategy.readout.levels, maps, branch.features.maps, strict=True):
            larger = torch.nn.functional.interpolate(m, scale_factor=2, mode="bilinear")
            expected = (level(larger)[:, None] * tokens[..., None, None]).sum(2)
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    assert branch.features.spec.strides == (4, 8, 16, 32)


def test_steps_change_prompts_times_adapters_and_nothing_else(backbone: StableDiffusionBackbone) -> None:
    """One to three steps (methods.md 2.1): per-step tensors exist three times, shared prompts once."""

    def names(steps: int, **options: Any) -> set[str]:
        return {
            n for n, _ in MetaPrompts(backbone, TEXTS["scene"], prompts=4, steps=steps, **options).named_parameters()
        }

    own = names(3) - names(1)
    assert {n.split(".")[0] for n in own} == {"prompts", "times", "adapters"}
    assert {n.split(".")[1] for n in own} == {"1", "2"}
    assert {n.split(".")[0] for n in names(3, shared=True, adapter=False) - names(1, shared=True, adapter=False)} == {
        "times"
    }


def test_refinement_is_the_loop_of_the_paper(backbone: StableDiffusionBackbone, batch: Batch) -> None:
    """By hand: prompts, adapter and time per step, feedback through the output layers, last step read out."""
    strategy = MetaPrompts(backbone, TEXTS["scene"], prompts=6, steps=2).eval()
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


def test_a_batch_may_have_as_many_images_as_prompts(backbone: StableDiffusionBackbone) -> None:
    """The released code changes the context's shape there (methods.md 2.1)."""
    strategy = MetaPrompts(backbone, TEXTS["scene"], prompts=4, steps=1).eval()
    images = torch.rand(4, 3, 64, 64)
    with torch.no_grad():
        four = strategy(backbone, backbone.encode(images), Batch(images))[0].features.maps[0]
        three = strategy(backbone, backbone.encode(images[:3]), Batch(images[:3]))[0].features.maps[0]
    torch.testing.assert_close(four[:3], three, rtol=1e-3, atol=1e-4)


def test_zero_steps_are_refused(backbone: StableDiffusionBackbone) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        MetaPrompts(backbone, TEXTS["scene"], steps=0)
