"""Time and memory of a model on this machine."""

from __future__ import annotations

import copy
import dataclasses
import functools
import importlib.util
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from torch import Tensor, nn

from diffperc.checkpoints import set_up_for_inference
from diffperc.cost.measure import Cost, alternate
from diffperc.cost.paths import PATHS, plain_path
from diffperc.cost.peaks import convolution_peak, flops_of, gemm_peak
from diffperc.cost.table import append, machine_name, table_in
from diffperc.engine.build import build_dataset, build_model, build_preprocess, build_task, task_class
from diffperc.engine.datamodule import PerceptionData
from diffperc.engine.device import compile_network, find_device
from diffperc.engine.precision import DTYPES, TRUE, training_precision
from diffperc.errors import ConfigError
from diffperc.inspection.throughput import loader_speed
from diffperc.models import PerceptionModel, parameter_counts
from diffperc.tasks import PerceptionTask
from diffperc.types import Batch

_LOADER_SECONDS = 3.0


def benchmark(cfg: DictConfig) -> None:
    """Time a forward pass, and a training step, beside the ways of `PATHS`; prints a table and appends it to a csv file.

    Raises:
        ConfigError: `reference` is no file that builds a function, or a number is wrong.
    """
    device = find_device(cfg.device)
    file = table_in(Path(cfg.results).expanduser(), device)
    build = None if cfg.reference is None else _builder(Path(str(cfg.reference)).expanduser())
    torch.manual_seed(cfg.seed)
    model, data, task = _built(cfg)
    rows = _forward(cfg, model, next(iter(data.loader(data.val, cfg.batch_size, training=False))), device, build)
    if cfg.training:
        assert data.train is not None
        rows += _training(cfg, task, next(iter(data.loader(data.train, cfg.batch_size, training=True))), device)
    speed = loader_speed(data, _LOADER_SECONDS)
    conditions = {
        "gemm_peak_flops": f"{gemm_peak(device, torch.float32):.4g}",
        "convolution_peak_flops": f"{convolution_peak(device, torch.float32):.4g}",
        "loader_images_per_second": "" if speed is None else f"{speed:.1f}",
        "parameters": str(parameter_counts(model)[1]),
        "rounds": str(cfg.rounds),
        "threads": str(torch.get_num_threads()),
        "torch": str(torch.__version__),
        "machine": machine_name(device),
    }
    choices = HydraConfig.get().runtime.choices
    names = {group: str(choices[group]) for group in ("task", "strategy", "backbone")}
    rows = [{**names, **row, **conditions} for row in rows]
    for row in rows:
        flops, seconds = float(row["flops"] or "nan"), float(row["seconds"])
        row["fraction_of_peak"] = f"{flops / seconds / float(row['gemm_peak_flops']):.3f}" if row["flops"] else ""
    append(rows, file)
    _print(rows)
    print(f"results: {file}")


def _built(cfg: DictConfig) -> tuple[PerceptionModel, PerceptionData, PerceptionTask]:
    train, val = build_dataset(cfg, "train"), build_dataset(cfg, "val")
    model = build_model(cfg, train.info)
    _without_idle_layers(model)
    task = build_task(cfg, train.info, model=model)
    target, size = task_class(cfg).target, cfg.batch_size
    data = PerceptionData(
        train, val, build_preprocess(cfg), target, task.protocol, size, size, cfg.num_workers, cfg.seed
    )
    return model, data, task


@torch.no_grad()
def _without_idle_layers(model: nn.Module) -> None:
    """Give random numbers to weights that begin near zero: a deviation of what is multiplied by 0 would not be seen."""
    for parameter in model.parameters():
        # as torch initialises layers, whose weights have a standard deviation of 0.58 / sqrt(inputs)
        if parameter.ndim > 1 and parameter.std() * parameter[0].numel() ** 0.5 < 0.1:
            nn.init.kaiming_uniform_(parameter, a=5**0.5)


def _forward(
    cfg: DictConfig,
    model: PerceptionModel,
    batch: Batch,
    device: torch.device,
    build: Callable[[PerceptionModel], Any] | None,
) -> list[dict[str, str]]:
    """A row per way that ours is compared with."""
    ways: dict[str, nn.Module | Callable[[Batch], Tensor]] = {}
    for name in PATHS:
        ways[name] = plain_path(model, name).eval().requires_grad_(False).to(device)
    if build is not None:
        given = build(model)
        ways["given"] = given.to(device) if isinstance(given, nn.Module) else given
    ours = copy.deepcopy(model).eval().requires_grad_(False)
    precision = set_up_for_inference(ours, device, str(cfg.precision), bool(cfg.optimize), bool(cfg.compile))
    batch = batch.to(device)
    half = Batch(
        batch.image.to(DTYPES.get(precision)), scene=batch.scene, expression=batch.expression, caption=batch.caption
    )
    autocast = _autocast(precision, device)

    def run(way: Any, given: Batch, around: AbstractContextManager[Any]) -> Tensor:
        with torch.inference_mode(), around:
            found = way(given)
        return found if isinstance(found, Tensor) else found.dense

    calls = {name: functools.partial(run, way, batch, nullcontext()) for name, way in ways.items()}
    calls["ours"] = functools.partial(run, ours, half, autocast)
    found = {name: call().double().cpu() for name, call in calls.items()}
    flops = flops_of(calls["reference"])
    costs = alternate(calls, cfg.rounds, device)
    sizes = {name: _bytes(way) for name, way in {**ways, "ours": ours}.items() if isinstance(way, nn.Module)}
    shown = {
        "mode": "forward",
        "precision": _described(precision, cfg),
        "device": device.type,
        **_size(batch),
        "flops": str(flops),
    }
    return [
        shown | _compared(name, costs, sizes) | {"max_rel_deviation": _deviation(found["ours"], found[name])}
        for name in ways
    ]


