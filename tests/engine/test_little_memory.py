"""Ways to train in less memory: what they must leave as it is, and what they must change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import diffperc
from diffperc.checkpoints.native import load_task
from diffperc.commands.train import train_run
from diffperc.config.validate import validate
from diffperc.errors import ConfigError
from tests.helpers import composed

RUN = (
    "dataset.size=[64,64]",
    "dataset.train_size=16",
    "dataset.val_size=2",
    "recipe.batch_size=2",
    "recipe.val_every_steps=8",
    "num_workers=0",
    "trainer.accelerator=cpu",
)


def trained(folder: Path, *overrides: str, steps: int = 8) -> dict[str, Any]:
    cfg = composed(*RUN, f"recipe.steps={steps}", *overrides)
    validate(cfg)
    train_run(cfg, folder, {})
    content: dict[str, Any] = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    return content


def test_updates_in_the_backward_pass_are_the_same(tmp_path: Path) -> None:
    usual = trained(tmp_path / "usual", "strategy=vpd")["state_dict"]
    early = trained(tmp_path / "early", "strategy=vpd", "step_in_backward=true")["state_dict"]
    assert all(torch.equal(tensor, early[name]) for name, tensor in usual.items())


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("trainer.gradient_clip_val=1", r"trainer\.gradient_clip_val"),
        ("trainer.accumulate_grad_batches=2", r"trainer\.accumulate_grad_batches"),
        ("optimizer=adamw_bf16", "optimizer=adamw_bf16"),
    ],
)
def test_updates_in_the_backward_pass_refuse_what_needs_all_gradients(
    override: str, named: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=f"does not go with {named}"):
        trained(tmp_path, "strategy=unconditional", "step_in_backward=true", override)


def test_averages_of_8_bits_take_a_quarter_and_learn_the_same(tmp_path: Path) -> None:
    usual = trained(tmp_path / "usual", "strategy=unconditional")
    small = trained(tmp_path / "small", "strategy=unconditional", "optimizer=adamw8bit")
    start = trained(tmp_path / "start", "strategy=unconditional", steps=1)
    moved, apart = 0.0, 0.0
    for name, tensor in usual["state_dict"].items():
        moved += float((tensor - start["state_dict"][name]).double().square().sum())
        apart += float((tensor - small["state_dict"][name]).double().square().sum())
    assert apart < 0.01 * moved
    assert _averages(small) < 0.3 * _averages(usual)


def _averages(content: dict[str, Any]) -> int:
    states = content["optimizer_states"][0]["state"].values()
    return sum(value.nbytes for state in states for value in state.values() if isinstance(value, torch.Tensor))


def test_bfloat16_weights_keep_small_updates(tmp_path: Path) -> None:
    content = trained(tmp_path, "strategy=unconditional", "trainer.precision=bf16-true", "optimizer=adamw_bf16")
    states = content["optimizer_states"][0]["state"].values()
    kept = [state["kahan_comp"] for state in states]
    assert all(one.dtype == torch.bfloat16 for one in kept)
    assert sum(bool(one.abs().max() > 0) for one in kept) > 0.9 * len(kept)
    # what is stored of the optimiser is not built to predict
    diffperc.load(tmp_path, device="cpu", precision="32-true")


def test_adapters_train_resume_and_are_left_beside_the_checkpoint(tmp_path: Path) -> None:
    options = ("strategy=vpd", "lora=rank8", "recipe.val_every_steps=2")
    trained(tmp_path / "run", *options, steps=2)
    whole = trained(tmp_path / "whole", *options, f"ckpt={tmp_path / 'run'}", steps=4)["state_dict"]
    start = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(tensor, whole[name]) for name, tensor in start.items() if ".base_layer." in name)
    task, _ = load_task(tmp_path / "whole/checkpoints/best.safetensors")
    file = str(tmp_path / "whole/checkpoints")
    from_file = diffperc.create_model("depth", "vpd", overrides={"lora": "rank8", "backbone.lora.pretrained": file})
    own = {n: p for n, p in task.model.backbone.named_parameters() if "lora_" in n}
    assert any(bool(p.abs().max() > 0) for n, p in own.items() if "lora_B" in n)
    read = dict(from_file.backbone.named_parameters())
    assert all(torch.equal(parameter, read[name]) for name, parameter in own.items())
