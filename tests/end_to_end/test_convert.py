"""``python -m diffperc.convert`` as a stranded user types it."""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from diffperc.backbones import StableDiffusionBackbone
from tests.fakes.authors import authors_state
from tests.fakes.nyuv2 import write_root
from tests.helpers import call, call_all


class Evil:
    """Runs something when a pickle of it is opened."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return (os.system, (f"touch '{self.target}'",))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A converted depth checkpoint in ``out``, from a file as the authors' training leaves it."""
    folder = tmp_path_factory.mktemp("convert")
    state = {f"module.{k}": v for k, v in authors_state("vpd_depth", width=64).items()}
    extras = {"args": argparse.Namespace(lr=1e-4, gpu=0), "best": np.float64(0.25), "epoch": 24}
    torch.save({"model": state, "optimizer": {"state": {}}, **extras}, folder / "my vpd.ckpt")
    done = call("convert", "my vpd.ckpt", "out=out", cwd=folder)
    assert "vpd_depth" in done.stdout
    assert "nyuv2" in done.stdout
    assert "32, 64, 64, 64" in done.stdout
    assert "written: out/vpd_depth.ckpt" in done.stdout
    return folder


@pytest.mark.slow
def test_predict_and_evaluate_read_what_was_converted(folder: Path) -> None:
    assert {p.name for p in folder.iterdir()} == {"my vpd.ckpt", "out"}
    assert [p.name for p in (folder / "out").iterdir()] == ["vpd_depth.ckpt"]
    pixels = np.random.default_rng(0).integers(0, 255, (75, 130, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "photo.png")
    root = write_root(folder)
    small = ["num_workers=0", "hydra.run.dir=scored"]
    shutil.copy(folder / "out/vpd_depth.ckpt", folder / "out/again.ckpt")
    found = call_all(
        [
            ("predict", ["ckpt=out/vpd_depth.ckpt", "input=photo.png", "output=predicted", "scene=kitchen"]),
            (
                "evaluate",
                [
                    "ckpt=out/*.ckpt",
                    f"root={root}",
                    "protocol=kitti_eigen",
                    "protocol.windows=1",
                    "protocol.flip=false",
                    *small,
                ],
            ),
            ("evaluate", ["ckpt=out/vpd_depth.ckpt", f"root={root}", "protocol=ade20k_ms"]),
            ("evaluate", ["ckpt=nothing/*.ckpt"]),
        ],
        folder,
    )
    assert [code for code, _ in found] == [0, 0, 2, 2], found
    assert "task=depth is scored by a DepthProtocol; leave it out to use nyu_eigen" in found[2][1]
    assert "ckpt: no file matches 'nothing/*.ckpt'" in found[3][1]
    depth = np.load(folder / "predicted/photo_depth.npy")
    assert depth.shape == (75, 130)
    assert 0 < depth.min() < depth.max() < 10
    with (folder / "scored/results.csv").open() as file:
        first, second = csv.DictReader(file)
    summary = json.loads((folder / "scored/1/summary.json").read_text())
    assert first.pop("checkpoint").endswith("out/again.ckpt")
    assert second.pop("checkpoint").endswith("out/vpd_depth.ckpt")
    assert first == second
    assert (first["protocol"], first["dataset"], first["images"]) == ("kitti_eigen", "nyuv2", "2")
    assert 0 < float(first["rmse_m"]) < 10
    assert float(first["rmse_m"]) == pytest.approx(summary["metrics"]["val/rmse_m"], abs=1e-4)


def test_a_referring_checkpoint_takes_its_text_encoder_along(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = StableDiffusionBackbone(config="tiny").text_encoder()
    encoder.model.save_pretrained(tmp_path / "clip/text_encoder")
    encoder.tokenizer.save_pretrained(tmp_path / "clip/tokenizer")
    encoder.model.save_pretrained(tmp_path / "half/text_encoder")
    (tmp_path / "broken/text_encoder").mkdir(parents=True)
    (tmp_path / "broken/text_encoder/config.json").write_text("{")
    width = encoder.model.config.hidden_size
    torch.save({"model": authors_state("vpd_referring", width=width)}, tmp_path / "r.pth")
    torch.save({"model": authors_state("vpd_referring", width=32)}, tmp_path / "narrow.pth")
    Image.fromarray(np.full((40, 60, 3), 99, np.uint8)).save(tmp_path / "photo.png")
    clip = "text_encoder=clip"
    found = call_all(
        [
            ("convert", ["ckpt=r.pth", "out=out", clip, "trained_on=refcoco+"]),
            ("predict", ["ckpt=out/vpd_referring.ckpt", "input=photo.png", "output=p", "expression=the red cube"]),
            ("convert", ["ckpt=narrow.pth", "out=other", clip]),
            ("convert", ["ckpt=r.pth", "out=other", "text_encoder=nowhere"]),
            ("convert", ["ckpt=r.pth", "out=other", "text_encoder=half"]),
            ("convert", ["ckpt=r.pth", "out=other", "text_encoder=broken"]),
            ("convert", ["ckpt=r.pth", "out=other", "text_encoder=null"]),
        ],
        tmp_path,
    )
    assert [code for code, _ in found] == [0, 0, 2, 2, 2, 2, 2], found
    assert np.asarray(Image.open(tmp_path / "p/photo_referent.png")).shape == (40, 60)
    assert f"the tokens of clip are {width} wide, this model reads 32" in found[2][1]
    assert "text_encoder: there is no file or folder 'nowhere'" in found[3][1]
    assert "a text encoder needs its tokenizer" in found[4][1]
    assert "is damaged, or not the config of a text encoder" in found[5][1]
    assert "text_encoder: must not be empty" in found[6][1]
    assert not (tmp_path / "other").exists()


BAD = {
    "truncated": "truncated.ckpt: cannot be read as weights, it is damaged or incomplete (",
    "missing": "1 tensor missing, the first 'encoder.text_adapter.fc.2.bias'",
    "shape": "'encoder.gamma' of shape (65,) instead of (64,)",
    "copies": "'encoder.cross_unet_conv2.0.bias' and 'encoder.unet.unet.diffusion_model.out.0.bias' are copies of one",
    "code": "it refers to 'posix.system', which is not plain data and could run code: refused",
    "other": "is none of the known checkpoints",
    "absent": "absent.ckpt: there is no such file",
    "empty": "empty.ckpt: is empty; download it again",
    "dataset": "this vpd_depth checkpoint is not one of 'kitti'",
    "folder": "a folder: is a folder, not a file",
    "damaged": "damaged.ckpt: cannot be read as weights, it is damaged or incomplete (",
    "same": "is the checkpoint itself; choose another folder for out",
    "full": "cannot be written",
}


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, tuple[int, str]]]:
    """What each bad file gives, and the folder."""
    folder = tmp_path_factory.mktemp("bad")
    good = authors_state("vpd_depth", width=64)
    prompts = authors_state("meta_prompts_depth", width=64)
    name = "encoder.cross_unet_conv2.0.bias"
    contents: dict[str, Any] = {
        "truncated": good,
        "missing": {k: v for k, v in good.items() if k != "encoder.text_adapter.fc.2.bias"},
        "shape": {**good, "encoder.gamma": torch.zeros(65)},
        "copies": {**prompts, name: prompts[name] + 1},
        "code": {"model": good, "more": Evil(folder / "proof")},
        "other": {"weight": torch.zeros(3)},
        "dataset": good,
        "vpd_depth": good,
        "full": good,
    }
    for case, content in contents.items():
        torch.save(content, folder / f"{case}.ckpt")
    content = (folder / "truncated.ckpt").read_bytes()
    (folder / "truncated.ckpt").write_bytes(content[: len(content) // 2])
    (folder / "empty.ckpt").write_bytes(b"")
    (folder / "damaged.ckpt").write_bytes(b"\x80\x02h\x05.")
    (folder / "a folder").mkdir()
    (folder / "a file").write_text("")
    options = {
        "dataset": ["out=out", "trained_on=kitti"],
        "same": ["out=."],
        "full": ["out=a file/out"],
    }
    jobs = []
    for case in BAD:
        file = {"same": "vpd_depth.ckpt", "folder": "a folder"}.get(case, f"{case}.ckpt")
        jobs.append(("convert", [f"ckpt={file}", *options.get(case, ["out=out"])]))
    return folder, dict(zip(BAD, call_all(jobs, folder), strict=True))


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_gets_a_sentence_and_nothing_is_written(
    case: str, bad: tuple[Path, dict[str, tuple[int, str]]]
) -> None:
    folder, found = bad
    code, said = found[case]
    assert code == 2
    assert said.startswith("error: ")
    assert BAD[case] in said
    assert "Traceback" not in said
    assert not (folder / "out").exists()
    assert not (folder / "proof").exists()
    assert not list(folder.rglob("*.part"))
