"""Whole pipelines of evaluation with a network that answers the truth: loader, windows, mirror images, restoring, metric.

The pictures show the truth itself, as grey levels, and the "network" reads it off whatever it is shown. What is perfect then
comes out perfect; a truth that is shown one pixel to the side does not. How files are read is tested with each data set.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig
from PIL import Image
from torch import nn

from diffperc.data import KITTI, Draw, PerceptionDataset
from diffperc.engine.build import build_dataset, build_protocol, task_class
from diffperc.inference.sliding_window import predict_whole
from diffperc.metrics import DepthMetrics
from diffperc.tasks import PerceptionTask
from diffperc.types import Batch, Prediction, Sample
from tests.fakes import ade20k, camvid, cityscapes, coco_pose, folder, kitti, nyuv2, refcoco
from tests.helpers import SHARED, composed, loaders, prepared

Truth = NDArray[Any]


def random_depth(size: tuple[int, int], top: float, share: float = 0.8) -> Truth:
    """Another depth in every pixel, and nothing measured in the rest of them."""
    rng = np.random.default_rng(0)
    return (rng.uniform(0.1, 0.9, size) * top * (rng.random(size) < share)).astype(np.float32)


def smooth_depth(size: tuple[int, int], top: float) -> Truth:
    rows, columns = np.indices(size)
    return (top * (0.4 + 0.2 * np.sin(columns / 15) + 0.2 * np.cos(rows / 20))).astype(np.float32)


def random_mask(size: tuple[int, int], count: int) -> Truth:
    """Another class in every pixel, a tenth of them not counted."""
    rng = np.random.default_rng(0)
    return np.where(rng.random(size) < 0.1, 255, rng.integers(0, count, size)).astype(np.uint8)


def banded_mask(size: tuple[int, int], count: int) -> Truth:
    """Oblique bands in the order of the ids: between two neighbours there is no third class."""
    rows, columns = np.indices(size)
    place = (rows + 2 * columns) / (size[0] + 2 * size[1])
    return (place * min(count, 12)).astype(np.uint8)


def random_region(size: tuple[int, int], _: float) -> Truth:
    return np.random.default_rng(0).integers(0, 2, size).astype(np.uint8)


def disc(size: tuple[int, int], _: float) -> Truth:
    rows, columns = np.indices(size)
    return ((rows - size[0] / 2) ** 2 + (columns - size[1] / 2) ** 2 < (size[0] / 4) ** 2).astype(np.uint8)


class Revealing(PerceptionDataset):
    """Two samples of a data set whose image is the truth: its grey is the value, 255 for `top`.

    Args:
        dataset: whose info and protocol are used.
        name: of the truth, and `truth` itself.
        shift: pixels by which the image, but not the truth, is moved to the right.
    """

    def __init__(self, dataset: PerceptionDataset, name: str, truth: Truth, top: float, shift: int) -> None:
        self.info, self.split, self.one_size = dataset.info, dataset.split, dataset.one_size
        self._name, self._truth, self._top, self._shift = name, truth, top, shift

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Sample:
        truth = self._truth[::-1] if index else self._truth  # two different ones
        level = np.roll(np.where(truth == 255, 0, truth) if self._name == "mask" else truth, self._shift, 1)
        grey = level / self._top * 255
        # Pillow, which resizes referring images, takes whole numbers
        kind = np.uint8 if self._name == "referent" else np.float32
        image: Any = np.repeat(grey.astype(kind)[..., None], 3, 2)
        return Sample(f"picture {index}", image, {self._name: truth.copy()}, expressions=("it",))


class Oracle(nn.Module):
    """Reads the truth off the picture."""

    def __init__(self, name: str, top: float, classes: int) -> None:
        super().__init__()
        self.pixels_at_once = 0
        self._name, self._top, self._classes = name, top, classes

    def forward(self, batch: Batch) -> Prediction:
        value = batch.image[:, :1] * self._top
        if self._name == "depth":
            return Prediction(value.clamp_min(1e-3))
        if self._name == "referent":
            return Prediction(torch.cat([0.5 - value, value - 0.5], 1) * 100)
        # a line a class, of which the nearest is highest: it can be interpolated, as a network's logits are
        ids = torch.arange(self._classes)[:, None, None]
        return Prediction(10 * (2 * value * ids - ids**2))


class Case(NamedTuple):
    """A data set, the truth to show, and what a perfect and a shifted answer may reach.

    Attributes:
        error: of the monitored metric from its best, that may remain (0: exact).
        shifted: that a shift by one pixel must cost at least.
    """

    task: str
    truth: str
    size: tuple[int, int]
    make: Callable[[tuple[int, int], Any], Truth]
    error: float
    shifted: float
    options: tuple[str, ...] = ()


WRITERS = {
    "ade20k": ade20k.write_root,
    "camvid": camvid.write_root,
    "cityscapes": cityscapes.write_root,
    "coco_pose": coco_pose.write_root,
    "folder": folder.write_root,
    "kitti": kitti.write_root,
    "nyuv2": nyuv2.write_root,
    "refcoco": refcoco.write_root,
}
# at the size of the protocol nothing is resized, and any truth comes back to the last digit; else a smooth one does, nearly
CASES = {
    "nyuv2": Case("depth", "depth", (480, 640), random_depth, 1e-5, 1),
    "nyuv2 resized": Case("depth", "depth", (300, 401), smooth_depth, 0.01, 0.02),
    "kitti": Case("depth", "depth", (352, 1216), lambda s, t: random_depth(s, t, 0.05), 1e-4, 10),
    "kitti eigen": Case(
        "depth", "depth", (352, 1216), lambda s, t: random_depth(s, t, 0.05), 1e-4, 10,
        ("protocol@task.protocol=kitti_eigen",),
    ),
    "ade20k": Case("segmentation", "mask", (512, 683), random_mask, 0, 0.5),
    "ade20k resized": Case("segmentation", "mask", (301, 403), banded_mask, 0.01, 0.015),
    "ade20k scales": Case(
        "segmentation", "mask", (101, 151), banded_mask, 0.03, 0.04,
        ("protocol@task.protocol=ade20k_ms", "preprocessing.short_side=101"),
    ),
    "cityscapes": Case("segmentation", "mask", (1027, 1100), random_mask, 0, 0.5),
    "cityscapes scales": Case(
        "segmentation", "mask", (129, 257), banded_mask, 0.03, 0.035,
        ("protocol@task.protocol=cityscapes_ms", "task.protocol.window=100",
         "task.protocol.stride=67"),
    ),
    "camvid": Case("segmentation", "mask", (360, 480), random_mask, 0, 0.5),
    "refcoco": Case("referring", "referent", (512, 512), random_region, 0, 0.3),
    "refcoco resized": Case("referring", "referent", (427, 640), disc, 0.004, 0.006),
    "refcoco full": Case(
        "referring", "referent", (427, 641), disc, 0.01, 0.01, ("protocol@task.protocol=refcoco_full",)
    ),
    "folder masks": Case("segmentation", "mask", (301, 203), banded_mask, 0.015, 0.02),
    "folder depth": Case("depth", "depth", (301, 203), smooth_depth, 0.02, 0.04),
    "scenes": Case("depth", "depth", (128, 128), random_depth, 1e-5, 1),
}  # fmt: skip


def configured(name: str, case: Case, folder: Path) -> DictConfig:
    dataset = name.split()[0]
    root = [f"dataset.root='{WRITERS[dataset](folder)}'"] if dataset in WRITERS else []
    return composed(f"task={case.task}", f"dataset={dataset}", "backbone=sd15", *root, *case.options)


def scored(cfg: DictConfig, case: Case, shift: int) -> dict[str, float]:
    """The metrics of a whole validation."""
    val = build_dataset(cfg, "val")
    top = (val.info.max_depth or 1.0) if case.truth == "depth" else max(1, len(val.info.classes))
    top = 1 if case.truth == "referent" else top
    shown = Revealing(val, case.truth, case.make(case.size, top), top, shift)
    kind: type[PerceptionTask] = task_class(cfg)
    oracle = Oracle(case.truth, top, len(val.info.classes))
    task = kind(model=oracle, info=val.info, protocol=build_protocol(cfg))  # type: ignore[arg-type]
    for i, batch in enumerate(loaders(cfg, None, shown).val_dataloader()):
        task.validation_step(batch, i)
    return {k: float(v) for k, v in task.scores.compute().items()}


@pytest.mark.parametrize("name", CASES)
def test_the_truth_scores_best_and_one_pixel_beside_it_does_not(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    cfg = configured(name, case, tmp_path)
    monitor, direction = task_class(cfg).monitor
    right, wrong = (scored(cfg, case, shift)[monitor.removeprefix("val/")] for shift in (0, 1))
    lost = (right, wrong) if direction == "min" else (1 - right, 1 - wrong)
    assert lost[0] <= case.error
    assert lost[1] >= case.shifted
    assert lost[1] > 1.4 * lost[0]


@pytest.mark.parametrize("shift", [0, 3])
def test_true_heatmaps_of_persons_score_best_and_shifted_ones_do_not(shift: int, tmp_path: Path) -> None:
    """Cells of the heatmap are 0.4 pixels of the image here, as the persons are small."""
    root = tmp_path / "coco"
    file = coco_pose.write(root, "val2017")
    truth, rng = json.loads(file.read_text()), np.random.default_rng(0)
    truth["annotations"] = []
    for number in (1, 2):  # not the same as their mirror images
        pixels = rng.integers(0, 255, (coco_pose.HEIGHT, coco_pose.WIDTH, 3), np.uint8)
        Image.fromarray(pixels).save(root / f"val2017/{number:012d}.jpg")
    for i, (x, y, w, h) in enumerate([(5, 6, 20, 20), (30, 20, 18, 24), (20, 4, 22, 22)]):
        person = coco_pose.annotation(i + 1, 1 + i % 2, [x, y, w, h])
        joints = rng.uniform((x, y), (x + w - 1, y + h - 1), (17, 2))
        person |= {"keypoints": np.column_stack([joints, np.full(17, 2)]).reshape(-1).tolist(), "area": 300}
        truth["annotations"].append(person)
    file.write_text(json.dumps(truth))
    cfg = composed("task=pose", "dataset=coco_pose", f"dataset.root='{root}'", "backbone=sd15")
    val = build_dataset(cfg, "val")
    spec = val.info.keypoints
    assert spec is not None

    class Heatmaps(nn.Module):
        pixels_at_once = 0  # an image and its mirror image come one after the other

        def forward(self, batch: Batch) -> Prediction:
            mirrored = not torch.equal(batch.image, current.image)
            heatmaps = current.targets["heatmap"].roll(shift, -1)
            return Prediction(heatmaps[:, list(spec.swap)].flip(-1) if mirrored else heatmaps)

    task = task_class(cfg)(model=Heatmaps(), info=val.info, protocol=build_protocol(cfg))  # type: ignore[arg-type]
    task.scores.annotations = val.keypoint_annotations()
    for i, batch in enumerate(loaders(cfg, None, val).val_dataloader()):
        current = batch
        task.validation_step(batch, i)
    scores = {k: float(v) for k, v in task.scores.compute().items()}
    if shift == 0:
        assert scores["ap"] == pytest.approx(1.0, abs=1e-6)
    else:
        assert scores["ap"] < 0.9


def test_sparse_depth_is_never_interpolated(tmp_path: Path) -> None:
    """Through training's resizing, flipping and cropping only values of the file come out, and 0."""
    root = kitti.write_root(tmp_path)
    cfg = composed(
        "task=depth",
        "dataset=kitti",
        f"dataset.root='{root}'",
        "backbone=sd15",
        "preprocessing.short_side=299",
        "preprocessing.crop=288",
    )
    train = build_dataset(cfg, "train")
    values = {float(v) for i in range(len(train)) for v in np.unique(train.target(i))}
    data, seen = prepared(cfg, "train", train), set()
    for seed in range(30):
        depth = data[Draw(seed % len(train), seed)].targets["depth"]
        assert depth.shape == (1, 288, 288)
        seen |= set(depth.unique().tolist())
    assert seen <= values
    assert len(seen) > 1


