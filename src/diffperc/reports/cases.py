"""Single images of a validation: stored in a run folder, for its report."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffperc.files.write import write_picture
from diffperc.reports.summary import read_object, write_json
from diffperc.tasks.cases import Case

FOLDER = "cases"
_BEST, _MEDIAN, _WORST = 2, 2, 4
_BINS = 10


def write_cases(
    folder: Path, cases: Sequence[Case], unit: str, against: str, images: int, classes: Sequence[str] = ()
) -> None:
    """Write ``cases/cases.json``, and figures of the best, median and worst images.

    Args:
        folder: of the run.
        cases: of some validation images.
        unit: of their errors.
        against: what errors are drawn against, with its unit; empty: nothing.
        images: in the validation split.
        classes: names of the classes of confusions.
    """
    place = folder / FOLDER
    place.mkdir(parents=True, exist_ok=True)
    for old in place.glob("*.png"):
        old.unlink()
    ordered = sorted(cases, key=lambda case: case.error)
    shown = []
    for kind, chosen in chosen_of(len(ordered)).items():
        for rank, index in enumerate(chosen):
            case = ordered[index]
            name = f"{kind}{rank + 1}_{re.sub(r'[^A-Za-z0-9.-]+', '_', case.path)[-60:]}.png"
            write_picture(place / name, case.figure)
            shown.append({"kind": kind, "file": name, "path": case.path, "error": case.error})
    samples = np.concatenate([case.samples for case in cases])
    confusions = [case.confusion for case in cases if case.confusion is not None]
    content: dict[str, Any] = {
        "unit": unit,
        "against": against,
        "images": images,
        # a list: several persons or sentences may be of one image
        "errors": [[case.path, case.error] for case in ordered],
        "shown": shown,
        "confidence": _binned(samples[:, 0], samples[:, 1]),
        "by": _binned(samples[:, 2], samples[:, 1]) if against else [],
        "classes": list(classes),
        "confusion": np.sum(confusions, 0).tolist() if confusions else [],
    }
    write_json(place / "cases.json", content)


def read_cases(folder: Path) -> dict[str, Any] | None:
    """What `write_cases` wrote; None where a run has none."""
    return read_object(folder / FOLDER / "cases.json")


def chosen_of(count: int) -> dict[str, list[int]]:
    """Which of `count` images are shown, ordered by their errors, none twice: the worst first, then those in the middle."""
    free = list(range(count))
    worst = [free.pop() for _ in range(min(_WORST, count))]
    middle = max(0, len(free) // 2 - _MEDIAN // 2)
    median = [free.pop(middle) for _ in range(min(_MEDIAN, len(free)))]
    return {"worst": worst, "median": median, "best": free[:_BEST]}


def _binned(values: NDArray[np.float32], errors: NDArray[np.float32]) -> list[dict[str, float]]:
    """Tenths of the samples by a value, each with its mean value, its mean error and its number of samples.

    Equal values stay together: of a network that is sure almost everywhere there are fewer than ten.
    """
    known = np.isfinite(values)
    if not known.any():
        return []
    values, errors = values[known], errors[known]
    edges = np.unique(np.quantile(values, np.linspace(0, 1, _BINS + 1)[1:-1]))
    places = np.searchsorted(edges, values, side="right")
    rows = []
    for i in range(len(edges) + 1):
        inside = places == i
        if inside.any():
            rows.append(
                {
                    "value": float(values[inside].mean()),
                    "error": float(errors[inside].mean()),
                    "count": int(inside.sum()),
                }
            )
    return rows
