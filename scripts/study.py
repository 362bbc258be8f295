"""Does pretraining help? Trains the runs of the study and makes docs/does-pretraining-help.md of them.

    python scripts/study.py run --data FOLDER [--jobs 2] [--only QUESTION ...] [--weights NAME]
    python scripts/study.py report

`run` trains what has not been trained yet, `report` writes the document from docs/pretraining/runs.csv.

Every run is a `python -m diffperc.train` with the overrides in the csv, whose rows are validations. A run that stopped in
the middle is made again; one that is in the csv is not. FOLDER has real data sets: redkitchen (NYUv2's layout) and camvid.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

ROOT = Path(__file__).resolve().parent.parent
RUNS = ROOT / "docs/pretraining/runs.csv"
DOCUMENT = ROOT / "docs/does-pretraining-help.md"
COLUMNS = ("overrides", "weights", "seed", "step", "metric", "value", "baseline")
WEIGHTS = {"random": "null", "pretrained": "tiny"}
SEEDS = (0, 1, 2)
# validations a run; the last is its result
POINTS = 4
# metrics of which less is better
ERRORS = ("val/rmse_m",)


@dataclass(frozen=True)
class Setting:
    """A row of a table: what is trained, whatever the weights and the seed."""

    label: str
    overrides: str
    # the label of the row of the same table that the pretrained runs are compared with
    against: str | None = None


@dataclass(frozen=True)
class Question:
    """A table of the document."""

    name: str
    title: str
    text: str
    settings: tuple[Setting, ...]


# half the recipes' batches, few steps and few held-out scenes: about two minutes a run, four for pose
DEPTH, SEGMENTATION, REFERRING, POSE = (
    f"task={task} recipe.batch_size=8 recipe.steps={steps}"
    for task, steps in (("depth", 100), ("segmentation", 100), ("referring", 160), ("pose", 320))
)
SCENES = "dataset.val_size=64"
TASKS = {
    "depth, scenes": f"{DEPTH} {SCENES}",
    "segmentation, scenes": f"{SEGMENTATION} {SCENES}",
    "referring, scenes": f"{REFERRING} {SCENES}",
    "pose, scenes": f"{POSE} {SCENES}",
    "depth, redkitchen": f"{DEPTH} dataset=nyuv2 dataset.root={{data}}/redkitchen",
    "segmentation, camvid": f"{SEGMENTATION} dataset=camvid dataset.root={{data}}/camvid",
}
STRATEGIES = ("meta_prompts", "vpd", "iedp", "unconditional")
ALL = "Every strategy: "
# those that are for some tasks only are compared there; without captions, as on real sets, TADP is `unconditional`
FOR_SOME = {"ecodepth": ("depth",), "tadp": ("depth, scenes", "segmentation, scenes")}
NO_UNET = ("no UNet", "strategy=latents", None)


def _strategies(task: str) -> tuple[str, ...]:
    return (*STRATEGIES, *(s for s, of in FOR_SOME.items() if task.startswith(of)), "latents")


def _rows(*rows: tuple[str, str, str | None], task: str = "depth, scenes") -> tuple[Setting, ...]:
    """Each row, a label, its overrides and the label it is compared with, for a task."""
    return tuple(
        Setting(f"{task}: {label}", f"{TASKS[task]} {more}", against and f"{task}: {against}")
        for label, more, against in rows
    )


QUESTIONS = (
    Question(
        "claim",
        "The claim",
        "Every task with meta prompts, and what a head makes of the latents without a UNet.",
        tuple(
            row
            for task in TASKS
            for row in _rows(("meta prompts", "strategy=meta_prompts", "no UNet"), NO_UNET, task=task)
        ),
    ),
    *(
        Question(
            f"strategies-{task.replace(', ', '-')}",
            f"{ALL}{task}",
            "`unconditional` gives the UNet the empty sentence; `latents` is the control: a head on the latents, no UNet.",
            tuple(
                Setting(s, f"{overrides} strategy={s}", None if s == "unconditional" else "unconditional")
                for s in _strategies(task)
            ),
        )
        for task, overrides in TASKS.items()
    ),
    Question(
        "learning-rate",
        "The UNet's learning rate",
        "Meta prompts with `recipe.unet_lr`, times the rate of the rest; x 0.3 is the recipe's.",
        _rows(
            ("x 0.1", "strategy=meta_prompts recipe.unet_lr=0.1", "x 0.3"),
            ("x 0.3", "strategy=meta_prompts", None),
            ("x 1", "strategy=meta_prompts recipe.unet_lr=1", "x 0.3"),
            NO_UNET,
        ),
    ),
    Question(
        "labels",
        "Few labels",
        "Meta prompts, trained as long, on the first so many labelled images.",
        _rows(
            ("32 images", "strategy=meta_prompts dataset.train_size=32", "512 images"),
            ("128 images", "strategy=meta_prompts dataset.train_size=128", "512 images"),
            ("512 images", "strategy=meta_prompts dataset.train_size=512", None),
            ("512 images, no UNet", "strategy=latents dataset.train_size=512", "512 images"),
        ),
    ),
    Question(
        "frozen",
        "A frozen UNet",
        "`backbone.frozen=true`: strategy and head are all that learns.",
        _rows(
            *(
                row
                for s in ("meta_prompts", "unconditional")
                for row in (
                    (f"{s}, trained", f"strategy={s}", None),
                    (f"{s}, frozen", f"strategy={s} backbone.frozen=true", f"{s}, trained"),
                )
            ),
            NO_UNET,
        ),
    ),
    Question(
        "refinement",
        "Refinement steps of meta prompts",
        "`strategy.steps`: how often the UNet runs, from the second time on on its own output; 1 is the recipe's.",
        _rows(
            ("1", "strategy=meta_prompts", None),
            ("2", "strategy=meta_prompts strategy.steps=2", "1"),
            ("3", "strategy=meta_prompts strategy.steps=3", "1"),
            NO_UNET,
        ),
    ),
    Question(
        "parts",
        "Parts of the strategies",
        "One part of a strategy at a time, on and off.",
        (
            *_rows(
                ("IEDP", "strategy=iedp", None),
                ("IEDP without the explicit branch", "strategy=iedp strategy.explicit_weight=0", "IEDP"),
                ("VPD", "strategy=vpd", None),
                ("VPD without adapter", "strategy=vpd strategy.adapter=false", "VPD"),
                ("meta prompts", "strategy=meta_prompts", None),
                ("meta prompts without adapter", "strategy=meta_prompts strategy.adapter=false", "meta prompts"),
                NO_UNET,
            ),
            *(
                row
                for task in ("segmentation, scenes", "referring, scenes")
                for row in _rows(
                    ("VPD", "strategy=vpd", None),
                    ("VPD with attention maps", "strategy=vpd strategy.attention=[16,32]", "VPD"),
                    NO_UNET,
                    task=task,
                )
            ),
        ),
    ),
    Question(
        "latent-scale",
        "The scale of the latents",
        "ECoDepth, whose latents are scaled to what the UNet knows; and 1 / 0.18215 times larger, which is what the recipes "
        "of VPD and meta prompts, that leave them unscaled, do to Stable Diffusion.",
        _rows(
            *(
                row
                for state, more in (("trained", ""), ("frozen", " backbone.frozen=true"))
                for row in (
                    (f"x 1, {state}", f"strategy=ecodepth{more}", None),
                    (f"x 5.49, {state}", f"strategy=ecodepth strategy.latent_scale=5.49{more}", f"x 1, {state}"),
                )
            ),
            NO_UNET,
        ),
    ),
)


Run = tuple[str, str, int]
Curve = list[tuple[int, float]]


def planned(only: list[str] | None, weights_only: list[str]) -> Iterator[Run]:
    """Overrides, weights and seed of every run, seed by seed, so that a study that is stopped has all questions."""
    seen = set()
    for seed in SEEDS:
        for question in QUESTIONS:
            if only and question.name not in only:
                continue
            for setting, weights in itertools.product(question.settings, weights_only):
                run = (setting.overrides, weights, seed)
                if run not in seen:
                    seen.add(run)
                    yield run


@dataclass
class Results:
    """What the csv holds: curves of a metric by run, and what the best image-independent guess scores."""

    curves: dict[Run, Curve]
    metric: dict[str, str]
    baseline: dict[str, float]


def read() -> Results:
    """The csv, as far as there is one."""
    found = Results({}, {}, {})
    if RUNS.is_file():
        with RUNS.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                run = (row["overrides"], row["weights"], int(row["seed"]))
                found.curves.setdefault(run, []).append((int(row["step"]), float(row["value"])))
                found.metric[row["overrides"]] = row["metric"]
                found.baseline[row["overrides"]] = float(row["baseline"])
    return found


def train(run: Run, data: Path) -> list[dict[str, str]]:
    """One run in a process of its own; its rows of the csv."""
    overrides, weights, seed = run
    with tempfile.TemporaryDirectory(prefix="study-") as folder:
        arguments = [
            *shlex.split(overrides.replace("{data}", str(data))),
            f"backbone.pretrained={WEIGHTS[weights]}",
            f"seed={seed}",
            f"hydra.run.dir={folder}/run",
            "num_workers=0",
        ]
        steps = int(next(a for a in arguments if a.startswith("recipe.steps=")).partition("=")[2])
        arguments.append(f"recipe.val_every_steps={steps // POINTS}")
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(
            [sys.executable, "-m", "diffperc.train", *arguments], env=environment, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{shlex.join(arguments)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        summary = json.loads((Path(folder) / "run/summary.json").read_text(encoding="utf-8"))
        # after so few steps no keypoint is near enough for an average precision above 0
        metric = "val/pck" if summary["choices"]["task"] == "pose" else summary["monitor"]
        baseline = summary["baseline"].get(metric, float("nan"))
        with (Path(folder) / "run/metrics.csv").open(newline="", encoding="utf-8") as file:
            points = [(int(row["step"]) + 1, row[metric]) for row in csv.DictReader(file) if row.get(metric)]
    return [
        dict(zip(COLUMNS, map(str, (overrides, weights, seed, step, metric, value, baseline)), strict=True))
        for step, value in points
    ]


def run_all(data: Path, jobs: int, only: list[str] | None, weights: list[str]) -> None:
    """Train what is missing, several at a time; every run is in the csv as soon as it is done."""
    missing = [run for run in planned(only, weights) if run not in read().curves]
    RUNS.parent.mkdir(parents=True, exist_ok=True)
    print(f"{len(missing)} runs to go", flush=True)
    failed = 0
    with ThreadPoolExecutor(jobs) as pool:
        started = {pool.submit(train, run, data): run for run in missing}
        for done, future in enumerate(as_completed(started), 1):
            try:
                rows = future.result()
            except RuntimeError as error:  # the others are worth having
                failed += 1
                print(f"failed: {error}", flush=True)
                continue
            new = not RUNS.is_file()
            with RUNS.open("a", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, COLUMNS)
                if new:
                    writer.writeheader()
                writer.writerows(rows)
            print(f"{done}/{len(missing)}  {rows[-1]['value'][:7]}  {' '.join(map(str, started[future]))}", flush=True)
    if failed:
        sys.exit(f"{failed} runs failed")


def report() -> None:
    """Write the document and its plots."""
    results = read()
    lines = [INTRODUCTION, *_summary(results)]
    for question in QUESTIONS:
        lines += [
            f"\n## {question.title}\n\n{question.text}\n\n",
            *_table(question, results),
            *_missing(question, results),
        ]
        if question.name.startswith("strategies"):
            lines += _plot(question, results)
    DOCUMENT.write_text("".join(lines), encoding="utf-8")
    print(f"written: {DOCUMENT}")


INTRODUCTION = """# Does pretraining help?

