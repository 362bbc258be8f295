"""Files of predicted poses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffperc.inference.output_files import write_file, write_picture
from diffperc.types import KeypointSpec, Picture
from diffperc.visualization.overlays import skeleton

_LISTED = 4  # persons in the message


def write_poses(stem: Path, image: Picture, poses: Sequence[Any], spec: KeypointSpec, visible: float) -> str:
    """``<stem>_pose.json`` (a list of persons: box, keypoints as x, y, confidence by name) and ``<stem>_pose.png``.

    Args:
        stem: path without ending.
        image: (H, W, 3).
        poses: `Pose` of each person.
        spec: which keypoints.
        visible: the confidence from which on keypoints are drawn and counted.

    Returns:
        What was found and the names of the files, for a message.
    """
    base = stem.with_name(stem.name + "_pose")
    drawn, persons, certain = image, [], []
    for pose in poses:
        shown = pose.confidence >= visible
        drawn = skeleton(drawn, pose.points, shown, spec)
        rows = np.concatenate([pose.points, pose.confidence[:, None]], 1).round(3).tolist()
        persons.append({"box": list(pose.box), "keypoints": dict(zip(spec.names, rows, strict=True))})
        certain.append(f"{int(shown.sum())} of {len(spec.names)} keypoints")
    content = json.dumps(persons, indent=1)
    write_file(base.with_name(base.name + ".json"), lambda part: part.write_text(content + "\n", encoding="utf-8"))
    write_picture(base.with_name(base.name + ".png"), drawn)
    plural = "" if len(poses) == 1 else "s"
    listed = ", ".join(certain[:_LISTED])
    return f"{len(poses)} person{plural} ({listed}) -> {base}.json, .png"
