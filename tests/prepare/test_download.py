"""Fetching: resuming, retrying, checking; from a web server of the test's own."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from diffperc.errors import DataError
from diffperc.prepare import download
from diffperc.prepare.download import Source, fetch
from tests.prepare.tools import Server, serving

CONTENT = np.random.default_rng(0).bytes(700_001)
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(download, "_PAUSE", 0)
    with serving() as server:
        server.contents["/a/set+.zip"] = CONTENT
        yield server


def source(server: Server, digest: str | None = SHA256, size: int | None = len(CONTENT)) -> Source:
    return Source(f"{server.url}/a/set+.zip", digest, size)


def ranges(server: Server) -> list[str | None]:
    return [wanted for _, wanted in server.requests]


@pytest.mark.parametrize("digest", [SHA256, f"md5:{hashlib.md5(CONTENT).hexdigest()}", None])
def test_fetches_once(server: Server, tmp_path: Path, digest: str | None) -> None:
    folder = tmp_path / "new" / "folder"
    assert fetch(source(server, digest, None), folder)
    assert [p.name for p in folder.iterdir()] == ["set+.zip"]
    assert (folder / "set+.zip").read_bytes() == CONTENT
    assert not fetch(source(server, digest), folder)
    assert ranges(server) == [None]


@pytest.mark.parametrize("have", [1, 300_000, len(CONTENT)])
def test_resumes_what_is_there(server: Server, tmp_path: Path, have: int) -> None:
    (tmp_path / "set+.zip.part").write_bytes(CONTENT[:have])
    assert fetch(source(server), tmp_path)
    assert (tmp_path / "set+.zip").read_bytes() == CONTENT
    assert ranges(server) == [f"bytes={have}-"]


def test_starts_over_where_resuming_is_impossible(server: Server, tmp_path: Path) -> None:
    """A server without ranges; and more bytes than there should be."""
    server.ranges = False
    (tmp_path / "set+.zip.part").write_bytes(b"x" * 300_000)
    fetch(source(server), tmp_path)
    assert (tmp_path / "set+.zip").read_bytes() == CONTENT
    server.ranges = True
    (tmp_path / "set+.zip").unlink()
    (tmp_path / "set+.zip.part").write_bytes(CONTENT + b"more")
    fetch(source(server), tmp_path)
    assert (tmp_path / "set+.zip").read_bytes() == CONTENT
    assert ranges(server) == ["bytes=300000-", f"bytes={len(CONTENT) + 4}-", None]


def test_dropped_connections_are_tried_again(server: Server, tmp_path: Path) -> None:
    """As long as something comes, any number of times; five times in a row without a byte is the end."""
    server.drop_after = [100_000, 0, 0, 200_000, 0, 0, 0, 50_000]
    fetch(source(server), tmp_path)
    assert (tmp_path / "set+.zip").read_bytes() == CONTENT
    assert ranges(server)[-1] == "bytes=350000-"
    (tmp_path / "set+.zip").unlink()
    server.drop_after = [7, 0, 0, 0, 0, 0]
    with pytest.raises(
        DataError, match=r"set\+\.zip: cannot be fetched \(the connection closed after 7 of 700001 bytes\)"
    ):
        fetch(source(server), tmp_path)
    assert (tmp_path / "set+.zip.part").read_bytes() == CONTENT[:7]


def test_a_wrong_file_is_not_kept(server: Server, tmp_path: Path) -> None:
    server.contents["/a/set+.zip"] = CONTENT[:-1] + b"\0"
    with pytest.raises(
        DataError, match=r"the downloaded file is not the published one \(\w{64} instead of \w{64}\) and was removed"
    ):
        fetch(source(server), tmp_path)
    assert not list(tmp_path.iterdir())
    server.contents["/a/set+.zip"] = b"<html>This archive has moved</html>"
    with pytest.raises(DataError, match=r"has 35 bytes, 700001 were published; the server sends something else"):
        fetch(source(server), tmp_path)
    assert not list(tmp_path.iterdir())
    (tmp_path / "set+.zip").write_bytes(b"<html>")
    with pytest.raises(DataError, match=r"set\+\.zip: has 6 bytes, 700001 are published; remove it"):
        fetch(source(server), tmp_path)


def test_a_server_that_has_it_not_or_does_not_answer_is_named(server: Server, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"/b\.zip: the server answers 404 .*Fetch it by hand and give it with --archive"
    ):
        fetch(Source(f"{server.url}/b.zip"), tmp_path)
    with pytest.raises(DataError, match=r"http://127\.0\.0\.1:1/b\.zip: cannot be fetched \(.*refused"):
        fetch(Source("http://127.0.0.1:1/b.zip"), tmp_path)


def test_control_c_is_a_sentence_and_the_next_run_resumes(server: Server, tmp_path: Path) -> None:
    stopped = threading.Event()
    server.pause = lambda: stopped.wait(20)
    server.drop_after = [300_000]
    # a parent that ignores the signal, as shells do for jobs in the background, would hand that down
    code = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from diffperc.commands import prepare\n"
        "from diffperc.prepare import ade20k, download\n"
        "ade20k.SOURCE = download.Source(sys.argv[1])\n"
        "prepare.run(['ade20k', '--download', '--archives', sys.argv[2], '--out', sys.argv[2]])\n"
    )
    command = [sys.executable, "-c", code, source(server).url, str(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    part = tmp_path / "set+.zip.part"
    while process.poll() is None and not (part.is_file() and part.stat().st_size):
        threading.Event().wait(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    stopped.set()
    assert (process.returncode, err.splitlines()[-1]) == (130, "stopped; run the same command again to resume.")
    assert "Traceback" not in err
    have = part.stat().st_size
    server.pause = lambda: None
    fetch(source(server), tmp_path)
    assert (tmp_path / "set+.zip").read_bytes() == CONTENT
    assert ranges(server) == [None, f"bytes={have}-"]
