from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch

from diffperc.data.datasets.coco_pose import COCOPose
from diffperc.geometry.person_crop import PersonCrop
from diffperc.metrics.keypoints import KeypointMetrics, oks, oks_nms
from diffperc.tasks.pose import PoseProtocol
from diffperc.tasks.pose.heatmaps import decode, to_image
from diffperc.types import Person
from diffperc.types.keypoints import COCO_KEYPOINTS as SPEC
from diffperc.types.keypoints import KeypointSpec, plausible_area
from tests.helpers import SHARED

PROTOCOL = PoseProtocol(name="coco")
SIDE = 100.0
"""Of the square boxes below; 100^2 pixels are large to COCO, 50^2 medium."""


def annotation(identity: int, image: int, side: float = SIDE, labelled: int = 17, crowd: int = 0) -> dict[str, Any]:
    left, top = 20.0 * image, 150.0 * (identity % 3)
    joints = np.random.default_rng(identity).uniform((left, top), (left + side, top + side), (17, 2))
    visibility = np.where(np.arange(17) < labelled, 2, 0)
    return {
        "id": identity,
        "image_id": image,
        "category_id": 1,
        "bbox": [left, top, side, side],
        "area": 0.6 * side * side,
        "iscrowd": crowd,
        "num_keypoints": labelled,
        "keypoints": np.column_stack([joints * (visibility > 0)[:, None], visibility]).ravel().tolist(),
    }


@pytest.fixture
def target() -> dict[str, Any]:
    """Three images, the last empty; four persons of two sizes, some with unlabelled joints."""
    return {
        "images": [{"id": i, "width": 640, "height": 480, "file_name": f"{i}.jpg"} for i in (1, 2, 3)],
        "annotations": [annotation(10, 1), annotation(11, 1, 60), annotation(12, 2, 130, 9), annotation(13, 2, 70)],
        "categories": [{"id": 1, "name": "person"}],
    }


def persons(target: dict[str, Any]) -> list[Person]:
    return [
        Person(
            box=tuple(a["bbox"]),
            keypoints=tuple(tuple(j) for j in np.reshape(a["keypoints"], (-1, 3)).tolist()),
            area=a["area"],
            image_id=a["image_id"],
            annotation_id=a["id"],
        )
        for a in target["annotations"]
    ]


def points_of(people: list[Person]) -> torch.Tensor:
    return torch.tensor([p.keypoints for p in people])[..., :2]


def score(target: dict[str, Any], people: list[Person], points: torch.Tensor, sure: float | torch.Tensor = 0.9) -> Any:
    metrics = KeypointMetrics(SPEC, PROTOCOL.visible, PROTOCOL.oks_nms)
    metrics.annotations = target
    confidence = torch.as_tensor(sure).expand(len(people), 17) if not isinstance(sure, torch.Tensor) else sure
    # in two batches, as a loader would
    metrics.update(points[:1], confidence[:1], people[:1])
    metrics.update(points[1:], confidence[1:], people[1:])
    return {k: v.item() for k, v in metrics.compute().items()}


def test_oks_follows_cocos_formula() -> None:
    """exp(-d^2 / (2 s^2 k^2)), k = 2 sigma: a nose 5 pixels off on a person of 2500 square pixels."""
    nose = SPEC.sigmas[0]
    expected = math.exp(-(5**2) / (2 * 2500 * (2 * nose) ** 2))
    assert oks(np.zeros((1, 2)), np.array([[3.0, 4.0]]), 2500.0, [nose]) == pytest.approx(expected)
    moved = np.zeros((17, 2))
    moved[0] = (3, 4)
    assert oks(np.zeros((17, 2)), moved, 2500.0, SPEC.sigmas) == pytest.approx((16 + expected) / 17)
    both = oks(np.zeros((17, 2)), np.stack([moved, moved * 0]), np.array([2500.0, 1.0]), SPEC.sigmas)
    assert both == pytest.approx([(16 + expected) / 17, 1])


def test_nms_keeps_the_better_of_near_duplicates() -> None:
    base = np.random.default_rng(0).uniform(0, 100, (17, 2))
    points = np.stack([base, base + 0.5, base + 40, base + 40.5])
    areas = np.full(4, 1e4)
    assert oks_nms(points, np.array([0.5, 0.8, 0.9, 0.2]), areas, SPEC.sigmas, 0.9).tolist() == [2, 1]
    assert oks_nms(points, np.array([0.5, 0.8, 0.9, 0.2]), areas, SPEC.sigmas, 1.0).tolist() == [2, 1, 0, 3]
    assert oks_nms(points[:0], np.zeros(0), np.zeros(0), SPEC.sigmas, 0.9).tolist() == []


def test_perfect_predictions_are_perfect(target: dict[str, Any]) -> None:
    people = persons(target)
    assert score(target, people, points_of(people)) == dict.fromkeys(
        ("ap", "ap50", "ap75", "ap_m", "ap_l", "ar", "pck"), pytest.approx(1)
    )


