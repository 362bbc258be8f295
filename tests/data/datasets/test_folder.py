"""Folders of one's own, for every task and in every layout, written by the test."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from diffperc.data import Folder
from diffperc.data.diagnostics import Collected
from diffperc.data.formats.split import Splitting
from diffperc.errors import ConfigError, DataError
from diffperc.files.images import read_depth, read_mask, read_region
from diffperc.targets import DepthTarget, KeypointsTarget, MaskTarget, ReferentTarget
from diffperc.types import Target
from tests.contracts.dataset import DatasetContract
from tests.fakes.folder import NAMES, SIZE, write_image, write_mask, write_root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_root(tmp_path)


MASK, DEPTH, REFERENT, KEYPOINTS = MaskTarget(), DepthTarget(), ReferentTarget(), KeypointsTarget()


def open_(root: Path, target: Target, split: Any = "train", **options: Any) -> Folder:
    return Folder(split, str(root), target, **options)


def names_of(dataset: Folder) -> list[str]:
    return [Path(dataset[i].path).name for i in range(len(dataset))]


class TestMasks(DatasetContract):
    kind = Folder
    target = MASK


class TestDepth(DatasetContract):
    kind = Folder
    target = DEPTH


class TestExpressions(DatasetContract):
    kind = Folder
    target = REFERENT


class TestPersons(DatasetContract):
    kind = Folder
    target = KEYPOINTS


def test_masks_and_class_names(root: Path) -> None:
    train, val = (open_(root, MASK, s) for s in ("train", "val"))
    assert train.info.classes == ("floor", "wall", "lamp")
    assert [int(train.target(i)[1, 1]) for i in range(3)] == [0, 1, 2]  # 3.jpg comes last by name, after kitchen/
    assert (val.target(0)[0, 0], val.target(0)[1, 1]) == (255, 0)
    # ids need not begin with 0, nor be without gaps
    (root / "classes.yaml").write_text("0: floor\n1: wall\n2: lamp\n7: sky\n")
    write_mask(root / "masks/kitchen/1.png", 7)
    assert open_(root, MASK).target(0)[1, 1] == 3
    assert open_(root, MASK, classes={2: "lamp", 7: "sky"}, ignore=[0, 1, 255]).info.classes == ("lamp", "sky")
    assert open_(root, MASK, classes=["a", "b", "c"]).info.classes == ("a", "b", "c")


def test_depth_in_counts_and_in_metres(root: Path) -> None:
    """1.jpg is 1000 counts, 2.jpg an npy file of 1.5 m; what is not finite, or negative, was not measured."""
    np.save(root / "depth/kitchen/2.npy", np.array([[1.5] * 29 + [np.nan, np.inf, -1]] * 24)[None])
    train = open_(root, DEPTH, depth_scale=500.0)
    assert train.target(0)[5, 5] == 2.0
    assert train.target(1)[5, -4:].tolist() == [1.5, 0, 0, 0]
    np.save(root / "depth/kitchen/2.npy", np.full(SIZE, 3000))
    assert open_(root, DEPTH).target(1)[5, 5] == 3.0


def test_expressions_of_a_referent_are_one_sample_in_training_and_many_in_validation(root: Path) -> None:
    train, val = open_(root, REFERENT), open_(root, REFERENT, "val")
    assert [train[i].expressions for i in range(3)] == [(f"thing {i}", f"object {i}") for i in range(3)]
    assert [val[i].expressions for i in range(2)] == [("thing 3",), ("object 3",)]
    assert [int(train.target(i).sum()) for i in range(3)] == [24 * 3, 24 * 4, 24 * 5]
    assert train.info.classes == ("cup", "lamp")
    assert [train[i].category for i in range(3)] == [0, 1, 0]


def test_persons_are_split_by_image(root: Path) -> None:
    train, val = (open_(root, KEYPOINTS, s) for s in ("train", "val"))
    assert (names_of(train), names_of(val)) == (["1.jpg", "2.jpg", "3.jpg"], ["4.jpg"])
    assert [image["file_name"] for image in val.keypoint_annotations()["images"]] == ["4.jpg"]


@pytest.mark.parametrize("table", ["jsonl", "csv"])
def test_hugging_face_imagefolder(tmp_path: Path, table: str) -> None:
    """train and validation with a metadata file each, whose columns name mask and depth; text is the caption."""
    for split, count in (("train", 2), ("validation", 1), ("test", 1)):
        rows = []
        for i in range(count):
            write_image(tmp_path / split / f"{i}.png", i)
            write_mask(tmp_path / split / "targets" / f"{i}.png", i)
            np.save(tmp_path / split / "targets" / f"{i}.npy", np.full(SIZE, 2.0 + i))
            row = {"file_name": f"{i}.png", "mask_file_name": f"targets/{i}.png", "depth_file_name": f"targets/{i}.npy"}
            rows.append(row | {"text": f"picture {i}", "scene": ("hall", "attic")[i]})
        if table == "jsonl":
            text = "\n".join(json.dumps(r) for r in rows)
        else:
            text = "\n".join([",".join(rows[0]), *(",".join(r.values()) for r in rows)])
        (tmp_path / split / f"metadata.{table}").write_text(text + "\n")
    train, val = (open_(tmp_path, DEPTH, s) for s in ("train", "val"))
    assert [float(train.target(i)[0, 0]) for i in range(2)] == [2.0, 3.0]
    assert Path(val[0].path).parent.name == "validation"
    assert (len(val), val[0].caption, val.info.scenes) == (1, "picture 0", ("attic", "hall"))
    assert [train[i].scene for i in range(2)] == [1, 0]
    assert open_(tmp_path, MASK, classes=["a", "b"]).target(1)[1, 1] == 1


def test_captions_may_be_lists(root: Path) -> None:
    rows = [{"file_name": name, "captions": ["first", "second"] if i else []} for i, name in enumerate(NAMES)]
    (root / "images/metadata.jsonl").write_text("\n".join(json.dumps(r) for r in rows))
    train = open_(root, DEPTH)
    assert [train[i].caption for i in range(3)] == [None, "first", "first"]


def validation_names(names: list[str], root: Path, val: Any) -> set[str]:
    train, validation = Splitting(root, val).split(names)
    assert not train & validation
    return validation


def test_a_fraction_moves_no_image_when_others_are_added(tmp_path: Path) -> None:
    names = [f"{i}.jpg" for i in range(40)]
    before = validation_names(names, tmp_path, 0.25)
    assert len(before) == 10
    after = validation_names([*names, "new.jpg"], tmp_path, 0.25)
    assert len(before - after) <= 1
    assert len(validation_names(names, tmp_path, None)) == 4
    assert len(validation_names(names[:3], tmp_path, None)) == 1


@pytest.mark.parametrize("val", [0, 1, -0.5, 2.0])
def test_a_fraction_is_between_0_and_1(tmp_path: Path, val: float) -> None:
    with pytest.raises(DataError, match=r"dataset\.val: must be a fraction between 0 and 1, or a list"):
        validation_names(["a.jpg", "b.jpg"], tmp_path, val)


def test_a_list_names_images_with_or_without_ending(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("a b\nc/d.png\n")
    assert validation_names(["a b.jpg", "c/d.png", "e.png"], tmp_path, "mine.txt") == {"a b.jpg", "c/d.png"}
    with pytest.raises(DataError, match=r"there is no list '.*none\.txt'"):
        validation_names(["a.jpg"], tmp_path, "none.txt")
    (tmp_path / "mine.txt").write_text("a b\nz\n")
    with pytest.raises(DataError, match=r"mine\.txt, line 2: there is no image 'z'"):
        validation_names(["a b.jpg", "b.jpg"], tmp_path, "mine.txt")
    (tmp_path / "mine.txt").write_text("a b\na b.jpg\n")
    with pytest.raises(DataError, match=r"mine\.txt, line 2: names 'a b\.jpg' again, after line 1"):
        validation_names(["a b.jpg", "b.jpg"], tmp_path, "mine.txt")
    (tmp_path / "mine.txt").write_text("a b\n")
    with pytest.raises(
        DataError, match=r"of 1 images in .*, 0 are for training and 1 for validation, and both need some"
    ):
        validation_names(["a b.jpg"], tmp_path, "mine.txt")


BAD: dict[str, tuple[Target, str]] = {
    "no image": (REFERENT, r"expressions\.jsonl, line 2: there is no image '.*away\.jpg'"),
    "no mask": (REFERENT, r"expressions\.jsonl, line 2: there is no mask '.*away\.png'"),
    "no json": (REFERENT, r"expressions\.jsonl, line 2: is not valid json"),
    "no name": (REFERENT, r"expressions\.jsonl: nothing reads the column 'file'; did you mean 'file_name'"),
    "no sentence": (REFERENT, r"expressions\.jsonl, line 2: has no 'expression', a sentence"),
    "no target": (MASK, r"kitchen/1\.jpg: there is no '.*masks/kitchen/1' with the suffix \.png"),
    "no classes": (MASK, r"there is no file '.*classes\.yaml'. It names the classes"),
    "classes are no yaml": (MASK, r"classes\.yaml: cannot be read as yaml"),
    "id": (MASK, r"1\.png: holds class id 9; the data set has 3 classes \(0-2\), and 255"),
    "colours": (MASK, r"1\.png: a mask holds class ids in one 8-bit channel"),
    "size": (MASK, r"1\.png: mask is 10x12 pixels, its image 1\.jpg is 32x24"),
    "npy": (DEPTH, r"2\.npy: cannot be read as an npy file"),
    "empty": (MASK, r"there is neither a folder 'images' with images in"),
    "no persons": (KEYPOINTS, r"there is no file '.*keypoints\.json', persons' keypoints in COCO's format"),
    "person without image": (KEYPOINTS, r"none of the 4 images that keypoints\.json lists is in"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_folders_get_a_sentence(root: Path, case: str) -> None:
    target, message = BAD[case]
    table, mask = root / "expressions.jsonl", root / "masks/kitchen/1.png"
    line = {
        "no image": '{"file_name": "away.jpg", "mask": "objects/0.png", "expression": "x"}',
        "no mask": '{"file_name": "images/4.jpg", "mask": "away.png", "expression": "x"}',
        "no json": "{",
        "no name": '{"file": "4.jpg"}',
        "no sentence": '{"file_name": "images/kitchen/1.jpg", "mask": "objects/0.png", "expression": ""}',
    }.get(case)
    if line is not None:
        lines = table.read_text().splitlines()
        table.write_text("\n".join([lines[0], line, *lines[1:]]))
    if case == "no target":
        mask.unlink()
    elif case == "no classes":
        (root / "classes.yaml").unlink()
    elif case == "classes are no yaml":
        (root / "classes.yaml").write_text("a: [")
    elif case == "id":
        write_mask(mask, 9)
    elif case in ("colours", "size"):
        Image.fromarray(np.zeros((*SIZE, 3) if case == "colours" else (12, 10), np.uint8)).save(mask)
    elif case == "npy":
        (root / "depth/kitchen/2.npy").write_bytes(b"\x93NUMPY")
    elif case == "empty":
        (root / "images").rename(root / "pictures")
    elif case == "no persons":
        (root / "keypoints.json").unlink()
    elif case == "person without image":
        (root / "images").rename(root / "pictures")
    with pytest.raises(DataError, match=message):
        names_of(open_(root, target))


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ({"road": "red"}, "has the id 'road'; ids are whole numbers from 0 to 255"),
        ({300: "x"}, "has the id 300; ids are whole numbers"),
        ([], "names no class"),
        (["a", "a"], "has the name 'a' for the ids 0 and 1"),
        (["a", " "], "gives the id 1 no name"),
        (["a", True], "gives the id 1 no name (True); in yaml a word such as yes or 7 needs quotes"),
        (
            {0: "a", 255: "b"},
            "names the id 255, which is not counted because it is in dataset.ignore; if it is a class, set ",
        ),
        (5, "holds a single value, not a list"),
        ({"00": "a", "0": "b"}, "names the id 0 twice"),
    ],
)
def test_wrong_classes_are_a_sentence(root: Path, classes: Any, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_(root, MASK, classes=classes)
    assert caught.value.sentence.startswith(f"dataset.classes: {expected}")


# each name is twice the one before: written out, gigabytes
BOMB = "a: &a [x,x]\n" + "".join(
    f"{b}: &{b} [*{a},*{a}]\n" for a, b in itertools.pairwise("abcdefghijklmnopqrstuvwxyz")
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0: road\n0: sky\n", "names the id 0 twice"),
        ("\t- road\n", "cannot be read as yaml \\(found character .*, line 1\\)"),
        ("- road\n- [\n", "cannot be read as yaml \\(.*, line 3\\)"),
        ("road\n", "holds a single value, not a list"),
        ("- road\n- no\n", "gives the id 1 no name \\(False\\)"),
        ("", "is empty"),
        (BOMB, "has the id 'a'"),
    ],
)
def test_a_wrong_file_of_classes_is_a_sentence(root: Path, text: str, expected: str) -> None:
    (root / "classes.yaml").write_text(text)
    with pytest.raises((ConfigError, DataError), match=rf"classes\.yaml: .*{expected}"):
        open_(root, MASK)


def test_files_with_other_suffixes_are_said(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A photo of a phone among the images, and masks that were exported as jpg, too."""
    (root / "images" / "phone.HEIC").write_bytes(b"x")
    for name in ("a.jpg", "b.jpg"):
        (root / "masks" / name).write_bytes(b"x")
    open_(root, MASK)
    assert "images: 1 files end in '.HEIC', such as phone.HEIC, which are not read; images are .jpg, " in caplog.text
    assert "masks: 2 files end in '.jpg', such as a.jpg, which are not read; files of mask are .png." in caplog.text


