"""Fixtures shared by all tests. Nothing here needs a network or files outside the repository."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
# text vectors computed by tests stay out of the user's cache
os.environ["DIFFPERC_CACHE"] = tempfile.mkdtemp(prefix="diffperc-tests-")
# two threads of a small model on a busy two-core machine are slower than one
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

from diffperc.backbones import StableDiffusionBackbone
from diffperc.types import Batch, DatasetInfo
from tests.helpers import SHARED

atexit.register(shutil.rmtree, os.environ["DIFFPERC_CACHE"], ignore_errors=True)
torch.set_num_threads(1)


@pytest.fixture
def backbone() -> StableDiffusionBackbone:
    """The small random backbone, the same at every call."""
    torch.manual_seed(0)
    return StableDiffusionBackbone(config="tiny")


@pytest.fixture
def info() -> DatasetInfo:
    return DatasetInfo(
        name="rooms",
        scenes=("kitchen", "dining_room", "hall"),
        max_depth=10.0,
    )


@pytest.fixture
def batch() -> Batch:
    """Three images of 64 x 128 with depth and scene labels, one of them unknown."""
    generator = torch.Generator().manual_seed(3)
    depth = torch.rand(3, 1, 64, 128, generator=generator) * 8 + 0.5
    depth[:, :, :5] = 0
    image = torch.rand(3, 3, 64, 128, generator=generator)
    return Batch(image, {"depth": depth}, scene=torch.tensor([0, 2, -1]))


@pytest.fixture
def redkitchen() -> Path:
    """Real frames in NYUv2's layout, where the machine has them."""
    folder = SHARED / "redkitchen"
    if not folder.is_dir():
        pytest.skip("real frames in NYUv2's layout are not on this machine")
    return folder