def test_a_shift_by_a_third_of_the_box_finds_nothing(target: dict[str, Any]) -> None:
    people = persons(target)
    shift = torch.tensor([[0.3 * p.box[2], 0] for p in people])[:, None]
    found = score(target, people, points_of(people) + shift)
    assert found["pck"] == 0
    assert found["ap50"] < 0.2
    assert score(target, people, points_of(people) + shift * 0.19 / 0.3)["pck"] == 1


def test_pck_counts_labelled_joints(target: dict[str, Any]) -> None:
    """Five labelled joints of 17 + 17 + 9 + 17 and all unlabelled ones are far off."""
    people = persons(target)
    points = points_of(people)
    points[2, 9:] += 500
    points[0, :5, 1] += 0.21 * SIDE
    assert score(target, people, points)["pck"] == pytest.approx(55 / 60)


def test_pck_goes_by_the_longer_side(target: dict[str, Any]) -> None:
    """20 pixels off: a fifth of the longer side of 100, not of the shorter one of 30."""
    target["annotations"] = target["annotations"][:1]
    target["annotations"][0]["bbox"][2] = 30
    people = persons(target)
    assert score(target, people, points_of(people) + torch.tensor([0, 19.9]))["pck"] == 1
    assert score(target, people, points_of(people) + torch.tensor([0, 20.1]))["pck"] == 0


def test_ap_is_what_cocos_thresholds_give(target: dict[str, Any]) -> None:
    """One person whose OKS lies between 0.70 and 0.75 passes 5 of the 10 thresholds, the others all."""
    people = persons(target)
    points = points_of(people)
    # the same displacement in units of each joint's own spread: exp(-1/2 * 0.8^2) = 0.726
    spread = 2 * torch.tensor(SPEC.sigmas) * math.sqrt(target["annotations"][0]["area"])
    points[0, :, 0] += 0.8 * spread
    found = score(target, people, points)
    assert found["ar"] == pytest.approx((3 + 0.5) / 4)
    assert found["ap50"] == pytest.approx(1)
    assert found["ap75"] < 1


@pytest.mark.parametrize("area", [0, 1, math.nan])
def test_an_area_that_no_tool_has_measured_forgives_what_a_box_does(target: dict[str, Any], area: float) -> None:
    """With the area as written, one pixel beside every joint would be wrong."""
    for entry in target["annotations"]:
        entry["area"] = area
    people = persons(target)
    values = score(target, people, points_of(people) + 1)
    assert values["ap"] > 0.85
    assert values["ap50"] == values["pck"] == 1
    assert plausible_area(area, (3, 4, 10, 20)) == pytest.approx(104)
    assert plausible_area(37.0, (3, 4, 10, 20)) == 37


def test_the_default_confidence_is_the_published_one(target: dict[str, Any]) -> None:
    """methods.md 2.3: keypoints of a confidence of at least 0.2 make up the score of a person."""
    metrics = KeypointMetrics(SPEC)
    assert (metrics.visible, metrics.oks_nms) == (0.2, 0.9)


def test_persons_are_ranked_by_box_and_sure_joints(target: dict[str, Any]) -> None:
    """A wrong person costs nothing if it ranks last: by its box, or by the joints that are at least 0.2 sure."""
    people = persons(target)
    points = torch.cat([points_of(people), torch.full((1, 17, 2), 400.0)])
    wrong = Person((400, 400, 50, 50), image_id=3, score=1.0)
    sure = torch.full((5, 17), 0.5)
    sure[:, 8:] = 0.1  # not counted
    sure[4, :8] = 0.4
    assert score(target, [*people, wrong], points, sure)["ap"] == pytest.approx(1)
    sure[4, :8] = 0.6
    assert score(target, [*people, wrong], points, sure)["ap"] < 0.9
    low = Person(wrong.box, image_id=3, score=0.5)
    assert score(target, [*people, low], points, sure)["ap"] == pytest.approx(1)
    nothing_sure = torch.full((5, 17), 0.1)
    nothing_sure[:4] = 0.3
    assert score(target, [*people, wrong], points, nothing_sure)["ap"] == pytest.approx(1)


def test_duplicates_do_not_count_twice(target: dict[str, Any]) -> None:
    """As a distributed sampler repeats samples, or a detector boxes."""
    people = persons(target)
    points = points_of(people)
    found = score(target, [*people, *people], torch.cat([points, points + 0.2]))
    assert found["ap"] == pytest.approx(1)
    far = torch.cat([points, points + 300])
    assert score(target, [*people, *people], far)["pck"] == 1  # the first of each


def test_crowds_and_detections(target: dict[str, Any]) -> None:
    """A prediction in a crowd is neither right nor wrong; detected boxes have no PCK."""
    people = [Person(p.box, image_id=p.image_id, score=0.7) for p in persons(target)]
    points = points_of(persons(target))
    target["annotations"].append(annotation(14, 3, 200, labelled=0, crowd=1))
    box = target["annotations"][-1]["bbox"]
    inside = torch.rand(1, 17, 2, generator=torch.Generator().manual_seed(0)) * 100 + torch.tensor(box[:2]) + 50
    found = score(target, [*people, Person(tuple(box), image_id=3, score=1.0)], torch.cat([points, inside]))
    assert found["ap"] == pytest.approx(1)
    assert math.isnan(found["pck"])


