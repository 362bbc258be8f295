"""Converting a checkpoint of the authors' code to one that evaluate and predict read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from diffperc.checkpoints import Imported, import_official
from diffperc.errors import WeightsError
from diffperc.weights.read import read_state


def convert(cfg: DictConfig) -> None:
    """Read ``cfg.ckpt``, print a summary, write ``<kind>.ckpt`` into ``cfg.out``.

    Raises:
        WeightsError: the file cannot be read, is not one of the known checkpoints, or would be overwritten.
    """
    source = Path(str(cfg.ckpt)).expanduser()
    trained_on = None if cfg.trained_on is None else str(cfg.trained_on)
    try:
        imported = import_official(read_state(source), trained_on, str(cfg.text_encoder))
    except WeightsError as error:
        raise WeightsError(f"{source}: {str(error).removeprefix(f'{source}: ')}") from error
    target = Path(str(cfg.out)).expanduser() / f"{imported.kind}.ckpt"
    if target.exists() and target.samefile(source):
        raise WeightsError(f"{target}: is the checkpoint itself; choose another folder for out.")
    imported.save(target)
    _print(imported)
    print(f"written: {target}")


def _print(imported: Imported) -> None:
    task = imported.task
    parameters = sum(p.numel() for p in task.parameters())
    table = Table(show_header=False)
    table.add_row("kind", imported.kind)
    table.add_row("data set", _dataset(imported))
    table.add_row("protocol", task.protocol.name)
    table.add_row("strategy", _strategy(imported))
    table.add_row("UNet channels", ", ".join(map(str, task.model.backbone.spec.channels)))
    table.add_row("parameters", f"{parameters / 1e6:.1f} M")
    table.add_row("tensors", f"{len(imported.names)} taken over, {len(imported.unused)} not needed")
    table.add_row("not needed", _unused(imported))
    Console().print(table)


def _dataset(imported: Imported) -> str:
    others = sorted(set(imported.alternatives) - {imported.dataset})
    if not others:
        return imported.dataset
    return f"{imported.dataset} (or {', '.join(others)}, which look the same: trained_on=...)"


def _strategy(imported: Imported) -> str:
    strategy = imported.config.strategy
    name: str = strategy._target_.rpartition(".")[2]
    if "steps" not in strategy:
        return name
    return f"{name}, {strategy.steps} steps, {strategy.prompts} prompts"


def _unused(imported: Imported) -> str:
    """Tensors that are not needed, counted per module."""
    modules = Counter(_module(name) for name in imported.unused)
    counts = [f"{count} of {module}" for module, count in sorted(modules.items())]
    return ", ".join(counts) or "none"


def _module(tensor: str) -> str:
    """The module of a tensor, without numbers; the VAE's decoder is one."""
    before, decoder, _ = tensor.partition("encoder_vq.decoder.")
    return before + decoder.rstrip(".") if decoder else tensor.rpartition(".")[0].rstrip(".0123456789")