Made by `python scripts/study.py report` from [pretraining/runs.csv](pretraining/runs.csv), a row a validation; do not
edit. The model is `backbone=tiny`; *random* is the same network with `backbone.pretrained=null`, its VAE too. Runs of one
row differ in weights and seed alone; batches are small and steps few (8 images; 100 steps, 160 for referring, 320 for pose),
so this is about how fast a model adapts, not about how good it becomes. Scenes are judged on 64 held-out ones. Runs were
made on processors of two kinds that round differently: one and the same run ended at 0.583 m on one, 0.576 m on the other.

A cell is the mean over seeds of the last validation, with the lowest and highest of them in brackets. *Image-independent* is
the best guess without looking, such as the mean depth or pose. *Pretraining* says whether it is better than random weights,
*compared* whether the pretrained row is better than another: *clear* is an effect whose ranges do not overlap. *Steps to
random* is the first validation at which the pretrained model's mean is at least as good as the random model's last, as a
share of all steps. Fewer than three seeds are marked, and nothing is claimed of them.
"""


def _ends(setting: Setting, weights: str, results: Results) -> list[float]:
    runs = [(setting.overrides, weights, seed) for seed in SEEDS]
    return [results.curves[run][-1][1] for run in runs if run in results.curves]


def _cell(values: list[float]) -> str:
    if not values:
        return "not run"
    seeds = "" if len(values) == len(SEEDS) else f", {len(values)} seed{'s' if len(values) > 1 else ''}"
    return f"{mean(values):.3f} ({min(values):.3f} to {max(values):.3f}{seeds})"


def _verdict(first: list[float], second: list[float], guess: float, less_is_better: bool) -> str:
    """Whether the second is better; nothing is said of fewer seeds than are planned."""
    if min(len(first), len(second)) < len(SEEDS):
        return ""
    means = (mean(first), mean(second))
    if max(min(first), min(second)) <= min(max(first), max(second)):
        verdict = "no clear effect"
    else:
        verdict = "clear: better" if (means[1] < means[0]) == less_is_better else "clear: worse"
    nothing = min(means) >= 0.99 * guess if less_is_better else max(means) <= 1.01 * guess
    return f"{verdict}, but neither beats the guess by 1 %" if nothing else verdict


def _mean_curve(setting: Setting, weights: str, results: Results) -> Curve:
    found = [results.curves[run] for seed in SEEDS if (run := (setting.overrides, weights, seed)) in results.curves]
    return [(points[0][0], mean(value for _, value in points)) for points in zip(*found, strict=True)]


def _steps_to_random(setting: Setting, results: Results, less_is_better: bool) -> str:
    random, pretrained = (_mean_curve(setting, weights, results) for weights in ("random", "pretrained"))
    if not random or not pretrained:
        return ""
    goal = random[-1][1]
    reached = [step for step, value in pretrained if (value <= goal if less_is_better else value >= goal)]
    return f"{reached[0] / pretrained[-1][0]:.0%}" if reached else "not reached"


def _missing(question: Question, results: Results) -> list[str]:
    labels = [s.label for s in question.settings if s.overrides not in results.metric]
    return [f"\nNot run yet: {'; '.join(labels)}.\n"] if labels else []


def _of_pretraining(setting: Setting, results: Results) -> str:
    """Whether pretrained weights are better than random ones."""
    less, guess = results.metric[setting.overrides] in ERRORS, results.baseline[setting.overrides]
    return _verdict(_ends(setting, "random", results), _ends(setting, "pretrained", results), guess, less)


def _summary(results: Results) -> Iterator[str]:
    """How often pretraining helps, over tasks and strategies, and where it does not."""
    found: dict[str, list[str]] = {}
    for question in QUESTIONS:
        for setting in question.settings if question.title.startswith(ALL) else ():
            if setting.label != "latents" and setting.overrides in results.metric:
                where = f"{question.title.removeprefix(ALL)}, {setting.label}"
                found.setdefault(_of_pretraining(setting, results), []).append(where)
    found.pop("", None)
    total = sum(map(len, found.values()))
    yield "\n## In short\n\n"
    yield f"Pretrained against random weights, {total} pairs of task and strategy with three seeds each:\n\n"
    for said, places in sorted(found.items()):
        named = "" if said == "clear: better" else f" ({'; '.join(places)})"
        yield f"- {said}: {len(places)}{named}\n"
    yield from _summary_of_rows(results)


def _summary_of_rows(results: Results) -> Iterator[str]:
    """What makes a difference between pretrained rows, strategies against `unconditional` and parts against wholes."""
    found: dict[str, list[str]] = {}
    for question in QUESTIONS:
        for setting in question.settings:
            said = _compared(setting, question, results)
            if said and "strategy=latents" not in setting.overrides and "no UNet" not in str(setting.against):
                label = setting.label.removeprefix("depth, scenes: ")
                against = str(setting.against).removeprefix("depth, scenes: ")
                where = question.title.removeprefix(ALL)
                found.setdefault(said, []).append(f"{where}: {label} instead of {against}")
    if found:
        yield "\nPretrained rows compared with each other:\n\n"
    for said, places in sorted(found.items()):
        yield f"- {said}\n"
        yield from (f"  - {place}\n" for place in places)


def _compared(setting: Setting, question: Question, results: Results) -> str:
    """Whether the pretrained row is better than the one that it is compared with, if both have been run."""
    other = next((s for s in question.settings if s.label == setting.against), None)
    if other is None or setting.overrides not in results.metric:
        return ""
    less, guess = results.metric[setting.overrides] in ERRORS, results.baseline[setting.overrides]
    return _verdict(_ends(other, "pretrained", results), _ends(setting, "pretrained", results), guess, less)


def _table(question: Question, results: Results) -> Iterator[str]:
    run = [setting for setting in question.settings if setting.overrides in results.metric]
    if not run:
        return
    columns = ("", "metric", "image-independent", "random", "pretrained", "pretraining", "steps to random", "compared")
    yield f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|\n"
    for setting in run:
        metric = results.metric[setting.overrides]
        less, guess = metric in ERRORS, results.baseline[setting.overrides]
        random, pretrained = (_ends(setting, weights, results) for weights in ("random", "pretrained"))
        compared = _compared(setting, question, results)
        cells = [
            setting.label,
            metric.removeprefix("val/"),
            f"{guess:.3f}",
            _cell(random),
            _cell(pretrained),
            _of_pretraining(setting, results),
            _steps_to_random(setting, results, less),
            f"with {setting.against}: {compared}" if compared else "",
        ]
        yield f"| {' | '.join(cells)} |\n"


def _plot(question: Question, results: Results) -> list[str]:
    """Curves of both weights by strategy, one picture a task; none where nothing was run."""
    figure, axes = plt.subplots(figsize=(7, 4))
    for i, setting in enumerate(question.settings):
        for weights, style in (("random", "--"), ("pretrained", "-")):
            curve = _mean_curve(setting, weights, results)
            if curve:
                axes.plot(*zip(*curve, strict=True), style, color=f"C{i}", label=f"{setting.label}, {weights}")
    if not axes.lines:
        plt.close(figure)
        return []
    axes.set_xlabel("training steps")
    axes.set_ylabel(next(m for s in question.settings if (m := results.metric.get(s.overrides))).removeprefix("val/"))
    axes.legend(fontsize=6)
    file = RUNS.parent / f"{question.name}.png"
    figure.savefig(file, dpi=110, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)
    return [f"\n![{question.title}](pretraining/{file.name})\n"]


def main() -> None:
    """Run or report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "report"])
    parser.add_argument("--data", type=Path, help="a folder with redkitchen and camvid")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, one thread each")
    parser.add_argument("--only", nargs="*", choices=[q.name for q in QUESTIONS], help="questions")
    parser.add_argument("--weights", nargs="*", choices=WEIGHTS, default=list(WEIGHTS))
    options = parser.parse_args()
    if options.what == "report":
        report()
    elif options.data is None or not options.data.is_dir():
        parser.error("run: --data FOLDER is needed, with redkitchen and camvid in it")
    else:
        run_all(options.data.resolve(), options.jobs, options.only, options.weights)


if __name__ == "__main__":
    main()
