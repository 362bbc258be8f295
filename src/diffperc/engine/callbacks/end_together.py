"""The processes of a distributed run end together, with one sentence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any, NoReturn

import lightning as L

from diffperc.errors import USER_ERROR, Stopped
from diffperc.foreign import is_lost_connection

_SECONDS = 5.0


class EndTogether(L.Callback):
    """Ends all processes when one has ended, however it did.

    The process that fails says why. Those that only lose their connection to it say nothing, unless it was killed and could
    not say anything itself. Lightning's own guard kills the first process without a word, and leaves the others if that one
    was killed; where this one runs, it is dismissed.
    """

    def __init__(self) -> None:
        self._children: list[subprocess.Popen[bytes]] = []
        self._parent = os.getppid()
        self._ending = threading.Lock()

    def on_fit_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self._children = list(getattr(trainer.strategy.launcher, "procs", []))
        if not self._children:
            return
        for thread in threading.enumerate():
            if thread.name == "child-process-observer":
                thread._child_processes = []  # type: ignore[attr-defined]
        threading.Thread(target=self._watch, name="end-together", daemon=True).start()

    def _watch(self) -> None:
        while True:
            time.sleep(0.2)
            self._end_if_one_has_ended()

    def _end_if_one_has_ended(self) -> None:
        for rank, child in enumerate(self._children, start=1):
            code = child.poll()
            if code is not None and code != 0:
                with self._ending:  # and never go on
                    _end(_killed(f"process {rank}", -code) if code < 0 else "", self._children)

    def on_exception(self, trainer: L.Trainer, pl_module: Any, exception: BaseException) -> None:
        if trainer.world_size == 1 or isinstance(exception, Stopped):
            return
        if not is_lost_connection(exception):
            self._ending.acquire()  # this process says why it ends
            _kill(self._children)
            return
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            self._end_if_one_has_ended()
            if os.getppid() != self._parent:  # which ends the others if it can
                _end(_killed("the first process", signal.SIGKILL), [])
            time.sleep(0.1)


def _killed(which: str, number: int) -> str:
    return (
        f"{which} of the run was ended by {signal.Signals(number).name}, mostly because memory was exhausted; all others "
        "end too. The last checkpoint is kept; to continue, add resume=auto and hydra.run.dir=... to the same command."
    )


def _kill(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        child.kill()


def _end(sentence: str, children: list[subprocess.Popen[bytes]]) -> NoReturn:
    """Leave at once: other threads may wait for a process that has ended."""
    _kill(children)
    if sentence:
        print(f"error: {sentence}", file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(USER_ERROR)
