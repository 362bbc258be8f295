"""Options of single predictions, and what is said about wrong ones."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from diffperc.checkpoints import set_up_for_inference
from diffperc.commands.predict import predict_files, read_boxes
from diffperc.engine.build import build_dataset, build_preprocess, build_task
from diffperc.errors import CheckpointError, ConfigError, DataError
from diffperc.files.images import read_depth
from diffperc.inference.images import picture
from diffperc.preprocessing import Preprocess
from diffperc.results.depth import DepthResult
from diffperc.tasks import PerceptionTask
from tests.helpers import composed, names

HOW: dict[str, Any] = {"trust": [], "precision": "auto", "optimize": True, "compile": False}
PHOTO = np.random.default_rng(0).integers(0, 255, (75, 130, 3), np.uint8)


def task_of(name: str) -> tuple[PerceptionTask, Any]:
    """A task with random weights, and its predictor."""
    torch.manual_seed(0)
    cfg = composed(f"task={name}", "strategy=unconditional", "dataset.size=[64,64]", "dataset.val_size=2")
    task = build_task(cfg, build_dataset(cfg, "val").info)
    return task, task.predictor(task.model, task.info, task.protocol, build_preprocess(cfg))


def test_the_mirror_image_has_the_mirrored_classes_when_both_are_averaged() -> None:
    _, predictor = task_of("segmentation")
    even = np.concatenate([PHOTO[:, :64], PHOTO[:, 63::-1]], 1)
    mask = predictor(np.ascontiguousarray(even[:64]), flip=True).mask
    assert (mask == mask[:, ::-1]).mean() > 0.99


def test_an_expression_is_needed_and_counts() -> None:
    _, predictor = task_of("referring")
    for nothing in (None, "", "  "):
        with pytest.raises(ConfigError, match="give one"):
            predictor(PHOTO, nothing)
    assert predictor(PHOTO, "the red cube").referent.shape == (75, 130)


def test_boxes_are_checked() -> None:
    _, predictor = task_of("pose")
    (whole,) = predictor(PHOTO)
    assert whole.box == (0, 0, 130, 75)
    (again,) = predictor(PHOTO, boxes=[[0, 0, 130, 75]])
    np.testing.assert_allclose(again.points, whole.points)
    for box in ([500, 5, 60, 70], [5, 5, -1, 70], [1, 2, 3], ["a", 1, 1, 1]):
        with pytest.raises(ConfigError, match="boxes: "):
            predictor(PHOTO, boxes=[box])


def test_boxes_come_from_a_list_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps({"a.jpg": [[1, 2, 3, 4]]}))
    assert read_boxes(str(file)) == {"a.jpg": [[1, 2, 3, 4]]}
    assert read_boxes([[1, 2, 3, 4]]) == [[1, 2, 3, 4]]
    assert read_boxes(None) is None
    for content in ("no json", "3"):
        file.write_text(content)
        with pytest.raises(DataError, match="boxes: "):
            read_boxes(str(file))


def test_an_option_of_another_task_is_named(tmp_path: Path) -> None:
    task, _ = task_of("segmentation")
    torch.save({"state_dict": task.state_dict(), "diffperc": task.provenance}, tmp_path / "x.ckpt")
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    cfg = {"ckpt": str(tmp_path / "x.ckpt"), "input": str(tmp_path / "photo.png"), "output": str(tmp_path / "out")}
    cfg |= {"device": "cpu", "scene": "hall", "expression": None, "boxes": None, "flip": None, "caption": None}
    cfg |= {"overwrite": False, "max_side": None} | HOW
    with pytest.raises(ConfigError, match=r"scene: this model has no such option; it has flip, caption\."):
        predict_files(OmegaConf.create(cfg))
    assert not (tmp_path / "out").exists()
    predict_files(OmegaConf.create({**cfg, "scene": None}))
    assert Image.open(tmp_path / "out/photo_mask.png").size == (130, 75)


RAMP = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16
GREY = np.repeat(PHOTO[..., :1], 3, -1)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((PHOTO / 255).astype(np.float32), PHOTO),
        (PHOTO.astype(np.float64), PHOTO),
        ((PHOTO / 255).astype(np.float64), PHOTO),
        (PHOTO.astype(np.uint16) * 257, PHOTO),
        (PHOTO.astype(np.int64), PHOTO),
        (PHOTO[..., 0], GREY),
        (PHOTO[..., :1], GREY),
        (PHOTO[..., 0] > 127, np.where(GREY > 127, 255, 0)),
        (np.dstack([PHOTO, PHOTO[..., 0]]), PHOTO),
        (PHOTO.transpose(2, 0, 1), PHOTO),
        (torch.from_numpy(PHOTO.transpose(2, 0, 1).copy()), PHOTO),
        (torch.from_numpy(PHOTO.copy()), PHOTO),
        (torch.from_numpy(PHOTO.transpose(2, 0, 1) / 255).float(), PHOTO),
        (torch.from_numpy(PHOTO[..., 0].copy()), GREY),
        (Image.fromarray(PHOTO), PHOTO),
        (Image.fromarray(np.dstack([PHOTO, PHOTO[..., 0]])), PHOTO),
        (Image.fromarray(RAMP), np.repeat((RAMP >> 8)[..., None], 3, -1)),
    ],
)
def test_images_of_many_kinds_are_told_apart(given: Any, expected: np.ndarray) -> None:
    found = picture(given)
    assert found.dtype == np.uint8
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "found NoneType"),
        (3, "found int"),
        (np.zeros((0, 0, 3), np.uint8), "with 1 to 4 channels, found ndarray"),
        (np.zeros((5, 5, 5), np.uint8), r"found ndarray \(5, 5, 5\) uint8"),
        (np.full((4, 4, 3), np.nan), "must hold numbers from 0 to 255"),
        (np.full((4, 4, 3), -0.5), "undo a normalisation first"),
        (np.full((4, 4, 3), 1.5), "neither in"),
        (np.full((4, 4, 3), 300.0), "from 300 to 300"),
        (np.full((4, 4, 3), 3000, np.uint16), "may have 12 or 16 bits"),
        (np.full((4, 4, 3), 1000, np.int32), "must hold numbers from 0 to 255"),
        (np.full((4, 4, 3), "x"), "must hold numbers, found"),
        (Image.fromarray(np.zeros((4, 4), np.float32)), "holds 32-bit numbers"),
        (b"no image", "cannot be read as an image"),
        ("http://127.0.0.1:9/x.png", "cannot be downloaded"),
        ("nowhere.png", "there is no such file"),
    ],
)
def test_what_is_no_image_or_could_mean_several_is_refused(given: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        picture(given)


def test_an_image_comes_from_an_address_or_from_bytes(tmp_path: Path) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        assert np.array_equal(picture(f"{address}/photo.png"), PHOTO)
        with pytest.raises(DataError, match=r"none.png: cannot be downloaded \(File not found\)"):
            picture(f"{address}/none.png")
        server.shutdown()
    assert np.array_equal(picture((tmp_path / "photo.png").read_bytes()), PHOTO)


def test_several_images_give_several_results() -> None:
    _, predictor = task_of("segmentation")
    alone = predictor(PHOTO)
    for several in ([PHOTO, Image.fromarray(PHOTO)], torch.from_numpy(PHOTO.transpose(2, 0, 1).copy())[None]):
        assert all(np.array_equal(found, alone) for found in predictor(several))


def test_options_are_checked_from_python_too() -> None:
    _, predictor = task_of("depth")
    for options, message in (
        ({"flip": "yes"}, "flip: must be true, false or null, found 'yes'"),
        ({"caption": ["a"]}, "caption: must be a text"),
        ({"expression": "x"}, "expression: this model has no such option"),
        ({"scene": "nowhere"}, "scene: 'nowhere' is not a label"),
    ):
        with pytest.raises(ConfigError, match=message):
            predictor(PHOTO, **options)


def test_a_network_that_computes_no_numbers_is_said() -> None:
    task, predictor = task_of("segmentation")
    next(iter(task.model.head.parameters())).data.fill_(torch.nan)
    with pytest.raises(CheckpointError, match="the network's output is not a number"):
        predictor(PHOTO)


@pytest.fixture
def checkpoint(tmp_path: Path) -> dict[str, Any]:
    """A configuration of predict, for a segmentation network with random weights."""
    task, _ = task_of("segmentation")
    torch.save({"state_dict": task.state_dict(), "diffperc": task.provenance}, tmp_path / "x.ckpt")
    (tmp_path / "in").mkdir()
    cfg = {"ckpt": str(tmp_path / "x.ckpt"), "input": str(tmp_path / "in"), "output": str(tmp_path / "out")}
    cfg |= {"device": "cpu", "flip": None, "caption": None, "overwrite": False, "max_side": None}
    return cfg | HOW


def test_one_bad_file_does_not_stop_a_folder(checkpoint: dict[str, Any], tmp_path: Path) -> None:
    place = tmp_path / "in"
    Image.fromarray(PHOTO).save(place / "good.PNG")
    Image.fromarray(PHOTO).save(place / "-a\nnew ö.png")
    Image.new("L", (20000, 20000)).save(place / "huge.png")
    (place / "cut.png").write_bytes((place / "good.PNG").read_bytes()[:500])
    (place / "folder.png").mkdir()
    Image.fromarray(PHOTO).save(place / f"{'x' * 250}.png")
    with pytest.raises(DataError) as caught:
        predict_files(OmegaConf.create(checkpoint))
    said = caught.value.sentence
    for part in ("huge.png: has more than", "cut.png: cannot be read", "folder.png: is a folder", "File name too long"):
        assert part in said
    assert (tmp_path / "out/good_mask.png").is_file()
    assert (tmp_path / "out/-a\nnew ö_mask.png").is_file()
    assert not list((tmp_path / "out").glob(".*"))


def test_nothing_is_replaced_unless_wanted(checkpoint: dict[str, Any], tmp_path: Path) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "in/a.png")
    mine = tmp_path / "in/a_mask.png"
    mine.write_text("mine")
    into = checkpoint | {"output": str(tmp_path / "in"), "input": str(tmp_path / "in/a.png")}
    with pytest.raises(DataError, match=r"a_mask.png is there already \(1 files in all\); give another output"):
        predict_files(OmegaConf.create(into))
    assert mine.read_text() == "mine"
    predict_files(OmegaConf.create(into | {"overwrite": True}))
    assert Image.open(mine).size == (130, 75)


def test_a_large_image_is_reduced_and_that_is_said(
    checkpoint: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (900, 2), (200, 10, 10)).save(tmp_path / "in/long.png")
    predict_files(OmegaConf.create(checkpoint | {"max_side": 256}))
    assert "(reduced to 256x1 pixels before the prediction, by max_side)" in capsys.readouterr().out
    assert Image.open(tmp_path / "out/long_mask.png").size == (900, 2)
    assert Preprocess(short_side=64).evaluation_size(1, 4000) == ((1, 4096), True)


@pytest.mark.parametrize(("largest", "scale"), [(5.0, 1000), (65.5, 1000), (79.9, 256), (255.9, 256), (900.0, 72)])
def test_depth_is_written_so_that_it_is_read_back(largest: float, scale: int, tmp_path: Path) -> None:
    depth = np.linspace(largest / 2, largest, 16, dtype=np.float32).reshape(4, 4)
    DepthResult(np.zeros((4, 4, 3), np.uint8), depth, lambda: depth).write(tmp_path / "photo")
    back = read_depth(tmp_path / "photo_depth.png", 1000.0)
    np.testing.assert_allclose(back, depth, atol=0.5 / scale + 1e-5)
    assert json.loads((tmp_path / "photo_depth.json").read_text())["counts_per_metre"] == scale


@pytest.mark.parametrize("name", names("task"))
def test_every_task_predicts_in_the_precision_of_its_network(name: str) -> None:
    options = {"expression": "the cup"} if name == "referring" else {}

    def predicted(precision: str) -> Any:
        task, predictor = task_of(name)
        set_up_for_inference(task.model, torch.device("cpu"), precision, optimize=False)
        found = predictor(PHOTO, **options)
        return found.scores if name == "pose" else np.asarray(found)

    usual, precise = predicted("32-true"), predicted("64-true")
    assert np.isclose(usual, precise, rtol=1e-3, atol=1e-3).mean() > 0.99
