"""Checkpoints of strangers: nothing in them is run, and what is damaged is a sentence."""

from __future__ import annotations

import json
import pickle
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import diffperc
from diffperc.checkpoints import load, load_task
from diffperc.engine.build import build_dataset, build_task
from diffperc.errors import CheckpointError
from tests.helpers import composed, peak, start_of_peak

SECONDS, GIB = 10, 2**30


@pytest.fixture(scope="module")
def sound() -> dict[str, Any]:
    """What a checkpoint of a small run holds."""
    cfg = composed("task=segmentation", "strategy=unconditional", "dataset.size=[64,64]", "dataset.val_size=2")
    torch.manual_seed(0)
    task = build_task(cfg, build_dataset(cfg, "val").info)
    return {"state_dict": task.state_dict(), "diffperc": task.provenance, "global_step": 1}


def saved(folder: Path, content: dict[str, Any], change: Callable[[dict[str, Any]], None] | None = None) -> Path:
    """A checkpoint whose configuration was changed."""
    kept = dict(content["diffperc"])
    if change is not None:
        config = yaml.safe_load(kept["config"])
        change(config)
        kept["config"] = yaml.safe_dump(config)
    file = folder / "x.ckpt"
    torch.save({**content, "diffperc": kept}, file)
    return file


def refused(file: Path, sentence: str, trust: tuple[str, ...] = ()) -> None:
    """It is refused with a sentence, soon, and without much memory."""
    start_of_peak()
    before, start = peak(), time.monotonic()
    with pytest.raises(CheckpointError) as caught:
        load(file, "cpu", trust=trust)
    assert sentence in str(caught.value)
    assert str(file) in str(caught.value)
    assert time.monotonic() - start < SECONDS
    assert peak() - before < GIB


