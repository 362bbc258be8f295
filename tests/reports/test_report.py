"""Reports: what is said of runs whose course is known, and what the page holds."""

from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from diffperc.commands.report import report, run_folders
from diffperc.commands.run_results import report_of
from diffperc.config.differences import changed_keys, differing
from diffperc.errors import ConfigError, DataError
from diffperc.reports.cases import chosen_of, read_cases, write_cases
from diffperc.reports.curves import read_metrics, smoothed
from diffperc.reports.judgement import LEAKS, judged
from diffperc.tasks.cases import Case
from tests.helpers import composed

CHOICES = {"task": "depth", "strategy": "vpd", "dataset": "scenes", "backbone": "tiny", "head": "deconv"}
FALLING = (2 - np.linspace(0, 1.5, 100)).tolist()


def write_run(folder: Path, losses: list[float], validations: list[float], **summary: Any) -> Path:
    """A run folder whose training loss and validated RMSE are these."""
    folder.mkdir(parents=True)
    rows = [{"step": i + 1, "train/loss": loss, "lr-AdamW/lr": 1e-3} for i, loss in enumerate(losses)]
    every = max(1, len(losses) // len(validations))
    rows += [{"step": (i + 1) * every, "val/rmse_m": value} for i, value in enumerate(validations)]
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["step", "epoch", "train/loss", "val/rmse_m", "lr-AdamW/lr"])
        writer.writeheader()
        writer.writerows(rows)
    OmegaConf.save(composed("strategy=vpd"), folder / "config.yaml", resolve=True)
    content = {
        "metrics": {"val/rmse_m": validations[-1]},
        "baseline": {"val/rmse_m": 1.0},
        "classes": {},
        "monitor": "val/rmse_m",
        "direction": "min",
        "protocol": "plain",
        "steps": len(losses),
        "choices": CHOICES,
        "seconds_per_step": 0.5,
        "trainable_parameters": 1000,
        "notes": [],
        "environment": {"torch": "2.0"},
    }
    (folder / "summary.json").write_text(json.dumps(content | summary))
    return folder


def said(folder: Path, changed: dict[str, tuple[str, str]] | None = None) -> list[str]:
    summary = json.loads((folder / "summary.json").read_text())
    return [s for s in judged(summary, read_metrics(folder), changed or {}) if s.startswith("Note: ")]


