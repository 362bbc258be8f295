"""Colours that can be told apart, and scales that say what they show."""

from __future__ import annotations

import colorspacious
import numpy as np
import pytest

from diffperc.visualization.colours import PREDICTION, TARGET, Scale, class_colours

SIGHTS = {
    "normal": None,
    "no long-wave cones": {"name": "sRGB1+CVD", "cvd_type": "protanomaly", "severity": 100},
    "no middle-wave cones": {"name": "sRGB1+CVD", "cvd_type": "deuteranomaly", "severity": 100},
}


def seen(rgb: np.ndarray, sight: str) -> np.ndarray:
    """CAM02-UCS, in which the distance is the difference that is seen, as eyes of this kind see it."""
    colours = np.asarray(rgb, float) / 255
    space = SIGHTS[sight]
    if space is not None:
        colours = np.clip(colorspacious.cspace_convert(colours, space, "sRGB1"), 0, 1)
    return colorspacious.cspace_convert(colours, "sRGB1", "CAM02-UCS")


def nearest(rgb: np.ndarray, sight: str) -> float:
    points = seen(rgb, sight)
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
    return float(distances[~np.eye(len(points), dtype=bool)].min())


# steps around the circle of hues come down to 1.7 with 8 colours and to 0.2 with 60, for eyes that see red and green alike
@pytest.mark.parametrize(("count", "least"), [(8, 12), (20, 6), (60, 1.5)])
@pytest.mark.parametrize("sight", SIGHTS)
def test_classes_differ_for_every_eye(count: int, least: float, sight: str) -> None:
    assert nearest(class_colours(count), sight) > least


@pytest.mark.parametrize("sight", SIGHTS)
def test_what_is_annotated_and_what_is_predicted_differ(sight: str) -> None:
    assert nearest(np.array([TARGET, PREDICTION]), sight) > 30


def test_a_class_keeps_its_colour() -> None:
    assert np.array_equal(class_colours(150)[:7], class_colours(7))
    assert len(np.unique(class_colours(256), axis=0)) == 256
    with pytest.raises(ValueError, match="256 colours, and 257 are wanted"):
        class_colours(257)


@pytest.mark.parametrize("name", ["viridis", "magma", "cividis"])
def test_equal_steps_of_a_scale_look_equal(name: str) -> None:
    drawn = Scale(0, 1, colormap=name).draw(np.linspace(0, 1, 33)[None])[0]
    steps = np.linalg.norm(np.diff(seen(drawn, "normal"), axis=0), axis=1)
    assert steps.max() < 2 * steps.min()


def test_a_scale_ends_at_its_numbers() -> None:
    drawn = Scale(1, 3, "m").draw(np.array([[0.0, 1.0, 3.0, 9.0, np.nan]]))[0]
    assert np.array_equal(drawn[0], drawn[1])
    assert np.array_equal(drawn[2], drawn[3])
    assert not drawn[4].any()
