"""``python -m diffperc.convert vpd_depth.ckpt out=folder``: from the authors' checkpoint to one of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffperc.config.cli import entry

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from diffperc.checkpoints import Imported


def run(cfg: DictConfig) -> None:
    """Read, import, say what was found, write."""
    from pathlib import Path

    from diffperc.checkpoints import import_official
    from diffperc.errors import ConfigError, WeightsError
    from diffperc.weights.read import read_state

    for key in ("ckpt", "out", "text_encoder"):
        if cfg[key] in (None, ""):
            raise ConfigError(f"{key}: must not be empty, found {cfg[key]!r}.")
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
    _report(imported)
    print(f"written: {target}")


def _report(imported: Imported) -> None:
    """What was found, as a table."""
    from collections import Counter

    from rich.console import Console
    from rich.table import Table

    task, info = imported.task, imported.task.info
    strategy = imported.config.strategy
    others = [d for d in imported.alternatives if d != imported.dataset]
    unused = Counter(name.rpartition(".")[0].rstrip(".0123456789") for name in imported.unused)
    rows = {
        "kind": imported.kind,
        "data set": imported.dataset
        + (f" (or {', '.join(others)}, which look the same: trained_on=...)" if others else ""),
        "protocol": info.protocols[task.name].name,
        "strategy": imported.config.strategy._target_.rpartition(".")[2]
        + (f", {strategy.steps} steps, {strategy.prompts} prompts" if "steps" in strategy else ""),
        "UNet channels": ", ".join(map(str, task.model.backbone.spec.channels)),
        "parameters": f"{sum(p.numel() for p in task.parameters()) / 1e6:.1f} M",
        "tensors": f"{len(imported.names)} taken over, {len(imported.unused)} not needed",
        "not needed": ", ".join(f"{count} of {name}" for name, count in sorted(unused.items())) or "none",
    }
    table = Table(show_header=False)
    for name, value in rows.items():
        table.add_row(name, value)
    Console().print(table)


if __name__ == "__main__":
    entry("convert", run, first="ckpt")
