"""Downloading large files, which resumes where it was interrupted.

Everything is written to ``<name>.part`` and renamed once it is complete and checked: a file under its own name is complete.
"""

from __future__ import annotations

import hashlib
import http.client
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from diffperc.errors import DataError

CHUNK = 1 << 18
_FAILURES = 5  # in a row, without a single byte
_PAUSE = 2.0  # seconds, times the number of failures in a row


@dataclass(frozen=True)
class Source:
    """An archive to download.

    Attributes:
        url: its address.
        digest: its checksum, such as ``sha256:...``; None if nobody publishes one.
        size: in bytes; None if nobody publishes it.
    """

    url: str
    digest: str | None = None
    size: int | None = None

    @property
    def name(self) -> str:
        """The file name: the last part of the address."""
        return urlsplit(self.url).path.rpartition("/")[2]


def fetch(source: Source, folder: Path) -> bool:
    """Download into a folder, resuming an earlier attempt; returns False if the file exists already.

    Uses the standard library: with requests, resuming, retries and checks would be our own code as well.

    Raises:
        DataError: the file cannot be downloaded, or is not the published one.
    """
    file = folder / source.name
    if file.is_file():
        size = size_of(file)
        if source.size not in (None, size):
            raise DataError(f"{file}: has {size} bytes, {source.size} are published; remove it.")
        return False
    folder.mkdir(parents=True, exist_ok=True)
    part = part_of(file)
    failures = 0
    while True:
        before = size_of(part)
        reason = _attempt(source, part)
        if reason is None:
            break
        if size_of(part) > before:
            failures = 0
        failures += 1
        if failures >= _FAILURES:
            raise DataError(f"{source.url}: cannot be fetched ({reason}). Run the same command again to resume.")
        time.sleep(_PAUSE * failures)
    _check(source, part)
    part.replace(file)
    return True


def _attempt(source: Source, part: Path) -> str | None:
    """Append the data of one connection; returns None if the file is complete, else the reason why it is not.

    Raises:
        DataError: another attempt would fail in the same way.
    """
    try:
        total = _receive(source, part)
    except urllib.error.HTTPError as error:
        reason = f"the server answers {error.code} {error.reason}"
        if error.code >= 500 or error.code == http.client.TOO_MANY_REQUESTS:
            return reason
        raise DataError(f"{source.url}: {reason}. Fetch it by hand and give it with --archive.") from error
    except (urllib.error.URLError, ConnectionError, TimeoutError, http.client.HTTPException) as error:
        return str(getattr(error, "reason", error)) or type(error).__name__
    received = size_of(part)
    if total in (None, received):
        return None
    return f"the connection closed after {received} of {total} bytes"


def _receive(source: Source, part: Path) -> int | None:
    """Request and append the rest; returns the length of the whole file, None if the server does not send it."""
    have = size_of(part)
    headers = {"User-Agent": "diffperc"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        response = urllib.request.urlopen(urllib.request.Request(source.url, headers=headers), timeout=60)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        if error.headers.get("Content-Range", "").endswith(f"/{have}"):
            return have  # all of it is there
        part.unlink()
        return _receive(source, part)
    with response:
        return _append(response, source, part, have)


def _append(response: http.client.HTTPResponse, source: Source, part: Path, have: int) -> int | None:
    resumed = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
    start = have if resumed else 0  # a server without ranges sends the whole file
    length = response.headers.get("Content-Length")
    total = start + int(length) if length else None
    if total is not None and source.size not in (None, total):
        raise DataError(
            f"{source.url}: has {total} bytes, {source.size} were published; the server sends something else. Fetch it by "
            "hand and give it with --archive."
        )
    with part.open("ab" if resumed else "wb") as file, progress(f"fetching {source.name}", total) as count:
        count(start)
        while chunk := response.read(CHUNK):
            file.write(chunk)
            count(len(chunk))
    return total


def _check(source: Source, part: Path) -> None:
    """Compare size and checksum with the published ones, where there are any.

    Raises:
        DataError: they differ; the file is removed.
    """
    size = size_of(part)
    if source.size not in (None, size):
        _reject(source, part, size, source.size)
    if source.digest:
        kind, _, published = source.digest.partition(":")
        found = _digest(part, kind, f"checking {source.name}")
        if found != published:
            _reject(source, part, found, published)


def _digest(file: Path, kind: str, what: str) -> str:
    digest = hashlib.new(kind)
    with file.open("rb") as content, progress(what, size_of(file)) as count:
        while chunk := content.read(CHUNK):
            digest.update(chunk)
            count(len(chunk))
    return digest.hexdigest()


def _reject(source: Source, part: Path, found: object, published: object) -> NoReturn:
    part.unlink()
    raise DataError(
        f"{source.url}: the downloaded file is not the published one ({found} instead of {published}) and was removed. Run "
        "the same command again; if it happens twice, fetch the file by hand and give it with --archive."
    )


@contextmanager
def progress(what: str, total: int | None, frames: bool = False) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal, one line elsewhere.

    Yields a function that advances it by a number of bytes, or of frames.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        print(what, file=sys.stderr, flush=True)
    unit = MofNCompleteColumn() if frames else DownloadColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), unit, TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)


def part_of(file: Path) -> Path:
    """The name of a file while it is incomplete."""
    return file.with_name(file.name + ".part")


def size_of(file: Path, missing: int = 0) -> int:
    """In bytes; `missing` if there is no such file."""
    return file.stat().st_size if file.is_file() else missing
