"""What is said of a data set before training, and by `inspect`: of both the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from diffperc.data.datasets.coco_pose import COCOPose
from diffperc.data.datasets.folder import Folder
from diffperc.data.datasets.refcoco import RefCOCO
from diffperc.errors import DataError
from diffperc.inspection.examine import examine_before_training, grouped
from diffperc.inspection.scoring import scores_of_the_truth, scoring_problem
from diffperc.targets import DepthTarget, KeypointsTarget, MaskTarget, ReferentTarget
from diffperc.tasks.normals.target import NormalsTarget
from diffperc.tasks.segmentation import SegmentationTask
from diffperc.types import DenseTarget
from tests.fakes import coco_pose, refcoco
from tests.helpers import composed

SIZE = (32, 32)


def write(root: Path, masks: list[Any], classes: str = "[floor, wall]", folder: str = "masks") -> Path:
    """One random image per mask, and their classes; the last is for validation."""
    (root / "images").mkdir(parents=True)
    (root / folder).mkdir()
    rng = np.random.default_rng(0)
    for i, mask in enumerate(masks):
        Image.fromarray(rng.integers(0, 255, (*SIZE, 3), np.uint8)).save(root / f"images/{i}.png")
        if isinstance(mask, np.ndarray) and mask.dtype.kind == "f":
            np.save(root / folder / f"{i}.npy", mask)
        else:
            (mask if isinstance(mask, Image.Image) else Image.fromarray(mask)).save(root / folder / f"{i}.png")
    (root / "classes.yaml").write_text(classes)
    (root / "val.txt").write_text(f"{len(masks) - 1}\n")
    return root


def halves(left: int, right: int) -> np.ndarray:
    mask = np.full(SIZE, left, np.uint8)
    mask[:, SIZE[1] // 2 :] = right
    return mask


def notes(root: Path, target: DenseTarget | None = None, **options: Any) -> list[str]:
    kind = target or MaskTarget()
    sets = {split: Folder(split, str(root), kind, **options) for split in ("train", "val")}  # type: ignore[arg-type]
    return examine_before_training(sets, kind)[1]


def test_a_class_of_id_255_is_not_lost(tmp_path: Path) -> None:
    root = write(tmp_path, [halves(0, 255)] * 3)
    with pytest.raises(DataError, match=r"only 'floor' occurs, .* if 255, .*, is a class, .*dataset.ignore=\[\]"):
        notes(root)
    sets = Folder("train", str(root), MaskTarget(), classes={0: "floor", 255: "wall"}, ignore=[])
    assert np.unique(sets[0].targets["mask"]).tolist() == [0, 1]


def test_what_is_not_counted_and_much_is_said(tmp_path: Path) -> None:
    half, little = halves(0, 1), halves(0, 1)
    half[:16] = 255
    little[:1] = 255
    assert notes(write(tmp_path / "little", [little] * 3)) == []
    found = notes(write(tmp_path / "half", [half] * 3))
    assert len(found) == 2
    assert found[0].startswith("train: id 255 is not counted and covers 50% of all pixels; if 255")


def test_void_masks_and_absent_classes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="train: no pixel is counted"):
        notes(write(tmp_path / "void", [halves(255, 255)] * 2))
    found = notes(write(tmp_path / "absent", [halves(0, 1)] * 2, "[floor, wall, lamp]"))
    assert found[0] == "train: 1 of 3 classes do not occur: lamp."


def test_palettes_that_differ_are_said(tmp_path: Path) -> None:
    def coloured(second: tuple[int, int, int]) -> Image.Image:
        image = Image.fromarray(halves(0, 1), "P")
        image.putpalette([0, 0, 0, *second])
        return image

    same = [coloured((255, 0, 0)) for _ in range(3)]
    assert notes(write(tmp_path / "same", same)) == []
    found = notes(write(tmp_path / "other", [*same[:1], coloured((0, 255, 0)), *same[:1]]))
    assert "id 1 has the colour (255, 0, 0) in" in found[0]
    assert "and (0, 255, 0) in" in found[0]


@pytest.mark.parametrize(
    ("mode", "options", "expected"),
    [
        ("12 bits", {}, "hold 16 bits and no value above 4095"),
        ("alpha", {}, "have an alpha channel, which is not used"),
        ("pages", {}, "hold 2 frames or pages, of which the first is used"),
    ],
)
def test_what_is_left_out_of_an_image_is_said(tmp_path: Path, mode: str, options: Any, expected: str) -> None:
    root = write(tmp_path, [halves(0, 1)] * 3)
    file = root / "images/0.png"
    if mode == "12 bits":
        Image.fromarray(np.linspace(0, 4095, 32 * 32).reshape(SIZE).astype(np.uint16)).save(file)
    elif mode == "alpha":
        Image.open(file).convert("RGBA").save(file)
    else:
        image = Image.open(file)
        image.save(root / "images/0.tif", save_all=True, append_images=[image])
        file.unlink()
    assert [note for note in notes(root) if expected in note and "train: 1 images" in note]


def turned(file: Path, orientation: int) -> None:
    image = Image.open(file)
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(file, exif=exif)


def test_a_turned_image_needs_to_know_how_its_truth_is_stored(tmp_path: Path) -> None:
    root = write(tmp_path, [halves(0, 1)] * 3)
    turned(root / "images/0.png", 3)
    with pytest.raises(
        DataError, match=r"0.png: is turned by its EXIF data.*dataset.exif=upright .*dataset.exif=stored"
    ):
        notes(root)
    stored = np.asarray(Image.open(root / "images/0.png"))
    for exif, expected in (("upright", np.rot90(stored, 2)), ("stored", stored)):
        image = Folder("train", str(root), MaskTarget(), exif=exif)[0].image  # type: ignore[arg-type]
        assert np.array_equal(image, expected)


def test_depth_that_is_not_counted_is_said_with_its_share(tmp_path: Path) -> None:
    depth = np.full(SIZE, 2.0)
    depth[:8] = 50.0
    found = notes(write(tmp_path, [depth] * 3, folder="depth"), DepthTarget())
    assert "up to 50 m: 25.0% of what was measured is not counted; set dataset.max_depth" in found[0]
    with pytest.raises(DataError, match="no pixel of any image counts"):
        notes(tmp_path, DepthTarget(), max_depth=1.5)


def test_depth_files_that_say_their_own_scale_are_named(tmp_path: Path) -> None:
    """As predictions do; they are then read by it."""
    root = write(tmp_path, [np.full(SIZE, 2.0, np.float32)] * 3, folder="depth")
    assert not [note for note in notes(root, DepthTarget(), max_depth=10.0) if "own scale" in note]
    (root / "depth" / "0.npy").unlink()
    text = PngInfo()
    text.add_text("counts_per_metre", "256")
    Image.fromarray(np.full(SIZE, 512, np.uint16)).save(root / "depth" / "0.png", pnginfo=text)
    said = notes(root, DepthTarget(), max_depth=10.0)
    assert [note for note in said if "own scale, 256 counts per metre, which is read instead of" in note]
    depth = Folder("train", str(root), DepthTarget(), max_depth=10.0)[0].targets["depth"]
    assert np.unique(depth).tolist() == [2.0]


@pytest.mark.parametrize(
    ("metres", "max_depth", "expected"),
    [
        (
            (2000.0, 2000.0, 2000.0),
            1e4,
            "the median of the images' mean depths is 2e+03 m; is dataset.depth_scale right",
        ),
        ((2.0, 2000.0, 2.0), 1e4, "the mean depths of the images are between 2 and 2e+03 m; are the units mixed?"),
        ((1.0, 1.0, 1.0), 10.0, "the largest depth of every image is 1; if each was scaled"),
        ((2.0, 2.0, 2.0), 100.0, "no depth is beyond 2 m, and dataset.max_depth=100 m"),
        ((2.0, 3.0, 2.0), 10.0, None),
    ],
)
def test_depth_in_other_units_is_said(
    tmp_path: Path, metres: tuple[float, ...], max_depth: float, expected: str | None
) -> None:
    root = write(tmp_path, [np.full(SIZE, value, np.float32) for value in metres], folder="depth")
    said = [note for note in notes(root, DepthTarget(), max_depth=max_depth) if note.startswith("train")]
    assert any(expected in note for note in said) if expected else not said


@pytest.mark.parametrize(
    ("channels", "expected"),
    [
        (lambda n: n[..., ::-1], "of the normals point away from the camera"),
        (lambda n: (n + 1) / 2, "no component of any normal is negative"),
        (lambda n: n, None),
    ],
)
def test_normals_of_another_convention_are_said(tmp_path: Path, channels: Any, expected: str | None) -> None:
    across = np.linspace(-0.6, 0.6, SIZE[1], dtype=np.float32)
    x, y = np.meshgrid(across, across)
    normals = np.stack([x, y, np.sqrt(1 - x**2 - y**2)], -1)
    root = write(tmp_path, [channels(normals).astype(np.float32)] * 3, folder="normals")
    said = [note for note in notes(root, NormalsTarget()) if note.startswith("train")]
    assert any(expected in note for note in said) if expected else not said


def test_boxes_given_as_two_corners_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = coco_pose.write_root(tmp_path)
    path = root / "annotations" / "person_keypoints_train2017.json"
    content = json.loads(path.read_text())
    COCOPose("train", str(root))
    assert "reach beyond" not in caplog.text
    for entry in content["annotations"]:
        entry["bbox"] = [10, 10, coco_pose.WIDTH - 1, coco_pose.HEIGHT - 1]
    path.write_text(json.dumps(content))
    COCOPose("train", str(root))
    assert "boxes reach beyond their images and are cut there; COCO's boxes are x, y, width and height" in caplog.text


def test_near_twins_on_both_sides_are_said(tmp_path: Path) -> None:
    root = write(tmp_path, [halves(0, 1)] * 4)
    assert notes(root) == []
    pixels = np.asarray(Image.open(root / "images/3.png")).astype(int)
    Image.fromarray((pixels + 3).clip(0, 255).astype(np.uint8)).save(root / "images/1.png")
    (note,) = notes(root)
    assert note.startswith("1 of 1 validation images are nearly the same as training images")
    assert "dataset.group_by=folder" in note


def test_problems_that_differ_in_the_file_alone_are_one() -> None:
    problems = ["a.png: is bad.", "b.png: is bad.", "c.png: is worse.", "no file at all"]
    assert grouped(problems) == ["a.png: is bad. (2 like it, b.png among them)", "c.png: is worse.", "no file at all"]


def test_the_truth_scores_best_or_the_reason_is_said(tmp_path: Path) -> None:
    root = write(tmp_path, [halves(0, 1)] * 3)
    cfg = composed("task=segmentation", "dataset=folder", f"dataset.root={root}", "preprocessing.short_side=32")
    found = scores_of_the_truth(cfg, Folder("val", str(root), MaskTarget()))
    assert found == {"miou": 1.0, "macc": 1.0, "aacc": 1.0}
    assert scoring_problem(SegmentationTask, found, "plain") is None
    Image.fromarray(halves(255, 255)).save(root / "masks/2.png")
    nothing = scores_of_the_truth(cfg, Folder("val", str(root), MaskTarget()))
    assert "scores miou=nan by the protocol plain" in str(scoring_problem(SegmentationTask, nothing, "plain"))


def test_referents_that_are_all_empty_are_a_problem(tmp_path: Path) -> None:
    root = write(tmp_path, [halves(0, 0)] * 2)
    rows = [{"file_name": f"{i}.png", "mask": f"{i}.png", "expression": "a thing"} for i in range(2)]
    (root / "expressions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(DataError, match="all expressions point to an empty mask"):
        notes(root, ReferentTarget())


def test_persons_are_looked_at_too(tmp_path: Path) -> None:
    """The annotations' keypoints, of which some lie outside of their images; a detector's boxes have none."""
    root = coco_pose.write_root(tmp_path)
    boxes = [{"image_id": 2, "category_id": 1, "bbox": [5, 4, 30, 30], "score": 0.25}]
    (root / "found.json").write_text(json.dumps(boxes))
    sets = {split: COCOPose(split, str(root), detections="found.json") for split in ("train", "val")}  # type: ignore[arg-type]
    target = KeypointsTarget()
    summaries, _ = examine_before_training(sets, target)
    assert summaries["train"].count == 3
    assert summaries["val"].count == 1

    path = root / "annotations" / "person_keypoints_train2017.json"
    content = json.loads(path.read_text())
    for entry in content["annotations"]:
        entry["keypoints"] = [1000, 1000, 2] * 17
    path.write_text(json.dumps(content))
    sets["train"] = COCOPose("train", str(root))
    assert any(
        "train: 100% of the labelled keypoints are outside" in note for note in examine_before_training(sets, target)[1]
    )

    for entry in content["annotations"]:
        entry["keypoints"] = [1, 1, 0] * 17
        entry["num_keypoints"] = 17
    path.write_text(json.dumps(content))
    sets["train"] = COCOPose("train", str(root))
    with pytest.raises(DataError, match="train: no person has a labelled keypoint"):
        examine_before_training(sets, target)


def test_referents_of_refcoco_are_looked_at_too(tmp_path: Path) -> None:
    root = refcoco.write_root(tmp_path)
    sets = {split: RefCOCO(split, str(root)) for split in ("train", "val")}  # type: ignore[arg-type]
    _, notes = examine_before_training(sets, ReferentTarget())
    assert any("images are in both splits" in note for note in notes)
