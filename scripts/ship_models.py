"""Put trained small models into the package: what `diffperc train` left in FOLDERS, one of each task.

    python scripts/ship_models.py runs/depth runs/segmentation ...

Each becomes `src/diffperc/assets/trained/tiny-<task>/`: its best weights without what it shares with `backbone=tiny`, and
a card with its figures, which are those of the file as it is stored. Prints the same figures of the run's own checkpoint.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

import diffperc
from diffperc.checkpoints import checkpoint_in, read_checkpoint
from diffperc.checkpoints.shared import without_shared
from diffperc.reports.report import read_summary
from diffperc.weights.write import write_safetensors

PACKAGE = Path(diffperc.__file__).parent / "assets" / "trained"
LEVELS = 7
_CARD = """---
license: mit
---

# {name}: {title}

`diffperc.load("{name}")`, `diffperc predict ckpt={name} input=...`

A small model ({size:.1f} MB beside the shared `backbone=tiny`) to try the library with, trained on rendered rooms of
128 x 128 pixels (`dataset=scenes`). It knows such rooms and nothing else: what it says of photos
is of no use.

| {images} held-out rooms, protocol {protocol} | this model | best guess that does not look at the image |
|---|---|---|
{rows}

{steps} optimiser steps in {minutes:.0f} minutes on one CPU core, with

    {command}

Stored are the difference to the shared UNet, rounded to {levels} levels on each side of zero per channel, and the rest in
half precision; the figures are those of the stored file.
"""
_TITLES = {
    "depth": "metric depth of rendered rooms",
    "segmentation": "classes of things in rendered rooms",
    "referring": "what a sentence refers to in rendered rooms",
    "pose": "17 keypoints of persons in rendered rooms",
    "normals": "surface normals of rendered rooms",
}


def main() -> None:
    """Convert, score, describe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--levels", type=int, default=LEVELS)
    arguments = parser.parse_args()
    for folder in arguments.folders:
        ship(folder, arguments.levels)


def ship(folder: Path, levels: int) -> None:
    """Convert the best checkpoint of a run."""
    summary = read_summary(folder)
    content = read_checkpoint(checkpoint_in(folder))
    state = content["state_dict"]
    name = f"tiny-{summary['choices']['task']}"
    about = {
        "diffperc": json.dumps(content["diffperc"]),
        "shared": json.dumps(
            {"backbone": "tiny", "with_text": any(key.startswith("model.expression.") for key in state)}
        ),
    }
    images = int(OmegaConf.load(folder / "config.yaml").dataset.val_size)
    target = PACKAGE / name
    target.mkdir(parents=True, exist_ok=True)
    with (target / "model.safetensors").open("wb") as file:
        write_safetensors(file, without_shared(state, "tiny", levels), about)
    before, after = _scores(checkpoint_in(folder)), _scores(target / "model.safetensors")
    for metric, value in after.items():
        print(f"{name}: {metric} {before[metric]:.4f} in the run, {value:.4f} as stored")
    (target / "README.md").write_text(_card(name, summary, images, after, levels), encoding="utf-8")


def _scores(checkpoint: Path) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        return diffperc.evaluate(checkpoint, folder=Path(folder) / "scores")


def _card(name: str, summary: dict[str, Any], images: int, scores: dict[str, float], levels: int) -> str:
    task = summary["choices"]["task"]
    rows = []
    for metric, value in scores.items():
        guess = summary["baseline"].get(metric)
        rows.append(f"| {metric.removeprefix('val/')} | {value:.3f} | {'' if guess is None else f'{guess:.3f}'} |")
    size = (PACKAGE / name / "model.safetensors").stat().st_size / 1e6
    words = [word for word in summary["command"].split()[3:] if "hydra.run.dir" not in word and "resume" not in word]
    return _CARD.format(
        name=name,
        title=_TITLES[task],
        size=size,
        images=images,
        protocol=summary["protocol"],
        rows="\n".join(rows),
        steps=summary["steps"],
        command=" ".join(["diffperc train", *words]),
        minutes=summary["seconds"] / 60,
        levels=levels,
    )


if __name__ == "__main__":
    main()
