"""Calls of a network that several threads make at about the same time, run as one."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import torch
from torch import Tensor

from diffperc.inference.predictor import Predictor
from diffperc.inference.sliding_window import Predict
from diffperc.types import Batch


@dataclass(eq=False)
class _Call:
    """One thread's call, which waits for its part of the answer."""

    batch: Batch
    deadline: float
    answer: Future[Tensor] = field(default_factory=Future)

    @property
    def pixels(self) -> int:
        return len(self.batch) * self.batch.size[0] * self.batch.size[1]


class Together:
    """A network whose calls by several threads are joined where their batches are alike; it runs in a thread of its own.

    A call waits until each of the active callers has made one, until the calls that can be joined have enough pixels, or
    until its time is over. Without callers that are counted, it waits for nobody.

    Args:
        network: a batch (B, 3, H, W) to (B, K, h, w).
        pixels: calls are joined up to so many pixels; a single one may have more.
        wait: seconds that a call waits for others.
    """

    def __init__(self, network: Predict, pixels: int, wait: float) -> None:
        self.network, self.pixels, self.wait = network, pixels, wait
        self._changed = threading.Condition()
        self._waiting: list[_Call] = []
        self._active, self._closed = 0, False
        self._thread = threading.Thread(target=self._serve, name="network", daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def caller(self) -> Iterator[None]:
        """Count this thread among those that calls wait for."""
        with self._changed:
            self._active += 1
        try:
            yield
        finally:
            with self._changed:
                self._active -= 1
                self._changed.notify_all()

    def __call__(self, batch: Batch) -> Tensor:
        """(B, K, h, w) of a batch, by the network; what it raises is raised here.

        Raises:
            RuntimeError: after `close`.
        """
        call = _Call(batch, time.monotonic() + self.wait)
        with self._changed:
            if self._closed:
                raise RuntimeError("the thread of the network has ended")
            self._waiting.append(call)
            self._changed.notify_all()
        return call.answer.result()

    def close(self) -> None:
        """Answer the calls that wait, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _serve(self) -> None:
        with torch.inference_mode():
            while calls := self._next():
                _answer(self.network, calls)

    def _next(self) -> list[_Call]:
        """The calls that are run next; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            while self._waiting and not self._closed:
                calls, is_full = self._group()
                left = calls[0].deadline - time.monotonic()
                if is_full or left <= 0 or len(self._waiting) >= self._active:
                    break
                self._changed.wait(left)
            calls, _ = self._group()
            self._waiting = [call for call in self._waiting if call not in calls]
            return calls

    def _group(self) -> tuple[list[_Call], bool]:
        """The call that has waited longest, with those that can be joined to it; and whether no other one fits."""
        calls: list[_Call] = []
        for call in self._waiting:
            if calls and call.batch.form != calls[0].batch.form:
                continue
            if calls and sum(one.pixels for one in [*calls, call]) > self.pixels:
                return calls, True
            calls.append(call)
        return calls, bool(calls) and sum(one.pixels for one in calls) >= self.pixels


def _answer(network: Predict, calls: Sequence[_Call]) -> None:
    """Give each call its part, or what the network raised."""
    try:
        dense = network(Batch.joined([call.batch for call in calls]))
        parts = dense.split([len(call.batch) for call in calls])
    except BaseException as error:  # whatever it is, threads wait for it
        if len(calls) == 1:
            calls[0].answer.set_exception(error)
            return
        # what is wrong with one call, or with so many at once, is no error of the others
        for call in calls:
            _answer(network, [call])
        return
    for call, part in zip(calls, parts, strict=True):
        call.answer.set_result(part)


@contextlib.contextmanager
def together(predictor: Predictor, wait: float) -> Iterator[Together]:
    """Let threads that predict with this predictor share calls of its network.

    Args:
        predictor: changed inside of the context.
        wait: see `Together`.
    """
    predictor.shared = shared = Together(
        lambda batch: predictor.model(batch).dense, predictor.model.pixels_at_once, wait
    )
    try:
        yield shared
    finally:
        predictor.shared = None
        shared.close()
