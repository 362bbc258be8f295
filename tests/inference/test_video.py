"""Videos: frames in, a video and numbers out, and less flicker where it is wanted."""

from __future__ import annotations

import json
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from diffperc.commands.predict import predict_files
from diffperc.errors import ConfigError, DataError
from diffperc.inference.video import ArrayFile, VideoFile, frame_rate, frames_of, stillness
from diffperc.results.depth import DepthResult
from diffperc.results.normals import NormalsResult
from diffperc.results.pose import Pose, PoseResult
from diffperc.results.referring import ReferringResult
from diffperc.results.segmentation import SegmentationResult
from diffperc.scenes import render, sample_scene
from diffperc.types.keypoints import COCO_KEYPOINTS

BLACK = np.zeros((4, 6, 3), np.uint8)
HALF = np.full((4, 6), 0.5, np.float32)


def film(path: Path, frames: list[np.ndarray]) -> Path:
    with VideoFile(path, Fraction(10)) as writer:
        for frame in frames:
            writer.add(frame)
    return path


def trembling(count: int) -> list[np.ndarray]:
    """A room that does not move, with the noise of a camera."""
    room = render(sample_scene(11, 2)).image.astype(np.float32)
    rng = np.random.default_rng(0)
    return [(room + rng.normal(0, 3, room.shape)).clip(0, 255).astype(np.uint8) for _ in range(count)]


def config(tmp_path: Path, **values: Any) -> Any:
    cfg = {"ckpt": "tiny-segmentation", "output": str(tmp_path / "out"), "device": "cpu", "overwrite": False}
    cfg |= {"trust": [], "precision": "32-true", "max_side": None, "video": False, "smooth": None, "fps": None}
    return OmegaConf.create(cfg | values)


def test_a_video_is_written_and_read(tmp_path: Path) -> None:
    frames = [np.full((50, 71, 3), 40 * i, np.uint8) for i in range(5)]
    path = film(tmp_path / "clip.mp4", frames)
    back = list(frames_of(path))
    assert [frame.shape for frame in back] == [(50, 72, 3)] * 5  # an odd side is filled up
    assert max(float(np.abs(a.astype(int) - b[:, :71]).mean()) for a, b in zip(frames, back, strict=True)) < 4
    assert frame_rate(path) == 10
    assert [file.name for file in tmp_path.iterdir()] == ["clip.mp4"]


def test_numbers_are_written_frame_by_frame(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(1234, 3)).astype(np.float32)
    with ArrayFile(tmp_path / "a.npy") as writer:
        for row in rows:
            writer.add(row)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy", mmap_mode="r"), rows)


def test_a_video_of_a_telephone_stands_upright(tmp_path: Path) -> None:
    """Its header says that what is stored must be turned by 90 degrees clockwise to be seen."""
    stored = np.zeros((32, 64, 3), np.uint8)
    stored[:, :16] = 255  # bright on the left: at the top once it is turned
    path = film(tmp_path / "clip.mp4", [stored] * 2)
    content = path.read_bytes()
    plain, turned = (
        struct.pack(">9i", *matrix)
        for matrix in (
            (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30),
            (0, 65536, 0, -65536, 0, 0, 32 << 16, 0, 1 << 30),
        )
    )
    track = content.index(plain, content.index(b"tkhd"))
    path.write_bytes(content[:track] + turned + content[track + len(turned) :])
    (frame, _) = frames_of(path)
    assert frame.shape == (64, 32, 3)
    assert frame[:12].mean() > 200
    assert frame[20:].mean() < 50


def test_flicker_is_measured_and_lowered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = film(tmp_path / "room.mp4", trembling(6))
    predict_files(config(tmp_path, input=str(path), smooth=0.8))
    assert "6 frames, flicker " in capsys.readouterr().out
    assert np.load(tmp_path / "out/room_mask.npy").shape == (6, 128, 128)
    assert len(list(frames_of(tmp_path / "out/room_mask.mp4"))) == 6
    measured = json.loads((tmp_path / "out/room_mask_video.json").read_text())
    assert measured["frames_per_second"] == 10
    assert 0 < measured["flicker_smoothed"] < 0.6 * measured["flicker"]
    assert measured["flicker_unit"] == "of the pixels"
    with pytest.raises(DataError, match=r"room_mask\.\w+ is there already"):
        predict_files(config(tmp_path, input=str(path)))