# of rows and columns, as published
SHARES = {
    "kitti_garg": (0.40810811, 0.99189189, 0.03594771, 0.96405229),
    "kitti_eigen": (0.3324324, 0.91351351, 0.0359477, 0.96405229),
}


def direct_metrics(prediction: float, truth: NDArray[np.float64], shares: tuple[float, ...]) -> dict[str, float]:
    """Of a constant, in numpy, from the formulas."""
    top, bottom, left, right = (int(s * n) for s, n in zip(shares, (352, 352, 1216, 1216), strict=True))
    inside = np.zeros_like(truth, dtype=bool)
    inside[top:bottom, left:right] = True
    t = truth[inside & (truth > 1e-3) & (truth < 80)]
    p = np.full_like(t, prediction)
    ratio, logs = np.maximum(t / p, p / t), np.log(p) - np.log(t)
    return {
        "delta1": (ratio < 1.25).mean(), "delta2": (ratio < 1.25**2).mean(), "delta3": (ratio < 1.25**3).mean(),
        "abs_rel": (np.abs(p - t) / t).mean(), "sq_rel_m": ((p - t) ** 2 / t).mean(),
        "rmse_m": np.sqrt(((p - t) ** 2).mean()), "rmse_log": np.sqrt((logs**2).mean()),
        "log10": np.abs(np.log10(p) - np.log10(t)).mean(),
        "silog": np.sqrt((logs**2).mean() - 0.5 * logs.mean() ** 2),
    }  # fmt: skip