def test_an_image_in_two_rows_and_a_mask_without_image_are_said(root: Path) -> None:
    write_mask(root / "masks/alone.png", 1)
    rows = [{"file_name": name} for name in (*NAMES, NAMES[0])]
    (root / "images/metadata.jsonl").write_text("\n".join(json.dumps(r) for r in rows))
    found = Collected()
    dataset = open_(root, MASK, diagnostics=found)
    assert len(dataset) == 3
    (problem,) = found.problems
    assert problem.endswith("kitchen/1.jpg are one image, or share one target. Remove one of them.")
    assert found.left_out == [
        f"{root}/masks/alone.png: no image or target has its name, and no table names it; it is not used."
    ]


def test_a_mask_that_two_images_share_is_two_referents(root: Path) -> None:
    rows = [{"file_name": f"images/{n}", "mask": "objects/0.png", "expression": f"it in {n}"} for n in NAMES]
    (root / "expressions.jsonl").write_text("\n".join(json.dumps(r) for r in rows))
    train = open_(root, REFERENT)
    assert [(Path(s.path).name, s.expressions) for s in (train[i] for i in range(3))] == [
        ("1.jpg", ("it in kitchen/1.jpg",)),
        ("2.jpg", ("it in kitchen/2.jpg",)),
        ("3.jpg", ("it in ß ü/3.jpg",)),
    ]


