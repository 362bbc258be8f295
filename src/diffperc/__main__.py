"""``diffperc <command> ...``, which is ``python -m diffperc.<command> ...``."""

from __future__ import annotations

import importlib
import runpy
import sys
from typing import NamedTuple

from diffperc.errors import USER_ERROR, did_you_mean


class Command(NamedTuple):
    """The module that is run, and a line that describes it."""

    module: str
    line: str


COMMANDS = {
    "train": Command("diffperc.train", "train a perception model; leaves a run folder under runs/"),
    "evaluate": Command("diffperc.evaluate", "score checkpoints by the protocol they were trained with, or by another"),
    "predict": Command("diffperc.predict", "predict images of any size"),
    "explain": Command("diffperc.explain", "what a model looked at in an image, as a web page in one file"),
    "demo": Command("diffperc.demo", "a web page to try models on"),
    "export": Command("diffperc.export", "a model as a file that other programs run"),
    "serve": Command("diffperc.serve", "an HTTP server of predictions"),
    "inspect": Command(
        "diffperc.inspect", "find all that is wrong with a data set, what is in it, and how fast it loads"
    ),
    "convert": Command(
        "diffperc.convert", "convert a checkpoint of the authors' code to one that evaluate and predict read"
    ),
    "compare": Command("diffperc.compare", "compare strategies by task: metric, parameters, step time, peak memory"),
    "benchmark": Command(
        "diffperc.benchmark", "time and memory of a model here, beside plain ways of computing the same"
    ),
    "estimate": Command("diffperc.estimate", "memory, time and disk of a training, before anything starts"),
    "report": Command("diffperc.report", "whether trainings went well: a run, or several, as a web page in one file"),
    "pretrain": Command(
        "diffperc.pretrain", "pretrain a small latent diffusion model from nothing; run again, it resumes"
    ),
    "prepare": Command("diffperc.commands.prepare", "download a data set, or bring one into the layout that is read"),
}


def main() -> int:
    """Run the command named by the first argument, with the other arguments; returns the exit code of the process."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("--help", "-h"):
        print(_overview())
        return 0
    if name not in COMMANDS:
        print(f"error: there is no command '{name}'{did_you_mean(name, COMMANDS)}", file=sys.stderr)
        return USER_ERROR
    if name == "prepare":
        return importlib.import_module(COMMANDS[name].module).run(arguments) or 0
    sys.argv = [sys.argv[0], *arguments]
    # as `python -m` does: __main__ becomes the command's module, which Lightning names when it starts DDP's processes
    runpy.run_module(COMMANDS[name].module, run_name="__main__", alter_sys=True)
    return 0


def _overview() -> str:
    lines = [f"  {name:10}{command.line}" for name, command in COMMANDS.items()]
    usage = "usage: diffperc <command> ...        (diffperc <command> --help shows its keys and examples)"
    return "\n".join([usage, "", *lines])


if __name__ == "__main__":
    sys.exit(main())
