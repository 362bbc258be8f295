"""Keypoint metrics: COCO's average precision by object keypoint similarity (OKS), and PCK (methods.md 2.3)."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor
from torchmetrics import Metric

from diffperc.checks import check_shape
from diffperc.types import Person
from diffperc.types.keypoints import KeypointSpec, plausible_area

NAMES = ("ap", "ap50", "ap75", "ap_m", "ap_l", "ar")
_PCK_RADIUS = 0.2  # of the longer side of the annotated box

_Array = NDArray[np.float64]


def oks(first: _Array, second: _Array, area: _Array | float, sigmas: Sequence[float]) -> _Array:
    """Object keypoint similarity, the mean over joints of exp(-d^2 / (2 area k^2)) with k = 2 sigma.

    Args:
        first: (..., K, 2) pixels.
        second: (..., K, 2) pixels, broadcast against `first`.
        area: (...) square pixels.
        sigmas: K.

    Returns:
        (...) in [0, 1].
    """
    squared = ((first - second) ** 2).sum(-1)
    spread = 2 * np.asarray(area, dtype=np.float64)[..., None] * (2 * np.asarray(sigmas)) ** 2
    return np.exp(-squared / np.maximum(spread, np.spacing(1))).mean(-1)


def oks_nms(
    points: _Array, scores: _Array, areas: _Array, sigmas: Sequence[float], threshold: float
) -> NDArray[np.int64]:
    """Keep only the best of persons that are more similar than `threshold`.

    Args:
        points: (N, K, 2) pixels, of one image.
        scores: (N,).
        areas: (N,) square pixels; two persons are compared at the mean of theirs.
        threshold: OKS.

    Returns:
        indices of those kept, best first.
    """
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(int(best))
        alike = oks(points[best], points[rest], (areas[best] + areas[rest]) / 2, sigmas)
        order = rest[alike <= threshold]
    return np.array(kept, dtype=np.int64)


class KeypointMetrics(Metric):
    """AP, AP50, AP75, AP of medium and large persons, AR (all OKS, by pycocotools), and PCK@0.2.

    A person's score is that of its box times the mean confidence of its joints that have at least the protocol's. Of
    persons of one image that are nearly the same only the best is kept. COCO's numbers count every image of `annotations`,
    also those without a prediction. PCK is the share of labelled joints of annotated boxes (annotation_id >= 0) that are
    found within 0.2 of the box's longer side; predictions for detected boxes are not counted in it.

    Args:
        spec: which keypoints.
        visible: keypoints of at least this confidence make up a person's score.
        oks_nms: of two persons of one image with a similarity above this, the better one is kept.
        annotations: in COCO's format (images, annotations, categories), of the whole split; may be set later.
        all_processes: in a distributed run, over the persons of all processes.

    Attributes:
        annotations: as above; set before `compute`.
    """

    higher_is_better = True
    full_state_update = False
    image_id: list[Tensor]
    annotation_id: list[Tensor]
    area: list[Tensor]
    score: list[Tensor]
    points: list[Tensor]
    confidence: list[Tensor]

    def __init__(
        self,
        spec: KeypointSpec,
        visible: float = 0.2,
        oks_nms: float = 0.9,
        annotations: dict[str, Any] | None = None,
        all_processes: bool = True,
    ) -> None:
        super().__init__(sync_on_compute=all_processes)
        self.spec, self.visible, self.oks_nms, self.annotations = spec, visible, oks_nms, annotations
        for name in ("image_id", "annotation_id", "area", "score", "points", "confidence"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, points: Tensor, confidence: Tensor, persons: Sequence[Person]) -> None:
        """Add a batch.

        Args:
            points: (B, K, 2) pixels of the image as stored.
            confidence: (B, K).
            persons: B persons whose keypoints they are.
        """
        sizes = check_shape("points", points, "B K 2", B=len(persons), K=len(self.spec.names))
        check_shape("confidence", confidence, "B K", **sizes)
        ids = [(person.image_id, person.annotation_id) for person in persons]
        numbers = [(person.box[2] * person.box[3], person.score) for person in persons]
        image_id, annotation_id = torch.tensor(ids, dtype=torch.int64, device=points.device).reshape(-1, 2).unbind(1)
        area, score = torch.tensor(numbers, dtype=torch.float32, device=points.device).reshape(-1, 2).unbind(1)
        self.image_id.append(image_id)
        self.annotation_id.append(annotation_id)
        self.area.append(area)
        self.score.append(score)
        self.points.append(points.detach().float())
        self.confidence.append(confidence.detach().float())

    def compute(self) -> dict[str, Tensor]:
        """By name, in [0, 1]; NaN where no person of that size is annotated, or none that was predicted (PCK).

        Raises:
            RuntimeError: `annotations` was not set.
        """
        if self.annotations is None:
            raise RuntimeError("KeypointMetrics.annotations must be set before compute")
        points = _joined(self.points).reshape(-1, len(self.spec.names), 2)
        found = self._average_precision(self.annotations, points) | {"pck": self._pck(self.annotations, points)}
        return {name: torch.tensor(value, dtype=torch.float32, device=self.device) for name, value in found.items()}

    def _average_precision(self, targets: dict[str, Any], points: _Array) -> dict[str, float]:
        with contextlib.redirect_stdout(io.StringIO()):
            annotated = _coco(targets, [_with_area(entry) for entry in targets["annotations"]])
            predicted = _coco(targets, self._results(targets, points))
            evaluation = COCOeval(annotated, predicted, "keypoints")
            evaluation.params.kpt_oks_sigmas = np.asarray(self.spec.sigmas)
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        scores = np.array(evaluation.stats[: len(NAMES)], dtype=np.float64)
        scores[scores < 0] = np.nan  # nothing to evaluate
        return dict(zip(NAMES, scores.tolist(), strict=True))

    def _results(self, targets: dict[str, Any], points: _Array) -> list[dict[str, Any]]:
        """The persons kept, as COCO's evaluation reads them; its area is that of the joints' box."""
        if not len(points):
            return []
        images, areas = _joined(self.image_id), _joined(self.area)
        confidence = _joined(self.confidence).reshape(points.shape[:2])
        sure = confidence >= self.visible
        scores = _joined(self.score) * (confidence * sure).sum(1) / np.maximum(sure.sum(1), 1)
        category = targets["categories"][0]["id"]
        results: list[dict[str, Any]] = []
        for entry in targets["images"]:
            image = entry["id"]
            members = np.flatnonzero(images == image)
            kept = oks_nms(points[members], scores[members], areas[members], self.spec.sigmas, self.oks_nms)
            for i in members[kept]:
                extent = np.ptp(points[i], axis=0)
                results.append(
                    {
                        "id": len(results) + 1,
                        "image_id": image,
                        "category_id": category,
                        "keypoints": np.column_stack([points[i], confidence[i]]).ravel(),
                        "score": float(scores[i]),
                        "bbox": [*points[i].min(0), *extent],
                        "area": float(extent.prod()),
                        "iscrowd": 0,
                    }
                )
        return results

    def _pck(self, targets: dict[str, Any], points: _Array) -> float:
        annotations = {a["id"]: a for a in targets["annotations"]}
        ids, first = np.unique(_joined(self.annotation_id), return_index=True)  # a sampler may repeat persons
        near = total = 0
        for identity, index in zip(ids.tolist(), first, strict=True):
            if identity < 0 or identity not in annotations:
                continue
            annotation = annotations[identity]
            joints = np.asarray(annotation["keypoints"], dtype=np.float64).reshape(-1, 3)
            labelled = joints[:, 2] > 0
            distance = np.linalg.norm(points[index] - joints[:, :2], axis=-1)[labelled]
            near += int((distance <= _PCK_RADIUS * max(annotation["bbox"][2:])).sum())
            total += int(labelled.sum())
        return near / total if total else float("nan")


def _with_area(annotation: dict[str, Any]) -> dict[str, Any]:
    return {**annotation, "area": plausible_area(annotation["area"], annotation["bbox"])}


def _joined(state: list[Tensor] | Tensor) -> _Array:
    """A list state as one array; it is a list before it is synchronised between processes, and a tensor after."""
    if isinstance(state, list):
        state = torch.cat(state) if state else torch.zeros(0)
    joined: _Array = state.cpu().numpy()
    return joined.astype(np.float64) if state.is_floating_point() else joined


def _coco(targets: dict[str, Any], annotations: Sequence[dict[str, Any]]) -> COCO:
    """An index of annotations of the images of `targets`; of copies, because the evaluation marks what it ignores."""
    coco = COCO()
    coco.dataset = {**targets, "annotations": [dict(a) for a in annotations]}
    coco.createIndex()
    return coco