def put(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(config: dict[str, Any]) -> None:
        *parents, last = key.split(".")
        node: Any = config
        for parent in parents:
            node = node[int(parent)] if isinstance(node, list) else node[parent]
        if isinstance(node, list):
            node.append(value)
        else:
            node[last] = value

    return change


def test_the_sound_one_is_read(sound: dict[str, Any], tmp_path: Path) -> None:
    task, _ = load_task(saved(tmp_path, sound))
    for name, tensor in task.state_dict().items():
        assert torch.equal(tensor, sound["state_dict"][name])


WRITES = {"_target_": "pathlib.Path.write_bytes", "_args_": ["victim.txt", "overwritten"]}
OPENS = {"_target_": "builtins.open", "file": "victim.txt", "mode": "w"}
CODE = {
    "fit": ("fit", OPENS, "its fit is builtins.open, which is no part of diffperc"),
    "optimizer": ("optimizer", OPENS, "its optimizer is builtins.open, which is no part of diffperc"),
    "strategy": ("strategy", OPENS, "its strategy is builtins.open, which is no part of diffperc"),
    "in a list": ("optimizer.rules.0", OPENS, "builtins.open, which is no part of diffperc"),
    "partial": ("fit", {**OPENS, "_partial_": True}, "its fit is builtins.open, which is no part of diffperc"),
    "arguments": ("fit", WRITES, "fit has arguments without names"),
    "deep": ("head.channels", {"a": [{"b": OPENS}]}, "its head.channels.a.0.b is builtins.open"),
    "dataset": ("dataset", OPENS, "its dataset is builtins.open"),
    "augmentation": ("preprocessing.augment.0", OPENS, "is builtins.open, which is no part of diffperc"),
    "hydra's own": ("fit", {"_target_": "hydra.utils.instantiate"}, "its fit is hydra.utils.instantiate, which is no"),
    "through a module": (
        "fit",
        {"_target_": "diffperc.data.pipeline.np.load", "file": "x", "allow_pickle": True},
        "its fit is diffperc.data.pipeline.np.load, which is no class of diffperc",
    ),
    "through a class": (
        "fit",
        {"_target_": "diffperc.checkpoints.native.Path", "x": "y"},
        "which is no class of diffperc",
    ),
    "a function of ours": (
        "fit",
        {"_target_": "diffperc.reports.summary.write_json", "path": "victim.txt", "content": {}},
        "which is no class of diffperc",
    ),
    "another part": (
        "fit",
        {"_target_": "diffperc.heads.FPNHead"},
        "its fit is diffperc.heads.FPNHead, which is no Fit: refused",
    ),
    "through a library": (
        "optimizer.optimizer",
        {"_target_": "torch.optim.lr_scheduler.warnings.warn", "message": "x"},
        "which is no part of diffperc",
    ),
    "of a library, elsewhere": (
        "fit",
        {"_target_": "torch.optim.AdamW"},
        "its fit is torch.optim.AdamW, which is no Fit: refused",
    ),
    "an object where none is": (
        "head.channels",
        {"_target_": "diffperc.models.fit.PadFit"},
        "nothing is built at that place",
    ),
}


@pytest.mark.parametrize("name", CODE)
def test_code_of_a_stranger_is_refused_by_name(
    name: str, sound: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    victim = tmp_path / "victim.txt"
    victim.write_text("mine")
    key, value, sentence = CODE[name]
    file = saved(tmp_path, sound, put(key, value))
    refused(file, sentence)
    with pytest.raises(CheckpointError):
        diffperc.evaluate(file, num_workers=0, folder=tmp_path / "e")
    assert victim.read_text() == "mine"


def test_nobody_is_told_to_trust_python_itself(sound: dict[str, Any], tmp_path: Path) -> None:
    file = saved(tmp_path, sound, put("fit", OPENS))
    with pytest.raises(CheckpointError, match="No model needs that: do not use this file") as caught:
        load(file, "cpu")
    assert "trust=" not in str(caught.value)
    file = saved(tmp_path, sound, put("fit", {"_target_": "mypackage.Fit"}))
    refused(file, "add trust=[mypackage]")


def test_importing_runs_nothing_of_a_stranger(sound: dict[str, Any], tmp_path: Path, monkeypatch: Any) -> None:
    """A module in the current folder may be named, and is not imported unless its package is trusted."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "evil.py").write_text(
        "open('ran', 'w')\nfrom diffperc.models.fit import PadFit\nclass E(PadFit): ...\n"
    )
    file = saved(tmp_path, sound, put("fit", {"_target_": "evil.E"}))
    refused(file, "its fit is evil.E, which is no part of diffperc", trust=("other",))
    assert not (tmp_path / "ran").exists()
    load(file, "cpu", trust=("evil",))
    assert (tmp_path / "ran").exists()


def test_an_untrusted_package_is_not_reached_through_a_trusted_one(
    sound: dict[str, Any], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mypackage.py").write_text("import shutil\n")
    file = saved(tmp_path, sound, put("fit", {"_target_": "mypackage.shutil.rmtree", "path": "."}))
    refused(file, "its fit is mypackage.shutil.rmtree, which is no class of diffperc", trust=("mypackage",))


BOMB = "a: &a [x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 8)}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)
CONFIGS: dict[str, tuple[Any, str]] = {
    "no text": (5, "a text belongs there, found int"),
    "empty": ("", "a text belongs there, found str"),
    "no yaml": ("a: [1", "its part 'config' is damaged"),
    "a list": ("[1, 2]", "keys belong there, found list"),
    "an object of python": ("!!python/object/apply:os.system ['true']", "its part 'config' is damaged"),
    "references": (BOMB, "it refers to another part of itself"),
    "itself": ("&a [*a]", "it refers to another part of itself"),
    "deep": ("[" * 100_000, "its part 'config' is damaged"),
    "long": ("a: " + "x" * 20_000_001, "letters"),
    "nothing in it": ("seed: 0", "it has no task"),
}
VALUES: dict[str, tuple[str, Any, str]] = {
    "environment": ("strategy.x", "${oc.env:HOME}", "strategy.x: refers to something else"),
    "file": ("task.x", "${oc.decode:x}", "refers to something else"),
    "width": ("head.channels", 10**9, "head.channels: a number of 10 digits is too large"),
    "wide": ("head.channels", 60_000, "' is ("),
    "number": ("recipe.steps", 10**400, "recipe.steps: a number of 401 digits is too large"),
    "endless number": ("recipe.steps", 10**4000, "a number of 4001 digits is too large"),
    "date": ("strategy.x", __import__("datetime").date(2020, 1, 1), "strategy.x: is a date"),
    "unknown argument": ("head.colour", "red", "its configuration describes no model"),
    "wrong kind": ("head.channels", "many", "its configuration describes no model"),
    "target": ("fit._target_", 5, "it has no fit"),
    "nowhere": (
        "fit._target_",
        "diffperc.nowhere.Thing",
        "its fit is diffperc.nowhere.Thing, which cannot be imported",
    ),
    "empty target": ("fit._target_", "", "which is no part of diffperc"),
    "dots": ("fit._target_", "diffperc..models", "which cannot be imported"),
    "no protocol": ("task.protocol", None, "its configuration describes no model"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_damaged_configuration_is_a_sentence(name: str, sound: dict[str, Any], tmp_path: Path) -> None:
    text, sentence = CONFIGS[name]
    refused(saved(tmp_path, {**sound, "diffperc": {**sound["diffperc"], "config": text}}), sentence)


@pytest.mark.parametrize("name", VALUES)
def test_a_wrong_value_in_the_configuration_is_a_sentence(name: str, sound: dict[str, Any], tmp_path: Path) -> None:
    key, value, sentence = VALUES[name]
    refused(saved(tmp_path, sound, put(key, value)), sentence)


def architecture(sound: dict[str, Any], **changes: Any) -> str:
    parts = json.loads(sound["diffperc"]["architecture"])
    parts["unet"].update(changes)
    return json.dumps(parts)


def test_a_damaged_architecture_is_a_sentence(sound: dict[str, Any], tmp_path: Path) -> None:
    wrong = {
        "[": "its part 'architecture' is damaged",
        "[]": "the parts of a network belong there",
        '{"unet": 3}': "the parts of a network belong there",
        "[" * 100_000: "its part 'architecture' is damaged",
        "{}": "its configuration describes no model",
        architecture(sound, layers_per_block=10**6): "'layers_per_block' is a number of 7 digits",
        architecture(sound, block_out_channels=[10**9]): "is a number of 10 digits",
        architecture(sound, block_out_channels=["a", "b"]): "x.ckpt",
        architecture(sound, cross_attention_dim=65_536): "' is (",
        architecture(sound, down_block_types=["os.system"] * 4): "x.ckpt",
    }
    for text, sentence in wrong.items():
        refused(saved(tmp_path, {**sound, "diffperc": {**sound["diffperc"], "architecture": text}}), sentence)


def test_damaged_facts_about_the_data_are_a_sentence(sound: dict[str, Any], tmp_path: Path) -> None:
    good = sound["diffperc"]["info"]
    wrong: list[tuple[Any, str]] = [
        (None, "keys belong there, found NoneType"),
        ([1], "keys belong there, found list"),
        ({}, "it has no name"),
        ({**good, "name": 3}, "name must be a text"),
        ({**good, "classes": "abc"}, "classes must be a list"),
        ({**good, "classes": (1, 2)}, "classes must be a list"),
        ({**good, "classes": ("a",) * 70_000}, "classes must be at most 65536 entries"),
        ({**good, "classes": ("a", "b")}, "' is ("),
        ({**good, "max_depth": "far"}, "max_depth must be"),
        ({**good, "expression_length": 10**9}, "expression_length must be at most 65536"),
        ({**good, "colour": 1}, "'colour' is no field of it"),
        ({**good, "keypoints": 3}, "keypoints"),
        ({**good, "keypoints": {"names": ("a",)}}, "it has no swap"),
    ]
    for info, sentence in wrong:
        refused(saved(tmp_path, {**sound, "diffperc": {**sound["diffperc"], "info": info}}), sentence)


def test_damaged_tensors_are_a_sentence(sound: dict[str, Any], tmp_path: Path) -> None:
    state = sound["state_dict"]
    name = next(key for key in state if key.endswith("classify.weight"))
    wrong: list[tuple[Any, str]] = [
        ({**state, name: torch.zeros(1).expand(10**6, 10**6)}, "which is larger than the file: refused"),
        ({**state, name: state[name][:1]}, f"'{name}' is ("),
        ({**state, name: 5}, f"'{name}' is ()"),
        ({**state, name: torch.eye(3).to_sparse()}, "not stored plainly"),
        ({**state, name: torch.empty(3, 3, device="meta")}, "not stored plainly"),
        ({**state, name: torch.full_like(state[name], torch.nan)}, "what is not a number"),
        ({key: state[key] for key in state if key != name}, f"'{name}' is missing"),
        ({**state, "more": torch.zeros(1)}, "nothing uses 'more'"),
        ([1, 2], "was not written by diffperc"),
        ({}, "is missing"),
    ]
    for tensors, sentence in wrong:
        refused(saved(tmp_path, {**sound, "state_dict": tensors}), sentence)


def test_files_that_are_no_checkpoints_are_a_sentence(sound: dict[str, Any], tmp_path: Path) -> None:
    good = saved(tmp_path, sound).read_bytes()
    file = tmp_path / "x.ckpt"

    class Runs:
        def __reduce__(self) -> Any:
            return (Path.write_text, (Path(tmp_path / "ran"), "x"))

    archive = tmp_path / "bomb.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("x/data.pkl", pickle.dumps({"a": 1}))
        with made.open("x/data/0", "w", force_zip64=True) as entry:
            for _ in range(300):
                entry.write(bytes(10**7))
    wrong: dict[bytes, str] = {
        b"": "is empty",
        b"hello": "is no file that torch has written",
        good[:1000]: "cannot be read as weights",
        good[:-1000]: "cannot be read as weights",
        pickle.dumps({"state_dict": Runs(), "diffperc": {}}): "x.ckpt",
        pickle.dumps({"state_dict": Runs(), "diffperc": {}}, protocol=2): "could run code: refused",
        archive.read_bytes(): "is a compressed archive",
        pickle.dumps([1, 2]): "x.ckpt",
        b"\x80\x02" + b"(" * 1_000_000: "x.ckpt",
    }
    for content, sentence in wrong.items():
        file.write_bytes(content)
        refused(file, sentence)
    torch.save({"state_dict": {}, "diffperc": {"format": Runs()}}, file)
    refused(file, "could run code: refused")
    endless: dict[str, Any] = {"diffperc": {}, "state_dict": {}}
    endless["state_dict"]["state_dict"] = endless["state_dict"]
    torch.save(endless, file)
    refused(file, "x.ckpt")
    assert not (tmp_path / "ran").exists()
