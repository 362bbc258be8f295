"""Serving predictions by HTTP."""

from __future__ import annotations

import math
import signal
import socket
from collections.abc import Mapping
from dataclasses import fields
from importlib.util import find_spec

from omegaconf import DictConfig

from diffperc.commands.demo import loaders
from diffperc.errors import ConfigError
from diffperc.inference.predictor import Predictor

_NEEDED = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")
_BACKLOG = 2048  # connections that the system keeps for the server


def serve(cfg: DictConfig) -> None:
    """Answer requests until SIGTERM or control-C; what was accepted before is answered.

    Raises:
        ConfigError: the libraries are not installed, the address cannot be used, or two checkpoints are of one task.
        CheckpointError: there is no such checkpoint.
    """
    models = loaders(cfg)
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigError(f"diffperc serve needs {', '.join(missing)}: pip install 'diffperc[serve]'.")
    import uvicorn

    from diffperc.deploy.gate import Limits
    from diffperc.deploy.serve import application

    with listening(str(cfg.host), cfg.port) as place:
        predictors = by_task({name: load() for name, load in models.items()})
        limits = Limits(**{field.name: cfg[field.name] for field in fields(Limits)})
        server = uvicorn.Server(
            uvicorn.Config(
                application(predictors, limits),
                log_config=None,
                log_level="warning",
                access_log=False,
                timeout_graceful_shutdown=math.ceil(2 * limits.timeout),
            )
        )
        # uvicorn answers what it has accepted, and then raises the signal again
        signal.signal(signal.SIGTERM, lambda *_: setattr(server, "should_exit", True))
        place.listen(_BACKLOG)
        host, port = place.getsockname()[:2]
        address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        print(f"{', '.join(predictors)}: {address}     (stop with Control-C)", flush=True)
        server.run(sockets=[place])


def listening(host: str, port: int | None) -> socket.socket:
    """A socket at an address; one that is used already is found before models are loaded.

    Raises:
        ConfigError: the address cannot be used.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM)[0]
        place = socket.socket(family, kind)
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind(address)
    except OSError as error:
        raise ConfigError(
            f"port: the server cannot be offered at {host}, port {port} ({error}); give another."
        ) from error
    return place


def by_task(models: Mapping[str, Predictor]) -> dict[str, Predictor]:
    """The predictors by the names of their tasks.

    Raises:
        ConfigError: two are of one task.
    """
    found: dict[str, str] = {}
    for name, predictor in models.items():
        task = predictor.result.task()
        if task in found:
            raise ConfigError(
                f"ckpt: {found[task]} and {name} are both of {task}, and a server has one checkpoint per task; serve them "
                "at two ports."
            )
        found[task] = name
    return {task: models[name] for task, name in found.items()}
