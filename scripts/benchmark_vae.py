"""TAESD against the VAE of Stable Diffusion 1.5 as an image encoder: size, speed, and what its latents are like.

    python scripts/benchmark_vae.py --encoder taesd_encoder.safetensors --decoder taesd_decoder.safetensors --images FOLDER

The speed of a layer does not depend on its weights, so the large VAE has random ones and nothing needs to be downloaded;
both alternate, one thread, and what counts is the ratio of their CPU times. Statistics and reconstruction are TAESD's own,
over the middle squares of the images.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import torch
from diffusers import AutoencoderTiny
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file
from torch import Tensor, nn
from torchmetrics.image import PeakSignalNoiseRatio

from diffperc.backbones.vae import latents_of, small_vae, vae_encoder
from diffperc.files.images import read_image
from diffperc.weights.architecture import architecture


def main() -> None:
    """Measure and print a table."""
    torch.set_grad_enabled(False)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", required=True, help="what backbone.vae takes")
    parser.add_argument("--decoder", type=Path, required=True, help="its author's file")
    parser.add_argument("--images", type=Path, required=True, help="a folder of photographs")
    parser.add_argument("--size", type=int, default=256, help="side in pixels, a multiple of 64")
    parser.add_argument("--limit", type=int, default=64, help="how many of them")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    config = architecture("sd15", None)["vae"]
    large = vae_encoder(config).eval()
    small_config, state = small_vae(options.encoder, config, is_random=False)
    small = vae_encoder(small_config).eval()
    small.load_state_dict(state)
    files = sorted(f for f in options.images.iterdir() if f.suffix in (".jpg", ".png"))[: options.limit]
    images = torch.stack([_square(file, options.size) for file in files])
    ratio = statistics.median(_seconds(large, images[:1]) / _seconds(small, images[:1]) for _ in range(options.rounds))
    scaled = torch.cat([latents_of(small, image[None]) for image in images]) * config["scaling_factor"]
    decoder = _decoder(options.decoder)
    found = torch.cat([decoder(latents[None]) for latents in scaled]).clamp(0, 1)
    table = Table(title=f"TAESD on {len(files)} images of {options.size} x {options.size}")
    for column in ("what", "figure"):
        table.add_column(column)
    psnr = PeakSignalNoiseRatio(data_range=1.0, dim=(1, 2, 3), reduction="elementwise_mean")
    table.add_row("parameters of the encoder, TAESD / VAE", f"{_count(small):,} / {_count(large):,}")
    table.add_row("CPU time to encode an image, VAE / TAESD", f"{ratio:.1f}")
    table.add_row("encoded and decoded by TAESD, PSNR", f"{float(psnr(found, images)):.2f} dB")
    for name, values in (("mean", scaled.mean((0, 2, 3))), ("deviation", scaled.std((0, 2, 3)))):
        table.add_row(f"{name} of the latents x 0.18215, by channel", " ".join(f"{v:.2f}" for v in values))
    Console().print(table)


def _square(file: Path, size: int) -> Tensor:
    pixels = torch.from_numpy(read_image(file).copy()).permute(2, 0, 1)[None].float() / 255
    height, width = pixels.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = pixels[:, :, top : top + side, left : left + side]
    return nn.functional.interpolate(middle, size=(size, size), mode="bilinear", antialias=True)[0].clamp(0, 1)


def _seconds(vae: nn.Module, image: Tensor) -> float:
    start = time.process_time()
    latents_of(vae, image)
    return time.process_time() - start


def _decoder(file: Path) -> nn.Module:
    """TAESD's decoder, latents to images in [0, 1]; its author's first layer clamps and has no tensors."""
    model = AutoencoderTiny()
    state = {f"layers.{int(k.partition('.')[0]) - 1}.{k.partition('.')[2]}": v for k, v in load_file(file).items()}
    model.decoder.load_state_dict({k: v.float() for k, v in state.items()})

    class Decoder(nn.Module):
        def forward(self, latents: Tensor) -> Tensor:
            images: Tensor = (model.decode(latents).sample + 1) / 2
            return images

    return Decoder().eval()


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


if __name__ == "__main__":
    main()
