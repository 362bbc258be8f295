"""The frame of every command: Hydra, ``--help``, and a sentence with exit code 2 for errors that a user can fix."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import hydra
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from diffperc.config import sweep_jobs
from diffperc.config.explain import explain_overrides, flags_first
from diffperc.config.find import conf_dir
from diffperc.config.help import help_text, help_wanted
from diffperc.config.nodes import PATHS
from diffperc.config.run_folder import no_folder
from diffperc.config.validate import validate
from diffperc.errors import OWN_MISTAKE, USER_ERROR, ConfigError, DiffPercError, Stopped, fixable
from diffperc.foreign import OF_PLACES, report_unforeseen, translated

# keys whose value is a sentence, in which commas, brackets and equals signs have no meaning
_SENTENCES = ("caption", "expression")


def entry(config_name: str, run: Callable[[DictConfig], Any], first: str | None = None) -> None:
    """Run ``conf/<config_name>.yaml`` composed with the command line.

    Args:
        config_name: the name of a file in ``conf/``.
        run: the command.
        first: the key of a first argument that has none, as in ``diffperc.convert model.ckpt``.

    ``--help`` prints the help of the command instead. Exits with code 2 and a sentence on stderr for errors that a user
    can fix, with code 1 and a file that describes it for a mistake of diffperc's, or with the traceback if
    HYDRA_FULL_ERROR=1.
    """
    wants_traceback = os.environ.get("HYDRA_FULL_ERROR", "0") not in ("", "0")
    # Hydra would otherwise print its own shortened traceback and leave with code 1
    os.environ["HYDRA_FULL_ERROR"] = "1"
    # threads that spin while they wait take the loader's core: 1.7 times slower beside one busy process
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # `python -m` puts this folder there; the console command should find one's own classes too
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    conf = conf_dir()
    arguments = sys.argv[1:]
    if first is not None and arguments:
        arguments[0] = _with_key(first, arguments[0])
    multirun = not {"-m", "--multirun"}.isdisjoint(arguments)
    sys.argv[1:] = flags_first([quoted(argument, multirun) for argument in arguments])
    started: list[str] = []
    try:
        if help_wanted(sys.argv[1:]):
            print(help_text(config_name, sys.argv[1:]))
            return
        job = _guarded(run, config_name, wants_traceback, started)
        hydra.main(version_base="1.3", config_path=str(conf), config_name=config_name)(job)()
    except yaml.MarkedYAMLError as error:  # of a configuration file of the user's
        if wants_traceback:
            raise
        _leave(_yaml_problem(error))
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        if wants_traceback:
            raise
        mine = fixable(error)
        if mine is not None:  # of a resolver of ours
            _leave(mine.sentence)
        problems = explain_overrides(conf, config_name, sys.argv[1:])
        # Hydra's for `logger=null`, or a mistake of ours
        if isinstance(error, ValueError | InstantiationException) and not problems:
            _leave_foreign(error, config_name)
        _leave("\n".join(problems) or _hydra_problem(error))
    except Exception as error:
        if wants_traceback:
            raise
        if isinstance(error, OSError) and error.errno in OF_PLACES and not started:
            _leave(no_folder(error.filename, error))
        _leave_foreign(error, config_name)
    except Stopped as stop:
        if os.environ.get("LOCAL_RANK", "0") != "0":  # the first process says it for all
            sys.exit(0)
        print(stop, file=sys.stderr)
        sys.exit(stop.exit_code)
    except KeyboardInterrupt:
        print("\nstopped.", file=sys.stderr)
        sys.exit(130)
    if sweep_jobs.failed:
        _leave(
            f"{len(sweep_jobs.failed)} jobs of the sweep failed: {', '.join(sweep_jobs.failed)}; the table shows why."
        )


def _yaml_problem(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"{mark.name}, line {mark.line + 1}: " if mark is not None else ""
    return f"{where}cannot be read as yaml ({error.problem or error.context})."


def _hydra_problem(error: Exception) -> str:
    """What Hydra says, in one sentence."""
    first = str(error).splitlines()[0]
    ambiguous = re.fullmatch(r"Ambiguous value for argument '(.*)'", first)
    if ambiguous:
        return (
            f"{ambiguous[1]}: a comma separates the values of a sweep; add -m, or write a decimal number with a point."
        )
    plugin = re.search(r"hydra/(launcher|sweeper)/(\w+?)(_slurm|_local)?'", first)
    if plugin and "Could not" in first:
        return f"{first} It is that of a plugin, which is not installed: pip install hydra-{plugin[2]}-{plugin[1]}."
    return first


def _with_key(key: str, argument: str) -> str:
    """The argument with a key, unless it has one or is an option; a file may have "=" in its name."""
    if argument.startswith("-") or ("=" in argument and not os.path.exists(argument)):
        return argument
    return f"{key}={argument}"


def _guarded(
    run: Callable[[DictConfig], Any], config_name: str, wants_traceback: bool, started: list[str]
) -> Callable[[DictConfig], Any]:
    """`run` after a check of its configuration, with a sentence and exit code 2 for errors that a user can fix.

    Outside of it Hydra would add its own line. Of a sweep, a job that fails leaves its sentence in its folder, and the next
    one begins.

    Args:
        run: the command.
        config_name: of its configuration.
        wants_traceback: whether errors are raised.
        started: gets an entry when a run begins, that is, when its folder is there.
    """

    def checked(cfg: DictConfig) -> Any:
        hydra_cfg = HydraConfig.get()
        # paths are those of where the command was typed, also with hydra.job.chdir=true
        os.chdir(hydra_cfg.runtime.cwd)
        search = hydra_cfg.runtime.choices.get("hparams_search")
        if search is not None and hydra_cfg.mode == RunMode.RUN:
            raise ConfigError(f"hparams_search={search}: a search is a sweep; add -m, or leave it out.")
        validate(cfg, config_name, [*hydra_cfg.overrides.hydra, *hydra_cfg.overrides.task])
        return run(cfg)

    @functools.wraps(run)
    def job(cfg: DictConfig) -> Any:
        hydra_cfg = HydraConfig.get()
        started.append(hydra_cfg.runtime.output_dir)
        in_sweep = hydra_cfg.mode == RunMode.MULTIRUN
        if in_sweep:  # of a sweep that was typed before
            (Path(hydra_cfg.runtime.output_dir) / sweep_jobs.ERROR_FILE).unlink(missing_ok=True)
        try:
            return checked(cfg)
        except Exception as error:
            shown = translated(error) or error
            if isinstance(error, OmegaConfBaseException):  # such as a reference to a key that is not there
                shown = ConfigError(f"{error.full_key or 'configuration'}: {str(error).splitlines()[0]}")
            if in_sweep:
                sentence = sweep_jobs.record_failure(shown, Path(hydra_cfg.runtime.output_dir))
                print(f"error: {sentence}", file=sys.stderr)
                return math.nan
            if wants_traceback:
                raise
            if not isinstance(shown, DiffPercError):
                _leave_foreign(error, config_name, Path(hydra_cfg.runtime.output_dir))
            _leave(shown.sentence)

    return job


def call_as(module: str, function: Callable[..., Any]) -> None:
    """Let an imported frame be called as the function of its name in the package.

    Python puts a submodule that is imported in the place of whatever the package calls by that name: without this,
    ``import diffperc.train`` somewhere would break ``diffperc.train(...)`` everywhere.
    """

    class Frame(ModuleType):
        def __call__(self, *arguments: Any, **options: Any) -> Any:
            return function(*arguments, **options)

    sys.modules[module].__class__ = Frame


def quoted(argument: str, multirun: bool = False) -> str:
    """``key=value`` with the value in quotes where Hydra would read something else into it.

    Sentences and paths (`PATHS`) are quoted always, unless they are already: to Hydra a comma makes a list of choices, and
    007 is a number. Lists of paths in brackets, and choices with commas in a sweep, stay as they are unless there is such a
    file.

    Args:
        argument: as typed.
        multirun: whether the command line is a sweep.
    """
    key, equals, value = argument.partition("=")
    is_null = value in ("", "null", "???")
    if not equals or argument.startswith("-") or is_null or value.startswith(("'", '"')):
        return argument
    if key in _SENTENCES or _is_path(key, value, multirun):
        return f"{key}={in_quotes(value)}"
    with contextlib.suppress(HydraException):
        OverridesParser.create().parse_override(argument)
        return argument
    return f"{key}={in_quotes(value)}"


def _is_path(key: str, value: str, multirun: bool) -> bool:
    if key.lstrip("+").rpartition(".")[2] not in PATHS:
        return False
    if os.path.exists(os.path.expanduser(value)):
        return True
    return not value.startswith("[") and not (multirun and re.search(r",|^\w+\(", value))


def in_quotes(text: str) -> str:
    """A text in single quotes as Hydra's grammar reads it; there a backslash is itself, unless a quote follows it."""
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), text)
    return f"'{escaped}'"


def _leave_foreign(error: BaseException, config_name: str, folder: Path | None = None) -> NoReturn:
    """Leave for an error of a library or the system with its sentence, and for a mistake of ours with exit code 1."""
    mine = translated(error)
    if mine is not None:
        _leave(mine.sentence)
    print(f"error: {report_unforeseen(error, f'diffperc {config_name}', folder)}", file=sys.stderr)
    sys.exit(OWN_MISTAKE)


def _leave(sentence: str) -> NoReturn:
    print(f"error: {sentence}", file=sys.stderr)
    sys.stdout.flush()
    sys.exit(USER_ERROR)
