"""Speed and memory on a GPU at Stable Diffusion's size, with random weights, in some minutes: part of ``make gpu``.

    python scripts/gpu_figures.py --minutes 5                                 rows go to results/benchmark-<card>.csv
    python scripts/gpu_figures.py --device cpu --backbone tiny --minutes 3    tries the script itself

Each command is one that a user could type; those for which no time is left are named. Without a GPU it says so and ends.
"""

from __future__ import annotations

import argparse
import functools
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from diffperc.config.compose import composed
from diffperc.cost.measure import alternate
from diffperc.engine.build import build_model, build_preprocess, build_protocol, info_without_data, task_class
from diffperc.engine.device import pixels_at_once

SIZES = {"depth": 480, "segmentation": 512, "referring": 512}
CASES = (
    ("depth", "vpd", "forward"),
    ("depth", "meta_prompts", "forward"),
    ("segmentation", "vpd", "forward"),
    ("depth", "vpd", "compile"),
    ("depth", "vpd", "train"),
    ("referring", "vpd", "forward"),
    ("depth", "meta_prompts", "compile"),
    ("segmentation", "vpd", "compile"),
    ("referring", "vpd", "compile"),
)


def backbone(name: str) -> list[str]:
    """Options of a backbone with random weights, which need no download."""
    return [f"backbone={name}", "backbone.pretrained=null", f"backbone.config={name}"]


def command(task: str, strategy: str, what: str, options: argparse.Namespace) -> list[str]:
    """``diffperc benchmark`` for a case."""
    side = SIZES[task] if options.backbone == "sd15" else 64
    how = {
        "forward": ["precision=32-true,bf16-true", "training=false"],
        "compile": ["precision=bf16-true", "compile=true", "training=false"],
        "train": ["hw=8gb,12gb,24gb,80gb", "training=true"],
    }[what]
    size, data = f"dataset.size=[{side},{side}]", ["dataset.train_size=8", "dataset.val_size=8", "num_workers=0"]
    given = [f"task={task}", f"strategy={strategy}", size, *data, *backbone(options.backbone), *how]
    return [
        *(sys.executable, "-m", "diffperc.benchmark", "-m", *given, f"batch_size={options.images}"),
        *(f"device={options.device}", f"results={options.out}", "hydra.sweep.dir=runs/gpu/${now:%H-%M-%S-%f}"),
    ]


@torch.no_grad()
def windows(options: argparse.Namespace) -> str:
    """A line: an image by KITTI's protocol, its windows one by one and together."""
    cfg = composed("train", ["task=depth", "strategy=meta_prompts", "dataset=kitti", *backbone(options.backbone)])
    device, info = torch.device(options.device), info_without_data(cfg)
    torch.manual_seed(0)
    model = build_model(cfg, info).eval().requires_grad_(False).to(device)
    precision = "bf16-mixed" if device.type == "cuda" else "32-true"
    kind: Any = task_class(cfg).predictor
    predictor = kind(model, info, build_protocol(cfg), build_preprocess(cfg))
    height, width = (352, 1216) if options.backbone == "sd15" else (64, 220)
    image = torch.randint(256, (height, width, 3), dtype=torch.uint8).numpy()
    budget = pixels_at_once(device) or 10**7

    def predict(pixels: int) -> None:
        model.pixels_at_once = pixels
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            predictor(image)

    calls = {"alone": functools.partial(predict, 0), "together": functools.partial(predict, budget)}
    for call in calls.values():
        call()
    costs = alternate(calls, 3, device)
    alone, together = costs["alone"].median, costs["together"].median
    ratio = f"{alone / together:.2f} x"
    return f"KITTI's windows of an image, {precision}: {alone:.3g} s one by one, {together:.3g} s together ({ratio})"


def main() -> int:
    """Run what there is time for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="%(default)s")
    parser.add_argument("--backbone", default="sd15", choices=["sd15", "tiny"], help="%(default)s")
    parser.add_argument("--images", type=int, default=4, help="per batch; %(default)s")
    parser.add_argument("--minutes", type=float, default=5, help="%(default)s")
    parser.add_argument(
        "--only", nargs="+", default=CASES, type=lambda case: tuple(case.split()), help='such as "depth vpd forward"'
    )
    parser.add_argument("--out", type=Path, default=Path("results"), help="%(default)s")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("skipped: torch finds no GPU here.")
        return 0
    end, failed = time.monotonic() + options.minutes * 60, False
    print(windows(options), flush=True)
    for task, strategy, what in options.only:
        left = end - time.monotonic()
        try:
            if left < 5:
                raise TimeoutError
            failed |= subprocess.run(command(task, strategy, what, options), timeout=left).returncode != 0
        except (TimeoutError, subprocess.TimeoutExpired):
            print(f"no time was left for {task} {strategy} {what}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
