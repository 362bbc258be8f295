"""Everything that opens a file, fed with what nobody has written: it gives a result, or one of our own errors.

``make fuzz`` runs the same for longer.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save as save_safetensors

from diffperc.checkpoints.provenance import read_provenance
from diffperc.commands.predict import read_boxes
from diffperc.data.diagnostics import Collected
from diffperc.data.formats.coco import read_annotations, read_detections
from diffperc.data.formats.image_folder import table_columns
from diffperc.data.formats.lists import read_list
from diffperc.data.formats.refer import read_refs
from diffperc.data.formats.tables import read_rows, texts_of
from diffperc.engine.build import build_dataset, build_task
from diffperc.errors import CheckpointError, DiffPercError
from diffperc.files.headers import image_facts
from diffperc.files.images import read_depth, read_image, read_mask, read_region
from diffperc.files.read import read_json, read_text
from diffperc.strategies.tadp import read_captions
from diffperc.targets.mask import _read_classes
from diffperc.weights.read import read_config, read_state
from tests.helpers import composed

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))
FUZZ = settings(
    max_examples=EXAMPLES,
    # ms for one file: a parser that hangs or unfolds a file without bound is found by it, a busy machine is not
    deadline=60_000,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


class Parser(NamedTuple):
    """A way to open a file, the suffix that it looks at, and sound files."""

    open: Callable[[Path], Any]
    suffix: str
    sound: tuple[bytes, ...]


def encoded(mode: str, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (7, 5), 3).save(buffer, form, **options)
    return buffer.getvalue()


def as_npy(values: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def as_torch(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


COCO = {
    "images": [{"id": 1, "file_name": "a.jpg", "height": 5, "width": 7}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 3, 3], "keypoints": [1, 1, 2] * 17, "area": 9.0}
    ],
    "categories": [{"id": 1, "name": "person", "keypoints": [f"k{i}" for i in range(17)]}],
}
REFS = [{"ann_id": 1, "image_id": 1, "split": "val", "sentences": [{"sent": "the cup", "raw": "The cup"}]}]
ROW = {"file_name": "a.jpg", "mask": "a.png", "caption": "a room", "expressions": ["the cup", "a cup"], "scene": "room"}
IMAGES = (
    encoded("RGB", "PNG"),
    encoded("RGB", "JPEG"),
    encoded("RGBA", "WEBP"),
    encoded("L", "TIFF", compression="tiff_lzw"),
    encoded("P", "GIF"),
    encoded("I;16", "PNG"),
    encoded("RGB", "BMP"),
)


def read_table(path: Path) -> None:
    found = Collected()
    for row in read_rows(path, found, table_columns("mask")):
        texts_of(row, ("caption", "expressions"), found)


def read_mask_of_three(path: Path) -> None:
    read_mask(path, 3, (255,))


def read_image_and_facts(path: Path) -> None:
    read_image(path)
    image_facts(path)


PARSERS: dict[str, Parser] = {
    "image": Parser(read_image_and_facts, ".png", IMAGES),
    "mask": Parser(read_mask_of_three, ".png", IMAGES),
    "region": Parser(read_region, ".png", IMAGES),
    "depth": Parser(lambda path: read_depth(path, 1000.0), ".png", IMAGES),
    "depth as numbers": Parser(
        lambda path: read_depth(path, 1000.0),
        ".npy",
        (
            as_npy(np.ones((3, 4), np.float32)),
            as_npy(np.ones((1, 3, 4), np.uint16)),
            as_npy(np.asfortranarray(np.eye(3))),
        ),
    ),
    "text": Parser(read_text, ".txt", (b"a b\n", "\ufeffa".encode())),
    "json": Parser(read_json, ".json", (json.dumps(COCO).encode(),)),
    "keypoints": Parser(lambda path: read_annotations(path, Collected()), ".json", (json.dumps(COCO).encode(),)),
    "detections": Parser(
        read_detections, ".json", (b'[{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.5}]',)
    ),
    "refs": Parser(read_refs, ".p", (pickle.dumps(REFS), pickle.dumps(REFS, protocol=0))),
    "table of lines": Parser(read_table, ".jsonl", (json.dumps(ROW).encode() + b"\n" + json.dumps(ROW).encode(),)),
    "table": Parser(read_table, ".csv", (b'file_name,mask,caption\na.jpg,a.png,"a, b"\n',)),
    "classes": Parser(
        _read_classes, ".yaml", (b"- road\n- sky\n", b"0: road\n7: sky\n", b"{a: [1, 2], b: &x c, d: *x}")
    ),
    "list": Parser(
        lambda path: read_list("X", path.parent, path.name, "h", "n", Collected()), ".txt", (b"a b 518.8\nc d 518.8\n",)
    ),
    "boxes": Parser(lambda path: read_boxes(str(path)), ".json", (b'{"a.jpg": [[0, 0, 1, 1]]}',)),
    "captions": Parser(lambda path: read_captions(str(path)), ".json", (b'{"a.jpg": "a room"}',)),
    "config of a model": Parser(
        read_config, ".json", (b'{"_class_name": "UNet2DConditionModel", "layers_per_block": 2}',)
    ),
    "safetensors": Parser(read_state, ".safetensors", (save_safetensors({"a": torch.ones(2, 3)}),)),
    "torch file": Parser(read_state, ".ckpt", (as_torch({"state_dict": {"a": torch.ones(2, 3)}, "epoch": 3}),)),
}


def opened(parser: Parser, content: bytes, folder: Path) -> None:
    """Any error but one of our own fails the test."""
    file = folder / f"file{parser.suffix}"
    file.write_bytes(content)
    with warnings.catch_warnings(), contextlib.suppress(DiffPercError):
        warnings.simplefilter("ignore")
        parser.open(file)


@pytest.mark.parametrize("name", PARSERS)
def test_sound_files_are_read(name: str, tmp_path: Path) -> None:
    """Otherwise nothing below would be tested."""
    parser = PARSERS[name]
    read = 0
    for content in parser.sound:
        (tmp_path / f"file{parser.suffix}").write_bytes(content)
        try:
            parser.open(tmp_path / f"file{parser.suffix}")
        except DiffPercError:  # of the kinds of images, a mask or a depth map has one
            continue
        read += 1
    assert read >= 1


@st.composite
def damaged(draw: st.DrawFn, sound: tuple[bytes, ...]) -> bytes:
    """A sound file with bytes changed, cut out, put in or doubled."""
    content = bytearray(draw(st.sampled_from(sound)))
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, max(0, len(content) - 1)))
        kind = draw(st.sampled_from(("change", "cut", "insert", "end", "double", "number")))
        if kind == "change" and content:
            content[place] = draw(st.integers(0, 255))
        elif kind == "cut":
            del content[place : place + draw(st.integers(1, 40))]
        elif kind == "insert":
            content[place:place] = draw(st.binary(min_size=1, max_size=12))
        elif kind == "end":
            del content[place:]
        elif kind == "double":
            content[place:place] = content[place : place + draw(st.integers(1, 200))]
        else:  # lengths and counts
            content[place : place + 4] = draw(
                st.sampled_from((b"\xff" * 4, b"\x7f\xff\xff\xff", bytes(4), b"\x00\x00\x00\x80"))
            )
    return bytes(content)


@pytest.mark.parametrize("name", PARSERS)
@FUZZ
@given(data=st.data())
def test_a_damaged_file_is_a_result_or_a_sentence(name: str, data: st.DataObject, tmp_path: Path) -> None:
    opened(PARSERS[name], data.draw(damaged(PARSERS[name].sound)), tmp_path)


ODD: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from((10**400, -(10**30), 2**63, 0, -1, 1e308, 1e30, float("nan"), float("inf"))),
    st.text(max_size=6),
    st.sampled_from(("", ".", "..", "/", "../../x", "\x00", "\ud800", "a" * 300, "${oc.env:HOME}", "_target_")),
)
TREES = st.recursive(
    ODD, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
)


@st.composite
def altered(draw: st.DrawFn, sound: Any) -> Any:
    """Plain data of which some values were replaced by others, of any kind."""
    content = json.loads(json.dumps(sound))
    for _ in range(draw(st.integers(1, 3))):
        node, parent, key = content, None, None
        for _ in range(draw(st.integers(0, 5))):
            keys = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
            if not keys:
                break
            parent, key = node, draw(st.sampled_from(keys))
            node = node[key]
        value = draw(TREES)
        if parent is None:
            content = value
        elif isinstance(parent, dict) and draw(st.booleans()):
            del parent[key]
        else:
            parent[key] = value
    return content


STRUCTURED: dict[str, tuple[Any, Callable[[Any], bytes]]] = {
    "keypoints": (COCO, lambda value: json.dumps(value).encode()),
    "detections": (
        [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.5}],
        lambda value: json.dumps(value).encode(),
    ),
    "refs": (REFS, pickle.dumps),
    "table of lines": (ROW, lambda value: json.dumps(value).encode()),
    "classes": (["road", "sky"], lambda value: yaml.safe_dump(value).encode(errors="replace")),
    "boxes": ({"a.jpg": [[0, 0, 1, 1]]}, lambda value: json.dumps(value).encode()),
    "captions": ({"a.jpg": "a room"}, lambda value: json.dumps(value).encode()),
    "config of a model": (
        {"layers_per_block": 2, "block_out_channels": [3, 4]},
        lambda value: json.dumps(value).encode(),
    ),
}


@pytest.mark.parametrize("name", STRUCTURED)
@FUZZ
@given(data=st.data())
def test_wrong_values_in_a_sound_form_are_a_result_or_a_sentence(
    name: str, data: st.DataObject, tmp_path: Path
) -> None:
    sound, written = STRUCTURED[name]
    opened(PARSERS[name], written(data.draw(altered(sound))), tmp_path)


def nested(pairs: Iterable[tuple[bytes, bytes]], depth: int = 100_000) -> list[bytes]:
    return [opening * depth + closing * depth for opening, closing in pairs] + [opening * depth for opening, _ in pairs]


@pytest.mark.parametrize("name", PARSERS)
def test_nothing_is_nested_too_deeply(name: str, tmp_path: Path) -> None:
    for content in nested([(b"[", b"]"), (b'{"a":', b"}"), (b"(", b")"), (b"(l", b"a")]):
        opened(PARSERS[name], content, tmp_path)


@pytest.fixture(scope="module")
def provenance() -> dict[str, Any]:
    cfg = composed("task=pose", "strategy=meta_prompts", "dataset.size=[64,64]", "dataset.val_size=1")
    return build_task(cfg, build_dataset(cfg, "val").info).provenance


@FUZZ
@given(data=st.data())
def test_a_checkpoint_with_another_provenance_is_a_result_or_a_sentence(
    data: st.DataObject, provenance: dict[str, Any]
) -> None:
    kept = dict(provenance)
    config = data.draw(altered(yaml.safe_load(kept["config"])))
    choice = data.draw(st.sampled_from(("config", "info", "architecture", "other")))
    if choice == "config":
        kept["config"] = yaml.safe_dump(config)
    elif choice == "info":
        kept["info"] = data.draw(altered(kept["info"]))
    elif choice == "architecture":
        kept["architecture"] = json.dumps(data.draw(altered(json.loads(kept["architecture"]))))
    else:
        kept[data.draw(st.sampled_from(("config", "info", "architecture")))] = data.draw(TREES)
    with contextlib.suppress(CheckpointError):
        read_provenance("x.ckpt", kept)
