"""RefCOCO in REFER's layout, written by the test, and real refs where the machine has them."""

from __future__ import annotations

import json
import logging
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diffperc.data.datasets.refcoco import RefCOCO
from diffperc.data.formats.refer import read_refs
from diffperc.engine.build import build_preprocess, build_protocol
from diffperc.errors import ConfigError, DataError
from diffperc.targets import ReferentTarget
from diffperc.tasks.referring import ReferringProtocol
from tests.contracts.dataset import DatasetContract, Splits
from tests.fakes.refcoco import HEIGHT, REFS, WIDTH, ref, write_refs, write_root
from tests.helpers import composed

REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "refcoco"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_root(tmp_path)


def test_training_has_a_sample_a_ref_with_all_its_sentences(root: Path) -> None:
    """Sentences as written, as the published code reads them; empty ones and refs without any are left out."""
    train = RefCOCO("train", str(root))
    assert len(train) == 2
    dog, cats = train[0], train[1]
    assert dog.expressions == ("Left dog", "the DOG  on the left")
    assert cats.expressions == ("two cats",)
    assert train.info.classes == ("person", "cat", "dog")
    assert (dog.category, cats.category) == (2, 1)
    assert dog.image.shape == (HEIGHT, WIDTH, 3)


def test_polygons_are_filled_and_united(root: Path) -> None:
    train = RefCOCO("train", str(root))
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[3:8, 2:7] = 1
    assert train.target(0).dtype == np.uint8
    assert np.array_equal(train.target(0), expected)
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[0:4, 0:4] = expected[10:16, 20:26] = 1
    assert np.array_equal(train[1].targets["referent"], expected)


def test_validation_has_a_sample_a_sentence(root: Path) -> None:
    val = RefCOCO("val", str(root))
    assert [val[i].expressions for i in range(len(val))] == [("crowd",), ("the people",), ("a run",)]
    column = np.zeros((HEIGHT, WIDTH), np.uint8)
    column[:, 3] = 1
    assert all(np.array_equal(val.target(i), column) for i in range(3))
    assert len(RefCOCO("val", str(root), val="testA")) == 1
    assert len(RefCOCO("train", str(root), val="testA")) == 2


def test_info_names_what_there_is(root: Path) -> None:
    train = RefCOCO("train", str(root))
    assert (train.info.name, train.provides) == ("refcoco", ("referent",))
    cfg = composed("task=referring", "dataset=refcoco", "backbone=sd15")
    assert build_preprocess(cfg).size == (512, 512)
    assert build_protocol(cfg) == ReferringProtocol("refcoco_resized", resized_target=True)


@pytest.mark.parametrize("name", ["000000000001.jpg", "COCO_train2014_000000000001_10.jpg"])
def test_images_are_found_by_every_name(root: Path, name: str) -> None:
    """By that of instances.json, of the ref, or of the ref without the annotation's number."""
    path = root / "refcoco" / "instances.json"
    instances = json.loads(path.read_text())
    for given, stored in ((name, name), ("other.jpg", "COCO_train2014_000000000001.jpg")):
        instances["images"][0]["file_name"] = given
        path.write_text(json.dumps(instances))
        (image,) = (root / "images/train2014").iterdir()
        image.rename(image.with_name(stored))
        assert RefCOCO("train", str(root))[0].path.endswith(stored)


