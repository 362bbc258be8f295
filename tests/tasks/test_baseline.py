from __future__ import annotations

import numpy as np
import pytest

from diffperc.data import PerceptionDataset
from diffperc.tasks.depth import DepthProtocol
from diffperc.tasks.depth.baseline import depth_baseline, mean_depth_map
from diffperc.types import DatasetInfo, Sample

PROTOCOL = DepthProtocol(name="p", min_depth=1e-3, max_depth=10.0)


class Planes(PerceptionDataset):
    def __init__(self, depths: list[list[float]]) -> None:
        self.split = "train"
        self.rows = np.array(depths, np.float32)
        self.info = DatasetInfo("planes", max_depth=10.0)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Sample:
        return Sample(str(index), np.zeros((1, 3, 3), np.uint8), {"depth": self.rows[index][None]})


def test_the_mean_is_over_measured_pixels_below_the_largest_depth() -> None:
    train = Planes([[1, 0, 0], [3, 4, 0], [2, 0, 65.0]])
    # the third pixel was never measured below 10 m: the mean over all, (1 + 3 + 2 + 4) / 4
    assert mean_depth_map(train, 10)[0].tolist() == [2, 4, 2.5]


def test_the_baseline_is_that_map_scored_on_the_validation_target() -> None:
    found = depth_baseline(Planes([[1, 2, 4], [3, 2, 4]]), Planes([[2, 2, 4], [5, 2, 4]]), PROTOCOL)
    assert found["val/rmse_m"] == pytest.approx((0 + 3**0.5) / 2, rel=1e-6)
    assert found["val/delta1"] == pytest.approx((1 + 2 / 3) / 2)
