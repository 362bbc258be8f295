"""The whole pretraining: checks, the corpus, and the stages in their order.

Each stage leaves parts of a diffusers folder. A stage that was stopped resumes from its last checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import lightning as L
from omegaconf import DictConfig

from diffperc.config.validate import validate_like
from diffperc.errors import ConfigError, did_you_mean
from diffperc.pretraining.clip import train_clip
from diffperc.pretraining.corpus import Corpus, prepare_corpus
from diffperc.pretraining.decoder import train_decoder
from diffperc.pretraining.unet import train_unet
from diffperc.pretraining.vae import train_vae
from diffperc.weights.quiet import quiet_loading

STAGES: dict[str, Callable[[DictConfig, Path, Corpus], dict[str, float]]] = {
    "clip": train_clip,
    "vae": train_vae,
    "unet": train_unet,
    "decoder": train_decoder,
}
# the stages that each one builds on, and the part that those leave
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
    corpus = prepare_corpus(out / "corpus", cfg.images, cfg.scenes, cfg.held_out, cfg.size, cfg.processes)
    for stage, train in STAGES.items():
        if stage in cfg.stages:
            with quiet_loading():
                figures = train(cfg, out, corpus)
            (out / f"{stage}.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
            summary = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
            print(f"{stage}: {summary}", flush=True)


def _check_stages(stages: Sequence[str], out: Path) -> None:
    if isinstance(stages, str):
        raise ConfigError(f"stages={stages}: must be a list, as in stages=[{stages}].")
    for stage in stages:
        if stage not in STAGES:
            raise ConfigError(f"stages: there is no stage '{stage}'{did_you_mean(stage, STAGES)}")
        for needed, part in _NEEDS.get(stage, {}).items():
            if needed not in stages and not (out / part).is_dir():
                raise ConfigError(f"stages: '{stage}' needs '{needed}', but there is no {part} in {out}; run it too.")


def _check_values(cfg: DictConfig) -> None:
    for key, side in (("size", cfg.size), ("vae.crop", cfg.vae.crop)):
        if side % 8 or side > cfg.size:
            raise ConfigError(f"{key}={side}: must be a multiple of 8, the VAE's factor, and at most size={cfg.size}.")
    for key in ("caption_dropout", "ema"):
        if cfg.unet[key] > 1:
            raise ConfigError(f"unet.{key}={cfg.unet[key]}: must be at most 1.")
