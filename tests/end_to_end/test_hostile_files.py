"""Files of strangers, given to the commands: a sentence and exit code 2, soon, within 1 GiB, and nothing else is written."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.fakes.folder import write_root
from tests.prepare.tools import run

SECONDS, MEBIBYTES = 10, 1024
TASKS = ("depth", "pose", "segmentation")
# one after the other in one process: importing takes longer than their work
MEASURED = """
import contextlib, importlib, io, json, os, sys, time
from diffperc.config.cli import entry
from tests.helpers import peak, start_of_peak
results = []
for module, arguments in json.loads(sys.argv[1]):
    start = time.process_time()
    start_of_peak()
    sys.argv = [module, *arguments]
    os.environ.pop("HYDRA_FULL_ERROR", None)
    code, said = 0, io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            entry(module, importlib.import_module("diffperc." + module).run)
    except SystemExit as end:
        code = end.code
    results.append((code, said.getvalue(), time.process_time() - start, peak() / 2**20))
print("RESULTS" + json.dumps(results))
"""


def png_of(width: int, height: int) -> bytes:
    """A png whose header promises many pixels, all black, in few bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def npy_of(shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue() + bytes(100)


def objects() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return buffer.getvalue()


POSTSCRIPT = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n(ran) (w) file closefile\nshowpage\n%%EOF\n"
)
IMAGES: dict[str, tuple[bytes, str]] = {
    "postscript": (POSTSCRIPT, "not an image"),
    "pdf": (b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n", "not an image"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>', "not an image"),
    "too many pixels": (png_of(60_000, 60_000), "million pixels"),
    "promised pixels": (png_of(12_000, 12_000), "cannot be read as an image"),
    "no pixels": (png_of(0, 0), "cannot be read as an image"),
    "cut": (png_of(100, 100)[:40], "cannot be read as an image"),
    "html": (b"<html></html>", "not an image"),
}
DEPTHS: dict[str, tuple[bytes, str]] = {
    "3.6 TiB": (npy_of((1_000_000, 500_000)), "cannot be read as an npy file"),
    "negative": (npy_of((-5, 3)), "cannot be read as an npy file"),
    "overflow": (npy_of((2**40, 2**40)), "cannot be read as an npy file"),
    "objects": (objects(), "cannot be read as an npy file"),
    "pickle": (pickle.dumps([1]), "cannot be read as an npy file"),
}


def with_image(content: bytes) -> Callable[[Path], None]:
    return lambda root: (root / "images/kitchen/1.jpg").write_bytes(content) and None


def with_depth(content: bytes) -> Callable[[Path], None]:
    return lambda root: (root / "depth/kitchen/2.npy").write_bytes(content) and None


def with_strip(root: Path) -> None:
    Image.new("RGB", (1, 4000)).save(root / "images/kitchen/1.jpg")
    Image.new("I;16", (1, 4000), 1000).save(root / "depth/kitchen/1.png")


def with_table(*lines: str) -> Callable[[Path], None]:
    return lambda root: (root / "metadata.jsonl").write_text("\n".join(lines), errors="surrogatepass") and None


def with_keypoints(**changes: Any) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        content = json.loads((root / "keypoints.json").read_text())
        content["annotations"][0].update(changes)
        (root / "keypoints.json").write_text(json.dumps(content))

    return change


def with_classes(text: str) -> Callable[[Path], None]:
    return lambda root: (root / "classes.yaml").write_text(text) and None


BOMB = "".join(f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
OUTSIDE = "is outside of"
JOBS: dict[str, tuple[str, Callable[[Path], None], str]] = {
    **{f"image, {name}": ("depth", with_image(content), said) for name, (content, said) in IMAGES.items()},
    **{f"depth, {name}": ("depth", with_depth(content), said) for name, (content, said) in DEPTHS.items()},
    "strip": ("depth", with_strip, "is 1x4000 pixels, more than 100 times longer"),
    "table, deep": ("depth", with_table("[" * 100_000), "is not valid json"),
    "table, outside": ("depth", with_table('{"file_name": "../../x.png"}'), OUTSIDE),
    "table, absolute": ("depth", with_table('{"file_name": "/etc/passwd"}'), OUTSIDE),
    "table, target outside": (
        "depth",
        with_table('{"file_name": "images/4.jpg", "depth": "../../x.png"}'),
        OUTSIDE,
    ),
    "table, null byte": ("depth", with_table('{"file_name": "a\\u0000b.jpg"}'), "there is no image"),
    "table, long name": ("depth", with_table(json.dumps({"file_name": "x" * 5000 + ".jpg"})), "there is no image"),
    "table, surrogate": ("depth", with_table('{"file_name": "\\ud800.jpg"}'), "is not valid json"),
    "box": ("pose", with_keypoints(bbox=[0, 0, 10**400, 1]), "which is not in COCO's format"),
    "keypoint": ("pose", with_keypoints(keypoints=[1e30, 1, 2] * 17), "which is not in COCO's format"),
    "identity": ("pose", with_keypoints(image_id=10**400), "which is not in COCO's format"),
    "area": ("pose", with_keypoints(area="all"), "which is not in COCO's format"),
    "nested": ("pose", lambda root: (root / "keypoints.json").write_text("[" * 200_000) and None, "nested too deeply"),
    "classes, bomb": ("segmentation", with_classes("a: &a [x,x,x,x,x,x,x,x,x]\n" + BOMB), "classes.yaml"),
    "classes, object": ("segmentation", with_classes("!!python/object/apply:os.system ['touch ran']"), "classes.yaml"),
    "classes, deep": ("segmentation", with_classes("[" * 100_000), "cannot be read as yaml"),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, float, float]]:
    """Every folder inspected, in one process; first the sound one, which imports everything."""
    place = tmp_path_factory.mktemp("hostile")
    sound = write_root(place / "sound")
    jobs = [(task, sound) for task in TASKS]
    for number, (task, change, _) in enumerate(JOBS.values()):
        root = place / "data" / str(number)
        shutil.copytree(sound, root)
        change(root)
        jobs.append((task, root))
    further = ["dataset=folder", "recipe.batch_size=1", "num_workers=0", "step_seconds=1", "seconds=0.1"]
    typed = [("inspect", [f"task={task}", f"dataset.root={root}", *further]) for task, root in jobs]
    work = place / "work"
    work.mkdir()
    here = str(Path(__file__).parents[2])
    path = os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    command = [sys.executable, "-c", MEASURED, json.dumps(typed)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=work, env=environment, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads(done.stdout.rpartition("RESULTS")[2])
    assert sorted(path.name for path in place.iterdir()) == ["data", "sound", "work"]
    assert not list(place.rglob("ran"))
    # otherwise an exit code of 2 below would say nothing
    assert [(code, said) for code, said, _, _ in results[: len(TASKS)] if code] == []
    return dict(zip(JOBS, results[len(TASKS) :], strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", JOBS)
def test_a_hostile_data_set_is_a_sentence(name: str, answers: dict[str, tuple[int, str, float, float]]) -> None:
    code, said, seconds, peak = answers[name]
    assert code == 2
    assert JOBS[name][2] in said
    assert "Traceback" not in said
    assert seconds < SECONDS
    assert peak < MEBIBYTES


def zeros(into: Any, name: str, size: int) -> None:
    with into.open(name, "w", force_zip64=True) as member:
        for _ in range(size // 10**7):
            member.write(bytes(10**7))


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["zip", "tar.gz"])
def test_an_archive_that_unpacks_to_more_than_any_data_set_is_refused(suffix: str, tmp_path: Path) -> None:
    archive = tmp_path / f"ADEChallengeData2016.{suffix}"
    name = "ADEChallengeData2016/images/training/a.jpg"
    if suffix == "zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
            zeros(made, name, 3 * 10**9)
    else:
        with tarfile.open(archive, "w:gz", compresslevel=9) as packed:
            member = tarfile.TarInfo(name)
            member.size = 3 * 10**8
            packed.addfile(member, io.BytesIO(bytes(member.size)))
    assert archive.stat().st_size < 4 * 10**6
    done = run("ade20k", "--archive", archive, "--out", tmp_path / "out")
    assert done.code == 2
    assert "would unpack to" in done.err
    assert "refused" in done.err
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").rglob("*.jpg*"))