def test_an_expression_without_a_mask_of_its_own_takes_the_file_of_the_images_name(root: Path) -> None:
    """As any row does, see docs/own-data.md; masks that no expression points to are another task's."""
    rows = [{"file_name": n, "expression": "it"} for n in NAMES[1:]]
    (root / "expressions.jsonl").write_text("\n".join(json.dumps(r) for r in rows))
    write_mask(root / "masks/kitchen/2.png", 0)
    found = Collected()
    train = open_(root, REFERENT, diagnostics=found)
    assert names_of(train) == ["2.jpg", "3.jpg"]
    # all but the corner, and the corner alone
    assert [int(train.target(i).sum()) for i in range(2)] == [1, SIZE[0] * SIZE[1]]
    assert found.problems == []
    assert [note.split(": ")[0] for note in found.left_out] == [f"{root}/images/{NAMES[0]}"]


def test_two_images_of_one_name_are_said(root: Path) -> None:
    write_image(root / "images/4.png", 9)
    with pytest.raises(DataError, match=r"4\.png and .*4\.jpg are one image, or share one target"):
        open_(root, MASK)
    (root / "images/4.png").unlink()
    np.save(root / "depth/kitchen/1.npy", np.ones(SIZE))
    with pytest.raises(DataError, match=r"1\.png: 1\.npy is beside it, and an image has one target"):
        open_(root, DEPTH)


