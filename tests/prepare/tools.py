"""Running the command that prepares data, and writing archives for it."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import pytest

from diffperc.commands import prepare


class Result(NamedTuple):
    code: int
    out: str
    err: str


def run(name: str, *arguments: object, **constants: Any) -> Result:
    """`diffperc prepare <name>` in this process, since a new one takes seconds to import torch.

    Args:
        constants: of the data set's module, such as a URL, to be replaced.
    """
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for key, value in constants.items():
            patch.setattr(f"diffperc.prepare.{name}.{key}", value)
        try:
            prepare.run([name, *map(str, arguments)])
        except SystemExit as stop:
            code = int(stop.code or 0)
    return Result(code, out.getvalue(), err.getvalue())


def files(root: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def times(root: Path) -> dict[str, int]:
    """When every file below a folder was written."""
    return {str(p.relative_to(root)): p.stat().st_mtime_ns for p in sorted(root.rglob("*")) if p.is_file()}


def pack(archive: Path, members: Mapping[str, bytes]) -> Path:
    """A zip, tar or tar.gz, by its name, with an entry for the folders as the official ones have."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    folders = sorted({f"{p}/" for name in members for p in Path(name).parents if str(p) != "."})
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as z:
            for name in [*folders, *members]:
                z.writestr(name, members.get(name, b""))
        return archive
    with tarfile.open(archive, "w:gz" if archive.suffix == ".gz" else "w") as t:
        for name in [*folders, *members]:
            info = tarfile.TarInfo(name)
            info.type = tarfile.REGTYPE if name in members else tarfile.DIRTYPE
            info.size = len(members.get(name, b""))
            t.addfile(info, io.BytesIO(members.get(name, b"")))
    return archive


class Server:
    """A local web server of files in memory.

    Attributes:
        contents: by path.
        ranges: whether it answers requests for a range with one.
        drop_after: bytes after which a connection is closed, one entry per connection; taken from the front.
        requests: the path and the range of every request.
        pause: called after each answer, before the connection is closed.
    """

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.ranges = True
        self.drop_after: list[int] = []
        self.requests: list[tuple[str, str | None]] = []
        self.pause: Callable[[], object] = lambda: None
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def _handler(server) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wanted = self.headers.get("Range")
                server.requests.append((self.path, wanted))
                whole = server.contents.get(self.path)
                if whole is None:
                    self.send_error(404)
                    return
                start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.ranges else 0
                if start and start >= len(whole):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(whole)}")
                    self.end_headers()
                    return
                self.send_response(206 if start else 200)
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
                self.send_header("Content-Length", str(len(whole) - start))
                self.end_headers()
                sent = whole[start:]
                if server.drop_after:
                    sent = sent[: server.drop_after.pop(0)]
                with suppress(ConnectionError):
                    self.wfile.write(sent)
                    self.wfile.flush()
                    server.pause()

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    try:
        yield server
    finally:
        server.close()
