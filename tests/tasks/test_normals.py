from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from diffperc.data import Draw, Folder, PreparedDataset
from diffperc.errors import ConfigError, DataError
from diffperc.scenes import CLASSES
from diffperc.tasks.base import PerceptionTask
from diffperc.tasks.normals.baseline import normals_baseline
from diffperc.tasks.normals.loss import cosine_loss
from diffperc.tasks.normals.metrics import NormalsMetrics, angular_error
from diffperc.tasks.normals.predictor import predict_normals
from diffperc.tasks.normals.protocol import NormalsProtocol
from diffperc.tasks.normals.target import NormalsTarget, read_normals
from diffperc.types import Batch
from tests.contracts.task import TaskContract
from tests.helpers import batch_of, composed, prepared


class TestNormals(TaskContract):
    name = "normals"
    best = {"mean_deg": 0.0, "within_11_25": 1.0, "within_30": 1.0}  # noqa: RUF012

    def perfect(self, batch: Batch) -> Tensor:
        return batch.targets["normals"]

    def as_predicted(self, task: PerceptionTask, dense: Tensor, batch: Batch) -> np.ndarray:
        return dense[0].permute(1, 2, 0).numpy()


def unit(*vector: float) -> Tensor:
    return F.normalize(torch.tensor(vector, dtype=torch.float64), dim=0)[None, :, None, None]


def test_rendered_normals_face_the_viewer_and_the_floor_looks_up() -> None:
    data = prepared(composed("task=normals", "dataset.val_size=4"), "val")
    normals = batch_of(data, 4).targets["normals"]
    torch.testing.assert_close(normals.norm(dim=1), torch.ones(4, 128, 128))
    masks = batch_of(prepared(composed("task=segmentation", "dataset.val_size=4"), "val"), 4).targets["mask"]
    floor = normals.permute(0, 2, 3, 1)[masks == CLASSES.index("floor")]
    assert len(floor) > 1000
    assert (floor[:, 1] > 0.6).all()  # the camera looks down by less than 50 degrees
    assert (normals[:, 2].mean((1, 2)) > 0.3).all()


@pytest.mark.parametrize("degrees", [0.0, 1e-3, 11.0, 22.4, 90.0, 180.0])
def test_the_error_is_the_angle(degrees: float) -> None:
    angle = np.deg2rad(degrees)
    found = angular_error(unit(0, 0, 1), unit(np.sin(angle), 0, np.cos(angle)))
    assert found.item() == pytest.approx(degrees, abs=1e-6)


def test_metrics_are_over_all_measured_pixels() -> None:
    """Errors of 10, 20 and 40 degrees; the fourth pixel was not measured; batches do not matter."""
    angles = torch.deg2rad(torch.tensor([10.0, 20.0, 40.0, 0.0]))
    prediction = torch.stack([angles.sin(), torch.zeros(4), angles.cos()])[None, :, None]
    target = torch.tensor([0.0, 0.0, 1.0])[None, :, None, None].repeat(1, 1, 1, 4)
    target[..., 3] = 0
    metrics = NormalsMetrics()
    metrics.update(prediction[..., :2], target[..., :2])
    metrics.update(prediction[..., 2:], target[..., 2:])
    found = {name: float(value) for name, value in metrics.compute().items()}
    assert found["mean_deg"] == pytest.approx(70 / 3, abs=1e-4)
    assert found["median_deg"] == pytest.approx(20, abs=0.01)
    assert [found[name] for name in ("within_11_25", "within_22_5", "within_30")] == pytest.approx(
        [1 / 3, 2 / 3, 2 / 3]
    )


def test_nothing_measured_is_nan_and_no_gradient() -> None:
    prediction = unit(0, 0, 1).float().requires_grad_()
    loss = cosine_loss(prediction, torch.zeros(1, 3, 1, 1))
    loss.backward()
    assert loss.item() == 0
    assert prediction.grad is not None
    assert not prediction.grad.any()
    metrics = NormalsMetrics()
    metrics.update(prediction.detach(), torch.zeros(1, 3, 1, 1))
    assert all(value.isnan() for value in metrics.compute().values())


@pytest.mark.parametrize(("angle", "expected"), [(0, 0.0), (60, 0.5), (90, 1.0), (180, 2.0)])
def test_the_loss_is_one_minus_the_cosine(angle: float, expected: float) -> None:
    a = np.deg2rad(angle)
    loss = cosine_loss(unit(0, np.sin(a), np.cos(a)), unit(0, 0, 1))
    assert loss.item() == pytest.approx(expected, abs=1e-12)