@pytest.mark.parametrize("protocol", SHARES)
def test_a_constant_on_real_frames_of_kitti_equals_numpy(protocol: str) -> None:
    """Three frames, 16 windows and mirror images; crops rounded down from the published shares."""
    if not (SHARED / "kitti").is_dir():
        pytest.skip("real frames of KITTI are not on this machine")
    cfg = composed(
        "task=depth",
        "dataset=kitti",
        f"dataset.root={SHARED / 'kitti'}",
        f"protocol@task.protocol={protocol}",
    )
    val = build_dataset(cfg, "val")
    assert isinstance(val, KITTI)
    chosen: Any = build_protocol(cfg)
    metrics = DepthMetrics(chosen.min_depth, chosen.max_depth, chosen.crop, chosen.crop_size)
    expected: list[dict[str, float]] = []
    for i in range(len(val)):
        sample = val[i]
        assert sample.image.shape == (352, 1216, 3)
        image = torch.from_numpy(sample.image.copy()).permute(2, 0, 1)[None].float() / 255
        dense = predict_whole(
            lambda b: torch.full_like(b.image[:, :1], 12.5), Batch(image), chosen.windows, chosen.flip
        )
        depth = sample.targets["depth"]
        metrics.update(dense, torch.from_numpy(depth.copy())[None, None])
        expected.append(direct_metrics(12.5, depth.astype(np.float64), SHARES[protocol]))
    found = metrics.compute()
    for name in expected[0]:
        assert found[name].item() == pytest.approx(np.mean([e[name] for e in expected]), rel=1e-6), name
