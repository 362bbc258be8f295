"""``python -m diffperc.evaluate ckpt=...``: score a checkpoint by the protocol it was trained with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffperc.config.cli import entry

if TYPE_CHECKING:
    from omegaconf import DictConfig


def run(cfg: DictConfig) -> None:
    """Load, validate, write ``summary.json``."""
    from pathlib import Path

    import lightning as L
    from hydra.core.hydra_config import HydraConfig

    from diffperc.build import build_dataset
    from diffperc.callbacks import Figures
    from diffperc.checkpoints import check_fits, load_task
    from diffperc.tasks import PerceptionData
    from diffperc.training import quiet_lightning, report, write_json

    quiet_lightning()
    folder = Path(HydraConfig.get().runtime.output_dir)
    task, trained = load_task(cfg.ckpt)
    if cfg.root is not None:
        trained.dataset.root = cfg.root
    val_set = build_dataset(trained, "val")
    check_fits(cfg.ckpt, {"diffperc": task.provenance}, trained, val_set.info)
    batch_size = cfg.eval_batch_size or trained.recipe.eval_batch_size
    data = PerceptionData(None, val_set, batch_size, batch_size, cfg.num_workers, trained.seed)
    trainer = L.Trainer(
        accelerator=cfg.accelerator,
        devices=1,
        logger=False,
        callbacks=[Figures(folder / "figures")],
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    values = trainer.validate(task, data, verbose=False, weights_only=True)[0]
    summary = {
        "metrics": values,
        "protocol": val_set.info.protocols[task.name].name,
        "checkpoint": str(Path(cfg.ckpt).absolute()),
    }
    write_json(folder / "summary.json", summary)
    report(summary, val_set, folder)


if __name__ == "__main__":
    entry("evaluate", run)
