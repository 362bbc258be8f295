"""Exporting checkpoints to files that other programs run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from omegaconf import DictConfig

from diffperc.backbones.lora import merge_lora
from diffperc.checkpoints import checkpoint_in, load_task
from diffperc.data import PerceptionDataset
from diffperc.deploy.exported import MULTIPLE, RESULTS, nearest_size
from diffperc.engine.build import build_dataset, build_preprocess
from diffperc.engine.datamodule import PerceptionData
from diffperc.errors import ConfigError, DataError
from diffperc.inference.images import picture
from diffperc.inference.predictor import Predictor
from diffperc.scenes import render, sample_scene
from diffperc.tasks import PerceptionTask
from diffperc.types import Batch, Picture

_SCENE = (2027, 3)  # of which no model has seen any


def export_checkpoint(cfg: DictConfig) -> None:
    """Write a graph of a checkpoint, with what it differs by.

    Raises:
        ConfigError: the file has another ending, an extra is missing, or the model cannot be exported.
        DataError: the file exists, or the data set for whole numbers is missing.
        CheckpointError: there is no checkpoint, or it cannot be read.
    """
    try:
        from diffperc.deploy.export import SUFFIXES, export
    except ModuleNotFoundError as error:
        raise ConfigError(f"diffperc export needs {error.name}: pip install 'diffperc[export]'.") from error
    to = Path(cfg.to).expanduser()
    if to.suffix not in SUFFIXES:
        raise ConfigError(f"to: must end in {' or '.join(SUFFIXES)}, found '{to.name}'.")
    if to.exists() and not cfg.overwrite:
        raise DataError(f"to: {to} is there already; give another name, or overwrite=true.")
    if cfg.int8 and to.suffix != ".onnx":
        raise ConfigError("int8: is of ONNX files; let `to` end in .onnx.")
    image = render(sample_scene(*_SCENE)).image if cfg.image is None else picture(str(cfg.image))
    task, trained = load_task(checkpoint_in(cfg.ckpt), cfg.trust, needs=("dataset",) if cfg.int8 else ())
    merge_lora(task.model)
    predictor: Predictor = task.predictor(task.model, task.info, task.protocol, build_preprocess(trained))
    size = _size(cfg, predictor)
    pixels = _at(predictor, image, size)
    to.parent.mkdir(parents=True, exist_ok=True)
    sentences = {name: str(cfg[name]) for name in ("expression", "caption") if cfg[name] is not None}
    found = export(predictor, to, pixels, bool(cfg.inside), size, sentences)
    sides = "x".join(map(str, size)) if size else f"any multiples of {MULTIPLE} from {2 * MULTIPLE}"
    print(
        f"{to}: {found.size / 1e6:.1f} MB, reads {', '.join(found.inputs)}, sides of {sides}; differs from the model by "
        f"{found.deviation:.1e} of its largest value"
    )
    if to.suffix == ".onnx" and cfg.inside and predictor.result not in RESULTS.values():
        print(f"note: `predict model=...` does not read it, because the task {task.name} is none of diffperc's own")
    if cfg.int8:
        _to_int8(cfg, task, trained, predictor, to, pixels, size, found.inputs)


def _size(cfg: DictConfig, predictor: Predictor) -> tuple[int, int] | None:
    """(H, W) that is fixed, by the user or because persons are cut out at one size."""
    crop = predictor.preprocess.person_crop
    if crop is not None:
        if cfg.image_size is not None:
            raise ConfigError("image_size: is not read for persons, which are cut out at one size; leave it out.")
        return crop.size
    if cfg.image_size is None:
        return None
    height, width = cfg.image_size
    if height % MULTIPLE or width % MULTIPLE:
        raise ConfigError(f"image_size: must be multiples of {MULTIPLE}, found {list(cfg.image_size)}.")
    return int(height), int(width)


def _at(predictor: Predictor, image: Picture, size: tuple[int, int] | None) -> Picture:
    """The image at a size that the graph takes."""
    if size is None:
        size = nearest_size(*predictor.preprocess.evaluation_size(image.shape[0], image.shape[1])[0])
    return predictor.preprocess.resized(image, size)


def _to_int8(
    cfg: DictConfig,
    task: PerceptionTask,
    trained: DictConfig,
    predictor: Predictor,
    to: Path,
    pixels: Picture,
    size: tuple[int, int] | None,
    inputs: tuple[str, ...],
) -> None:
    """Replace the file by one in whole numbers, and print what that costs."""
    from diffperc.deploy.export import export
    from diffperc.deploy.quantize import feeds_of, quantize, scores_of

    if cfg.root is not None:
        trained.dataset.root = str(cfg.root)
    seen, scored = build_dataset(trained, "train"), build_dataset(trained, "val")

    def batches(dataset: PerceptionDataset, count: int) -> Iterator[Batch]:
        data = PerceptionData(None, dataset, predictor.preprocess, task.target, task.protocol, 1, 1, 0, trained.seed)
        return islice(data.some_val_images(count), count)

    with tempfile.TemporaryDirectory(dir=to.parent, prefix=".export-") as folder:
        plain, whole = Path(folder) / "plain.onnx", Path(folder) / "whole.onnx"
        export(predictor, plain, pixels, False, size, {})
        for source, goal, inside in ((plain, whole, False), (to, to, bool(cfg.inside))):
            feeds = (feeds_of(task, batch, inputs, inside) for batch in batches(seen, int(cfg.calibration)))
            quantize(source, goal, feeds)
        task.prepare_scores(scored)
        before = scores_of(task, plain, batches(scored, int(cfg.score_images)), inputs)
        after = scores_of(task, whole, batches(scored, int(cfg.score_images)), inputs)
    name = task.monitor[0].removeprefix("val/")
    print(
        f"{to}: in whole numbers of 8 bits {to.stat().st_size / 1e6:.1f} MB; {name} {before[name]:.4g} becomes "
        f"{after[name]:.4g} on {min(int(cfg.score_images), len(scored))} validation images"
    )
