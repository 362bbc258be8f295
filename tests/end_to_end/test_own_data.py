"""The commands of docs/own-data.md, typed as they stand there, on folders that look as it says."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.fakes.coco_pose import annotation
from tests.helpers import call_all

ROOT = Path(__file__).resolve().parents[2]
SECTION = re.compile(r"^## (\w+).*?```bash\n(.*?)```", re.DOTALL | re.MULTILINE)
COMMANDS = {
    title.lower(): body.strip().splitlines() for title, body in SECTION.findall((ROOT / "docs/own-data.md").read_text())
}
# what makes it a matter of seconds
QUICK = {
    "inspect": ["num_workers=0", "seconds=0", "recipe.batch_size=4"],
    "diffperc.train": ["recipe.batch_size=2", "recipe.steps=2", "recipe.val_every_steps=1", "num_workers=0"],
}
SIZES = ((64, 80), (70, 64), (80, 96), (64, 64), (90, 70), (64, 72))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photograph, and `mydata` with the ground truth of every task for six images of different sizes."""
    place = tmp_path_factory.mktemp("own")
    data = place / "mydata"
    for name in ("images", "masks", "depth", "normals"):
        (data / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows, images, annotations = [], [], []
    for i, (height, width) in enumerate(SIZES):
        Image.fromarray(rng.integers(0, 255, (height, width, 3), np.uint8)).save(data / f"images/{i}.jpg")
        Image.fromarray(rng.choice([0, 1, 7, 255], (height, width)).astype(np.uint8)).save(data / f"masks/{i}.png")
        Image.fromarray(rng.integers(0, 20000, (height, width)).astype(np.uint16)).save(data / f"depth/{i}.png")
        normals = rng.integers(200, 255, (height, width, 3), np.uint8) // [2, 2, 1]
        Image.fromarray(normals.astype(np.uint8)).save(data / f"normals/{i}.png")
        rows.append({"file_name": f"{i}.jpg", "mask": f"{i}.png", "expression": f"thing number {i}"})
        images.append({"id": i, "file_name": f"{i}.jpg", "height": height, "width": width})
        annotations.append(annotation(i + 1, i, [2, 3, 40, 50]))
    (data / "classes.yaml").write_text("{0: road, 1: sidewalk, 7: car}")
    (data / "expressions.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    persons = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    (data / "keypoints.json").write_text(json.dumps(persons))
    Image.fromarray(rng.integers(0, 255, (75, 100, 3), np.uint8)).save(place / "photo.jpg")
    return place


def test_there_is_a_section_a_task() -> None:
    assert list(COMMANDS) == ["segmentation", "depth", "referring", "pose", "normals"]
    assert all(len(lines) == 3 for lines in COMMANDS.values())


@pytest.mark.parametrize("task", COMMANDS)
def test_the_tutorial_works(task: str, place: Path) -> None:
    jobs = []
    for line in COMMANDS[task]:
        _, _, module, *arguments = shlex.split(line)
        if module == "diffperc.data":
            assert arguments.pop(0) == "inspect"
            module = "inspect"
        own = [a.replace("runs/mine", f"runs/{task}") for a in arguments]
        jobs.append((module.removeprefix("diffperc."), [*own, *QUICK.get(module, [])]))
    found = call_all(jobs, place)
    assert [code for code, _ in found] == [0, 0, 0], found
    results = {
        "segmentation": "mask.png",
        "depth": "depth.npy",
        "referring": "referent.png",
        "pose": "pose.json",
        "normals": "normals.npy",
    }
    assert (place / "predictions" / f"photo_{results[task]}").is_file()
    assert json.loads((place / f"runs/{task}/summary.json").read_text())["protocol"] == "plain"
