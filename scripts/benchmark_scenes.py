"""Speed of the scene renderer, in one process on one core: sampling, rendering and captions."""

import argparse
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when numpy is imported
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from diffperc.scenes import caption, render, sample_scene


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="scenes to render")
    parser.add_argument("--size", type=int, nargs=2, default=(128, 128), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--person", action="store_true", help="also time scenes with a person in view")
    arguments = parser.parse_args()
    size = tuple(arguments.size)
    _measure(arguments.seed, arguments.count, size, person=False)
    if arguments.person:
        _measure(arguments.seed, arguments.count, size, person=True)


def _measure(seed: int, count: int, size: tuple[int, int], person: bool) -> None:
    cpu, wall = time.process_time(), time.perf_counter()
    for index in range(count):
        scene = sample_scene(seed, index, person)
        caption(scene, render(scene, size))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    content = "scenes with a person" if person else "scenes"
    print(
        f"{count} {content}, {size[0]}x{size[1]}, numpy {np.__version__}: "
        f"{count / cpu:.1f} images per CPU second, {count / wall:.1f} per wall second"
    )


if __name__ == "__main__":
    main()