def test_a_folder_of_frames_is_a_video_if_wanted(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    for i, frame in enumerate(trembling(3)):
        Image.fromarray(frame).save(tmp_path / f"frames/{i:03d}.png")
    predict_files(config(tmp_path, input=str(tmp_path / "frames"), video=True))
    measured = json.loads((tmp_path / "out/frames_mask_video.json").read_text())
    assert measured["frames"] == 3
    assert measured["flicker_smoothed"] is None
    Image.fromarray(BLACK).save(tmp_path / "frames/003.png")
    with pytest.raises(DataError, match="is 6x4 pixels and the first frame 128x128"):
        predict_files(config(tmp_path, input=str(tmp_path / "frames"), video=True, output=str(tmp_path / "other")))
    assert list((tmp_path / "other").iterdir()) == []


def test_what_is_no_video_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"not a video")
    with pytest.raises(DataError, match=r"clip\.mp4: cannot be read as a video"):
        predict_files(config(tmp_path, input=str(tmp_path / "clip.mp4")))
    Image.fromarray(BLACK).save(tmp_path / "photo.png")
    with pytest.raises(ConfigError, match="smooth: is of videos"):
        predict_files(config(tmp_path, input=str(tmp_path / "photo.png"), smooth=0.5))
    with pytest.raises(ConfigError, match="fps: is of videos"):
        predict_files(config(tmp_path, input=str(tmp_path / "photo.png"), fps=5))
    sound = film(tmp_path / "sound.mp4", trembling(2))
    with pytest.raises(ConfigError, match=r"fps: .*sound.mp4 says itself"):
        predict_files(config(tmp_path, input=str(sound), fps=5))
    sound.unlink()
    with pytest.raises(DataError, match="is a video and others of the 2 files are not"):
        predict_files(config(tmp_path, input=str(tmp_path / "*.*")))
    assert not (tmp_path / "out").exists()


def test_what_moves_is_not_still() -> None:
    frame = np.full((20, 40, 3), 100, np.uint8)
    moved = frame.copy()
    moved[:, 20:] = 160
    still = stillness(moved, frame)
    np.testing.assert_allclose(still[:, :17], 1)
    np.testing.assert_allclose(still[:, 23:], 0, atol=1e-6)


def test_results_are_mixed_by_their_numbers() -> None:
    unused: Any = None
    near, far = (DepthResult(BLACK, np.full((4, 6), depth, np.float32), unused) for depth in (2.0, 4.0))
    np.testing.assert_allclose(far.smoothed(near, HALF).depth, 3)
    np.testing.assert_allclose(far.difference(near), 1)
    x, z = (NormalsResult(BLACK, np.broadcast_to(np.float32(v), (4, 6, 3)), unused) for v in ([1, 0, 0], [0, 0, 1]))
    np.testing.assert_allclose(x.smoothed(z, HALF).normals[0, 0], [0.5**0.5, 0, 0.5**0.5], atol=1e-6)
    np.testing.assert_allclose(x.difference(z), 90, atol=1e-4)
    a, b = (
        SegmentationResult(BLACK, np.full((4, 6), i, np.uint8), np.full((2, 4, 6), p, np.float16), ("a", "b"))
        for i, p in ((0, 0.5), (1, 0.5))
    )
    np.testing.assert_allclose(a.difference(b), 1)
    b.probabilities = np.stack([np.full((4, 6), 0.2), np.full((4, 6), 0.8)]).astype(np.float16)
    assert (a.smoothed(b, HALF).mask == 1).all()
    yes, no = (ReferringResult(BLACK, 1 - p < HALF, HALF * 2 * p, "x") for p in (0.9, 0.2))
    assert yes.smoothed(no, HALF).referent.all()
    np.testing.assert_allclose(yes.smoothed(no, HALF).probabilities, 0.55)


def test_a_person_is_followed_and_another_is_not_mixed_in() -> None:
    certain = np.ones(17, np.float32)
    at = [np.full((17, 2), value, np.float32) for value in (1.0, 3.0)]
    before = PoseResult(BLACK, [Pose(at[0], certain, (0, 0, 4, 4))], COCO_KEYPOINTS, 0.2)
    now = PoseResult(
        BLACK, [Pose(at[1], certain, (0, 0, 4, 4)), Pose(at[1], certain, (90, 0, 4, 4))], COCO_KEYPOINTS, 0.2
    )
    mixed = now.smoothed(before, HALF)
    np.testing.assert_allclose(mixed[0].points, 2)
    np.testing.assert_allclose(mixed[1].points, 3)
    np.testing.assert_allclose(now.difference(before), np.full((1, 17), 8**0.5), rtol=1e-6)
