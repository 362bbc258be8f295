"""Put a pretrained small model into the package, in half precision: what `python -m diffperc.pretrain` left in FOLDER.

    python scripts/ship_tiny.py FOLDER

Prints the size and what half precision changes of the features, relative to their standard deviation, on 64 held-out images.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from diffperc.backbones import StableDiffusionBackbone
from diffperc.pretraining.corpus import prepare_corpus
from diffperc.types import Conditioning
from diffperc.weights.architecture import config_folder

PARTS = ("text_encoder", "image_encoder", "vae", "unet")


def main() -> None:
    """Convert, copy, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    missing = [name for name in (*PARTS, "model_index.json") if not (folder / name).exists()]
    if missing:
        parser.error(f"{folder}: has no {', '.join(missing)}; has every stage of the pretraining been run?")
    package = config_folder("tiny")
    # their configs are there: the pretraining read them
    for part in PARTS:
        for file in (folder / part).glob("*.safetensors"):
            state = {name: tensor.half().contiguous() for name, tensor in load_file(file).items()}
            save_file(state, package / part / file.name, {"format": "pt"})
            (package / part / file.name).chmod(0o644)
    for name in ("scheduler/scheduler_config.json", "model_index.json", "samples.png", "samples.txt"):
        (package / name).parent.mkdir(exist_ok=True)
        shutil.copy(folder / name, package / name)
    size = sum(file.stat().st_size for file in package.rglob("*") if file.is_file())
    print(f"{package}: {size / 1e6:.1f} MB")
    images = torch.from_numpy(prepare_corpus(folder / "corpus", None, 0, 64, 128, 1).images[-64:].copy())
    before, after = (_features(str(f), images.permute(0, 3, 1, 2).float() / 255) for f in (folder, package))
    change = max(float((a - b).square().mean().sqrt() / a.std()) for a, b in zip(before, after, strict=True))
    print(f"half precision changes the features by {change:.1e} of their standard deviation")


@torch.no_grad()
def _features(pretrained: str, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
    backbone = StableDiffusionBackbone(pretrained=pretrained).eval()
    tokens = backbone.text_encoder().encode([""] * len(images)).tokens
    return backbone.extract(backbone.encode(images), Conditioning(tokens, torch.ones(len(images)))).maps


if __name__ == "__main__":
    main()
