from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from pycocotools.cocoeval import Params

from diffperc.errors import DataError, did_you_mean
from diffperc.types import COCO_KEYPOINTS, Batch, Conditioning, DatasetInfo, Features, FeatureSpec


def test_shapes_are_checked_where_an_object_is_built() -> None:
    with pytest.raises(ValueError, match=r"Conditioning.tokens must be \(B, N, D\), got \(50, 768\)"):
        Conditioning(torch.zeros(50, 768), timestep=torch.ones(1))
    with pytest.raises(ValueError, match=r"Batch.targets\['depth'\] must hold one entry per image: 2, got 3"):
        Batch(torch.zeros(2, 3, 8, 8), {"depth": torch.zeros(3, 1, 8, 8)})
    with pytest.raises(ValueError, match="either a timestep or a time_embedding"):
        Conditioning(torch.zeros(1, 5, 8))
    with pytest.raises(ValueError, match=r"Features.maps\[1\] must be \(B, C, h, w\) with C=16"):
        Features((torch.zeros(1, 8, 4, 4), torch.zeros(1, 8, 2, 2)), FeatureSpec((8, 16), (8, 16)))
    with pytest.raises(ValueError, match="finest first"):
        FeatureSpec((8, 16), (16, 8))


def test_a_batch_moves_all_its_tensors_and_keeps_the_rest(batch: Batch) -> None:
    moved = batch.to("meta")
    assert moved.image.is_meta
    assert moved.targets["depth"].is_meta
    assert moved.scene is not None
    assert moved.scene.is_meta
    assert moved.meta == batch.meta
    assert len(moved) == 3


def test_dataset_info_survives_plain_values() -> None:
    info = DatasetInfo(
        "x",
        classes=("road", "sky"),
        scenes=("a", "b"),
        max_depth=5.0,
        ignore_index=254,
        keypoints=COCO_KEYPOINTS,
        expression_length=77,
    )
    assert DatasetInfo.from_dict(json.loads(json.dumps(info.to_dict()))) == info


def test_errors_name_the_nearest_and_drop_a_workers_traceback() -> None:
    assert did_you_mean("vdp", ["iedp", "vpd"]).startswith("; did you mean 'vpd'?")
    assert "Known: a, b" in did_you_mean("zzz", ["b", "a"])
    wrapped = (
        "Caught DataError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n"
        "  File x\ndiffperc.errors.DataError: a.png: cannot be read.\n"
    )
    assert DataError(wrapped).sentence == "a.png: cannot be read."


def test_cocos_keypoints_are_cocos() -> None:
    """The sigmas of COCO's own evaluation, twins by their names, and lines that the mirror image has too."""
    spec = COCO_KEYPOINTS
    assert np.allclose(spec.sigmas, Params(iouType="keypoints").kpt_oks_sigmas, rtol=0, atol=1e-9)
    for name, twin in zip(spec.names, spec.swap, strict=True):
        other = {"left": "right", "right": "left"}
        side, _, part = name.partition("_")
        assert spec.names[twin] == (f"{other[side]}_{part}" if side in other else name)
    lines = {frozenset(line) for line in spec.skeleton}
    assert len(lines) == len(spec.skeleton) == 19
    assert {frozenset(spec.swap[end] for end in line) for line in lines} == lines
    joined = {tuple(sorted(spec.names[end].removeprefix("left_") for end in line)) for line in lines}
    assert joined >= {
        ("ankle", "knee"),
        ("hip", "knee"),
        ("elbow", "shoulder"),
        ("elbow", "wrist"),
        ("hip", "shoulder"),
    }
    assert joined >= {("eye", "nose"), ("ear", "eye"), ("ear", "shoulder"), ("hip", "right_hip"), ("eye", "right_eye")}
    assert [spec.names[i] for i in spec.upper][-1] == "right_wrist"
    with pytest.raises(AttributeError):
        spec.names = ()  # type: ignore[misc]
