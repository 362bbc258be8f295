"""``metrics.csv`` of a run, which a resumed run continues."""

from __future__ import annotations

import csv
import logging
import os
from pathlib import Path

from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities import rank_zero_only

log = logging.getLogger(__name__)
NAME = "metrics.csv"


class MetricsFile(CSVLogger):
    """Lightning's logger, without its habit of deleting the rows of the run that is resumed.

    A full disk costs rows, and not the run: they stay in memory and are written when there is room again.

    Args:
        folder: of the run.
        from_step: the optimiser step after which the run resumes; what is logged again from there on is left out.
    """

    def __init__(self, folder: Path, from_step: int = 0) -> None:
        super().__init__(folder, name="", version="")
        self._said = False
        if rank_zero_only.rank == 0:
            self._keep(folder / NAME, from_step)

    def _keep(self, file: Path, from_step: int) -> None:
        old = file.with_name(NAME + ".before")
        if file.is_file() and not old.is_file():  # one that is there was left by a kill at this place
            os.replace(file, old)
        if not old.is_file():
            return
        with old.open(newline="", encoding="utf-8") as opened:
            rows = [{k: v for k, v in row.items() if k and v} for row in csv.DictReader(opened)]
        self.experiment.metrics = [row for row in rows if _step_of(row) < from_step]
        self.save()
        if not self.experiment.metrics:  # written
            old.unlink()

    def save(self) -> None:
        try:
            super().save()
        except OSError as error:
            if not self._said:
                log.warning(
                    "note: %s cannot be written (%s); training goes on.", Path(self.log_dir) / NAME, error.strerror
                )
            self._said = True


def _step_of(row: dict[str, str]) -> float:
    try:
        return float(row.get("step", "inf"))
    except ValueError:  # of a row that was cut off
        return float("inf")
