"""Jobs of a sweep: one that fails leaves a sentence in its folder and does not end the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from diffperc.errors import DiffPercError
from diffperc.foreign import report_unforeseen

ERROR_FILE = "error.txt"
failed: list[str] = []
"""The jobs of this process's sweep that failed, known when it has ended."""


def record_failure(error: BaseException, folder: Path) -> str:
    """Write what ended a job into its folder; returns it as a sentence."""
    sentence = (
        error.sentence if isinstance(error, DiffPercError) else report_unforeseen(error, "a job of the sweep", folder)
    )
    (folder / ERROR_FILE).write_text(sentence + "\n", encoding="utf-8")
    return sentence


class SweepFailures(Callback):
    """Finds the jobs that failed, which may have run in other processes."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra after the last job."""
        failed[:] = sorted(file.parent.name for file in Path(config.hydra.sweep.dir).glob(f"*/{ERROR_FILE}"))
