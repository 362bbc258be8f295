"""``python -m diffperc.data inspect``, as typed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from diffperc.config.compose import task_of_dataset
from tests.fakes import camvid, folder
from tests.fakes.coco_pose import write_root as write_coco
from tests.helpers import call_all, composed

SMALL = ["preprocessing.short_side=24", "preprocessing.crop=24", "step_seconds=1000"]
Done = tuple[Path, dict[str, tuple[int, str]]]
QUICK = ["num_workers=0", "seconds=0.1", "recipe.batch_size=2"]


def report(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Good data, bad data, persons without images and an empty folder, looked through in one process."""
    place = tmp_path_factory.mktemp("inspect")
    (place / "leer ü").mkdir()
    options = {
        "good": ["dataset=camvid", f"dataset.root={write_good(place / 'good data')}", "task=segmentation", *SMALL],
        "bad": ["dataset=folder", f"dataset.root={write_bad(place)}", "task=segmentation"],
        "persons": ["dataset=coco_pose", f"dataset.root={write_coco(place / 'coco')}", "task=pose"],
        "half": ["dataset=camvid", f"dataset.root={place / 'good data'}", "task=segmentation", *SMALL, "splits=[val]"],
        "wrong": ["dataset=scenes", "samples=0"],
        "few": ["dataset=camvid", f"dataset.root={place / 'good data'}", "task=segmentation", "recipe.batch_size=3"],
        "empty": ["dataset=folder", "dataset.root=leer ü", "task=referring"],
    }
    jobs = [("inspect", [*QUICK, *o, f"hydra.run.dir={name}"]) for name, o in options.items()]
    return place, dict(zip(options, call_all(jobs, place), strict=True))


def write_good(root: Path) -> Path:
    """Frames of one class each; see their writer."""
    for split, name, value in (("train", "a", 3), ("train", "b", 8), ("val", "c", 3)):
        camvid.write_frame(root, split, name, value)
    for split, names in (("train", "a\nb\n"), ("val", "c\n")):
        (root / f"{split}.txt").write_text(names)
    return root


def write_bad(place: Path) -> Path:
    """An unreadable image, a mask of another size, an id out of range, an image without mask, a list naming one twice."""
    root = folder.write_root(place)
    for i in range(5, 9):
        folder.write_image(root / f"images/{i}.jpg", i)
        folder.write_mask(root / f"masks/{i}.png", 1)
    (root / "images/5.jpg").write_bytes((root / "images/5.jpg").read_bytes()[:300])
    folder.write_mask(root / "masks/5.png", 77)  # both are bad
    Image.fromarray(np.zeros((10, 12), np.uint8)).save(root / "masks/6.png")
    folder.write_mask(root / "masks/7.png", 9)
    (root / "masks/8.png").unlink()
    (root / "val.txt").write_text("4.jpg\nkitchen/1\n4\nnone.jpg\n")
    return root