@pytest.mark.parametrize("above", ["", "a/"])
def test_folders_of_splits_in_any_spelling_and_what_is_in_none_of_them(tmp_path: Path, above: str) -> None:
    names = {f"{above}{folder}/{i}.jpg" for folder in ("Train", "VAL", "test") for i in range(3)} | {"alone.jpg"}
    found = Collected()
    train, val = Splitting(tmp_path, diagnostics=found).split(names)
    assert train == {f"{above}Train/{i}.jpg" for i in range(3)}
    assert val == {f"{above}VAL/{i}.jpg" for i in range(3)}
    assert [note.split(":")[0] for note in found.left_out] == sorted(names - train - val)
    # without folders for training, a second one to evaluate on is still not trained on
    train, val = Splitting(tmp_path, diagnostics=Collected()).split({"a.jpg", "b.jpg", "val/c.jpg", "test/d.jpg"})
    assert (train, val) == ({"a.jpg", "b.jpg"}, {"val/c.jpg"})
    # a fraction and a list are of all images
    assert set.union(*Splitting(tmp_path, 0.5).split(names)) == names


def test_linked_folders_are_seen_and_hidden_files_are_not(root: Path) -> None:
    for name in ("images", "masks"):
        (root / "elsewhere" / name).mkdir(parents=True)
        (root / name / "linked").symlink_to(root / "elsewhere" / name)
        (root / name / "round").symlink_to(root / name)  # goes in a circle
    write_image(root / "elsewhere/images/9.JPG", 9)
    write_mask(root / "elsewhere/masks/9.png", 2)
    (root / "images/._4.jpg").write_bytes(b"Mac OS X")
    (root / "images/x.png").mkdir()
    found = Collected()
    train = open_(root, MASK, diagnostics=found)
    assert names_of(train) == ["1.jpg", "2.jpg", "9.JPG", "3.jpg"]
    assert (found.problems, found.left_out) == ([], [])


