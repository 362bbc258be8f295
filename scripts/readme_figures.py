"""Draw the figures of the README with the models that come with the package.

    python scripts/readme_figures.py [docs/pictures]

Each shows four held-out scenes, as the figures of a training do: image, ground truth, prediction and error.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from diffperc.checkpoints import load_task, set_up_for_inference, trained_models
from diffperc.data import Draw, PreparedDataset, collate
from diffperc.engine.build import build_dataset, build_preprocess
from diffperc.visualization.panels import stacked

SHOWN = 4


def main() -> None:
    """Draw one figure per model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).parents[1] / "docs" / "pictures")
    folder = parser.parse_args().folder
    for name, file in trained_models().items():
        target = folder / f"{name.removeprefix('tiny-')}.png"
        figure = Image.fromarray(drawn(file))
        figure.quantize(256).save(target, optimize=True)
        print(f"{target}: {figure.width}x{figure.height}")


def drawn(file: Path) -> np.ndarray:
    """The figures of evenly spread validation samples, below one another."""
    task, cfg = load_task(file, needs=("dataset",))
    set_up_for_inference(task.model, torch.device("cpu"), "32-true", optimize=False)
    val = build_dataset(cfg, "val")
    data = PreparedDataset(val, build_preprocess(cfg), task.target, task.protocol.resizes_target)
    rows = []
    for index in np.linspace(0, len(val) - 1, SHOWN).round().astype(int).tolist():
        batch = collate([data[Draw(index, index)]])
        with torch.inference_mode():
            rows.append(task.figure(batch, task.predict_batch(batch), 0))
    return stacked(rows)


if __name__ == "__main__":
    main()
