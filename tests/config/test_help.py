"""``--help``: every key with its default and its sentence, from the yaml files alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from diffperc.__main__ import COMMANDS
from diffperc.config.comments import head, key_sentences
from diffperc.config.find import conf_dir
from diffperc.config.help import Help, read_help
from tests.helpers import names

CONFIGURED = sorted(COMMANDS.keys() - {"prepare"})
# groups whose numbers stand in the recipe have their sentences there
EXPLAINED = ["backbone", "callbacks", "fit", "logger", "optimizer", "strategy", "trainer"]


def run_help(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A command's help, and on the last line whether torch was imported."""
    code = (
        "import sys\nfrom diffperc.__main__ import main\n"
        f"sys.argv = ['diffperc', *{arguments!r}, '--help']\nmain()\nprint('torch' in sys.modules)"
    )
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"}, check=True
    )


def key_paths(node: dict[str, object], prefix: str = "") -> list[str]:
    """Dotted paths of all keys that a user sets."""
    found = []
    for name, value in node.items():
        if name in ("_target_", "defaults", "hydra"):
            continue
        found.append(f"{prefix}{name}")
        if isinstance(value, dict):
            found += key_paths(value, f"{prefix}{name}.")
    return found


def all_keys(help_: Help) -> dict[str, str]:
    return {key.path: key.sentence for keys in help_.sections.values() for key in keys}


@pytest.mark.parametrize("command", CONFIGURED)
def test_a_command_shows_each_of_its_keys_with_a_sentence(command: str) -> None:
    file = conf_dir() / f"{command}.yaml"
    own = key_paths(yaml.safe_load(file.read_text(encoding="utf-8")))
    sentences = key_sentences(file)
    done = run_help(command)
    assert done.stdout.splitlines()[-1] == "False"
    shown = " ".join(done.stdout.split())
    for key in own:
        assert re.search(rf"\b{re.escape(key)}\b", shown), key
        # wrapped sentences share their lines with nothing but blanks in front of them
        assert sentences[key].split()[0] in shown, key
        assert len(sentences[key]) > 5, key
    assert max(map(len, done.stdout.splitlines())) <= 120


@pytest.mark.parametrize("command", CONFIGURED)
def test_the_line_of_a_command_is_the_title_of_its_help(command: str) -> None:
    assert head(conf_dir() / f"{command}.yaml")[0] == f"diffperc {command}: {COMMANDS[command].line}"


def test_train_shows_its_own_groups_only() -> None:
    found = read_help("train", [])
    assert {g.name for g in found.groups} == {
        *("head", "fit", "task", "dataset", "strategy", "optimizer", "backbone", "trainer", "callbacks", "logger"),
        *("experiment", "lora", "hw", "debug", "hparams_search"),
    }
    assert all(g.sentence for g in found.groups)
    chosen = {g.name: g.chosen for g in found.groups}
    assert (chosen["task"], chosen["strategy"], chosen["experiment"]) == ("depth", "meta_prompts", "null")
    assert [g.name for g in read_help("evaluate", []).groups] == ["protocol"]
    assert read_help("predict", []).groups == []
    assert [g.name for g in read_help("inspect", []).groups] == [g.name for g in found.groups]


def test_choices_on_the_command_line_change_the_keys() -> None:
    usual, vpd = read_help("train", []), read_help("train", ["strategy=vpd", "seed=7"])
    assert "strategy.prompts" in all_keys(usual)
    assert "strategy.prompts" not in all_keys(vpd)
    assert all_keys(vpd)["strategy.templates"].startswith("sentences with {}")
    assert vpd.titles["strategy"] == "strategy=vpd: VPD (methods.md 1)"
    defaults = {key.path: key.default for key in vpd.sections[""]}
    assert defaults["seed"] == "7"


@pytest.mark.parametrize("group", EXPLAINED)
def test_every_key_of_a_group_has_a_sentence(group: str) -> None:
    for file in sorted((conf_dir() / group).glob("*.yaml")):
        sentences = all_keys(read_help("train", [f"{group}={file.stem}"]))
        for key in key_paths(yaml.safe_load(file.read_text(encoding="utf-8")) or {}, f"{group}."):
            assert sentences[key], f"{file}: {key}"


def test_a_folder_of_ones_own_is_searched_too(tmp_path: Path) -> None:
    (tmp_path / "strategy").mkdir()
    file = tmp_path / "strategy" / "constant.yaml"
    file.write_text("# a few tokens\n_target_: constant.Constant\n# number of tokens\ntokens: 4\n")
    found = read_help("train", ["--config-dir", str(tmp_path), "strategy=constant"])
    assert found.titles["strategy"] == "strategy=constant: a few tokens"
    assert [(k.path, k.default, k.sentence) for k in found.sections["strategy"]] == [
        ("strategy.tokens", "4", "number of tokens")
    ]
    strategies = next(group for group in found.groups if group.name == "strategy")
    assert {"constant", "vpd"} <= set(strategies.choices)


def test_a_comment_stands_behind_a_key_or_above_it(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(
        "# the file\nfirst: 1\nsecond: [1, 2] # behind\n# above,\n# on two lines\nthird: '# no comment'\n"
        "fourth: # a node\n  # inside\n  fifth: null\n  sixth: 2\n"
    )
    assert head(file) == ["the file"]
    assert key_sentences(file) == {
        "first": "",
        "second": "behind",
        "third": "above, on two lines",
        "fourth": "a node",
        "fourth.fifth": "inside",
        "fourth.sixth": "",
    }


@pytest.mark.parametrize("task", names("task"))
def test_every_key_of_a_composition_has_a_sentence(task: str) -> None:
    """For every task, its data sets and every strategy."""
    sections = [read_help("train", [f"task={task}", f"strategy={strategy}"]).sections for strategy in names("strategy")]
    keys = [key for section in sections for group in section.values() for key in group]
    assert keys
    assert not sorted({key.path for key in keys if not key.sentence})
