"""A process that has imported the package and runs each command in a fork of itself: importing takes ten seconds.

What a command sees is its own process: arguments, folder, environment, standard streams, exit code.
"""

from __future__ import annotations

import atexit
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn


class Warm:
    """Runs ``python -m <module> arguments`` as forks of one process that has imported what they all import."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", "from tests.warm import serve; serve()"]
        self._server = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parents[1],
        )

    def run(
        self, module: str, arguments: Sequence[str], cwd: Path, environment: Mapping[str, str], timeout: float
    ) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of a command; it is killed after `timeout` seconds."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        request = {
            "module": module,
            "arguments": list(arguments),
            "cwd": str(cwd),
            "environment": dict(environment),
            "timeout": timeout,
        }
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        code, out, err = json.loads(self._server.stdout.readline())
        return code, out, err


def serve() -> None:
    """Read requests from standard input, a line of json each, until it is closed."""
    import diffperc.commands.api
    import diffperc.strategies
    import diffperc.tasks.depth  # noqa: F401

    for line in sys.stdin:
        print(json.dumps(_done(json.loads(line))), flush=True)


def _done(request: dict[str, Any]) -> tuple[int, str, str]:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            _become(request, out.fileno(), err.fileno())
        code = _waited(child, request["timeout"])
        out.seek(0)
        err.seek(0)
        return code, out.read().decode(), err.read().decode()


def _become(request: dict[str, Any], out: int, err: int) -> NoReturn:
    """Be the command, in a process group of its own."""
    os.setsid()
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    sys.argv = [request["module"], *request["arguments"]]
    code: Any = 0
    try:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    if not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    # as at the end of an interpreter
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _waited(child: int, timeout: float) -> int:
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