@pytest.mark.filterwarnings("ignore:The ``compute`` method:UserWarning")
def test_nothing_predicted_or_nothing_true(target: dict[str, Any]) -> None:
    metrics = KeypointMetrics(SPEC, PROTOCOL.visible, PROTOCOL.oks_nms)
    with pytest.raises(RuntimeError, match="annotations must be set"):
        metrics.compute()
    metrics.annotations = target
    found = metrics.compute()
    assert found["ap"] == found["ar"] == 0
    assert math.isnan(found["pck"])
    people = persons(target)
    small = {**target, "annotations": [a for a in target["annotations"] if a["bbox"][2] == SIDE]}
    only = score(small, people[:2], points_of(people)[:2])
    assert math.isnan(only["ap_l"])
    assert only["ap_m"] == pytest.approx(1)
    empty = score({**target, "annotations": []}, people, points_of(people))
    assert all(math.isnan(v) for v in empty.values())
    assert all(
        math.isnan(v) for v in score({**target, "images": [], "annotations": []}, people, points_of(people)).values()
    )


def test_the_truth_is_left_as_it_was_and_nothing_is_printed(
    target: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    before = pickle.dumps(target)
    people = persons(target)
    score(target, people, points_of(people))
    assert pickle.dumps(target) == before
    assert capsys.readouterr() == ("", "")


def test_other_keypoints_than_cocos() -> None:
    """Two joints with sigmas of their own: one 0.05 of the root of the area off gives exp(-1/2)."""
    spec = KeypointSpec(("a", "b"), (1, 0), (0.025, 0.025), (), (0,))
    entry = annotation(1, 1) | {"keypoints": [10.0, 10, 2, 60, 60, 2], "num_keypoints": 2, "area": 1e4}
    target = {"images": [{"id": 1}], "annotations": [entry], "categories": [{"id": 7}]}
    entry["category_id"] = 7
    metrics = KeypointMetrics(spec, PROTOCOL.visible, PROTOCOL.oks_nms)
    metrics.annotations = target
    person = Person((20, 0, SIDE, SIDE), image_id=1, annotation_id=1)
    metrics.update(torch.tensor([[[15.0, 10], [65, 60]]]), torch.ones(1, 2), [person])
    found = metrics.compute()
    assert math.exp(-0.5) == pytest.approx(0.607, abs=1e-3)  # above 0.50, 0.55 and 0.60
    assert found["ar"].item() == pytest.approx(0.3)
    assert found["ap75"] == 0


def test_states_join_between_processes(target: dict[str, Any]) -> None:
    """Two processes of which each saw all persons, as torchmetrics gathers them; then each has its own again."""
    people = persons(target)
    metrics = KeypointMetrics(SPEC, PROTOCOL.visible, PROTOCOL.oks_nms)
    metrics.annotations = target
    metrics.distributed_available_fn = lambda: True
    metrics.dist_sync_fn = lambda state, group: [state, state + 100 if state.ndim == 3 else state]
    for i, p in enumerate(people):
        metrics.update(points_of(people)[i : i + 1], torch.full((1, 17), 0.9), [p])
    # the other's joints are 100 pixels off and equally sure: half of the persons are wrong
    found = metrics.compute()
    assert found["ar"].item() == pytest.approx(1)
    assert 0.3 < found["ap"] < 1
    assert len(metrics.points) == 4
    metrics.reset()
    assert metrics.points == []


def test_shapes_are_checked(target: dict[str, Any]) -> None:
    metrics = KeypointMetrics(SPEC, PROTOCOL.visible, PROTOCOL.oks_nms)
    with pytest.raises(ValueError, match=r"points must be \(B, K, 2\) with B=4, K=17"):
        metrics.update(torch.zeros(4, 16, 2), torch.zeros(4, 16), persons(target))


def test_true_heatmaps_of_real_persons_are_perfect() -> None:
    """COCO's own json and images, through crop, heatmap, decoding and COCO's evaluation."""
    root = SHARED / "coco"
    if not root.is_dir():
        pytest.skip("COCO's images are not on this machine")
    crop = PersonCrop()
    dataset = COCOPose("val", str(root))
    metrics = KeypointMetrics(SPEC, PROTOCOL.visible, PROTOCOL.oks_nms)
    metrics.annotations = dataset.keypoint_annotations()
    for sample in (dataset[i] for i in range(len(dataset))):
        cut = crop(sample, SPEC, None)
        points, confidence = decode(torch.from_numpy(cut.heatmap)[None], PROTOCOL.blur)
        assert sample.person is not None
        found = to_image(points, crop.heatmap_size, crop.size, torch.tensor([cut.matrix]))
        metrics.update(found, confidence, [sample.person])
    found = metrics.compute()
    assert {k: v.item() for k, v in found.items()} == dict.fromkeys(found, pytest.approx(1))
