"""The stages, each of which leaves a part of a diffusers folder and goes on where it was stopped."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from omegaconf import DictConfig
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from transformers import CLIPTextModel, CLIPTokenizer

from diffperc.config.validate import validate_like
from diffperc.encoders import merges_of, token_config, train_tokenizer
from diffperc.engine.callbacks import PlainProgress, RichProgress
from diffperc.engine.trainer import checked_trainer
from diffperc.errors import ConfigError, did_you_mean
from diffperc.pretraining.clip import Contrastive, token_ids
from diffperc.pretraining.corpus import Corpus, corpus
from diffperc.pretraining.samples import CAPTIONS, draw
from diffperc.pretraining.unet import SCHEDULE, Denoiser
from diffperc.pretraining.vae import Autoencoder, Decoding, to_unit_latents
from diffperc.weights.architecture import config_folder
from diffperc.weights.quiet import quiet_loading

STAGES = ("clip", "vae", "unet", "decoder")
# the stages that one builds on, and what they leave
_NEEDS = {"unet": {"clip": "text_encoder", "vae": "vae"}, "decoder": {"vae": "vae"}}


def pretrain(cfg: DictConfig) -> None:
    """Run the stages that ``cfg.stages`` names, in their order.

    Raises:
        ConfigError: a stage is unknown, or one that it builds on has not been run; a value is not of its kind.
    """
    validate_like(cfg, "pretrain", may_be_zero=("seed", "num_workers", "clip.merges"))
    out = Path(cfg.out)
    _check_stages(cfg.stages, out)
    _check_values(cfg)
    L.seed_everything(cfg.seed, workers=True, verbose=False)
    pictures = corpus(out / "corpus", cfg.images, cfg.scenes, cfg.held_out, cfg.size, cfg.processes)
    run: dict[str, Callable[[DictConfig, Path, Corpus], dict[str, float]]] = {
        "clip": _clip,
        "vae": _vae,
        "unet": _unet,
        "decoder": _decoder,
    }
    for stage in STAGES:
        if stage in cfg.stages:
            with quiet_loading():
                figures = run[stage](cfg, out, pictures)
            (out / f"{stage}.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
            print(f"{stage}: " + ", ".join(f"{name} {value:.4f}" for name, value in figures.items()), flush=True)


def _check_stages(stages: Sequence[str], out: Path) -> None:
    if isinstance(stages, str):
        raise ConfigError(f"stages={stages}: must be a list, as in stages=[{stages}].")
    for stage in stages:
        if stage not in STAGES:
            raise ConfigError(f"stages: there is no stage '{stage}'{did_you_mean(stage, STAGES)}")
        for before, part in _NEEDS.get(stage, {}).items():
            if before not in stages and not (out / part).is_dir():
                raise ConfigError(f"stages: '{stage}' needs '{before}', which has left no {part} in {out}; run it too.")


def _check_values(cfg: DictConfig) -> None:
    for key, side in (("size", cfg.size), ("vae.crop", cfg.vae.crop)):
        if side % 8 or side > cfg.size:
            raise ConfigError(f"{key}={side}: must be a multiple of 8, the VAE's factor, and at most size={cfg.size}.")
    for key in ("caption_dropout", "ema"):
        if cfg.unet[key] > 1:
            raise ConfigError(f"unet.{key}={cfg.unet[key]}: must be at most 1.")


class _Pictures(Dataset[Tensor]):
    """Pictures in [0, 1], or random parts of them; a part begins at a multiple of 8."""

    def __init__(self, images: Any, indices: range, crop: int | None = None) -> None:
        self.images, self.indices, self.crop = images, indices, crop

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, i: int) -> Tensor:
        pixels = self.images[self.indices[i]]
        if self.crop is not None:
            top, left = (8 * int(torch.randint((s - self.crop) // 8 + 1, ())) for s in pixels.shape[:2])
            pixels = pixels[top : top + self.crop, left : left + self.crop]
            pixels = pixels[:, ::-1] if torch.rand(()) < 0.5 else pixels
        return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255


class _Pairs(Dataset[tuple[Tensor, Tensor]]):
    """Two things of the same number."""

    def __init__(self, first: Any, second: Any, indices: range) -> None:
        self.first, self.second, self.indices = first, second, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        return self.first[self.indices[i]], self.second[self.indices[i]]


def _fit(cfg: DictConfig, out: Path, name: str, module: L.LightningModule, train: Any, test: Any) -> dict[str, float]:
    """Train a stage, or go on with it if it has not had its steps; the figures of its last validation."""
    stage = cfg[name.partition("_")[0]]
    folder = out / "stages" / name
    callbacks: list[Callback] = [
        ModelCheckpoint(
            folder, "step", every_n_train_steps=stage.keep_every, save_last=True, enable_version_counter=False
        ),
        RichProgress() if sys.stdout.isatty() else PlainProgress(30.0),
    ]
    if stage.get("ema") is not None:
        callbacks.append(EMAWeightAveraging(decay=stage.ema))
    trainer = checked_trainer(
        L.Trainer,
        accelerator=cfg.accelerator,
        devices=1,
        precision=stage.precision,
        max_steps=stage.steps,
        val_check_interval=stage.validate_every,
        check_val_every_n_epoch=None,
        callbacks=callbacks,
        logger=CSVLogger(folder, name="curves"),  # a table for each time the stage is begun or goes on
        log_every_n_steps=20,
        num_sanity_val_steps=0,
        enable_progress_bar=sys.stdout.isatty(),
        enable_model_summary=False,
        gradient_clip_val=1.0,
    )
    last = folder / "last.ckpt"
    loaders = (
        DataLoader(train, stage.batch_size, shuffle=True, drop_last=True, num_workers=cfg.num_workers),
        DataLoader(test, 64),
    )
    before = torch.load(last, weights_only=True) if last.is_file() else None
    if before is not None and before["global_step"] >= stage.steps:
        # fit would leave at once, with the weights as they were before they were averaged
        module.load_state_dict(before["state_dict"])
    else:
        trainer.fit(module, *loaders, ckpt_path=None if before is None else str(last), weights_only=True)
    trainer.validate(module, loaders[1], verbose=False)
    return {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/")}


def _config(part: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((config_folder("tiny") / part / "config.json").read_text(encoding="utf-8"))
    return content


def _tokenizer(cfg: DictConfig, out: Path, pictures: Corpus) -> CLIPTokenizer:
    """One of the words of the training captions, left in `out`; for rendered scenes the package's, made of theirs.

    Raises:
        ConfigError: the text encoder that the stage goes on with has other tokens.
    """
    if cfg.images is None:
        tokenizer = CLIPTokenizer.from_pretrained(str(config_folder("tiny") / "tokenizer"))
    else:
        tokenizer = train_tokenizer((pictures.captions[i] for i in pictures.train), cfg.clip.merges)
    folder = out / "tokenizer"
    if (out / "stages/clip/last.ckpt").is_file() and folder.is_dir():
        begun = CLIPTokenizer.from_pretrained(str(folder))
        if merges_of(begun) != merges_of(tokenizer):
            raise ConfigError(
                f"images={cfg.images} with clip.merges={cfg.clip.merges} gives {len(tokenizer)} tokens; the text encoder in "
                f"{out} was begun with others, {len(begun)}. Set images and clip.merges as they were, or another out."
            )
    tokenizer.save_pretrained(str(folder))
    return tokenizer


def _clip(cfg: DictConfig, out: Path, pictures: Corpus) -> dict[str, float]:
    tokenizer = _tokenizer(cfg, out, pictures)
    ids = token_ids(tokenizer, pictures.captions)
    # no token sees what comes after it, so padding behind the longest caption changes nothing
    ids = ids[:, : int((ids != tokenizer.pad_token_id).sum(1).max()) + 1]
    shown = _Pictures(pictures.images, range(len(ids)))
    train, test = (_Pairs(shown, ids, part) for part in (pictures.train, pictures.test))
    torch.manual_seed(cfg.seed)
    module = Contrastive(
        _config("text_encoder") | token_config(tokenizer),
        _config("image_encoder") | {"image_size": cfg.size},
        cfg.clip.lr,
        cfg.clip.weight_decay,
    )
    figures = _fit(cfg, out, "clip", module, train, test)
    module.text.save_pretrained(out / "text_encoder")
    module.image.save_pretrained(out / "image_encoder")
    (out / "stages" / "tokens.pt").unlink(missing_ok=True)
    return figures


def _vae(cfg: DictConfig, out: Path, pictures: Corpus) -> dict[str, float]:
    torch.manual_seed(cfg.seed)
    module = Autoencoder(_config("vae"), cfg.vae.lr, cfg.vae.kl_weight)
    train = _Pictures(pictures.images, pictures.train, cfg.vae.crop)
    figures = _fit(cfg, out, "vae", module, train, _Pictures(pictures.images, pictures.test))
    vae = module.vae.eval()
    some = range(0, len(pictures.train), max(1, len(pictures.train) // 512))
    to_unit_latents(vae, _encoded(vae, pictures, some))
    vae.save_pretrained(out / "vae")
    (out / "stages" / "latents.pt").unlink(missing_ok=True)
    _save_reconstructions(vae, pictures, out)
    return figures


def _unet(cfg: DictConfig, out: Path, pictures: Corpus) -> dict[str, float]:
    _, latents = _latents(out, pictures)
    tokens, empty = _tokens(out, pictures.captions)
    train, test = (_Pairs(latents, tokens, part) for part in (pictures.train, pictures.test))
    figures: dict[str, float] = {}
    for name, dropout in (("unet", cfg.unet.caption_dropout), ("unet_control", 1.0)):
        if name == "unet_control" and not cfg.unet.control:
            continue
        torch.manual_seed(cfg.seed)
        module = Denoiser(_config("unet"), empty, cfg.unet.lr, cfg.unet.weight_decay, dropout)
        found = _fit(cfg, out, name, module, train, test)
        figures |= {k.replace("val/", f"val/{name}_"): v for k, v in found.items()}
        if name == "unet":
            _finish(cfg, out, module.unet.eval(), pictures)
    return figures


def _decoder(cfg: DictConfig, out: Path, pictures: Corpus) -> dict[str, float]:
    """What is left to gain when the latents are settled; another process may train the UNet at the same time."""
    vae, latents = _latents(out, pictures)
    torch.manual_seed(cfg.seed)
    module = Decoding(vae.config, vae.state_dict(), cfg.decoder.lr)
    shown = _Pictures(pictures.images, range(len(pictures.captions)))
    train = _Pairs(latents, shown, pictures.train)
    figures = _fit(cfg, out, "decoder", module, train, _Pictures(pictures.images, pictures.test))
    module.vae.eval().save_pretrained(out / "vae")
    _save_reconstructions(module.vae, pictures, out)
    return figures


def _latents(out: Path, pictures: Corpus) -> tuple[Any, Tensor]:
    """The VAE, and the latents of all pictures by it, from a cache in half precision."""
    vae = AutoencoderKL.from_pretrained(out / "vae").eval().to(memory_format=torch.channels_last)
    everything = range(len(pictures.captions))
    return vae, _cached(out / "stages" / "latents.pt", lambda: _encoded(vae, pictures, everything).half()).float()


def _cached(file: Path, make: Callable[[], Tensor]) -> Tensor:
    """What `make` gives, from a file that is there whole or not at all: a stage may be stopped, or run beside another."""
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(f".{os.getpid()}.part")
        torch.save(make(), unfinished)
        os.replace(unfinished, file)
    found: Tensor = torch.load(file, weights_only=True, mmap=True)
    return found


def _save_reconstructions(vae: Any, pictures: Corpus, out: Path) -> None:
    """Eight held-out pictures above what the VAE makes of them."""
    shown = torch.stack([_Pictures(pictures.images, pictures.test)[i] for i in range(8)])
    found = _decoded(vae, _encoded(vae, pictures, pictures.test[:8]))
    _save_grid(torch.cat([shown, found]), 8, out / "reconstructions.png")


def _finish(cfg: DictConfig, out: Path, unet: UNet2DConditionModel, pictures: Corpus) -> None:
    """The rest of the diffusers folder, and drawn pictures: of sentences about rooms, or the shortest held-out captions."""
    unet.save_pretrained(out / "unet")
    (out / "scheduler").mkdir(exist_ok=True)
    scheduler = {"_class_name": "DDIMScheduler", **SCHEDULE}
    (out / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler, indent=2) + "\n")
    index = {
        "_class_name": "StableDiffusionPipeline",
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (out / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
    held_out = sorted((pictures.captions[i] for i in pictures.test), key=lambda c: len(c.split()))
    captions = CAPTIONS if cfg.images is None else held_out[:16]
    _save_grid(draw(out, captions, pictures.images.shape[1], cfg.unet.draws), 4, out / "samples.png")
    (out / "samples.txt").write_text("".join(f"{caption}\n" for caption in captions), encoding="utf-8")


@torch.no_grad()
def _encoded(vae: Any, pictures: Corpus, indices: Sequence[int]) -> Tensor:
    images = _Pictures(pictures.images, range(len(pictures.captions)))
    parts = [indices[i : i + 32] for i in range(0, len(indices), 32)]
    return torch.cat([vae.encode(torch.stack([images[i] for i in p]) * 2 - 1).latent_dist.mode() for p in parts])


@torch.no_grad()
def _decoded(vae: Any, latents: Tensor) -> Tensor:
    pictures: Tensor = (vae.decode(latents).sample + 1) / 2
    return pictures.clamp(0, 1)


def _tokens(out: Path, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Tokens (N, 77, D) of captions, from a cache in half precision, and (77, D) of the empty sentence."""

    @torch.no_grad()
    def encoded() -> Tensor:
        model = CLIPTextModel.from_pretrained(out / "text_encoder").eval()
        ids = token_ids(CLIPTokenizer.from_pretrained(str(out / "tokenizer")), [*captions, ""])
        return torch.cat([model(input_ids=part).last_hidden_state.half() for part in ids.split(128)])

    found = _cached(out / "stages" / "tokens.pt", encoded)
    return found[:-1], found[-1].float()


def _save_grid(pictures: Tensor, columns: int, file: Path) -> None:
    """Pictures (B, 3, S, S) in rows."""
    pixels = (pictures.permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)
    rows = [np.concatenate(list(pixels[i : i + columns]), 1) for i in range(0, len(pixels), columns)]
    Image.fromarray(np.concatenate(rows)).save(file)
