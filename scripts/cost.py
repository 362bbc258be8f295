"""Makes docs/cost.md: what each experiment needs with each preset of memory, beside trainings whose memory was measured.

    python scripts/cost.py            writes the page
    python scripts/cost.py --check    exit code 1 where the page is another

The measured trainings are in results/training-memory.csv.
"""

from __future__ import annotations

import csv
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch

from diffperc.commands.estimate import Estimate, estimated
from diffperc.config.compose import composed
from diffperc.config.find import conf_dir
from diffperc.engine.build import info_without_data

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/cost.md"
PRESETS = ("8gb", "12gb", "24gb", "80gb")
# of the training splits (docs/data.md); persons and sentences where those are the samples
IMAGES = {"nyuv2": 24231, "kitti": 23158, "ade20k": 20210, "cityscapes": 2975, "coco": 149813}
IMAGES |= {"refcoco": 42404, "refcoco_plus": 42278, "refcocog": 42226}
HEAD = """# What a training costs

Made by `python scripts/cost.py`; `diffperc estimate experiment=vpd_nyuv2 hw=24gb` prints one of these with its parts.

Memory is that of one process, of tensors on a GPU, without the driver's own (about 0.5 GB); behind it stand the images
that go through the network together, as many as fit (`images_at_once=auto`). The precision is that which
`trainer.precision=auto` takes on a GPU, bf16-mixed; with `hw=12gb` it is bf16-true. Work is that of the whole recipe on one
GPU, in 10^18 floating-point operations; a GPU that reaches 100 TFLOP/s does one in 2.8 hours. What a preset gives up stands
in `conf/hw/`. Where 8 GB are too few, `hw=12gb`, a smaller crop or fewer refinement steps (`strategy.steps=1`) help.

"""
MEASURED = """
## Estimates and what was measured

SD 1.5's shapes with random weights, depth, one image per batch where nothing else stands, on a CPU of two cores (AMD EPYC,
AVX2), so in float32 where `hw` leaves the choice: the largest resident memory of the process, and the estimate that was
printed before, libraries included. `diffperc train` prints both. Command:
`diffperc train task=depth backbone=sd15 backbone.pretrained=null backbone.config=sd15 recipe.batch_size=1 ...`

"""


def cell(experiment: str, preset: str) -> Estimate:
    """One training on a GPU, which need not be here."""
    options = [f"experiment={experiment}", f"hw={preset}", "trainer.accelerator=cpu"]
    cfg = composed(
        "train", [*options, "backbone.pretrained=null", "backbone.config=sd15", "backbone.image_encoder=null"]
    )
    if cfg.trainer.precision == "auto":
        cfg.trainer.precision = "bf16-mixed"
    data = experiment.removesuffix("_mapillary").partition("prompts_")[2] or experiment.partition("_")[2]
    found = estimated(cfg, info_without_data(cfg), torch.device("cpu"), IMAGES[data], libraries=0)
    return found


def text(found: Estimate, preset: str) -> str:
    """A cell of the table."""
    fits = found.fits(int(preset.removesuffix("gb")) * 1e9)
    return f"{found.cost.peak / 1e9:.1f} GB{f', {found.batch}' if fits else ': does not fit'}"


def row(experiment: str) -> str:
    """A line of the table."""
    found = {preset: cell(experiment, preset) for preset in PRESETS}
    one = found["24gb"]
    work = one.cost.flops * one.batches * (one.steps or 0) / 1e18
    cells = " | ".join(text(each, preset) for preset, each in found.items())
    return f"| {experiment} | {one.size[0]}x{one.size[1]} | {one.steps} | {cells} | {work:.0f} |\n"


def page() -> str:
    """The page's text."""
    lines = [
        HEAD,
        f"| experiment | image | steps | {' | '.join(PRESETS)} | work, 24gb |\n|{'---|' * (4 + len(PRESETS))}\n",
    ]
    names = sorted(file.stem for file in (conf_dir() / "experiment").glob("*.yaml"))
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as processes:
        lines += processes.map(row, names)
    lines += [MEASURED, "| options | measured | estimated | difference |\n|---|---|---|---|\n"]
    with (ROOT / "results/training-memory.csv").open(newline="", encoding="utf-8") as table:
        for run in csv.DictReader(table):
            measured, expected = float(run["measured_gb"]), float(run["estimated_gb"])
            lines.append(
                f"| `{run['options']}` | {measured:.2f} GB | {expected:.2f} GB | {expected / measured - 1:+.0%} |\n"
            )
    return "".join(lines)


def main() -> int:
    """Write the page, or compare it."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    text = page()
    if "--check" in sys.argv[1:]:
        return int(PAGE.read_text(encoding="utf-8") != text)
    PAGE.write_text(text, encoding="utf-8")
    print(f"written: {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
