"""Random mistakes in configurations of training: each must be refused with a sentence, or be none.

    python scripts/fuzz_config.py 2000

A mistake is a key that is misspelt, misplaced or made up, behind ``+`` or not, or a value of another kind or out of its
range. What is not refused is listed: a value may be as good as the one before.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from diffperc.config.cli import quoted
from diffperc.config.compose import composed
from diffperc.config.explain import explain_overrides
from diffperc.config.find import conf_dir
from diffperc.config.nodes import nodes_of
from diffperc.config.validate import validate
from diffperc.engine.build import build_optimizer, build_preprocess, build_protocol
from diffperc.engine.trainer import check_trainer, quiet_lightning
from diffperc.errors import DiffPercError

_TASKS = ("depth", "segmentation", "referring", "pose", "normals")
_STRATEGIES = ("vpd", "iedp", "meta_prompts", "ecodepth", "tadp", "unconditional")
_KINDS = {
    "a number": ["abc", "[1,2]", "{a:1}", "true", "'7'"],
    "a whole number": ["abc", "[1,2]", "0.5", "true", "nan"],
    "true or false": ["yes_please", "3", "[true]", "nan"],
    "a list": ["3", "abc", "true"],
    "a text": ["3", "[a]", "true"],
}
_OUT_OF_RANGE = ["-1", "-0.5", "nan", "inf", "-inf", "1e30"]


class Outcome(NamedTuple):
    """A mistake: its kind, what was typed, what came of it (``refused``, ``accepted``, ``traceback``), and what was said."""

    kind: str
    typed: str
    result: str
    said: str
    seconds: float


def mistakes(seed: int) -> Iterator[tuple[str, list[str], str]]:
    """Without end: the kind of a mistake, the choices of groups, and the override that is wrong."""
    rng = random.Random(seed)
    while True:
        groups = [f"task={rng.choice(_TASKS)}", f"strategy={rng.choice(_STRATEGIES)}"]
        content = OmegaConf.to_container(composed("train", groups), resolve=True)
        leaves = [(key, value) for key, value in nodes_of(content, "") if _is_leaf(key, value)]
        for _ in range(8):  # composing takes longer than the rest
            key, value = rng.choice(leaves)
            kind = rng.choice(("misspelt", "misplaced", "made up", "wrong kind", "out of range"))
            typed = _mistake(kind, key, value, leaves, rng)
            if typed is not None:
                yield kind, groups, typed


def _is_leaf(key: str, value: Any) -> bool:
    in_a_list = any(part.isdigit() for part in key.split("."))
    return bool(key) and not isinstance(value, dict) and not in_a_list and not key.endswith("_")


def _mistake(kind: str, key: str, value: Any, leaves: list[tuple[str, Any]], rng: random.Random) -> str | None:
    parent, _, name = key.rpartition(".")
    plus, dot = rng.choice(("", "+")), "." if parent else ""
    known = {leaf for leaf, _ in leaves}
    if kind == "misspelt":
        i = rng.randrange(len(name))
        wrong = rng.choice(
            (name[:i] + name[i + 1 :], name[:i] + name[i] + name[i:], name[:i] + "x" + name[i:], name.upper())
        )
        path = f"{parent}{dot}{wrong}"
        return f"{plus}{path}={_text(value)}" if wrong and path not in known and wrong != name else None
    if kind == "misplaced":
        elsewhere = rng.choice(leaves)[0].rpartition(".")[0]
        path = f"{elsewhere}.{name}" if elsewhere else name
        return f"{plus}{path}={_text(value)}" if path not in known else None
    if kind == "made up":
        return f"+{parent}{dot}{rng.choice(('gamma', 'use_cache', 'Lr', 'size_x'))}=3"
    if kind == "wrong kind":
        expected = _kind_of(value)
        return None if expected is None else f"{key}={rng.choice(_KINDS[expected])}"
    if type(value) in (int, float):
        return f"{key}={rng.choice(_OUT_OF_RANGE)}"
    return None


def _kind_of(value: Any) -> str | None:
    kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", list: "a list"}
    return kinds.get(type(value))


def _text(value: Any) -> str:
    if value is None:
        return "null"
    return f"'{value}'" if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)


def outcome(kind: str, groups: list[str], typed: str) -> Outcome:
    """What `diffperc train` does with it before anything is loaded."""
    start = time.monotonic()
    overrides = [*groups, quoted(typed)]
    result, said = "accepted", ""
    try:
        OverridesParser.create().parse_overrides(overrides)
        cfg = composed("train", overrides)
        validate(cfg, "train", overrides)
        build_preprocess(cfg)
        build_optimizer(cfg)
        build_protocol(cfg)
        check_trainer(cfg)
    except DiffPercError as error:
        result, said = "refused", error.sentence
    except (HydraException, OmegaConfBaseException) as error:
        problems = explain_overrides(conf_dir(), "train", overrides)
        result, said = "refused", "\n".join(problems) or str(error).splitlines()[0]
    except Exception as error:  # what a user would see as a traceback
        result, said = "traceback", f"{type(error).__name__}: {error}"
    return Outcome(kind, f"{' '.join(groups)} {typed}", result, said, time.monotonic() - start)


def outcomes(count: int, seed: int = 0) -> list[Outcome]:
    """Of that many mistakes."""
    quiet_lightning()
    return [outcome(*mistake) for mistake in itertools.islice(mistakes(seed), count)]


def main() -> None:
    """Print what was not refused, and how many of each kind there were."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = outcomes(options.count, options.seed)
    for one in found:
        if one.result != "refused":
            print(f"{one.result}: {one.kind}: {one.typed}  {one.said}")
    print(Counter((one.kind, one.result) for one in found))
    print(f"slowest: {max(one.seconds for one in found):.2f} s")
    sys.exit(any(one.result == "traceback" for one in found))


if __name__ == "__main__":
    main()