def test_refs_without_image_are_left_out_with_a_warning(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = root / "refcoco" / "instances.json"
    instances = json.loads(path.read_text())
    instances["images"].append({"id": 2, "file_name": "away.jpg", "height": 4, "width": 4})
    path.write_text(json.dumps(instances))
    write_refs(root, [*REFS, ref(6, 10, "train", "away", image=2)])
    with caplog.at_level(logging.WARNING):
        assert len(RefCOCO("train", str(root))) == 2
    assert "ref of 'away.jpg' is left out: the image is not in" in caplog.text
    write_refs(root, [ref(6, 10, "train", "away", image=2)])
    with pytest.raises(DataError, match=r"none of the images of refcoco is in .*train2014, such as away\.jpg"):
        RefCOCO("train", str(root))


def test_what_is_missing_is_said(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder '.*nothing'. Set dataset.root="):
        RefCOCO("train", str(tmp_path / "nothing"))
    with pytest.raises(DataError, match=r"no folder 'refcocog' in .*; it holds: images, refcoco\."):
        RefCOCO("train", str(root), name="refcocog")
    with pytest.raises(
        DataError, match=r"no 'refs\(google\)\.p' in .*, which holds: instances\.json, refs\(unc\)\.p\."
    ):
        RefCOCO("train", str(root), split_by="google")
    with pytest.raises(DataError, match=r"has no refs of split 'testC'; it has testA, train, val"):
        RefCOCO("val", str(root), val="testC")
    with pytest.raises(ConfigError, match=r"no data set 'refcoca'; did you mean 'refcoco'\?"):
        RefCOCO("train", str(root), name="refcoca")
    (root / "refcoco" / "instances.json").write_text("{")
    with pytest.raises(DataError, match=r"instances\.json: is not valid json"):
        RefCOCO("train", str(root))
    (root / "refcoco" / "instances.json").write_text("[]")
    with pytest.raises(DataError, match=r"instances\.json: is not in COCO's format"):
        RefCOCO("train", str(root))
    (root / "refcoco" / "instances.json").unlink()
    with pytest.raises(DataError, match=r"no 'instances\.json' in .*, which holds: refs\(unc\)\.p"):
        RefCOCO("train", str(root))


def test_what_does_not_fit_is_said(root: Path) -> None:
    write_refs(root, [ref(7, 99, "train", "a dog")])
    with pytest.raises(DataError, match=r"instances\.json: has no annotation 99, which ref 7 names"):
        RefCOCO("train", str(root))
    write_refs(root, REFS)
    path = root / "refcoco" / "instances.json"
    instances = json.loads(path.read_text())
    instances["annotations"][0]["segmentation"] = []
    instances["images"][0]["width"] = 31
    path.write_text(json.dumps(instances))
    train = RefCOCO("train", str(root))
    with pytest.raises(DataError, match=r"000000000001\.jpg: is 30x20 pixels, .*instances\.json says 31x20"):
        train[1]
    with pytest.raises(DataError, match="segmentation of ref 0 is neither polygons nor run lengths"):
        train.target(0)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_pickles_of_every_protocol_are_read(root: Path, protocol: int) -> None:
    assert read_refs(write_refs(root, REFS, protocol)) == REFS


def test_strings_of_python_2_are_read(tmp_path: Path) -> None:
    """Byte strings of protocol 0 and long integers, as Python 2 wrote them."""
    path = tmp_path / "refs(unc).p"
    path.write_bytes(
        b"(lp0\n(dp1\nS'ann_id'\nL5L\nsS'image_id'\nI7\nsS'split'\nS'train'\nsS'sentences'\n(lp2\n(dp3\n"
        b"S'raw'\nS'caf\\xe9'\nsS'sent'\nVcaf\\u00e9\nsasa."
    )
    assert read_refs(path) == [
        {"ann_id": 5, "image_id": 7, "split": "train", "sentences": [{"raw": "café", "sent": "café"}]}
    ]


class Evil:
    """Makes a folder when unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"mkdir '{self.folder}'",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_would_run_something_is_refused(root: Path, protocol: int) -> None:
    marker = root / "was executed"
    path = write_refs(root, [REFS[0] | {"split": Evil(marker)}], protocol)
    with pytest.raises(DataError, match=r"refs\(unc\)\.p: wants to import (posix|os|nt)\.system: not opened"):
        RefCOCO("train", str(root))
    assert not marker.exists()
    pickle.loads(path.read_bytes())  # that it was a real one
    assert marker.exists()


def test_harmless_names_are_refused_too(root: Path) -> None:
    for value in (np.float32(1), {1, 2}.__class__, Path("a")):
        with pytest.raises(DataError, match="wants to import"):
            read_refs(write_refs(root, [REFS[0] | {"more": value}]))


def test_other_files_are_refused(root: Path) -> None:
    path = root / "refcoco" / "refs(unc).p"
    whole = path.read_bytes()
    huge = b"\x80\x04\x8e" + (1 << 50).to_bytes(8, "little") + b"x."
    for content in (whole[:-20], b"", b"this is a text", b"\x80\x02.", b"P1\n.", huge):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"refs\(unc\)\.p: cannot be read as a pickle \(.+\)"):
            read_refs(path)
    for value in ({"a": 1}, None):
        with pytest.raises(DataError, match=r"refs\(unc\)\.p: is not a list of refs"):
            read_refs(write_refs(root, value))
    for value in ([1, 2], [{"ann_id": 1}]):
        with pytest.raises(DataError, match=r"refs\(unc\)\.p: ref number 0 has no .*image_id, split, sentences"):
            read_refs(write_refs(root, value))
    path.unlink()
    with pytest.raises(DataError, match="there is no such file"):
        read_refs(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("sentences", 5), ("sentences", ["a dog"]), ("ann_id", [1]), ("image_id", {}), ("split", 3), ("sentences", None)],
)
def test_a_ref_with_a_value_of_another_kind_is_named(root: Path, key: str, value: Any) -> None:
    write_refs(root, [*REFS, REFS[0] | {key: value}])
    with pytest.raises(DataError, match=rf"refs\(unc\)\.p: ref number 6 has {key} .*, which is not in REFER's format"):
        RefCOCO("train", str(root))


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        ("images", "id", [1]),
        ("images", "file_name", 7),
        ("images", "height", "20"),
        ("annotations", "category_id", None),
        ("annotations", "segmentation", 3),
        ("annotations", "id", None),
        ("categories", "name", 5),
        ("categories", "id", "a"),
    ],
)
def test_an_instance_with_a_value_of_another_kind_is_named(root: Path, kind: str, key: str, value: Any) -> None:
    path = root / "refcoco" / "instances.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content[kind][0][key] = value
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError, match=rf"instances\.json: entry of {kind} number 0 has {key} "):
        RefCOCO("train", str(root))


def test_real_refs() -> None:
    """Every mask has COCO's area and lies in its image."""
    if not REAL.is_dir():
        pytest.skip("real refs are not on this machine")
    train, val = (RefCOCO(s, str(REAL)) for s in ("train", "val"))
    assert (len(train), len(val)) == (11, 5)
    instances = json.loads((REAL / "refcoco" / "instances.json").read_text())
    area = {a["id"]: a["area"] for a in instances["annotations"]}
    refs = [r for r in read_refs(REAL / "refcoco" / "refs(unc).p") if r["split"] == "train"]
    for i, known in enumerate(refs):
        sample = train[i]
        assert sample.targets["referent"].shape == sample.image.shape[:2]
        assert sample.targets["referent"].sum() == pytest.approx(area[known["ann_id"]], rel=0.1)
    assert val.info.classes[val[0].category] == "bear"
    assert len(val.info.classes) == 80


class TestRefCOCO(DatasetContract):
    kind = RefCOCO
    target = ReferentTarget()

    def test_training_and_validation_share_nothing(self, splits: Splits) -> None:
        """Splits are of refs: an image may have some in each, but no sentence of an image is in both."""
        train, val = (
            {(sample.path, text) for i in range(len(d)) for sample in [d[i]] for text in sample.expressions}
            for d in splits.values()
        )
        assert train
        assert val
        assert not train & val
