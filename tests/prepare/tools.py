"""Running the scripts that prepare data, and writing archives for them."""

from __future__ import annotations

import importlib.util
import io
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import pytest

from diffperc.prepare import archives

SCRIPTS = Path(archives.__file__).parent


class Result(NamedTuple):
    code: int
    out: str
    err: str


def run(name: str, *arguments: object, **constants: Any) -> Result:
    """`scripts/prepare_<name>.py` in this process, since a new one takes seconds to import torch.

    Args:
        constants: of the script, such as an URL, to be replaced.
    """
    spec = importlib.util.spec_from_file_location(f"prepare_{name}", SCRIPTS / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for key, value in constants.items():
        assert hasattr(module, key)
        setattr(module, key, value)
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", [name, *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            archives.script(module.main)
    assert isinstance(stop.value.code, int)
    return Result(stop.value.code, out.getvalue(), err.getvalue())


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
        ranges: whether it knows ranges.
        drop_after: bytes after which the connection is closed, once an entry; taken from the front.
        requests: the path and the range of every request.
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
