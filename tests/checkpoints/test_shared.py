"""Small checkpoints that share their backbone with the package."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from diffperc.checkpoints import load_task
from diffperc.checkpoints.shared import with_shared, without_shared
from diffperc.engine.build import build_dataset, build_task
from diffperc.errors import CheckpointError
from diffperc.tasks import PerceptionTask
from diffperc.weights.write import write_safetensors
from tests.helpers import composed


def _task(name: str) -> PerceptionTask:
    torch.manual_seed(0)
    cfg = composed(f"task={name}", "strategy=vpd", "backbone=tiny", "dataset.val_size=2")
    return build_task(cfg, build_dataset(cfg, "val").info)


@pytest.mark.parametrize("name", ["referring", "segmentation"])
def test_what_was_not_trained_is_not_stored_and_comes_back(name: str) -> None:
    state = _task(name).state_dict()
    kept = without_shared(state, "tiny", 7)
    assert not any(key.startswith(("model.backbone.", "model.expression.model.")) for key in kept)
    back = with_shared(kept, "tiny", name == "referring", "x")
    assert back.keys() == state.keys()
    assert all(torch.equal(back[key], state[key]) for key in state if key.startswith("model.backbone."))


def test_a_checkpoint_does_not_say_where_its_text_encoder_was() -> None:
    assert "_name_or_path" not in json.dumps(_task("referring").provenance)


def test_differences_come_back_up_to_half_a_level(tmp_path: Path) -> None:
    task = _task("segmentation")
    name = next(
        key for key, tensor in task.state_dict().items() if key.startswith("model.backbone.unet") and tensor.dim() == 4
    )
    change = torch.randn(task.state_dict()[name].shape, generator=torch.Generator().manual_seed(0)) * 0.01
    state = {**task.state_dict(), name: task.state_dict()[name] + change}
    kept = without_shared(state, "tiny", 7)
    back = with_shared(kept, "tiny", False, "x")
    step = change.flatten(1).abs().amax(1) / 7
    assert ((back[name] - state[name]).flatten(1).abs().amax(1) <= 0.51 * step).all()
    # the whole way through a file
    about = {"diffperc": json.dumps(task.provenance), "shared": json.dumps({"backbone": "tiny", "with_text": False})}
    with (tmp_path / "model.safetensors").open("wb") as file:
        write_safetensors(file, kept, about)
    read, _ = load_task(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(read.state_dict()[name].numpy(), back[name].numpy())


def test_what_is_done_to_one_network_does_not_reach_the_next() -> None:
    first = with_shared({}, "tiny", False, "x")
    for tensor in first.values():
        tensor.zero_()
    assert any(tensor.any() for tensor in with_shared({}, "tiny", False, "x").values())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"backbone": "gone"}, "refers to a backbone 'gone' of the package, which has tiny"),
        ({"scale": None}, "does not fit the backbone tiny; the file is damaged"),
        ({"name": "model.backbone.unet.nothing|difference"}, "'model.backbone.unet.nothing.difference' does not fit"),
    ],
)
def test_a_damaged_file_is_a_sentence(change: dict[str, str | None], said: str) -> None:
    name = str(change.get("name", "model.backbone.unet.conv_in.weight|difference"))
    kept = {name: torch.zeros(32, 4, 3, 3, dtype=torch.int8)}
    if "scale" not in change:
        kept[name.replace("difference", "scale")] = torch.zeros(32)
    with pytest.raises(CheckpointError, match=said.replace("|", r"\|")):
        with_shared(kept, str(change.get("backbone", "tiny")), False, "x")
