"""Augmented views of training images whose latents are stored."""

from __future__ import annotations

from omegaconf import DictConfig

from diffperc.encoders import cache_folder
from diffperc.errors import ConfigError
from diffperc.models import LatentsOnDisk
from diffperc.preprocessing import Preprocess


def check_views(cfg: DictConfig, preprocess: Preprocess) -> None:
    """Check that stored views leave training its augmentation.

    Args:
        cfg: node ``views``.
        preprocess: of the training.

    Raises:
        ConfigError: the only view of each image would be a random one.
    """
    is_random = bool(preprocess.augment) or preprocess.person_crop is not None
    if cfg.views.count == 1 and is_random:
        instead = "" if preprocess.person_crop else ", or switch augmentation off (preprocessing.augment=[])"
        raise ConfigError(
            "views.count=1: training augments at random, and with one view each image would be seen in the same random form "
            f"in every epoch; store several views (views.count=8){instead}."
        )


def stored_latents(cfg: DictConfig, images: int) -> LatentsOnDisk | None:
    """Where the latents of training images are stored; None: they are not.

    Args:
        cfg: node ``views``.
        images: of the training split.

    Raises:
        ConfigError: see `LatentsOnDisk`.
    """
    if cfg.views.count is None:
        return None
    folder = cache_folder() if cfg.views.folder is None else cfg.views.folder
    return LatentsOnDisk(folder, images * cfg.views.count, int(cfg.views.limit * 1e9))


def described_views(cfg: DictConfig, images: int) -> list[str]:
    """A line about how often a stored view is seen; none where views are not stored.

    Args:
        cfg: nodes ``views``, ``recipe``.
        images: of the training split.
    """
    views = cfg.views.count
    if views is None:
        return []
    epochs = cfg.recipe.epochs if cfg.recipe.epochs > 0 else cfg.recipe.steps * cfg.recipe.batch_size / images
    again = "stored latents serve later runs alone" if epochs <= views else f"each is seen {epochs / views:.3g} times"
    return [f"each training image has {views} views, the same in every epoch; in {epochs:.3g} epochs {again}"]
