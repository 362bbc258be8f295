"""Fetching large files, which goes on where it was interrupted.

Everything is written to ``<name>.part`` and renamed once it is whole and checked: a file with its own name is complete.
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
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from diffperc.errors import DataError

CHUNK = 1 << 18
_FAILURES = 5  # in a row, without a byte between them
_PAUSE = 2.0  # seconds, times the number of failures


@dataclass(frozen=True)
class Source:
    """Where an archive comes from. `digest` such as ``sha256:...``, `size` in bytes; None where nobody publishes them."""

    url: str
    digest: str | None = None
    size: int | None = None

    @property
    def name(self) -> str:
        return urlsplit(self.url).path.rpartition("/")[2]


def fetch(source: Source, folder: Path) -> bool:
    """Download into a folder, going on with what an earlier try left; False if the file was there.

    With the standard library: requests would leave resuming, retries and checks to us just the same.

    Raises:
        DataError: it cannot be fetched, or is not what was published.
    """
    file, failures = folder / source.name, 0
    if file.is_file():
        if source.size not in (None, file.stat().st_size):
            raise DataError(f"{file}: has {file.stat().st_size} bytes, {source.size} are published; remove it.")
        return False
    folder.mkdir(parents=True, exist_ok=True)
    part = part_of(file)
    while True:
        before = size_of(part)
        try:
            total = _receive(source, part)
            if total in (None, size_of(part)):
                break
            reason = f"the connection closed after {size_of(part)} of {total} bytes"
        except urllib.error.HTTPError as error:
            reason = f"the server answers {error.code} {error.reason}"
            if error.code < 500 and error.code != http.client.TOO_MANY_REQUESTS:
                raise DataError(f"{source.url}: {reason}. Fetch it by hand and give it with --archive.") from error
        except (urllib.error.URLError, ConnectionError, TimeoutError, http.client.HTTPException) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        failures = 1 if size_of(part) > before else failures + 1
        if failures >= _FAILURES:
            raise DataError(f"{source.url}: cannot be fetched ({reason}). Run the same command again to go on.")
        time.sleep(_PAUSE * failures)
    _check(source, part)
    part.replace(file)
    return True


def _receive(source: Source, part: Path) -> int | None:
    """Append what is missing; the length that the whole should have, None if the server does not say."""
    have = size_of(part)
    headers = {"User-Agent": "diffperc"} | ({"Range": f"bytes={have}-"} if have else {})
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
        resumed = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        start = have if resumed else 0  # a server that knows no ranges sends all of it
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        if None not in (total, source.size) and total != source.size:
            raise DataError(
                f"{source.url}: has {total} bytes, {source.size} were published; the server sends something else. Fetch it "
                "by hand and give it with --archive."
            )
        with part.open("ab" if resumed else "wb") as file, progress(f"fetching {source.name}", total) as count:
            count(start)
            while chunk := response.read(CHUNK):
                file.write(chunk)
                count(len(chunk))
    return total


def _check(source: Source, part: Path) -> None:
    found: object = size_of(part)
    expected: object = source.size or found
    if source.digest and found == expected:
        kind, _, expected = source.digest.partition(":")
        digest = hashlib.new(kind)
        with part.open("rb") as file, progress(f"checking {source.name}", size_of(part)) as count:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                count(len(chunk))
        found = digest.hexdigest()
    if found != expected:
        part.unlink()
        raise DataError(
            f"{source.url}: what came is not the published file ({found} instead of {expected}) and was removed. Run the "
            "same command again; if it happens twice, fetch the file by hand and give it with --archive."
        )


@contextmanager
def progress(what: str, total: int | None, frames: bool = False) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, a line elsewhere; gives the function that counts on, in bytes or frames."""
    console = Console(stderr=True)
    if not console.is_terminal:
        print(what, file=sys.stderr, flush=True)
    unit = MofNCompleteColumn() if frames else DownloadColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), unit, TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)


def part_of(file: Path) -> Path:
    return file.with_name(file.name + ".part")


def size_of(file: Path, missing: int = 0) -> int:
    return file.stat().st_size if file.is_file() else missing