def test_a_healthy_run_has_no_note(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", FALLING, [0.9, 0.6, 0.5, 0.48])
    assert said(folder) == []


@pytest.mark.parametrize(
    ("losses", "validations", "changed", "summary", "expected"),
    [
        (FALLING, [1.2, 1.1, 1.05, 1.0], {}, {}, ["no better than a guess"]),
        ([2.0, 1.99] * 50, [0.9, 0.8, 0.7], {}, {}, ["hardly fell"]),
        ([*FALLING, *[float("nan")] * 3], [0.9, 0.8, 0.7], {}, {}, ["is no number from step 101 on"]),
        (FALLING, [0.9, 0.4, 0.6, 0.8], {}, {}, ["best validation was at step 50 .0.4., the last is worse"]),
        ([*FALLING[:60], 40.0, *FALLING[60:]], [0.9, 0.6, 0.5], {}, {}, ["jumped 1 times, up to 40"]),
        (FALLING, [0.9, 0.6, 0.5], {"recipe.lr": ("0.0015", "0.15")}, {}, [r"recipe.lr is 0.15, 100 times the 0.0015"]),
        (FALLING, [0.9, 0.5], {}, {"notes": [f"3 images {LEAKS[1]}, such as x"]}, ["by heart"]),
    ],
    ids=["guess", "flat", "nan", "overfitted", "jumps", "rate", "leak"],
)
def test_what_is_wrong_is_noted(
    losses: list[float],
    validations: list[float],
    changed: dict[str, tuple[str, str]],
    summary: dict[str, Any],
    expected: list[str],
    tmp_path: Path,
) -> None:
    notes = said(write_run(tmp_path / "a", losses, validations, **summary), changed)
    assert len(notes) == len(expected)
    for note, part in zip(notes, expected, strict=True):
        assert re.search(part, note), note


def test_scores_of_which_one_is_the_best_are_compared_by_what_is_missing(tmp_path: Path) -> None:
    """0.10 is no better than a guess of 0.09, though it is 11 % more."""
    names = {"monitor": "val/miou", "direction": "max", "baseline": {"val/miou": 0.09}}
    folder = write_run(tmp_path / "a", FALLING, [0.5], **names, metrics={"val/miou": 0.10})
    assert "no better than a guess" in said(folder)[0]
    folder = write_run(tmp_path / "b", FALLING, [0.5], **names, metrics={"val/miou": 0.3})
    assert said(folder) == []


class Links(HTMLParser):
    """Every address that a page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]


def case(path: str, error: float) -> Case:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0, 1, 500)
    samples = np.column_stack([confidence, error * (2 - confidence), rng.uniform(1, 9, 500)]).astype(np.float32)
    return Case(path, error, np.zeros((20, 40, 3), np.uint8), samples, None)


def test_the_page_is_whole_and_refers_to_nothing_outside(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", FALLING, [0.9, 0.6, 0.5])
    cases = [case(f"img <{i}>.png", 0.1 * (i + 1)) for i in range(12)]
    write_cases(folder, cases, "of the depth", "depth, m", 99)
    page = report_of(folder).read_text(encoding="utf-8")
    links = Links()
    links.feed(page)
    assert len([link for link in links.found if link.startswith("data:image/")]) == 8
    assert all(link.startswith(("data:image/", "#")) for link in links.found)
    assert "img <0>" not in page  # escaped
    assert "img &lt;11&gt;.png: error 1.2 of the depth" in page
    assert "12 of 99 validation images" in page
    assert "The error falls with every tenth of the confidence." in page
    assert (folder / "curves.png").stat().st_size > 1000
    assert "All other keys have the defaults of these choices." in page


def test_a_run_that_has_not_ended_has_a_report(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", FALLING, [0.9])
    (folder / "summary.json").unlink()
    page = report_of(folder).read_text(encoding="utf-8")
    assert "This run has not ended" in page
    (folder / "metrics.csv").unlink()
    assert "Nothing has been logged yet." in report_of(folder).read_text(encoding="utf-8")


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 30])
def test_no_image_is_shown_twice_and_the_worst_is_shown_first(count: int) -> None:
    chosen = chosen_of(count)
    flat = [index for indices in chosen.values() for index in indices]
    assert len(flat) == len(set(flat)) == min(count, 8)
    assert chosen["worst"][0] == count - 1
    if count == 30:
        assert chosen == {"worst": [29, 28, 27, 26], "median": [12, 13], "best": [0, 1]}


def test_several_sentences_about_one_image_all_count(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", FALLING, [0.9])
    write_cases(folder, [case("same.png", 0.2), case("same.png", 0.4), case("other.png", 0.6)], "", "", 3)
    page = report_of(folder).read_text(encoding="utf-8")
    assert "3 of 3 validation images" in page
    assert "half of them below 0.4" in page


def test_a_run_with_choices_of_another_installation_is_not_said_to_have_their_defaults(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", FALLING, [0.9], choices={**CHOICES, "strategy": "mine"})
    page = report_of(folder).read_text(encoding="utf-8")
    assert "is not known" in page
    assert "have the defaults" not in page


def test_tenths_of_the_confidence(tmp_path: Path) -> None:
    samples = np.array([[i / 100, 1 - i / 100, np.nan] for i in range(100)], np.float32)
    write_cases(tmp_path, [Case("a", 0.5, np.zeros((2, 2, 3), np.uint8), samples)], "", "", 1)
    cases = read_cases(tmp_path)
    assert cases is not None
    assert [row["count"] for row in cases["confidence"]] == [10] * 10
    np.testing.assert_allclose([row["error"] for row in cases["confidence"]], np.arange(0.955, 0, -0.1), atol=1e-6)
    # one that is sure everywhere but in a few places
    samples[:, 0] = 1.0
    samples[0, 0] = 0.0
    write_cases(tmp_path, [Case("a", 0.5, np.zeros((2, 2, 3), np.uint8), samples)], "", "", 1)
    cases = read_cases(tmp_path)
    assert cases is not None
    assert sum(row["count"] for row in cases["confidence"]) == 100


def test_several_runs_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in (("0", 0.5), ("1", 0.4)):
        write_run(tmp_path / "sweep" / name, FALLING, [0.9, value])
    changed = OmegaConf.load(tmp_path / "sweep/1/config.yaml")
    changed.recipe.lr = 0.01
    OmegaConf.save(changed, tmp_path / "sweep/1/config.yaml")
    report(OmegaConf.create({"run": str(tmp_path / "sweep"), "output": None}))
    assert capsys.readouterr().out.count("report:") == 3
    page = (tmp_path / "sweep/report.html").read_text(encoding="utf-8")
    for part in ("recipe.lr", "0.0015", "0.01", "0.5 (0.50)", "0.4 (0.40)"):
        assert part in page
    assert run_folders([str(tmp_path / "sweep/*")]) == run_folders([str(tmp_path / "sweep")])
    with pytest.raises(ConfigError, match="is the folder of a run, which has a report of its own"):
        report(OmegaConf.create({"run": str(tmp_path / "sweep"), "output": str(tmp_path / "sweep/0")}))


def test_no_run_and_damaged_runs_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no run: no folder with a config\.yaml"):
        run_folders([str(tmp_path)])
    folder = write_run(tmp_path / "run", FALLING, [0.9])
    (folder / "summary.json").write_text('{"metrics": ')
    with pytest.raises(DataError, match="its files cannot be read as those of a run"):
        report(OmegaConf.create({"run": str(folder), "output": None}))
    (folder / "summary.json").write_text("[]")
    with pytest.raises(DataError, match=r"summary\.json is no json object"):
        report(OmegaConf.create({"run": str(folder), "output": None}))
    (folder / "config.yaml").write_text("- a list")
    with pytest.raises(DataError, match=r"config\.yaml: is no configuration of a run"):
        report(OmegaConf.create({"run": str(folder), "output": None}))


def test_keys_that_differ_from_the_defaults_of_the_choices() -> None:
    cfg = composed("strategy=vpd", "recipe.lr=0.1", "head.filters=8")
    assert changed_keys(cfg, CHOICES) == {"head.filters": ("16", "8"), "recipe.lr": ("0.0015", "0.1")}
    several = differing({"a": cfg, "b": composed("strategy=vpd", "recipe.lr=0.2", "head.filters=8")})
    assert several == {"a": {"recipe.lr": "0.1"}, "b": {"recipe.lr": "0.2"}}


def test_the_running_mean() -> None:
    np.testing.assert_allclose(smoothed([1.0] * 30), 1)
    np.testing.assert_allclose(smoothed(list(range(20)))[-1], 18.5)