def test_the_mirror_image_turns_x() -> None:
    """A network that reads the normal off the colours of an image: its mirror image, turned back, agrees with it."""
    normals = F.normalize(torch.randn(1, 3, 8, 10, generator=torch.Generator().manual_seed(0)), dim=1)
    image = (normals + 1) / 2

    calls = []

    def network(batch: Batch) -> Tensor:
        calls.append(batch.image)
        seen = F.normalize(batch.image * 2 - 1, dim=1)
        if torch.equal(batch.image, image):
            return seen
        return seen * torch.tensor([-1.0, 1, 1])[:, None, None]  # it sees the mirrored scene, whose x is turned

    found = predict_normals(network, Batch(image), NormalsProtocol("x", flip=True), (8, 10))
    torch.testing.assert_close(found, normals)
    assert len(calls) == 2


def test_training_turns_x_with_the_image() -> None:
    data = prepared(composed("task=normals", "dataset.train_size=2"), "train")
    plain = data[Draw(0, next(seed for seed in range(12) if not _is_turned(data, seed)))]
    found = set()
    for seed in range(12):
        item = data[Draw(0, seed)]
        turned = _is_turned(data, seed)
        found.add(turned)
        x, yz = item.targets["normals"][:1], item.targets["normals"][1:]
        if turned:
            x, yz = -x.flip(-1), yz.flip(-1)
        assert torch.equal(torch.cat([x, yz]), plain.targets["normals"])
    assert found == {True, False}


def _is_turned(data: PreparedDataset, seed: int) -> bool:
    """Whether y, which mirroring only moves, was moved."""
    raw = data.dataset[0].targets["normals"][..., 1]
    return not np.array_equal(data[Draw(0, seed)].targets["normals"][1].numpy(), raw)


@pytest.mark.parametrize("transform", ["VerticalFlip", "RandomRotate90", "Transpose"])
def test_an_augmentation_that_would_turn_vectors_is_refused(transform: str) -> None:
    augment = f"preprocessing.augment=[{{_target_: albumentations.{transform}, p: 1.0}}]"
    data = prepared(composed("task=normals", "dataset.train_size=2", augment), "train")
    with pytest.raises(
        ConfigError, match=r"preprocessing.augment: turns images, and the vectors of the target 'normals'"
    ):
        # one of four quarter turns changes nothing
        _ = [data[Draw(0, seed)] for seed in range(4)]


def test_files_of_one_s_own(tmp_path: Path) -> None:
    """Eight bits, sixteen bits and arrays hold the same vectors; black, grey and zero were not measured."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(20, 30, 3))
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    colours = (vectors + 1) / 2
    (tmp_path / "images").mkdir()
    (tmp_path / "normals").mkdir()
    for name, top, kind in (("a", 255, np.uint8), ("b", 65535, np.uint16)):
        pixels = (colours * top).round().astype(kind)
        pixels[0, 0], pixels[0, 1] = 0, top // 2 + 1
        cv2.imwrite(str(tmp_path / f"normals/{name}.png"), pixels[..., ::-1])
    stored = vectors.copy()
    stored[0, 0], stored[0, 1] = 0, np.nan
    np.save(tmp_path / "normals/c.npy", stored)
    for name, tolerance in (("a.png", 0.012), ("b.png", 1e-4), ("c.npy", 1e-6)):
        found = read_normals(tmp_path / "normals" / name)
        assert found.dtype == np.float32
        assert not found[0, :2].any()
        assert np.abs(found - vectors)[1:].max() < tolerance
        cv2.imwrite(str(tmp_path / "images" / f"{name[0]}.jpg"), np.zeros((20, 30, 3), np.uint8))
    sets = [Folder(split, str(tmp_path), target=NormalsTarget(), val=0.34) for split in ("train", "val")]
    assert sum(map(len, sets)) == 3
    assert sets[0][0].targets["normals"].shape == (20, 30, 3)
    cv2.imwrite(str(tmp_path / "normals/a.png"), np.zeros((20, 30), np.uint8))
    with pytest.raises(
        DataError, match=r"a.png: normals have three numbers per pixel, this file has the shape \(20, 30\)"
    ):
        read_normals(tmp_path / "normals/a.png")


def test_the_baseline_does_not_look_at_the_image() -> None:
    cfg = composed("task=normals", "dataset.train_size=6", "dataset.val_size=3")
    data = {split: prepared(cfg, split).dataset for split in ("train", "val")}
    found = normals_baseline(data["train"], data["val"])
    assert 20 < found["val/mean_deg"] < 70
    same = normals_baseline(data["val"], data["val"], samples=3)
    assert same["val/mean_deg"] < found["val/mean_deg"]


@pytest.mark.parametrize(("degrees", "within"), [(11.0, 3), (11.5, 2), (22.0, 2), (23.0, 1), (29.5, 1), (30.5, 0)])
def test_the_shares_are_those_within_the_usual_angles(degrees: float, within: int) -> None:
    """11.25, 22.5 and 30 degrees."""
    metrics = NormalsMetrics()
    angle = math.radians(degrees)
    metrics.update(unit(0, math.sin(angle), math.cos(angle)), unit(0, 0, 1))
    values = metrics.compute()
    assert [float(values[f"within_{name}"]) for name in ("11_25", "22_5", "30")] == [0.0] * (3 - within) + [
        1.0
    ] * within
