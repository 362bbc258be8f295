"""The precision that a device is fast at, and networks that are run in it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from torch import Tensor

import diffperc
from diffperc.engine import precision
from diffperc.engine.build import build_dataset, build_task
from diffperc.errors import ConfigError
from diffperc.layers.fast_convolution import FastConvolution
from diffperc.preprocessing import image_tensor
from diffperc.types import Batch
from tests.helpers import composed, names

CPU = torch.device("cpu")
LARGE, SMALL = 900_000_000, 20_000_000


@pytest.mark.parametrize(
    ("speed", "parameters", "training", "inference"),
    [
        (4.0, LARGE, "bf16-mixed", "bf16-true"),
        (4.0, SMALL, "32-true", "32-true"),
        (0.1, LARGE, "32-true", "32-true"),
    ],
)
def test_auto_is_bfloat16_where_a_cpu_is_faster_so_and_the_network_is_large(
    speed: float, parameters: int, training: str, inference: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "speed_of_bf16", lambda: speed)
    assert precision.training_precision("auto", CPU, parameters) == training
    assert precision.inference_precision("auto", CPU, parameters) == inference


@pytest.mark.parametrize(("speed", "said"), [(0.25, "4 times slower in bfloat16"), (2.0, "")])
def test_a_choice_that_is_slower_than_float32_is_kept_and_said(
    speed: float, said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(precision, "speed_of_bf16", lambda: speed)
    with caplog.at_level(logging.WARNING):
        assert precision.training_precision("bf16-mixed", CPU, LARGE) == "bf16-mixed"
    assert said in caplog.text
    assert bool(caplog.text) == bool(said)


def test_the_speed_of_bfloat16_is_that_of_a_product() -> None:
    """Emulated bfloat16 is at least three times slower, that of a CPU with instructions for it is not."""
    flags = Path("/proc/cpuinfo")
    if not flags.is_file():
        pytest.skip("this system does not tell the instructions of its CPU")
    known = flags.read_text()
    if "amx_bf16" in known:
        assert precision.speed_of_bf16() > 1
    elif "bf16" not in known:
        assert precision.speed_of_bf16() < 1


def saved(task: str, folder: Path) -> tuple[Path, Tensor]:
    """A checkpoint of a network with the packaged weights, and an image."""
    torch.manual_seed(0)
    cfg = composed(f"task={task}", "dataset=scenes", "strategy=unconditional")
    scenes = build_dataset(cfg, "val")
    built = build_task(cfg, scenes.info)
    for parameter in built.model.head.parameters():
        if parameter.ndim == 4:  # heads begin with outputs that hardly differ
            torch.nn.init.kaiming_normal_(parameter)
    torch.save({"state_dict": built.state_dict(), "diffperc": built.provenance}, folder / "x.ckpt")
    return folder / "x.ckpt", image_tensor(scenes[0].image)[None]


@pytest.mark.parametrize("task", names("task"))
def test_every_task_predicts_the_same_from_arranged_weights_and_nearly_so_in_half_precision(
    task: str, tmp_path: Path
) -> None:
    file, image = saved(task, tmp_path)
    found = {}
    for name, options in {
        "plain": {"precision": "32-true", "optimize": False},
        "arranged": {"precision": "32-true"},
        "half": {"precision": "bf16-true"},
        "double": {"precision": "64-true"},
    }.items():
        predictor = diffperc.load(file, "cpu", **options)
        # oneDNN arranges bfloat16 only for CPUs that compute in it
        arranged = ("arranged", "half") if torch.ops.mkldnn._is_mkldnn_bf16_supported() else ("arranged",)
        assert any(isinstance(m, FastConvolution) for m in predictor.model.modules()) == (name in arranged)
        expression = None if predictor.model.expression is None else ("the red chair",)
        batch = Batch(image.to(predictor.dtype), expression=expression)
        with torch.inference_mode():
            found[name] = predictor.dense(batch).double()
    scale = found["plain"].std()
    assert scale > 0
    deviation = {name: (dense - found["plain"]).abs() / scale for name, dense in found.items()}
    assert deviation["arranged"].max() < 1e-4
    assert deviation["double"].max() < 1e-4
    assert deviation["half"].mean() < 0.03


def test_an_unknown_precision_is_a_sentence(tmp_path: Path) -> None:
    file, _ = saved("depth", tmp_path)
    with pytest.raises(ConfigError, match="precision=fp16: must be one of auto, "):
        diffperc.load(file, "cpu", precision="fp16")
