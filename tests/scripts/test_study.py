"""What scripts/study.py says about known numbers."""

from __future__ import annotations

import csv
import runpy
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def study() -> dict[str, Any]:
    """The script's names."""
    return runpy.run_path(str(SCRIPTS / "study.py"))


def rows(study: dict[str, Any], overrides: str, weights: str, ends: list[float]) -> list[dict[str, object]]:
    """Curves of two validations, at 50 and 100 steps, the first half as good again as the last."""
    return [
        dict(zip(study["COLUMNS"], (overrides, weights, seed, step, "val/rmse_m", value, 0.9), strict=True))
        for seed, end in enumerate(ends)
        for step, value in ((50, end * 1.5), (100, end))
    ]


def document(study: dict[str, Any], tmp_path: Path, content: list[dict[str, object]]) -> list[str]:
    study["report"].__globals__.update(RUNS=tmp_path / "runs.csv", DOCUMENT=tmp_path / "study.md")
    with (tmp_path / "runs.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, study["COLUMNS"])
        writer.writeheader()
        writer.writerows(content)
    study["report"]()
    return (tmp_path / "study.md").read_text().splitlines()


def test_ranges_that_do_not_overlap_are_a_clear_effect(study: dict[str, Any], tmp_path: Path) -> None:
    overrides = f"{study['TASKS']['depth, scenes']} strategy=meta_prompts"
    content = rows(study, overrides, "random", [0.6, 0.7, 0.8]) + rows(study, overrides, "pretrained", [0.3, 0.4, 0.5])
    lines = document(study, tmp_path, content)
    cells = ["rmse_m", "0.900", "0.700 (0.600 to 0.800)", "0.400 (0.300 to 0.500)", "clear: better", "50%"]
    assert f"| depth, scenes: meta prompts | {' | '.join(cells)} |  |" in lines
    rest = next(line for line in lines if line.startswith("Not run yet: depth, scenes: no UNet; segmentation, scenes"))
    assert "depth, scenes: meta prompts" not in rest
    assert (tmp_path / "strategies-depth-scenes.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("pretrained", "verdict"),
    [([0.65, 0.75, 0.85], "no clear effect | not reached"), ([0.9, 1.0, 1.1], "clear: worse | not reached")],
)
def test_no_effect_and_harm_are_said(
    study: dict[str, Any], tmp_path: Path, pretrained: list[float], verdict: str
) -> None:
    overrides = f"{study['TASKS']['depth, scenes']} strategy=meta_prompts"
    content = rows(study, overrides, "random", [0.6, 0.7, 0.8]) + rows(study, overrides, "pretrained", pretrained)
    line = next(x for x in document(study, tmp_path, content) if x.startswith("| depth, scenes: meta prompts"))
    assert line.endswith(f"| {verdict} |  |")


@pytest.mark.parametrize(
    ("without", "verdict"), [([0.35, 0.45, 0.55], "no clear effect"), ([0.6, 0.6, 0.7], "clear: worse")]
)
def test_a_part_is_compared_with_the_whole(
    study: dict[str, Any], tmp_path: Path, without: list[float], verdict: str
) -> None:
    overrides = f"{study['TASKS']['depth, scenes']} strategy=iedp"
    content = rows(study, overrides, "pretrained", [0.3, 0.4, 0.5])
    content += rows(study, f"{overrides} strategy.explicit_weight=0", "pretrained", without)
    lines = document(study, tmp_path, content)
    line = next(x for x in lines if x.startswith("| depth, scenes: IEDP without the explicit branch"))
    assert line.endswith(f"| with depth, scenes: IEDP: {verdict} |")
    assert next(x for x in lines if x.startswith("| depth, scenes: IEDP |")).endswith("|  |")
    said = lines.index(f"- {verdict}", lines.index("Pretrained rows compared with each other:"))
    assert lines[said + 1] == "  - Parts of the strategies: IEDP without the explicit branch instead of IEDP"


def test_fewer_seeds_are_marked_and_make_no_claim(study: dict[str, Any], tmp_path: Path) -> None:
    overrides = f"{study['TASKS']['depth, scenes']} strategy=meta_prompts"
    content = rows(study, overrides, "random", [0.6, 0.7]) + rows(study, overrides, "pretrained", [0.3, 0.4])
    line = next(x for x in document(study, tmp_path, content) if x.startswith("| depth, scenes: meta prompts"))
    assert "0.650 (0.600 to 0.700, 2 seeds) | 0.350 (0.300 to 0.400, 2 seeds) |  | 50% |" in line


def test_every_run_is_planned_once(study: dict[str, Any]) -> None:
    runs = list(study["planned"](None, list(study["WEIGHTS"])))
    assert len(runs) == len(set(runs))
    assert {seed for _, _, seed in runs} == {0, 1, 2}
    # both kinds of weights for everything
    assert len({(o, s) for o, w, s in runs if w == "random"}) * 2 == len(runs)


def test_better_than_random_but_not_than_a_guess_is_said(study: dict[str, Any], tmp_path: Path) -> None:
    overrides = f"{study['TASKS']['depth, scenes']} strategy=meta_prompts"
    content = rows(study, overrides, "random", [1.1, 1.2, 1.3]) + rows(study, overrides, "pretrained", [0.89, 0.9, 0.9])
    line = next(x for x in document(study, tmp_path, content) if x.startswith("| depth, scenes: meta prompts"))
    assert "| clear: better, but neither beats the guess by 1 % |" in line
