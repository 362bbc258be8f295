"""COCO's persons in its true layout and format, written by the test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from diffperc.data.datasets.coco_pose import COCOPose
from diffperc.data.diagnostics import Collected
from diffperc.engine.build import build_preprocess, build_protocol
from diffperc.errors import DataError
from diffperc.targets import KeypointsTarget
from diffperc.types import Person
from diffperc.types.keypoints import COCO_KEYPOINTS
from tests.contracts.dataset import DatasetContract
from tests.fakes.coco_pose import HEIGHT, WIDTH, annotation, write_root
from tests.helpers import SHARED, composed, persons


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_root(tmp_path)


def open_(root: Path, split: Any = "train", **arguments: Any) -> COCOPose:
    return COCOPose(split, str(root), **arguments)


@pytest.mark.parametrize("split", ["train", "val"])
def test_one_sample_a_person_with_a_labelled_joint(root: Path, split: str) -> None:
    """Left out: no joint labelled, a crowd, a box outside the image, an image that is not there."""
    dataset = open_(root, split)
    found = persons(dataset)
    assert [p.annotation_id for p in found] == [10, 11, 15]
    assert [p.image_id for p in found] == [1, 1, 2]
    assert [p.box for p in found] == [(5, 6, 20, 30), (0, 20.5, 26, 27.5), (1, 2, 3.5, 4)]  # clipped to the image
    assert found[0].keypoints == tuple((3 * i + 0.5, 2.0 * i, 2.0) for i in range(17))
    assert [k[2] for k in found[1].keypoints] == [2] * 3 + [0] * 14
    assert {(p.area, p.score) for p in found} == {(123.5, 1.0)}
    sample = dataset[2]
    assert sample.path.endswith(f"{split}2017/000000000002.jpg")
    assert sample.image.shape == (HEIGHT, WIDTH, 3)
    assert abs(int(sample.image.mean()) - 80) <= 1


def test_info_names_what_there_is(root: Path) -> None:
    dataset = open_(root)
    assert dataset.info.keypoints == COCO_KEYPOINTS
    assert dataset.provides == ("keypoints",)
    cfg = composed("task=pose", "dataset=coco_pose", "backbone=sd15")
    crop = build_preprocess(cfg).person_crop
    assert crop is not None
    assert crop.size == (256, 192)
    assert build_protocol(cfg).name == "coco_keypoints"


def test_truth_has_all_annotations_of_the_images_that_are_there(root: Path) -> None:
    truth = open_(root, "val").keypoint_annotations()
    assert [image["id"] for image in truth["images"]] == [1, 2]
    assert [a["id"] for a in truth["annotations"]] == [10, 11, 12, 13, 14, 15]
    assert truth["annotations"][1]["bbox"] == [-4, 20.5, 30, 60]  # as it stands in the file
    assert truth["categories"][0]["name"] == "person"
    assert not any("segmentation" in a for a in truth["annotations"])


def test_detections_replace_the_annotated_boxes_in_validation(root: Path) -> None:
    boxes = [
        {"image_id": 2, "category_id": 1, "bbox": [50, 40, 30, 30], "score": 0.25},
        {"image_id": 1, "category_id": 1, "bbox": [1.5, 2, 3, 4], "score": 0.5},
        {"image_id": 1, "category_id": 18, "bbox": [1, 2, 3, 4], "score": 0.9},
        {"image_id": 3, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.9},
        {"image_id": 1, "category_id": 1, "bbox": [1, 2, 0.5, 4], "score": 0.9},
    ]
    (root / "found.json").write_text(json.dumps(boxes))
    assert persons(open_(root, "val", detections="found.json")) == [
        Person((50, 40, 14, 8), area=112, image_id=2, score=0.25),
        Person((1.5, 2, 3, 4), area=12, image_id=1, score=0.5),
    ]
    assert len(open_(root, "val", detections=str(root / "found.json"))) == 2
    assert len(open_(root, "train", detections="found.json")) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("root", r"COCOPose: there is no folder '.*nothing'. Set dataset.root="),
        ("json", r"no annotation file '.*person_keypoints_train2017.json'. .* set dataset.root \(now .*dätä\)"),
        ("folder", r"COCOPose: there is no folder 'train2017' in .*dätä; .* dataset.train"),
        ("images", r"none of the 3 images that person_keypoints_train2017.json lists is in .*train2017; put them"),
        ("instances", r"train2017.json: has annotations but no keypoints; use person_keypoints_\*.json"),
        ("cut", r"train2017.json: is not valid json \(.*\); it may be cut short"),
        ("list", r"train2017.json: a COCO annotation file holds images, annotations and categories"),
        ("field", r"train2017.json: annotation number 3 has no image_id; the file is not in COCO's format"),
        ("huge", r"train2017.json: annotation number 3 has bbox \[1000000"),
        ("far", r"train2017.json: annotation number 1 has keypoints \[1e\+30"),
        (
            "joints",
            r"train2017.json: annotations have 6 keypoint numbers, COCO's persons have 51: .*annotation 11 is the",
        ),
        (
            "persons",
            r"has no person to crop in the 2 images of .*train2017: of 7 annotations, .* have no labelled keypoint",
        ),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(root: Path, change: str, message: str) -> None:
    file = root / "annotations/person_keypoints_train2017.json"
    truth = json.loads(file.read_text())
    images = sorted((root / "train2017").iterdir())
    if change == "root":
        root = root / "nothing"
    elif change == "json":
        file.unlink()
    elif change == "folder":
        (root / "train2017").rename(root / "train2014")
    elif change == "images":
        for image in images:
            image.unlink()
    elif change == "cut":
        file.write_text(file.read_text()[:-20])
    elif change == "list":
        file.write_text(json.dumps(truth["annotations"]))
    else:
        for number, a in enumerate(truth["annotations"]):
            if change == "instances":
                del a["keypoints"], a["num_keypoints"]
            elif change == "field" and number == 3:
                del a["image_id"]
            elif change == "huge" and number == 3:
                a["bbox"] = [10**400, 1, 2, 3]
            elif change == "far" and number == 1:
                a["keypoints"] = [1e30, *a["keypoints"][1:]]
            elif change == "joints" and number == 1:
                a["keypoints"] = a["keypoints"][:6]
            elif change == "persons":
                a["num_keypoints"], a["keypoints"] = 0, [0] * 51
        file.write_text(json.dumps(truth))
    with pytest.raises(DataError, match=message) as caught:
        open_(root)
    assert "\n" not in caught.value.sentence


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"no file of detections '.*found.json'. Set dataset.detections"),
        ({"annotations": []}, r"found.json: is no list of detections"),
        ([{"image_id": 1, "category_id": 1}], r"found.json: detection number 0 has no bbox, score"),
        ([], r"found.json: has no person to crop in the 2 images"),
    ],
)
def test_bad_detections_are_named(root: Path, content: Any, message: str) -> None:
    if content is not None:
        (root / "found.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=message):
        open_(root, "val", detections="found.json")


def test_a_bad_image_is_named_when_it_is_read(root: Path) -> None:
    dataset = open_(root)
    (root / "train2017/000000000002.jpg").unlink()
    assert dataset[0].path.endswith("000000000001.jpg")
    with pytest.raises(DataError, match=r"000000000002.jpg: there is no such file"):
        dataset[2]
    Image.new("RGB", (32, 48)).save(root / "train2017/000000000001.jpg")
    with pytest.raises(DataError, match=r"000000000001.jpg: the image is 32x48 pixels, person_.*json says 64x48"):
        dataset[0]


def test_real_persons() -> None:
    """COCO's own json: every visible joint lies in its box; hidden ones need not."""
    root = SHARED / "coco"
    if not root.is_dir():
        pytest.skip("COCO's images are not on this machine")
    train, val = (COCOPose(split, str(root)) for split in ("train", "val"))
    assert (len(train), len(val)) == (86, 46)
    inside = []
    for person in persons(train) + persons(val):
        x, y, v = np.array(person.keypoints).T
        left, top, width, height = person.box
        inside.append(((x >= left) & (x < left + width) & (y >= top) & (y < top + height))[v > 1])
    assert np.concatenate(inside).all()
    assert len(val.keypoint_annotations()["images"]) == 50
    assert sum(a["iscrowd"] for a in val.keypoint_annotations()["annotations"]) == 4


