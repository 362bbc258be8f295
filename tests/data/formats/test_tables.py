"""Tables of images: known columns in any spelling, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from diffperc.data.diagnostics import Collected
from diffperc.data.formats.image_folder import read_records, table_columns
from diffperc.data.formats.tables import read_rows
from diffperc.errors import DataError
from diffperc.targets import MaskTarget


def folder(root: Path, table: str, text: str) -> Path:
    for name in ("images/a.png", "images/b.png", "masks/a.png", "masks/b.png"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).touch()
    (root / table).write_text(text)
    return root


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ("metadata.csv", "file_name, mask\nimages/a.png, masks/b.png\nimages/b.png, masks/a.png\n"),
        ("metadata.csv", "File Name,MASK\nimages/a.png,masks/b.png\nimages/b.png,masks/a.png\n"),
        (
            "metadata.jsonl",
            '{"file_name": "images/a.png", "Mask": "masks/b.png"}\n{"file_name": "images/b.png", "mask ": "masks/a.png"}\n',
        ),
    ],
)
def test_case_and_spaces_of_columns_do_not_matter(tmp_path: Path, table: str, text: str) -> None:
    said = Collected()
    found = read_records(folder(tmp_path, table, text), MaskTarget(), said)
    assert [(r.image.name, r.target.name) for r in found] == [("a.png", "b.png"), ("b.png", "a.png")]
    if "mask\n" not in text:
        assert any("is read as 'mask'" in sentence for sentence in said.left_out)


@pytest.mark.parametrize(
    ("table", "text", "expected"),
    [
        ("metadata.csv", "file_name,msk\nimages/a.png,masks/b.png\n", "reads the column 'msk'; did you mean 'mask'"),
        ("metadata.jsonl", '{"file_name": "images/a.png", "label": "x"}\n', r"unused_columns=\[label\]"),
        ("metadata.csv", "file_name,mask,Mask\nimages/a.png,masks/a.png,x\n", "'Mask' occurs twice"),
        ("metadata.csv", "file_name,text\nimages/a.png,a cup, a lamp\n", "line 2: has more cells than"),
        ("metadata.csv", "file_name;mask\nimages/a.png;masks/a.png\n", "columns are separated by commas"),
    ],
)
def test_other_columns_are_refused(tmp_path: Path, table: str, text: str, expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        read_records(folder(tmp_path, table, text), MaskTarget())


def test_a_column_may_be_declared_as_not_read(tmp_path: Path) -> None:
    root = folder(tmp_path, "metadata.csv", "file_name,licence\nimages/a.png,x\nimages/b.png,y\n")
    assert len(read_records(root, MaskTarget(), unused_columns=["licence"])) == 2


def test_rows_without_ground_truth_among_others_are_said(tmp_path: Path) -> None:
    said = Collected()
    root = folder(tmp_path, "metadata.csv", "file_name,mask\nimages/a.png,masks/b.png\nimages/b.png,\n")
    assert len(read_records(root, MaskTarget(), said)) == 2
    assert any("1 of 2 rows name no mask, such as images/b.png" in sentence for sentence in said.left_out)


def test_columns_of_other_tasks_are_known(tmp_path: Path) -> None:
    root = folder(tmp_path, "metadata.csv", "file_name,depth,normals_file_name,scene,text\nimages/a.png,d,n,s,t\n")
    (row,) = read_rows(root / "metadata.csv", Collected(), table_columns("mask"))
    assert row.values["depth"] == "d"