def test_good_data_is_counted_measured_and_drawn(done: Done) -> None:
    place, results = done
    assert results["good"] == (0, "")
    found = report(place / "good")
    assert (found["task"], found["problems"], found["complete"]) == ("SegmentationTask", [], True)
    train = found["splits"]["train"]
    assert (train["samples"], train["sizes"]) == (2, {"32x24": 2})
    assert {name: c["share"] for name, c in train["counts"].items() if c["samples"]} == {"road": 0.5, "car": 0.5}
    assert [c["samples"] for c in found["splits"]["val"]["counts"].values()] == [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    assert found["notes"][0].startswith("train: 9 of 11 classes do not occur: sky, building, pole, pavement")
    assert found["loader"]["images_per_second"] > found["loader"]["needed_per_second"] == 0.002
    assert np.asarray(Image.open(place / "good/montage.png")).std() > 10


def test_bad_data_is_listed_all_at_once(done: Done) -> None:
    place, results = done
    problems = (place / "bad/problems.txt").read_text(encoding="utf-8").splitlines()
    expected = {
        "images/5.jpg: cannot be read as an image": 1,
        "masks/5.png: holds class id 77; the data set has 3 classes (0-2)": 1,
        "masks/6.png: mask is 12x10 pixels, its image 6.jpg is 32x24;": 1,
        "masks/7.png: holds class id 9;": 1,
        "masks/8' with the suffix .png. Add it, or remove the image.": 1,
        "val.txt, line 3: names '4' again, after line 1.": 1,
        "val.txt, line 4: there is no image 'none.jpg'": 1,
    }
    assert {text: sum(text in p for p in problems) for text in expected} == expected
    found = report(place / "bad")
    assert len(problems) == len(expected) == len(found["problems"])
    assert found["splits"]["val"]["samples"] == 2
    code, said = results["bad"]
    assert code == 2
    assert said.startswith("error: the data cannot be used as it is: 7 problems, listed in")


def test_missing_images_of_persons_are_listed_and_the_rest_can_be_used(done: Done) -> None:
    place, results = done
    assert results["persons"][0] == 0
    found = report(place / "persons")
    notes = [n for n in found["notes"] if "lists the image '000000000003.jpg', which is not in" in n]
    assert len(notes) == 2  # of either split
    assert [c["count"] for c in found["splits"]["train"]["counts"].values()][:4] == [3, 3, 3, 2]


def test_fewer_samples_than_a_batch_are_a_problem_as_in_training(done: Done) -> None:
    place, results = done
    assert results["few"][0] == 2
    assert report(place / "few")["problems"] == [
        "train: has 2 samples, fewer than recipe.batch_size=3; set recipe.batch_size=2, or less."
    ]


def test_an_empty_folder_is_a_sentence(done: Done) -> None:
    place, results = done
    assert results["empty"][0] == 2
    (problem,) = report(place / "empty")["problems"]
    assert problem.startswith("Folder: there is neither a folder 'images' with images in leer ü nor a table")


def test_one_split_alone_and_numbers_that_make_no_sense(done: Done) -> None:
    place, results = done
    assert results["half"][0] == 0
    assert list(report(place / "half")["splits"]) == ["val"]
    assert results["wrong"] == (2, "error: samples: must be a number of at least 1, found 0.\n")


def test_a_data_set_tells_its_task() -> None:
    assert task_of_dataset(["dataset=camvid", "dataset.root=x"]) == "segmentation"
    assert task_of_dataset(["dataset=coco_pose"]) == "pose"
    assert task_of_dataset(["dataset=scenes"]) is None  # serves every task: as configured, which is depth
    assert composed("dataset=scenes").task._target_.endswith("DepthTask")
    for typed in (["dataset=camvid", "task=depth"], ["experiment=x", "dataset=camvid"], ["dataset=unknown"], []):
        assert task_of_dataset(typed) is None


def test_it_is_called_by_its_name(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "diffperc.data"]
    wrong = subprocess.run([*command, "inspekt"], capture_output=True, text=True, cwd=tmp_path)
    assert wrong.returncode == 2
    assert wrong.stderr == "error: there is no 'inspekt'; usage: python -m diffperc.data inspect dataset=...\n"
    helped = subprocess.run([*command, "inspect", "--help"], capture_output=True, text=True, cwd=tmp_path)
    assert helped.returncode == 0
    assert "exit code 0: the data can be used" in helped.stdout


@pytest.mark.slow
def test_ctrl_c_reports_what_was_seen(tmp_path: Path) -> None:
    arguments = ["inspect", "dataset=scenes", "dataset.train_size=100000", "hydra.run.dir=out"]
    command = [sys.executable, "-m", "diffperc.data", *arguments]
    running = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        # a parent that ignores the signal, as shells do for jobs in the background, would hand that down
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with pytest.raises(subprocess.TimeoutExpired):
        running.wait(30)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130, out + err
    assert "Traceback" not in err
    assert "stopped after " in out
    assert report(tmp_path / "out")["complete"] is False
    assert report(tmp_path / "out")["splits"]["train"]["samples"] > 0
