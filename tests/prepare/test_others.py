"""From the archives of Cityscapes, COCO and RefCOCO to the data sets; the machinery is tested with ADE20K."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from diffperc.data import Cityscapes, COCOPose, RefCOCO
from tests.fakes import cityscapes, coco_pose, refcoco
from tests.helpers import persons
from tests.prepare.tools import files, pack, run, times


def test_cityscapes_keeps_images_and_label_ids(tmp_path: Path) -> None:
    source, out = cityscapes.write_root(tmp_path), tmp_path / "out"
    cityscapes.write_frame(source, "test", "berlin_000000_000019", np.zeros((17, 16), np.uint8))
    members, more = files(source), {"README": b"", "license.txt": b""}
    archives = [
        pack(
            tmp_path / f"{name}_trainvaltest.zip",
            {m: c for m, c in members.items() if m.startswith(name)} | more,
        )
        for name in ("leftImg8bit", "gtFine")
    ]
    result = run("cityscapes", "--archive", archives[0], "--out", out)
    assert result.code == 2
    assert "There is no file *_gtFine_labelIds.png in" in result.err
    result = run("cityscapes", "--archive", *archives, "--out", out)
    assert result.out == f"ready: 2 training, 1 validation frames in {out}; the published data set has 2975 and 500\n"
    assert files(out) == {
        m: c for m, c in members.items() if "/test/" not in m and m.endswith(("_leftImg8bit.png", "_labelIds.png"))
    }
    prepared, before = (Cityscapes("train", str(root)) for root in (out, source))
    assert all(np.array_equal(prepared.target(i), before.target(i)) for i in range(2))
    written = times(out)
    assert run("cityscapes", "--archives", tmp_path, "--out", out).out.startswith("nothing to do")
    assert times(out) == written
    result = run("cityscapes", "--out", tmp_path / "other")
    assert result.code == 2
    assert "Cityscapes needs a login: register at https://www.cityscapes-dataset.com" in result.err


def test_coco_keeps_images_and_keypoints(tmp_path: Path) -> None:
    source, out = coco_pose.write_root(tmp_path), tmp_path / "out"
    members = files(source)
    unwanted = {"annotations/instances_train2017.json": b"{}", "annotations/captions_val2017.json": b"{}"}
    for name in ("train2017", "val2017", "annotations"):
        chosen = {m: c for m, c in members.items() if m.startswith(f"{name}/")}
        pack(tmp_path / f"{name}{'_trainval2017' * (name == 'annotations')}.zip", chosen | unwanted)
    result = run("coco", "--archives", tmp_path, "--out", out)
    assert result.out == f"ready: 3 training, 3 validation persons in {out}\n"
    assert files(out) == members
    prepared, before = (COCOPose("val", str(root)) for root in (out, source))
    assert persons(prepared) == persons(before)
    assert np.array_equal(prepared[0].image, before[0].image)
    written = times(out)
    assert run("coco", "--archives", tmp_path, "--out", out).out.startswith("nothing to do")
    assert times(out) == written
    result = run("coco", "--archive", tmp_path / "annotations_trainval2017.zip", "--out", tmp_path / "other")
    assert result.code == 2
    assert "train2017" in result.err


def test_refcoco_unpacks_the_images_that_refs_name(tmp_path: Path) -> None:
    source, out = refcoco.write_root(tmp_path), tmp_path / "out"
    plus = source / "refcoco+"
    shutil.copytree(source / "refcoco", plus)
    refs = [refcoco.ref(0, 10, "train", "dog", image=3), refcoco.ref(1, 10, "val", "a dog", image=3)]
    refcoco.write_refs(source, refs).replace(plus / "refs(unc).p")
    refcoco.write_refs(source, refcoco.REFS)
    instances = json.loads((plus / "instances.json").read_text())
    instances["images"].append(instances["images"][0] | {"id": 3, "file_name": "COCO_train2014_000000000003.jpg"})
    (plus / "instances.json").write_text(json.dumps(instances))
    photos = {f"train2014/COCO_train2014_{i:012d}.jpg": b"not wanted" for i in (2, 4)}
    for i in (1, 3):
        file = tmp_path / f"COCO_train2014_{i:012d}.jpg"
        Image.new("RGB", (refcoco.WIDTH, refcoco.HEIGHT), (i, 0, 0)).save(file)
        photos[f"train2014/{file.name}"] = file.read_bytes()
    zips = tmp_path / "zips"
    for name in ("refcoco", "refcoco+"):
        members = {f"{name}/{m}": c for m, c in files(source / name).items()}
        pack(zips / f"{name}.zip", members | {f"__MACOSX/{name}/._instances.json": b"x", f"{name}/.DS_Store": b"x"})
    pack(zips / "train2014.zip", photos)
    result = run("refcoco", "--archives", zips, "--out", out)
    assert result.code == 0, result.err
    assert result.out == (
        f"ready: 2 training refs, 3 validation sentences in {out / 'refcoco'}\n"
        f"ready: 1 training refs, 1 validation sentences in {out / 'refcoco+'}\n"
    )
    assert files(out).keys() == {
        *(f"{name}/{file}" for name in ("refcoco", "refcoco+") for file in ("refs(unc).p", "instances.json")),
        *(f"images/train2014/COCO_train2014_{i:012d}.jpg" for i in (1, 3)),
    }
    prepared, before = (RefCOCO("train", str(root)) for root in (out, source))
    assert prepared[0].expressions == before[0].expressions == ("Left dog", "the DOG  on the left")
    assert np.array_equal(prepared.target(0), before.target(0))
    assert abs(int(RefCOCO("val", str(out), "refcoco+")[0].image[0, 0, 0]) - 3) <= 1
    written = times(out)
    again = run("refcoco", "--archives", zips, "--out", out)
    assert again.out.count("nothing to do") == 1
    assert times(out) == written


def test_refcoco_says_what_is_missing(tmp_path: Path) -> None:
    source = refcoco.write_root(tmp_path)
    photos = pack(tmp_path / "train2014.zip", {"train2014/COCO_train2014_000000000001.jpg": b"x"})
    result = run("refcoco", "--archive", photos, "--out", tmp_path / "out")
    assert result.code == 2
    assert "has no refcoco*/refs(*).p, and no archive with them is given" in result.err
    refs = pack(tmp_path / "refcoco.zip", {f"refcoco/{m}": c for m, c in files(source / "refcoco").items()})
    result = run("refcoco", "--archive", refs, "--out", tmp_path / "out")
    assert result.code == 2
    assert "there is no folder 'images/train2014'" in result.err
