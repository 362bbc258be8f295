"""Memory, time and disk of a training, before anything starts."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

from diffperc.config.nodes import with_absolute_paths
from diffperc.cost.estimate import TrainingCost, training_cost
from diffperc.cost.measure import resident_bytes
from diffperc.cost.peaks import gemm_peak
from diffperc.cost.table import machine_name
from diffperc.engine.build import (
    architecture_of,
    build_dataset,
    build_optimizer,
    build_task,
    info_without_data,
    task_class,
)
from diffperc.engine.device import accelerator
from diffperc.engine.precision import training_precision
from diffperc.engine.trainer import check_trainer, quiet_lightning
from diffperc.errors import ConfigError, DataError
from diffperc.models import parameter_counts
from diffperc.types import Batch, DatasetInfo

_REACHED = 0.7
"""The fraction of a device's fastest matrix product that a training step reaches (docs/performance.md)."""
_DRIVER = 500_000_000
"""Bytes of a GPU that its driver and libraries take."""
_FILLED = 0.9
"""The share of a GPU's memory that is filled by choice: an estimate is not exact, and memory becomes fragmented."""
_PROCESS = 450_000_000
"""Bytes that a process takes on a CPU while it trains, besides tensors and the libraries that it has loaded before: oneDNN,
figures, what the allocator keeps (docs/cost.md)."""


@dataclass(frozen=True)
class Estimate:
    """Of a training.

    Attributes:
        cost: of a batch of one process.
        parameters: their number.
        trained: the number of those that are trained.
        batch: images of a batch of one process, at `size`.
        batches: per optimiser step and process.
        precision: the one that is chosen.
        libraries: bytes that a CPU process takes besides; 0 on a GPU, whose own counter leaves its driver out too.
        steps: of the optimiser, in all; None: the number of training images is not known.
    """

    cost: TrainingCost
    parameters: int
    trained: int
    batch: int
    size: tuple[int, int]
    batches: int
    precision: str
    libraries: int
    steps: int | None

    @property
    def peak(self) -> int:
        """Bytes of one process."""
        return self.cost.peak + self.libraries

    def fits(self, memory: float) -> bool:
        """Whether a GPU of so many bytes holds it beside its driver."""
        return self.cost.peak + _DRIVER <= memory


def estimate(cfg: DictConfig) -> None:
    """Print what a training needs.

    Raises:
        ConfigError: the size of images is not known, or the configuration cannot be trained.
    """
    quiet_lightning()
    cfg = with_absolute_paths(cfg)
    libraries = resident_bytes()
    device = accelerator(cfg.trainer.accelerator)
    images = cfg.train_images if cfg.train_images is not None else _count(cfg)
    found = estimated(cfg, info_without_data(cfg), device, images, libraries)
    for line in [*described(found, cfg), *_time(found, cfg, device)]:
        print(line)


