"""The predictor that a command names, and its options."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from diffperc.errors import ConfigError

if TYPE_CHECKING:
    from diffperc.deploy.exported import ExportedPredictor
    from diffperc.inference.predictor import Predictor

_OF_CHECKPOINTS = {"device": "auto", "precision": "auto", "optimize": True, "compile": False, "trust": [], "batch": 1}
"""Keys that exported models do not read, and what they are where nobody set them."""


def given_options(cfg: DictConfig, own: Collection[str]) -> dict[str, Any]:
    """What is set of the options of predictors; `own` are the keys of the command itself."""
    plain = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(plain, dict)
    return {str(name): value for name, value in plain.items() if name not in own and value is not None}


def loaded(cfg: DictConfig, given: Collection[str]) -> Predictor:
    """The predictor of ``cfg.ckpt``.

    Raises:
        ConfigError: it does not have one of the options that are given.
        CheckpointError: there is none, or it cannot be read.
    """
    from diffperc.checkpoints import load

    predictor = load(
        cfg.ckpt,
        cfg.device,
        trust=cfg.trust,
        precision=str(cfg.precision),
        optimize=bool(cfg.get("optimize", True)),
        compile=bool(cfg.get("compile", False)),
    )
    _apply(cfg, given, predictor)
    return predictor


def loaded_or_exported(cfg: DictConfig, given: Collection[str]) -> Predictor | ExportedPredictor:
    """The predictor of ``cfg.ckpt``, or of the exported ``cfg.model``."""
    if (cfg.get("model") is None) == (cfg.ckpt is None):
        raise ConfigError("ckpt: give a checkpoint, ckpt=..., or an exported model, model=model.onnx; one of the two.")
    if cfg.get("model") is None:
        return loaded(cfg, given)
    from diffperc.deploy.exported import exported_predictor

    unread = [key for key, usual in _OF_CHECKPOINTS.items() if cfg[key] != usual]
    if unread:
        raise ConfigError(f"{unread[0]}: is not read with model=..., which onnxruntime runs on the CPU; leave it out.")
    predictor = exported_predictor(cfg.model)
    _apply(cfg, given, predictor)
    return predictor


def _apply(cfg: DictConfig, given: Collection[str], predictor: Predictor | ExportedPredictor) -> None:
    """Set the bound of sides, and refuse options that the predictor does not have."""
    if cfg.max_side is not None:
        if predictor.preprocess.person_crop is not None:
            raise ConfigError("max_side: is not read for persons, which are cut out at one size; leave it out.")
        predictor.preprocess.max_side = cfg.max_side
    foreign = sorted(set(given) - set(predictor.options))
    if foreign:
        known = f"; it has {', '.join(predictor.options)}" if predictor.options else ""
        raise ConfigError(f"{foreign[0]}: this model has no such option{known}.")
