"""Speed of the scene renderer, in one process on one core: sampling, rendering and captions."""

import argparse
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when numpy is imported
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from diffperc.data.scenes import caption, render, sample_scene


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="scenes to render")
    parser.add_argument("--size", type=int, nargs=2, default=(128, 128), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    height, width = arguments.size
    cpu, wall = time.process_time(), time.perf_counter()
    for index in range(arguments.count):
        scene = sample_scene(arguments.seed, index)
        caption(scene, render(scene, (height, width)))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(
        f"{arguments.count} scenes of {height}x{width}, numpy {np.__version__}: "
        f"{arguments.count / cpu:.1f} images per CPU second, {arguments.count / wall:.1f} per wall second"
    )


if __name__ == "__main__":
    main()
