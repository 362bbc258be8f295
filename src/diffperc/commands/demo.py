"""Offering a page to try models on."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from pathlib import Path

from omegaconf import DictConfig, ListConfig

from diffperc.checkpoints import checkpoint_in, load, trained_models
from diffperc.errors import ConfigError
from diffperc.inference.predictor import Predictor


def offer(cfg: DictConfig) -> None:
    """Offer the page until it is stopped.

    Raises:
        ConfigError: gradio is not installed, or the address cannot be used.
        CheckpointError: there is no such checkpoint.
    """
    models = loaders(cfg)
    try:
        import gradio as gr
    except ImportError as error:
        raise ConfigError("diffperc demo needs gradio: pip install 'diffperc[demo]'.") from error
    from diffperc.deploy.demo import STYLE, demo

    logging.getLogger("httpx").setLevel(logging.WARNING)  # gradio asks itself whether it is there
    page = demo(models)
    theme = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    try:
        _, address, _ = page.launch(
            server_name=str(cfg.host),
            server_port=cfg.port,
            inbrowser=bool(cfg.open),
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            theme=theme,
            css=STYLE,
            footer_links=[],
        )
    except OSError as error:
        where = f"{cfg.host}, port {cfg.port}" if cfg.port is not None else str(cfg.host)
        raise ConfigError(f"port: the page cannot be offered at {where} ({error}); give another.") from error
    print(f"{', '.join(models)}: {address}     (stop with Control-C)", flush=True)
    page.block_thread()


def loaders(cfg: DictConfig) -> dict[str, Callable[[], Predictor]]:
    """By name, what loads each model of ``cfg.ckpt``; files are looked for now, so that a wrong name is found at once."""
    wanted = list(cfg.ckpt) if isinstance(cfg.ckpt, ListConfig) else [cfg.ckpt]
    if cfg.ckpt is None:
        wanted = list(trained_models())
    if not wanted:
        raise ConfigError("ckpt: give a checkpoint or the folder of a run; this installation brings no trained models.")
    found: dict[str, Callable[[], Predictor]] = {}
    for each in map(str, wanted):
        file = checkpoint_in(each)
        if not Path(file).is_file():
            raise ConfigError(f"ckpt: there is no checkpoint {each}; the package has {', '.join(trained_models())}.")
        found[each] = functools.partial(
            load, file, str(cfg.device), trust=list(cfg.trust), precision=str(cfg.precision)
        )
    return found
