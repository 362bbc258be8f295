"""What a training is said to need, compared with what it takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from diffperc.commands.estimate import Estimate, described, estimated
from diffperc.config.validate import validate
from diffperc.engine.build import build_dataset, build_model, info_without_data
from diffperc.errors import ConfigError
from diffperc.models import parameter_counts
from diffperc.types import Batch
from tests.helpers import call, composed, names

CPU = torch.device("cpu")


def needs(*overrides: str, images: int | None = 32) -> Estimate:
    cfg = composed("trainer.accelerator=cpu", *overrides)
    validate(cfg)
    return estimated(cfg, info_without_data(cfg), CPU, images, libraries=0)


# every strategy and every task
@pytest.mark.parametrize(("strategy", "task"), list(zip(names("strategy"), names("task") * 2, strict=False)))
def test_parts_are_those_of_the_network(strategy: str, task: str) -> None:
    overrides = (f"task={task}", f"strategy={strategy}")
    cfg = composed(*overrides)
    found = needs(*overrides)
    trained, parameters = parameter_counts(build_model(cfg, info_without_data(cfg)))
    assert (found.trained, found.parameters) == (trained, parameters)
    # float32, its gradient, and two averages
    assert (found.cost.gradients, found.cost.optimizer) == (4 * trained, 8 * trained)
    assert 4 * parameters <= found.cost.weights < 4.3 * parameters
    assert found.cost.peak > found.cost.weights + found.cost.optimizer + found.cost.gradients


def test_work_is_counted_as_torch_counts_it() -> None:
    cfg = composed("strategy=vpd", "backbone.frozen=true")
    model = build_model(cfg, build_dataset(cfg, "val").info).eval()
    batch = Batch(torch.zeros(1, 3, 128, 128), scene=torch.zeros(1, dtype=torch.long))
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model(batch)
    in_head = sum(counter.get_flop_counts()["PerceptionModel.head"].values())
    found = needs("strategy=vpd", "backbone.frozen=true", "recipe.batch_size=1").cost.flops
    # what is trained of it takes two further products for each: gradients of inputs and of weights
    assert found == counter.get_total_flops() + 2 * in_head


def test_what_saves_memory_is_seen() -> None:
    usual = needs("strategy=vpd").cost
    twice = needs("strategy=vpd", "recipe.batch_size=32").cost
    assert twice.activations == pytest.approx(2 * usual.activations, rel=0.05)
    again = needs("strategy=vpd", "+backbone.gradient_checkpointing=true").cost
    assert again.activations < 0.6 * usual.activations
    assert again.flops > 1.1 * usual.flops
    assert needs("strategy=vpd", "step_in_backward=true").cost.gradients == 0
    small = needs("strategy=vpd", "optimizer=adamw8bit").cost
    assert small.optimizer == pytest.approx(usual.optimizer / 4, rel=0.15)
    half = needs("strategy=vpd", "trainer.precision=bf16-true", "optimizer=adamw_bf16").cost
    assert half.weights == pytest.approx(usual.weights / 2, rel=0.01)
    assert half.optimizer == pytest.approx(usual.optimizer * 3 / 4, rel=0.01)  # and Kahan's rest
    adapters = needs("strategy=vpd", "lora=rank8").cost
    assert adapters.optimizer < 0.1 * usual.optimizer
    assert adapters.flops < usual.flops


def test_steps_follow_the_recipe() -> None:
    by_epochs = ("recipe.steps=-1", "recipe.epochs=3", "recipe.batch_size=16")
    assert needs(*by_epochs, images=50).steps == 9
    assert needs(*by_epochs, images=None).steps is None
    assert needs("recipe.steps=7", "recipe.epochs=-1", images=None).steps == 7


def test_copies_of_frozen_weights_in_half_precision_go_with_their_layer() -> None:
    """Autocast keeps those of trained weights alone, and layers that are computed again hold none."""
    run = (
        "strategy=meta_prompts",
        "lora=rank8",
        "+backbone.gradient_checkpointing=true",
        "trainer.precision=bf16-mixed",
    )
    small = ("recipe.batch_size=1", "dataset.size=[64,64]")
    one, three = (needs(*run, *small, f"strategy.steps={steps}").cost.activations for steps in (1, 3))
    unet: Any = build_model(cfg := composed(*run), info_without_data(cfg)).backbone
    copy = 2 * sum(p.numel() for p in unet.unet.parameters())
    assert three - one < 2 * copy


@pytest.mark.parametrize("images", [4, 12])
def test_as_many_images_as_the_memory_holds(images: int) -> None:
    run = ("strategy=vpd", "recipe.batch_size=24")
    peak = needs(*run, f"images_at_once={images}").cost.peak
    # half a GB is the driver's, a tenth is left
    found = needs(*run, "images_at_once=auto", f"gpu_memory={(peak * 1.01 + 0.5e9) / 0.9 / 1e9}")
    assert (found.batch, found.batches) == (images, 24 // images)


def test_a_head_that_one_image_cannot_train_gets_two() -> None:
    run = ("task=segmentation", "strategy=unconditional", "head=upernet", "recipe.batch_size=4")
    with pytest.raises(ConfigError, match="take two images or more per batch"):
        needs(*run, "images_at_once=1")
    assert needs(*run, "images_at_once=auto", "gpu_memory=0.1").batch == 2


def test_what_fits_nowhere_is_said_and_an_unknown_gpu_too() -> None:
    cfg = composed("strategy=vpd", "trainer.accelerator=cpu", "images_at_once=auto", "gpu_memory=0.3")
    found = estimated(cfg, info_without_data(cfg), CPU, 32, libraries=0)
    assert found.batch == 1
    assert described(found, cfg)[-1] == "note: that is more than the 0.3 GB of gpu_memory, with one image at once"
    with pytest.raises(ConfigError, match=r"images_at_once=auto: there is no GPU here; set gpu_memory=8"):
        needs("strategy=vpd", "images_at_once=auto")


def test_images_at_once_are_accumulated_to_a_step() -> None:
    found = needs("strategy=vpd", "recipe.batch_size=12", "images_at_once=4")
    assert (found.batch, found.batches) == (4, 3)
    assert needs("recipe.batch_size=2", "images_at_once=8").batch == 2
    with pytest.raises(ConfigError, match="take a multiple of 5, or another images_at_once"):
        needs("recipe.batch_size=12", "images_at_once=5")
    with pytest.raises(ConfigError, match="say the same; set one of them"):
        needs("images_at_once=4", "trainer.accumulate_grad_batches=2")


def test_the_command_says_what_it_does_not_know(tmp_path: Path) -> None:
    sd15 = ("backbone.pretrained=null", "backbone.config=sd15", "experiment=vpd_nyuv2", "images_at_once=2")
    unknown = call("estimate", *sd15, cwd=tmp_path).stdout
    assert "906.4 M parameters" in unknown
    assert "2 images of 480x480 per batch, 12 batches per step" in unknown
    assert "the training images are not here; train_images=... gives their number" in unknown


def test_a_size_that_nobody_knows_is_asked_for() -> None:
    folder = ("dataset=folder", "dataset.root=none", "preprocessing.augment=[]")
    with pytest.raises(ConfigError, match=r"set image_size=\[height,width\]"):
        needs(*folder)
    cfg = composed(*folder, "+image_size=[96,64]")
    assert estimated(cfg, info_without_data(cfg), CPU, None, libraries=0).size == (96, 64)


@pytest.mark.slow
def test_stable_diffusion_trains_in_8_gb_and_the_estimate_is_right(tmp_path: Path) -> None:
    call(
        "train",
        *("task=depth", "strategy=vpd", "backbone=sd15", "backbone.pretrained=null", "backbone.config=sd15", "hw=8gb"),
        *("dataset.size=[256,256]", "dataset.train_size=1", "dataset.val_size=1", "num_workers=0"),
        *("recipe.batch_size=1", "recipe.steps=1", "recipe.val_every_steps=1", "hydra.run.dir=run"),
        cwd=tmp_path,
    )
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary["peak_memory_gb"] < 7
    assert summary["estimated_memory_gb"] == pytest.approx(summary["peak_memory_gb"], rel=0.15)