def _training(cfg: DictConfig, task: PerceptionTask, batch: Batch, device: torch.device) -> list[dict[str, str]]:
    """A row: a training step beside that of the reference, whose optimiser is not fused."""
    wanted = str(cfg.trainer.precision)
    precision = training_precision(wanted, device, parameter_counts(task)[1])
    batch = batch.to(device)
    losses: dict[str, float] = {}

    def stepper(name: str) -> tuple[PerceptionTask, Callable[[], None]]:
        own = copy.deepcopy(task)
        if name == "reference":
            own.model = plain_path(task.model, "reference")
        own = own.to(device).train()
        given = batch
        if name == "ours" and precision in TRUE:
            own = own.to(DTYPES[precision])
            given = dataclasses.replace(batch, image=batch.image.to(DTYPES[precision]))
        if name == "ours" and cfg.compile:
            compile_network(own.model, device)
        assert own.optimizer_factory is not None
        optimizer, _ = own.optimizer_factory.build(own.named_parameters(), 1000, fused=name == "ours")

        def step() -> None:
            torch.manual_seed(0)
            with _autocast(precision if name == "ours" else "32-true", device):
                loss = own.total_loss(own.model(given), given)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.setdefault(name, float(loss.detach()))

        return own, step

    made = {name: stepper(name) for name in ("reference", "ours")}
    costs = alternate({name: step for name, (_, step) in made.items()}, cfg.rounds, device)
    sizes = {name: _bytes(own) for name, (own, _) in made.items()}
    deviation = abs(losses["ours"] - losses["reference"]) / abs(losses["reference"])
    shown = {
        "mode": "training step",
        "precision": _described(precision, cfg),
        "device": device.type,
        **_size(batch),
        "flops": "",
    }
    return [shown | _compared("reference", costs, sizes) | {"max_rel_deviation": f"{deviation:.2g}"}]


def _compared(name: str, costs: dict[str, Cost], sizes: dict[str, int]) -> dict[str, str]:
    ours, other = costs["ours"], costs[name]
    return {
        "compared_with": name,
        "seconds": f"{ours.median:.4g}",
        "seconds_min_max": f"{min(ours.seconds):.4g}-{max(ours.seconds):.4g}",
        "cpu_seconds": f"{sum(ours.cpu_seconds) / len(ours.cpu_seconds):.4g}",
        "reference_seconds": f"{other.median:.4g}",
        "reference_seconds_min_max": f"{min(other.seconds):.4g}-{max(other.seconds):.4g}",
        "speedup": f"{other.median / ours.median:.3f}",
        "peak_bytes": str(sizes["ours"] + ours.grown),
        "reference_peak_bytes": str(sizes[name] + other.grown) if name in sizes else "",
    }


def _described(precision: str, cfg: DictConfig) -> str:
    return f"{precision}, compiled" if cfg.compile else precision


def _autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    if not precision.endswith("-mixed"):
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if precision.startswith("bf16") else torch.float16)


def _deviation(found: Tensor, expected: Tensor) -> str:
    """The largest difference, as a fraction of the range of the expected output."""
    return f"{((found - expected).abs().max() / (expected.max() - expected.min())).item():.2g}"


def _bytes(network: nn.Module) -> int:
    """Of parameters and buffers, and of what `FastConvolution` holds of them."""
    tensors = [*network.parameters(), *network.buffers()]
    for module in network.modules():
        tensors += [value for value in vars(module).values() if isinstance(value, Tensor)]
    return sum(tensor.nbytes for tensor in tensors)


def _size(batch: Batch) -> dict[str, str]:
    return {"images": str(len(batch)), "height": str(batch.image.shape[-2]), "width": str(batch.image.shape[-1])}


def _builder(file: Path) -> Callable[[PerceptionModel], Any]:
    """``build`` of the user's file, such as one that wraps the authors' code."""
    spec = importlib.util.spec_from_file_location("diffperc_reference", file)
    if not file.is_file() or spec is None or spec.loader is None:
        raise ConfigError(f"reference: there is no Python file '{file}'.")
    module = importlib.util.module_from_spec(spec)
    # classes in it may be looked up by their module
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    build: Any = getattr(module, "build", None)
    if not callable(build):
        raise ConfigError(f"reference: {file} has no function build(model) that returns a function of a batch.")
    return build


def _print(rows: list[dict[str, str]]) -> None:
    for row in rows:
        memory = f"{int(row['peak_bytes']) / 1e9:.2f} GB"
        if row["reference_peak_bytes"]:
            memory += f" against {int(row['reference_peak_bytes']) / 1e9:.2f}"
        print(
            f"{row['task']}, {row['strategy']}, {row['backbone']}, {row['height']}x{row['width']}, {row['precision']}: "
            f"{row['mode']} {row['seconds']} s ({row['seconds_min_max']}) against {row['reference_seconds']} s of "
            f"{row['compared_with']}: {row['speedup']} x, {memory}, deviation {row['max_rel_deviation']}"
        )
