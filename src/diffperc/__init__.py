"""diffperc: a pretrained text-to-image diffusion model as a perception model.

What can be called from Python, without Hydra's knowledge:

    run = diffperc.train(task="depth", strategy="meta_prompts", steps=100)
    depth = run.predictor()("photo.jpg")

Each function imports what it needs when it is called, so that ``import diffperc`` and every ``--help`` stay instant.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffperc.version import __version__

if TYPE_CHECKING:
    from lightning import Callback

    from diffperc.commands.train import Run
    from diffperc.deploy.exported import ExportedPredictor
    from diffperc.inference.predictor import Predictor
    from diffperc.models import PerceptionModel

# albumentations would ask the network for news of itself at import
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

__all__ = [
    "__version__",
    "create_model",
    "evaluate",
    "list_backbones",
    "list_datasets",
    "list_experiments",
    "list_heads",
    "list_protocols",
    "list_strategies",
    "list_tasks",
    "list_trained",
    "load",
    "train",
]


def train(
    task: str | None = None,
    dataset: str | None = None,
    root: str | Path | None = None,
    strategy: str | None = None,
    backbone: str | None = None,
    *,
    head: str | None = None,
    experiment: str | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    seed: int | None = None,
    folder: str | Path | None = None,
    callbacks: Sequence[Callback] = (),
    overrides: Mapping[str, Any] | None = None,
) -> Run:
    """Train a model; what is not given is as ``diffperc train`` has it.

    >>> run = diffperc.train(task="segmentation", dataset="folder", root="mydata", strategy="vpd", steps=300)
    >>> run.metrics["val/miou"], run.folder, run.predictor()("photo.jpg")

    Args:
        task: what is predicted, see `list_tasks`.
        dataset: what it is trained on, see `list_datasets`.
        root: the data set's folder.
        strategy: what conditions the UNet, see `list_strategies`.
        backbone: the diffusion model, see `list_backbones`.
        head: what reads the features, see `list_heads`.
        experiment: a row of a paper's table, see `list_experiments`.
        steps: optimiser steps.
        batch_size: images per optimiser step.
        lr: the largest learning rate.
        seed: of initial weights, order of images and augmentation.
        folder: of the run; None: a new one below ``runs``.
        callbacks: of Lightning, beside those that always run.
        overrides: any other key, such as ``{"dataset.max_depth": 20, "trainer.precision": "bf16-mixed"}``.

    Raises:
        DiffPercError: a name, key or value is wrong, or the data cannot be used; the message is a sentence.
    """
    from diffperc.commands.api import train_from_python

    names = {
        "task": task,
        "dataset": dataset,
        "strategy": strategy,
        "backbone": backbone,
        "head": head,
        "experiment": experiment,
    }
    values = {"dataset.root": root, "recipe.batch_size": batch_size, "recipe.lr": lr, "seed": seed}
    return train_from_python(names, values, steps, folder, callbacks, overrides)


def evaluate(
    ckpt: str | Path,
    root: str | Path | None = None,
    protocol: str | None = None,
    *,
    batch_size: int | None = None,
    num_workers: int | str = "auto",
    device: str = "auto",
    precision: str | None = None,
    folder: str | Path | None = None,
    trust: Sequence[str] = (),
) -> dict[str, float]:
    """Score a checkpoint on the validation split of its data set.

    Args:
        ckpt: a checkpoint, or the folder of a run, whose best is taken.
        root: the data set's folder; None: as in training.
        protocol: another than that of training, see `list_protocols`.
        batch_size: images per batch; None: as in training.
        num_workers: loader processes; ``auto``: one per core that is left, at most 8.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``, or ``auto``.
        precision: as that of `load`; None: as in training.
        folder: for figures and ``summary.json``; None: a new one below ``runs/evaluate``.
        trust: packages besides diffperc whose classes the checkpoint may name; their code is run.

    Returns:
        Metrics such as ``val/rmse_m``.

    Raises:
        DiffPercError: the checkpoint or the data cannot be used; the message is a sentence.
    """
    from diffperc.commands.api import evaluate_from_python

    options: dict[str, Any] = {
        "eval_batch_size": batch_size,
        "num_workers": num_workers,
        "device": device,
        "precision": precision,
    }
    values = {"root": root, **options, "trust": list(trust)}
    return evaluate_from_python(ckpt, protocol, values, folder)


def create_model(
    task: str = "depth",
    strategy: str = "meta_prompts",
    backbone: str = "tiny",
    *,
    dataset: str = "scenes",
    head: str | None = None,
    classes: Sequence[str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> PerceptionModel:
    """An untrained network on a pretrained backbone: a plain `torch.nn.Module` that takes a `diffperc.types.Batch`.

    >>> model = diffperc.create_model(task="segmentation", strategy="vpd", classes=["road", "sky"])
    >>> model(Batch(image)).dense.shape     # image (B, 3, H, W) in [0, 1]
    (B, 2, H, W)

    Args:
        task: what is predicted, see `list_tasks`.
        strategy: what conditions the UNet, see `list_strategies`.
        backbone: the diffusion model, see `list_backbones`.
        dataset: whose classes, scenes and range the network has, see `list_datasets`; no data is read.
        head: what reads the features, see `list_heads`.
        classes: names of the semantic classes; None: those of the data set.
        overrides: any other key, such as ``{"backbone.pretrained": "sd15-folder"}``.

    Raises:
        DiffPercError: a name, key or value is wrong; the message is a sentence.
    """
    from diffperc.commands.api import create_model_from_python

    names = {"task": task, "strategy": strategy, "backbone": backbone, "dataset": dataset, "head": head}
    return create_model_from_python(names, classes, overrides)


def load(
    path: str | Path,
    device: str = "auto",
    which: str | None = None,
    *,
    precision: str = "auto",
    optimize: bool = True,
    compile: bool = False,
    trust: Sequence[str] = (),
) -> Predictor | ExportedPredictor:
    """A trained model that predicts images, from a checkpoint, a run folder, or a file of ``diffperc export``.

    >>> predictor = diffperc.load("runs/mine")
    >>> result = predictor("photo.jpg")
    >>> result.depth, result.confidence     # (H, W) float32: metres; in [0, 1]
    >>> result.save("results")              # a notebook shows it as a picture

    Args:
        path: a checkpoint, the folder of a run, one of `list_trained`, such as ``tiny-depth``; or an exported ``.onnx``,
            which onnxruntime runs on the CPU without torch, and for which the other arguments are not read.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``, or ``auto``: a GPU where there is one.
        which: of a run folder, ``best`` by the validation metric, or ``last``; None: the best, or the last where training
            was stopped before its first validation.
        precision: of the network, ``32-true``, ``bf16-true``, ``16-true`` or ``64-true``; ``auto``: half precision where
            this device is faster so and the network is large, else ``32-true``.
        optimize: arrange the weights of convolutions once for a CPU, which changes results by less than 1e-4 of their range;
            the network can then no longer be trained or saved, and this process keeps memory that it has freed.
        compile: by torch.compile, in place of `optimize`: takes minutes for each size of image.
        trust: packages besides diffperc whose classes the checkpoint may name; their code is run.

    Raises:
        DiffPercError: there is no such checkpoint, or it cannot be read; the message is a sentence.
    """
    if str(path).endswith(".onnx"):
        from diffperc.deploy.exported import exported_predictor

        return exported_predictor(path)
    from diffperc.checkpoints import load as load_checkpoint

    return load_checkpoint(path, device, which, trust, precision, optimize, compile)


def list_tasks() -> list[str]:
    """Names for ``task=``."""
    return _names("task")


def list_strategies() -> list[str]:
    """Names for ``strategy=``."""
    return _names("strategy")


def list_datasets() -> list[str]:
    """Names for ``dataset=``."""
    return _names("dataset")


def list_backbones() -> list[str]:
    """Names for ``backbone=``."""
    return _names("backbone")


def list_heads() -> list[str]:
    """Names for ``head=``."""
    return _names("head")


def list_experiments() -> list[str]:
    """Names for ``experiment=``, each a row of a paper's table."""
    return _names("experiment")


def list_protocols() -> list[str]:
    """Names for ``protocol=`` of `evaluate`."""
    return _names("protocol")


def list_trained() -> list[str]:
    """Names for `load`: small trained models that come with the package, each with a card beside it."""
    from diffperc.checkpoints.in_folder import trained_models

    return sorted(trained_models())


def _names(group: str) -> list[str]:
    from diffperc.config.find import conf_dir

    return sorted(file.stem for file in (conf_dir() / group).glob("*.yaml"))


def __dir__() -> list[str]:
    return __all__
