"""The loader: images a second against a bare albumentations loop over the same files, and memory over 100,000 samples.

    python scripts/benchmark_loader.py speed   --root /data/nyuv2 [--images 320] [--rounds 5]
    python scripts/benchmark_loader.py memory  --root /data/nyuv2 [--samples 100000]

speed: the published NYUv2 augmentation at 480 x 480, one process, one thread; both loops alternate, and what counts is their
ratio. memory: a list of links to the same few frames; what each loader process keeps for itself, at the beginning and at the
end of an epoch in which every sample is read. Linux only.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import albumentations as A
import cv2
import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

from diffperc.config.compose import composed
from diffperc.data import Draw, PreparedDataset, SeededSampler, collate
from diffperc.data.pipeline import Item
from diffperc.engine.build import build_dataset, build_preprocess, task_class


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "memory"])
    parser.add_argument("--root", type=Path, required=True, help="NYUv2 in its layout, or what looks like it")
    parser.add_argument("--images", type=int, default=320)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=100_000)
    options = parser.parse_args()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    if options.what == "speed":
        speed(options.root, options.images, options.rounds)
    else:
        memory(options.root, options.samples)


def speed(root: Path, images: int, rounds: int) -> None:
    """Alternate between our loader and the bare loop."""
    cfg = composed("train", ["task=depth", "dataset=nyuv2", f"dataset.root='{root}'", "backbone=sd15"])
    preprocess = build_preprocess(cfg)
    prepared = PreparedDataset(build_dataset(cfg, "train"), preprocess, task_class(cfg).target)
    loader = DataLoader(
        prepared, batch_size=8, sampler=SeededSampler(len(prepared), 0, shuffle=True), collate_fn=collate
    )
    plain = A.Compose(list(preprocess.augment), additional_targets={"depth": "mask"}, seed=0)
    lines = [line.split() for line in (root / "train_list.txt").read_text().splitlines() if line.strip()]

    def ours() -> float:
        start, seen = time.process_time(), 0
        while seen < images:
            for batch in loader:
                seen += len(batch)
                if seen >= images:
                    break
        return seen / (time.process_time() - start)

    def bare() -> float:
        """Read with Pillow, augment, to a float tensor, stack by eights: what any loop must do."""
        start, stack = time.process_time(), []
        for i in range(images):
            image_name, depth_name = lines[i % len(lines)][:2]
            image = np.asarray(Image.open(root / image_name).convert("RGB"))
            depth = np.asarray(Image.open(root / depth_name)).astype(np.float32) / 1000
            done = plain(image=image, depth=depth)
            tensor = torch.from_numpy(done["image"]).permute(2, 0, 1).float() / 255
            stack.append((tensor, torch.from_numpy(done["depth"])[None]))
            if len(stack) == 8:
                torch.stack([t for t, _ in stack]), torch.stack([d for _, d in stack])
                stack = []
        return images / (time.process_time() - start)

    ours(), bare()  # the files are then in the cache of the system
    ratios = []
    for number in range(rounds):
        first, second = (ours(), bare()) if number % 2 else (bare(), ours())[::-1]
        ratios.append(first / second)
        print(f"round {number}: ours {first:.1f}, bare {second:.1f} images per CPU second, ratio {ratios[-1]:.3f}")
    print(f"median ratio {statistics.median(ratios):.3f} ({images} images a round, 480x480, one process)")


_WHEN = ("at the beginning", "at the end", "at the most")


class _Watched(PreparedDataset):
    """Now and then an item's caption is how many bytes its process keeps for itself at that moment."""

    calls = 0

    def __getitem__(self, draw: Draw | int) -> Item:
        item = super().__getitem__(draw)
        self.calls += 1
        found = f"{os.getpid()} {_private()}" if self.calls % 256 == 0 else ""
        return Item(item.image[:, :1, :1], item.meta, caption=found)


def _private() -> int:
    """Bytes that this process shares with no other."""
    rows = [line.split() for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]]
    return 1024 * sum(int(row[1]) for row in rows if row[0] in ("Private_Clean:", "Private_Dirty:"))


def memory(root: Path, samples: int) -> None:
    """Go once through a long list with two processes."""
    source = [line.split() for line in (root / "train_list.txt").read_text().splitlines() if line.strip()]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = []
        for i in range(samples):
            place = folder / "sync" / f"kitchen_{i // 1000:04d}"
            place.mkdir(parents=True, exist_ok=True)
            files = (place / f"rgb_{i:06d}.jpg", place / f"sync_depth_{i:06d}.png")
            for file, original in zip(files, source[i % len(source)], strict=False):
                file.symlink_to((root / original).resolve())
            lines.append(f"{files[0].relative_to(folder)} {files[1].relative_to(folder)} 518.8579\n")
        (folder / "train_list.txt").write_text("".join(lines))
        overrides = ["preprocessing.augment=[{_target_: albumentations.RandomCrop, height: 64, width: 64}]"]
        cfg = composed("train", ["task=depth", "dataset=nyuv2", f"dataset.root='{folder}'", *overrides])
        watched = _Watched(build_dataset(cfg, "train"), build_preprocess(cfg), task_class(cfg).target)
        loader = DataLoader(
            watched, batch_size=64, sampler=SeededSampler(samples, 0, shuffle=True), num_workers=2, collate_fn=collate
        )
        first: dict[str, int] = {}
        last: dict[str, int] = {}
        most: dict[str, int] = {}
        start = time.monotonic()
        for number, batch in enumerate(loader):
            for pid, kept in (found.split() for found in batch.caption or () if found):
                if number >= 2 * 10:  # caches of libraries are filled by then
                    first.setdefault(pid, int(kept))
                last[pid], most[pid] = int(kept), max(most.get(pid, 0), int(kept))
            if number % 200 == 0:
                print(f"{64 * number} samples, {time.monotonic() - start:.0f} s", flush=True)
        for pid in first:
            kept = ", ".join(
                f"{known[pid] / 1e6:.0f} MB {when}" for known, when in zip((first, last, most), _WHEN, strict=True)
            )
            print(f"process {pid} keeps {kept}; {samples} samples")


if __name__ == "__main__":
    main()