@pytest.mark.parametrize(
    ("where", "key", "value", "message"),
    [
        ("annotations", "bbox", [1, 2, 3], r"annotation number 0 has bbox \[1, 2, 3\], which is not in COCO's format"),
        ("annotations", "bbox", [1, 2, 3, float("nan")], r"annotation number 0 has bbox"),
        ("annotations", "keypoints", None, r"annotation number 0 has keypoints None"),
        ("annotations", "keypoints", [float("nan")] * 51, r"annotation number 0 has keypoints"),
        ("annotations", "id", 11, r"2 annotations share the id 11; give each its own"),
        ("images", "id", 2, r"2 images share the id 2"),
        ("images", "height", "48", r"image number 0 has height '48'"),
        ("images", "file_name", 5, r"image number 0 has file_name 5"),
    ],
)
def test_values_that_are_not_cocos_get_a_sentence(root: Path, where: str, key: str, value: Any, message: str) -> None:
    file = root / "annotations/person_keypoints_train2017.json"
    truth = json.loads(file.read_text())
    truth[where][0][key] = value
    file.write_text(json.dumps(truth))
    with pytest.raises(DataError, match=message):
        open_(root)


def test_what_is_no_person_and_boxes_outside_of_the_image_are_left_out(root: Path) -> None:
    file = root / "annotations/person_keypoints_train2017.json"
    truth = json.loads(file.read_text())
    truth["categories"].append({"id": 2, "name": "dog"})
    truth["annotations"] += [annotation(20, 1, [200, 5, 9, 9]), annotation(21, 1, [5, 5, 9, 9]) | {"category_id": 2}]
    file.write_text(json.dumps(truth))
    found = Collected()
    dataset = open_(root, diagnostics=found)
    assert {p.annotation_id for p in persons(dataset)} == {10, 11, 15}
    assert [n.partition(": ")[2] for n in found.left_out if "lists" not in n] == [
        "1 annotations are not of persons; they are left out.",
        "the box of annotation 14 covers no pixel of its image; it is left out.",
        "the box of annotation 20 covers no pixel of its image; it is left out.",
    ]


