"""Writing results to files, each at once or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from diffperc.inference.pose import Pose
from diffperc.types import DatasetInfo
from diffperc.visualization.panels import FOUND, Picture, class_colours, colour, outlined, overlay, panels, skeleton

VISIBLE = 0.2
"""Keypoints below this confidence are not drawn."""


def write_answer(stem: Path, pixels: Picture, answer: Any, info: DatasetInfo, expression: str | None = None) -> str:
    """Write what a predictor answered.

    Args:
        stem: path without ending.
        pixels: (H, W, 3) the image.
        answer: depth (float32), class ids (uint8), a mask (bool), or poses (list).
        info: names of classes and keypoints.
        expression: what the mask was asked for.

    Returns:
        What was found and the names of the files, for a message.
    """
    if isinstance(answer, list):
        return write_poses(stem, pixels, answer, info)
    if answer.dtype == np.bool_:
        return write_referent(stem, pixels, answer, expression or "")
    if answer.dtype == np.uint8:
        return write_classes(stem, pixels, answer, info)
    return write_depth(stem, answer)


def write_depth(stem: Path, depth: NDArray[np.float32]) -> str:
    """``<stem>_depth.png`` (16 bit, millimetres), ``.npy`` (float32, metres) and ``<stem>_depth_colour.png``."""
    base = stem.with_name(stem.name + "_depth")
    text = PngInfo()
    text.add_text("unit", "millimetre")
    text.add_text("scale", "1000 counts a metre, 0 = not measured")
    millimetres = np.clip(np.round(depth * 1000), 0, 65535).astype(np.uint16)
    picture = colour(depth, float(depth.min()), float(depth.max()))
    _write(base.with_name(base.name + ".png"), lambda p: Image.fromarray(millimetres).save(p, "PNG", pnginfo=text))
    _write(base.with_name(base.name + ".npy"), lambda p: _save_array(p, depth))
    _save_picture(base.with_name(base.name + "_colour.png"), picture)
    found = f"{depth.min():.2f} to {depth.max():.2f} m, mean {depth.mean():.2f} m"
    return f"{found} -> {base}.png, .npy, _colour.png"


def write_classes(stem: Path, pixels: Picture, mask: NDArray[np.uint8], info: DatasetInfo) -> str:
    """``<stem>_mask.png`` (8-bit palette png of class ids) and ``<stem>_mask_colour.png`` (overlay with legend)."""
    base = stem.with_name(stem.name + "_mask")
    colours = class_colours(len(info.classes))
    indexed = Image.fromarray(mask)
    indexed.putpalette(colours.tobytes())
    shares = np.bincount(mask.ravel(), minlength=len(info.classes)) / mask.size
    order = [int(i) for i in np.argsort(-shares) if shares[i] > 0]
    legend = [
        (f"{info.classes[i]} {shares[i]:.0%}", (int(r), int(g), int(b))) for i in order for r, g, b in [colours[i]]
    ]
    picture = panels([("image", pixels), ("classes", overlay(pixels, mask, colours))], legend=legend)
    _write(base.with_name(base.name + ".png"), lambda p: indexed.save(p, "PNG"))
    _save_picture(base.with_name(base.name + "_colour.png"), picture)
    found = ", ".join(f"{info.classes[i]} {shares[i]:.0%}" for i in order[:4])
    return f"{found} -> {base}.png, _colour.png"


def write_referent(stem: Path, pixels: Picture, mask: NDArray[np.bool_], expression: str) -> str:
    """``<stem>_referent.png`` (8 bit, 255 where the expression points) and ``<stem>_referent_colour.png``."""
    base = stem.with_name(stem.name + "_referent")
    binary = mask.astype(np.uint8) * 255
    picture = panels([("image", pixels), ("found", outlined(pixels, mask, FOUND))], title=f"“{expression}”")
    _write(base.with_name(base.name + ".png"), lambda p: Image.fromarray(binary).save(p, "PNG"))
    _save_picture(base.with_name(base.name + "_colour.png"), picture)
    return f'"{expression}" is {mask.mean():.1%} of the image -> {base}.png, _colour.png'


def write_poses(stem: Path, pixels: Picture, poses: list[Pose], info: DatasetInfo) -> str:
    """``<stem>_pose.json`` (a list of persons: box, keypoints as x, y, confidence by name) and ``<stem>_pose.png``."""
    base = stem.with_name(stem.name + "_pose")
    spec = info.keypoints
    assert spec is not None
    picture, persons = pixels, []
    for pose in poses:
        picture = skeleton(picture, pose.points, pose.confidence >= VISIBLE, spec)
        rows = np.concatenate([pose.points, pose.confidence[:, None]], 1).round(3).tolist()
        persons.append({"box": list(pose.box), "keypoints": dict(zip(spec.names, rows, strict=True))})
    content = json.dumps(persons, indent=1)
    _write(base.with_name(base.name + ".json"), lambda p: p.write_text(content + "\n", encoding="utf-8"))
    _save_picture(base.with_name(base.name + ".png"), picture)
    certain = ", ".join(f"{int((p.confidence >= VISIBLE).sum())} of {len(spec.names)} keypoints" for p in poses[:4])
    return f"{len(poses)} person{'s' * (len(poses) != 1)} ({certain}) -> {base}.json, .png"


def _save_picture(path: Path, picture: Picture) -> None:
    _write(path, lambda p: Image.fromarray(picture).save(p, "PNG"))


def _save_array(path: Path, array: NDArray[np.float32]) -> None:
    with path.open("wb") as file:  # np.save would append another ending to a path
        np.save(file, array)


def _write(path: Path, save: Callable[[Path], Any]) -> None:
    unfinished = path.with_name(path.name + ".part")
    save(unfinished)
    os.replace(unfinished, path)