def test_tables_of_hidden_or_deep_folders_are_not_read_and_what_none_names_is_said(root: Path) -> None:
    for folder in (".cache", "old/older"):
        (root / folder).mkdir(parents=True)
        (root / folder / "metadata.jsonl").write_text('{"file_name": "x.jpg"}')
    assert len(open_(root, MASK)) == 3
    (root / "metadata.jsonl").write_text("\n".join(json.dumps({"file_name": n}) for n in NAMES[1:]))
    found = Collected()
    train = open_(root, MASK, diagnostics=found)
    assert names_of(train) == ["2.jpg", "3.jpg"]
    assert [n.split(": ")[0].rpartition("my dätä/")[2] for n in found.left_out] == [
        "masks/kitchen/1.png",
        "images/kitchen/1.jpg",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"file_name": "4.jpg", "text": 5}', r"line 1: 'text' must be a text or a list of texts, found 5"),
        ('{"file_name": "4.jpg", "scene": {"a": 1}}', r"line 1: 'scene' must be a text or a list of texts"),
        ('{"file_name": "."}', r"line 1: names no image under 'file_name'"),
        ("", r"metadata\.jsonl: is empty"),
        (b"\x1f\x8b\x08", r"metadata\.jsonl: is compressed by gzip"),
        (b"version https://git-lfs.github.com/spec/v1", r"metadata\.jsonl: is a pointer of git-lfs"),
        ("[" * 100_000, r"metadata\.jsonl, line 1: is not valid json"),
        ('{"file_name": "4.jpg"}'.encode("utf-16"), r"metadata\.jsonl: is not a text in UTF-8"),
    ],
)
def test_bad_tables_get_a_sentence(root: Path, content: str | bytes, message: str) -> None:
    file = root / "images/metadata.jsonl"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message):
        open_(root, MASK)


def test_a_mark_before_the_text_and_windows_lines_do_not_matter(root: Path) -> None:
    table = "\ufefffile_name,scene\r\n" + "".join(f"{name},hall\r\n" for name in NAMES)
    (root / "images/metadata.csv").write_bytes(table.encode())
    (root / "val.txt").write_bytes("\ufeffimages/4.jpg\r\n".encode())
    assert open_(root, DEPTH).info.scenes == ("hall",)
    (root / "images/metadata.csv").write_text("name;scene\n4.jpg;hall\n")
    with pytest.raises(DataError, match=r"metadata\.csv: has no column 'file_name' but name;scene"):
        open_(root, DEPTH)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([["a"]]), r"must hold one array of numbers, found <U1"),
        (np.array([[True]]), r"must hold one array of numbers, found bool"),
        (np.ones(9), r"depth has one number per pixel, this file has the shape \(9,\)"),
        (np.ones((2, 3, 4)), r"has the shape \(2, 3, 4\)"),
    ],
)
def test_arrays_that_are_no_depth_get_a_sentence(root: Path, values: np.ndarray, message: str) -> None:
    np.save(root / "depth/kitchen/2.npy", values)
    with pytest.raises(DataError, match=message):
        open_(root, DEPTH).target(1)