def changed(root: Path, change: Any) -> tuple[COCOPose, list[str]]:
    """The training persons after a change of each annotation, and what is said of them."""
    file = root / "annotations/person_keypoints_train2017.json"
    truth = json.loads(file.read_text())
    for entry in truth["annotations"]:
        change(entry)
    file.write_text(json.dumps(truth))
    found = Collected()
    return open_(root, diagnostics=found), [note for note in found.left_out if " annotations " in note]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a: a.update(area=0), "have no plausible area"),
        (lambda a: a.update(area=1.0), "have no plausible area"),
        (lambda a: a.pop("area"), "have no plausible area"),
        (lambda a: a.update(num_keypoints=0), "have labelled keypoints and a num_keypoints of 0 or none"),
        (lambda a: a.pop("num_keypoints"), "have labelled keypoints and a num_keypoints of 0 or none"),
        (lambda a: a.pop("bbox"), "have no bbox; that of their labelled keypoints is taken"),
        (lambda a: a.pop("iscrowd"), None),
    ],
)
def test_what_other_tools_leave_out_is_completed_and_said(root: Path, change: Any, said: str | None) -> None:
    dataset, notes = changed(root, change)
    assert len(dataset) >= 3
    assert all(person.area > 1 for person in persons(dataset))
    assert all(entry["area"] > 1 for entry in dataset.keypoint_annotations()["annotations"])
    assert [note for note in notes if said is None or said not in note] == []


def test_paths_of_another_machine_are_looked_for_by_their_last_part(root: Path) -> None:
    file = root / "annotations/person_keypoints_train2017.json"
    truth = json.loads(file.read_text())
    for i, image in enumerate(truth["images"]):
        image["file_name"] = ("C:\\data\\{}", "/home/me/{}", "http://images.org/{}")[i % 3].format(image["file_name"])
    file.write_text(json.dumps(truth))
    assert len(open_(root)) == 3


class TestCOCOPose(DatasetContract):
    kind = COCOPose
    target = KeypointsTarget()