def estimated(cfg: DictConfig, info: DatasetInfo, device: torch.device, images: int | None, libraries: int) -> Estimate:
    """What a training needs.

    Args:
        cfg: of training; ``trainer.precision`` and the accumulated batches are decided in a copy.
        info: of its data set.
        device: of one process.
        images: of the training split; None: not known.
        libraries: bytes that the process takes already.

    Raises:
        ConfigError: see `estimate`.
    """
    cfg = cfg.copy()
    if cfg.images_at_once == "auto":
        return _fitting(cfg, info, device, images, libraries)
    check_trainer(cfg)
    architecture = architecture_of(cfg)
    size = _size(cfg)
    processes = _processes(cfg)
    batch = max(1, cfg.recipe.batch_size // (processes * cfg.trainer.accumulate_grad_batches))
    bare = cfg.copy()
    bare.backbone = {**cfg.backbone, "pretrained": None, "config": architecture, "empty": True, "channels_last": False}
    with torch.device("meta"):
        model = build_task(bare, info, weights=False).model
    trained, parameters = parameter_counts(model)
    precision = training_precision(str(cfg.trainer.precision), device, parameters)
    described_by = len(task_class(cfg).text(info).names)
    given = Batch(
        torch.empty(batch, 3, *size, device="meta"),
        scene=torch.zeros(batch, dtype=torch.long),
        labels=torch.ones(batch, described_by, dtype=torch.bool) if described_by else None,
        expression=("the thing on the left",) * batch,
        caption=("a photo",) * batch,
    )
    cost = training_cost(model, build_optimizer(cfg), given, precision, cfg.step_in_backward)
    steps = _steps(cfg, images)
    in_ram = libraries + _PROCESS if device.type == "cpu" else 0
    return Estimate(
        cost, parameters, trained, batch, size, cfg.trainer.accumulate_grad_batches, precision, in_ram, steps
    )


def _fitting(cfg: DictConfig, info: DatasetInfo, device: torch.device, images: int | None, libraries: int) -> Estimate:
    """The estimate with the largest batch that fits the GPU, or with the smallest that can be trained."""
    if cfg.gpu_memory is None and device.type != "cuda":
        raise ConfigError("images_at_once=auto: there is no GPU here; set gpu_memory=8, in GB, or a number of images.")
    memory = torch.cuda.get_device_properties(device).total_memory if cfg.gpu_memory is None else cfg.gpu_memory * 1e9
    room = memory * _FILLED - _DRIVER

    @functools.cache
    def of(together: int) -> Estimate:
        chosen = cfg.copy()
        chosen.images_at_once = together
        return estimated(chosen, info, device, images, libraries)

    share = max(1, cfg.recipe.batch_size // _processes(cfg))
    sizes = [n for n in range(1, share + 1) if share % n == 0]
    if len(sizes) > 1 and _is_too_few(of, sizes[0]):
        sizes.pop(0)
    if len(sizes) > 2:  # leave out what is certainly too large, by what the second of them takes more than the first
        first, second = of(sizes[0]).cost.peak, of(sizes[1]).cost.peak
        grows = max(0, second - first) / (sizes[1] - sizes[0])
        sizes = [n for n in sizes if n <= sizes[1] or second + (n - sizes[1]) * grows <= room]
    while len(sizes) > 1 and of(sizes[-1]).cost.peak > room:
        sizes.pop()
    return of(sizes[-1])


def _is_too_few(of: Callable[[int], Estimate], images: int) -> bool:
    """Whether a head cannot be trained with so few images, as with a batch norm of one number per channel."""
    try:
        of(images)
    except ConfigError:
        return True
    return False


def described(found: Estimate, cfg: DictConfig) -> list[str]:
    """Lines about parameters, memory and disk."""
    cost = found.cost
    height, width = found.size
    kept = cost.weights + cost.optimizer
    libraries = f" + libraries {_gb(found.libraries)}" if found.libraries else ""
    lines = [
        f"{found.parameters / 1e6:.1f} M parameters, {found.trained / 1e6:.2f} M trained; {found.precision}; "
        f"{found.batch} images of {height}x{width} per batch, {found.batches} batches per step",
        f"memory per process: about {_gb(found.peak)} at its peak: weights {_gb(cost.weights)} + optimiser "
        f"{_gb(cost.optimizer)} + gradients {_gb(cost.gradients)}, in turns with activations {_gb(cost.activations)}"
        f"{libraries}",
        f"disk: {_gb(kept + cost.weights)}: last.ckpt {_gb(kept)} and best.safetensors {_gb(cost.weights)}",
    ]
    if cfg.ema_decay is not None:
        lines[1] += f"; + average {_gb(round(cost.weights * found.trained / found.parameters))}"
    if cfg.gpu_memory is not None and not found.fits(cfg.gpu_memory * 1e9):
        batch = "one image" if found.batch == 1 else f"{found.batch} images"
        lines.append(f"note: that is more than the {cfg.gpu_memory:g} GB of gpu_memory, with {batch} at once")
    return lines


def _time(found: Estimate, cfg: DictConfig, device: torch.device) -> list[str]:
    dtype = torch.float32 if found.precision.startswith("32") else torch.bfloat16
    peak = gemm_peak(device, dtype)
    seconds = found.cost.flops * found.batches / peak / _REACHED
    line = (
        f"time: {found.cost.flops * found.batches / 1e12:.2f} TFLOP per step and process; about {_duration(seconds)} "
        f"per step on {machine_name(device)} at {_REACHED:.0%} of its {peak / 1e9:.0f} GFLOP/s in products"
    )
    if found.steps is None:
        return [line, "time in all: the training images are not here; train_images=... gives their number"]
    return [line, f"time in all: {found.steps} steps, about {_duration(seconds * found.steps)}, validations apart"]


def _count(cfg: DictConfig) -> int | None:
    if cfg.recipe.steps != -1:
        return None
    try:
        return len(build_dataset(cfg, "train"))
    except (DataError, InstantiationException):
        return None


def _steps(cfg: DictConfig, images: int | None) -> int | None:
    by_epochs = None if images is None else images // cfg.recipe.batch_size * cfg.recipe.epochs
    if cfg.recipe.steps == -1:
        return by_epochs
    return int(cfg.recipe.steps) if cfg.recipe.epochs == -1 or by_epochs is None else min(cfg.recipe.steps, by_epochs)


def _processes(cfg: DictConfig) -> int:
    devices = cfg.trainer.devices
    count = len(devices) if OmegaConf.is_list(devices) else int(devices) if str(devices).isdigit() else 1
    return count * int(cfg.trainer.num_nodes)


def _size(cfg: DictConfig) -> tuple[int, int]:
    """(H, W) of training images."""
    p = cfg.preprocessing
    person = (p.get("person_crop") or {}).get("size")
    crops = [(one.height, one.width) for one in p.get("augment") or () if "Crop" in one._target_ and "height" in one]
    crop = crops[-1] if crops else None
    for found in (cfg.get("image_size"), person, p.get("size"), crop, cfg.dataset.get("size")):
        if found is not None and found:
            return int(found[0]), int(found[1])
    raise ConfigError(
        "the size of training images is not known before they are read, as nothing crops them; set "
        "image_size=[height,width] of diffperc estimate, or a number of images_at_once."
    )


def _gb(size: float) -> str:
    return f"{size / 1e9:.2f} GB"


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