def test_eight_bits_are_no_depth_and_no_scale_is_below_zero(root: Path) -> None:
    Image.fromarray(np.full(SIZE, 150, np.uint8)).save(root / "depth/kitchen/1.png")
    with pytest.raises(DataError, match=r"1\.png: has 8 bits, too few for depth"):
        open_(root, DEPTH).target(0)
    with pytest.raises(ConfigError, match=r"dataset\.depth_scale: must be more than 0"):
        open_(root, DEPTH, depth_scale=0.0)
    for ignore in (255, [300], ["255"], None):
        with pytest.raises(ConfigError, match=r"dataset\.ignore: must be a list of ids from 0 to 255"):
            open_(root, MASK, ignore=ignore)


def test_frames_of_a_folder_stay_on_one_side(tmp_path: Path) -> None:
    names = {f"video{i}/{j:03}.jpg" for i in range(5) for j in range(20)}
    train, val = Splitting(tmp_path, 0.2, group_by="folder").split(names)
    assert len(val) == 20
    assert {name.split("/")[0] for name in val}.isdisjoint(name.split("/")[0] for name in train)
    with pytest.raises(DataError, match=r"all 3 images are in one folder; list those of val in val\.txt"):
        Splitting(tmp_path, 0.2, group_by="folder").split({"a.jpg", "b.jpg", "c.jpg"})


def test_scene_labels_are_compared_with_the_declared_ones(tmp_path: Path) -> None:
    root = write_root(tmp_path)
    (root / "metadata.jsonl").write_text(
        "\n".join(json.dumps({"file_name": f"images/{name}", "scene": "kitchen"}) for name in NAMES)
    )
    said = Collected()
    assert Folder("train", str(root), DepthTarget(), diagnostics=said).info.scenes == ("kitchen",)
    with pytest.raises(DataError, match=r"dataset.scenes: lacks 'kitchen', .* did you mean 'kitchn'"):
        Folder("train", str(root), DepthTarget(), scenes=["kitchn"])
    Folder("train", str(root), DepthTarget(), scenes=["kitchen", "hall"], diagnostics=said)
    assert said.left_out == ["dataset.scenes: no image has the label hall."]


def test_missing_classes_are_drafted_from_the_ids_in_the_masks(tmp_path: Path) -> None:
    root = write_root(tmp_path)
    (root / "classes.yaml").unlink()
    said = Collected()
    dataset = Folder("train", str(root), MaskTarget(), diagnostics=said)
    assert dataset.info.classes == ("id 0", "id 1", "id 2")
    assert said.drafts["classes.yaml"].splitlines()[1:] == ['0: "id 0"', '1: "id 1"', '2: "id 2"']
    assert re.search(r"They hold the ids 0 \(\d+\.\d%\), 1 .*, 2 .*, 255 \(0\.1%\)\.", said.problems[0])


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.uint32, np.int64])
def test_sentinels_of_any_width_are_not_measured(tmp_path: Path, dtype: type) -> None:
    counts = np.array([[0, 1000, np.iinfo(dtype).max, 65535]], dtype)
    np.save(tmp_path / "d.npy", counts)
    assert read_depth(tmp_path / "d.npy", 1000.0).tolist() == [[0, 1, 0, 0]]


def test_lists_that_are_not_read_are_said(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root / "train.txt").write_text(f"{NAMES[0]}\n")
    open_(root, MASK, val=0.5)
    assert "train.txt: is not read; the fraction decides which images are for validation." in caplog.text
    with pytest.raises(DataError, match=r"group_by=folder: is not read, because train\.txt decides"):
        open_(root, MASK, val="train.txt", group_by="folder")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "metadata.csv",
            "file_name,mask,mask\na.jpg,a.png,b.png\n",
            "metadata.csv: has the column 'mask' more than once",
        ),
        (
            "metadata.jsonl",
            '{"file_name": "a.jpg", "file_name": "b.jpg"}\n',
            "the key 'file_name' occurs more than once",
        ),
    ],
)
def test_a_column_that_occurs_twice_is_refused(root: Path, name: str, text: str, expected: str) -> None:
    (root / name).write_text(text)
    with pytest.raises(DataError, match=expected):
        open_(root, MASK)


def test_a_mask_saved_as_jpg_is_refused(root: Path) -> None:
    """Its compression leaves other ids, and values that are not 0, along the borders."""
    file = root / "masks" / "a.jpg"
    Image.new("L", SIZE).save(file)
    with pytest.raises(DataError, match=r"a\.jpg: is a jpg, which changes the values"):
        read_mask(file, 2)
    with pytest.raises(DataError, match=r"a\.jpg: is a jpg, which changes the values"):
        read_region(file)
