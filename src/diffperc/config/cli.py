"""The frame of every entry point: Hydra around it, ``--help``, a sentence and exit code 2 for what a user can fix."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, InstantiationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from diffperc.config.explain import explain_overrides
from diffperc.config.find import conf_dir
from diffperc.config.help import help_text, help_wanted
from diffperc.errors import DiffPercError

USER_ERROR = 2
# keys whose value is a sentence, to which Hydra's commas, brackets and equals signs mean nothing
_SENTENCES = ("caption", "expression")


def entry(config_name: str, run: Callable[[DictConfig], Any], first: str | None = None) -> None:
    """Run ``conf/<config_name>.yaml`` composed with the command line.

    Args:
        config_name: of the file in ``conf/``.
        run: what to do.
        first: the key of a first argument without one, as in ``diffperc.convert model.ckpt``.

    ``--help`` prints the help of the command instead. Exits with code 2 and a sentence on stderr for errors that a user
    can fix; with HYDRA_FULL_ERROR=1 the traceback comes instead.
    """
    wants_traceback = os.environ.get("HYDRA_FULL_ERROR", "0") not in ("", "0")
    # Hydra would otherwise print its own shortened traceback and leave with code 1
    os.environ["HYDRA_FULL_ERROR"] = "1"
    # threads that spin while they wait take the core of the loader: 1.7 times slower beside one busy process
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    conf = conf_dir()
    if first is not None and len(sys.argv) > 1 and ("=" not in sys.argv[1] or os.path.exists(sys.argv[1])):
        sys.argv[1] = sys.argv[1] if sys.argv[1].startswith("-") else f"{first}={sys.argv[1]}"
    sys.argv = [sys.argv[0], *(quoted(a) for a in sys.argv[1:])]
    try:
        if help_wanted(sys.argv[1:]):
            print(help_text(config_name, sys.argv[1:]))
            return
        job = _guarded(run, wants_traceback)
        hydra.main(version_base="1.3", config_path=str(conf), config_name=config_name)(job)()
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        if wants_traceback or isinstance(error, InstantiationException):
            raise
        problems = explain_overrides(conf, config_name, sys.argv[1:])
        # Hydra's for `logger=null`, or a mistake of ours
        if isinstance(error, ValueError) and not problems:
            raise
        _leave("\n".join(problems) or str(error).splitlines()[0])
    except KeyboardInterrupt:
        print("\nstopped.", file=sys.stderr)
        sys.exit(130)


def _guarded(run: Callable[[DictConfig], Any], wants_traceback: bool) -> Callable[[DictConfig], Any]:
    """`run`, which exits with a sentence for what a user can fix; outside of it Hydra would add a line of its own."""

    @functools.wraps(run)
    def job(cfg: DictConfig) -> Any:
        # those below a node are reported by `validate`, together with all else that is wrong there
        missing = [key for key in sorted(OmegaConf.missing_keys(cfg)) if "." not in key]
        if missing:
            _leave("\n".join(f"{key} has no value; set {key}=..." for key in missing))
        try:
            return run(cfg)
        except (DiffPercError, InstantiationException) as error:
            # Hydra wraps what a constructor raised
            mine = error if isinstance(error, DiffPercError) else error.__cause__
            if wants_traceback or not isinstance(mine, DiffPercError):
                raise
            _leave(mine.sentence)

    return job


def quoted(argument: str) -> str:
    """``key=value`` with the value in quotes where Hydra's grammar would not take it, such as a path with an umlaut.

    Sentences always are, unless they have quotes of their own: Hydra takes those with a comma for a list of choices.
    """
    key, equals, value = argument.partition("=")
    if not equals or argument.startswith("-"):
        return argument
    if key not in _SENTENCES or value == "null" or value[:1] in ("'", '"'):
        try:
            OverridesParser.create().parse_override(argument)
            return argument
        except HydraException:
            pass
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"{key}='{escaped}'"


def _leave(sentence: str) -> NoReturn:
    print(f"error: {sentence}", file=sys.stderr)
    sys.stdout.flush()
    sys.exit(USER_ERROR)
