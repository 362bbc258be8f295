"""Full-size check of the backbone: Stable Diffusion 1.5's shapes, from a diffusers folder and from one LDM file.

Random weights are written both ways into a folder (7 GB), each is loaded in its own process, and features, seconds and
peak memory at 512x512 and 480x640 are compared. Exit code 1 if the features differ.

    python scripts/check_sd15.py --folder /tmp/sd15
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

SIZES = ((512, 512), (480, 640))


def write(folder: Path) -> None:
    """Random weights as a diffusers folder and as one file in the original naming."""
    from diffusers import AutoencoderKL, UNet2DConditionModel

    from diffperc.weights import ldm_names as ldm
    from diffperc.weights.architecture import architecture

    arch = architecture("sd15", None)
    torch.manual_seed(0)
    unet = UNet2DConditionModel.from_config(arch["unet"])
    unet.save_pretrained(folder / "diffusers/unet", max_shard_size="20GB")
    vae = AutoencoderKL.from_config(arch["vae"])
    vae.save_pretrained(folder / "diffusers/vae")
    original = {ldm.UNET + k: v for k, v in ldm.unet_to_ldm(unet.state_dict(), arch["unet"]).items()}
    encoder = ldm.vae_to_ldm(vae.state_dict(), arch["vae"])
    original |= {ldm.VAE + k: v.contiguous() for k, v in encoder.items()}
    save_file(original, folder / "ldm.safetensors")


def measure(source: Path, result: Path) -> None:
    """Load, run both sizes, save features; prints one line of json."""
    from diffperc.backbones import StableDiffusionBackbone
    from diffperc.models.fit import PadFit
    from diffperc.types import Conditioning

    start = time.perf_counter()
    backbone = StableDiffusionBackbone(pretrained=str(source), channels_last=True).eval()
    facts: dict[str, float] = {"load_s": time.perf_counter() - start}
    features: dict[str, torch.Tensor] = {}
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randn(1, 77, backbone.token_dim, generator=generator)
    for height, width in SIZES:
        image = torch.rand(1, 3, height, width, generator=generator)
        start = time.perf_counter()
        with torch.inference_mode():
            latents = backbone.encode(PadFit().prepare(image, backbone.multiple))
            found = backbone.extract(latents, Conditioning(tokens, timestep=torch.ones(1)), attention=[16, 32])
        facts[f"forward_{height}x{width}_s"] = time.perf_counter() - start
        features |= {f"{height}x{width}.{i}": m.clone() for i, m in enumerate(found.maps)}
    facts["peak_GB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    save_file({k: v.contiguous() for k, v in features.items()}, result)
    print(json.dumps(facts))


def main() -> int:
    """Write, measure both in their own processes, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=None, help="where the weights go and stay; default: temporary")
    parser.add_argument("--measure", nargs=2, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(*arguments.measure)
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "ldm.safetensors").is_file():
            write(folder)
        results = []
        for name in ("diffusers", "ldm.safetensors"):
            result = folder / f"features-{name}"
            command = [sys.executable, __file__, "--measure", str(folder / name), str(result)]
            line = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
            print(f"{name:16}", "  ".join(f"{k} {v:.2f}" for k, v in json.loads(line).items()), flush=True)
            results.append(load_file(result))
    worst = max(float((results[0][k] - results[1][k]).abs().max()) for k in results[0])
    shapes = ", ".join(f"{k} {tuple(v.shape)}" for k, v in results[0].items())
    print(f"largest difference of any feature: {worst}\n{shapes}")
    return int(worst != 0)


if __name__ == "__main__":
    sys.exit(main())
