from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffperc.errors import DataError
from diffperc.files.images import read_depth, read_image


def test_every_kind_of_picture_becomes_rgb(tmp_path: Path) -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert np.array_equal(read_image(tmp_path / "grey.png"), np.stack([grey] * 3, -1))
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    assert np.array_equal(read_image(tmp_path / "deep.png"), np.stack([grey] * 3, -1))
    Image.fromarray(np.dstack([grey] * 4)).save(tmp_path / "alpha.png")
    assert read_image(tmp_path / "alpha.png").shape == (3, 4, 3)


def test_pictures_are_turned_upright(tmp_path: Path) -> None:
    """EXIF orientation 6: the camera was held upright, the sensor's rows are the picture's columns."""
    image = Image.fromarray(np.zeros((20, 30, 3), np.uint8))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "upright.jpg", exif=exif)
    assert read_image(tmp_path / "upright.jpg").shape == (30, 20, 3)


def test_depth_is_scaled_and_the_saturated_is_not_measured(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 256, 65535]], np.uint16)).save(tmp_path / "d.png")
    assert read_depth(tmp_path / "d.png", 256).tolist() == [[0, 1, 0]]


def test_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.png: there is no such file"):
        read_image(tmp_path / "nothing.png")
    (tmp_path / "a.png").write_text("text")
    with pytest.raises(DataError, match=r"a.png: cannot be read as an image \(not an image\)"):
        read_image(tmp_path / "a.png")
