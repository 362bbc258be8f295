"""What every request to the server passes: limits of its size, its time and how many there are, and what is counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_OTHER = "other"  # of all paths that are not ours: their number is not bounded


@dataclass(frozen=True)
class Limits:
    """What the server takes.

    Attributes:
        max_bytes: of the body of a request.
        max_pixels: of an image, which is not decoded if it has more.
        timeout: seconds for an upload, and again for its prediction.
        queue: requests that are accepted and not yet answered.
        batch: images of one task that are predicted at a time.
        wait: seconds that one of them waits for others to be predicted together.
    """

    max_bytes: int = 20_000_000
    max_pixels: int = 16_000_000
    timeout: float = 60.0
    queue: int = 64
    batch: int = 4
    wait: float = 0.005


class Metrics:
    """Counts for Prometheus, and the memory of this process where the system says it."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        labels = ("endpoint", "status")
        self.requests = Counter("diffperc_requests", "Answered requests", labels, registry=self.registry)
        self.seconds = Histogram(
            "diffperc_request_seconds", "Seconds from a request to its answer", ("endpoint",), registry=self.registry
        )
        self.queue = Gauge("diffperc_queue_length", "Requests accepted and not yet answered", registry=self.registry)


class Gate:
    """Middleware that refuses what is too much, and counts all requests.

    Args:
        app: what is behind it.
        known: paths that are counted by name.
        limits: of requests that upload.
        metrics: into which is counted.
    """

    def __init__(self, app: ASGIApp, known: Collection[str], limits: Limits, metrics: Metrics) -> None:
        self.app, self.known, self.limits, self.metrics = app, known, limits, metrics
        self.accepted = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        endpoint = scope["path"] if scope["path"] in self.known else _OTHER
        begun, status = time.perf_counter(), 500

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            if scope["method"] == "POST" and endpoint != _OTHER:
                await self._upload(scope, receive, counted)
            else:
                await self.app(scope, receive, counted)
        finally:
            self.metrics.requests.labels(endpoint, str(status)).inc()
            self.metrics.seconds.labels(endpoint).observe(time.perf_counter() - begun)

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.accepted >= self.limits.queue:
            sentence = f"the server is busy with {self.accepted} requests; try again later."
            refused = JSONResponse({"detail": sentence}, 503, {"Retry-After": "1"})
            await refused(scope, receive, send)
            return
        self._count(1)
        try:
            await self.app(scope, _limited(receive, self.limits), send)
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        self.accepted += change
        self.metrics.queue.set(self.accepted)


def _limited(receive: Receive, limits: Limits) -> Receive:
    """`receive`, for a body of limited size that has to arrive in limited time."""
    end = time.monotonic() + limits.timeout
    size, more = 0, True

    async def checked() -> Message:
        nonlocal size, more
        if not more:
            return await receive()
        try:
            message = await asyncio.wait_for(receive(), max(0.0, end - time.monotonic()))
        except TimeoutError:
            raise HTTPException(408, f"the upload took more than {limits.timeout:g} s.") from None
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
        if size > limits.max_bytes:
            raise HTTPException(413, f"the upload has more than {limits.max_bytes} bytes; send a smaller image.")
        return message

    return checked
