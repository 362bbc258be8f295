"""``--help`` of a command: its purpose, its groups and their choices, and every key with its default and its sentence.

The sources are the files in ``conf/`` and their comments; nothing that a key names is imported.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml
from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table

from diffperc.config.comments import head, key_sentences
from diffperc.config.explain import further_folders, without_flags
from diffperc.config.find import conf_dir

WIDTH = 120
_LONGEST_DEFAULT = 34
_FOOTER = """\
${...} takes the value of another key. --help shows the keys of the choices beside it.
--cfg job prints the whole configuration as YAML; --hydra-help shows Hydra's own options."""


@dataclass(frozen=True)
class Key:
    """A key of the composed configuration.

    Attributes:
        path: dotted.
        default: as it would be typed; empty for a node, which only has keys below it.
        sentence: its comment; empty without one.
    """

    path: str
    default: str
    sentence: str


@dataclass(frozen=True)
class Group:
    """A group of the command's defaults list."""

    name: str
    chosen: str
    choices: tuple[str, ...]
    sentence: str


@dataclass(frozen=True)
class Help:
    """The content of `help_text`: groups, then keys by node; "" is the node of the command's own keys."""

    groups: list[Group]
    sections: dict[str, list[Key]]
    titles: dict[str, str]


def help_wanted(arguments: Sequence[str]) -> bool:
    """True if a command line asks for the help of the command."""
    return not {"--help", "-h"}.isdisjoint(arguments)


def help_text(config_name: str, arguments: Sequence[str]) -> str:
    """The help of ``conf/<config_name>.yaml``, composed with the choices of a command line.

    Raises:
        HydraException: the command line cannot be composed.
    """
    found = read_help(config_name, arguments)
    columns = min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns)
    console = Console(file=io.StringIO(), width=columns, markup=False, emoji=False, highlight=False, no_color=True)
    # without wrapping: its examples are in columns
    console.print("\n".join(head(conf_dir() / f"{config_name}.yaml")), soft_wrap=True)
    if found.groups:
        console.print("\ngroups (group=choice):")
        console.print(_group_table(found.groups))
    for name, keys in found.sections.items():
        console.print(f"\n{found.titles[name]}")
        console.print(_key_table(keys))
    console.print(f"\n{_FOOTER}", soft_wrap=True)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in lines)


def read_help(config_name: str, arguments: Sequence[str]) -> Help:
    """Compose the configuration and read the comments of every file that took part.

    Raises:
        HydraException: the command line cannot be composed.
    """
    further = [folder.absolute() for folder in further_folders(arguments)]
    overrides = without_flags(arguments)
    if further:
        overrides.append(f"hydra.searchpath={[folder.as_uri() for folder in further]}")
    folders = [*further, conf_dir()]
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        cfg = loader.load_configuration(config_name, overrides, RunMode.RUN)
        sentences = _sentences(loader, config_name, overrides, folders)
        choices = dict(cfg.hydra.runtime.choices)
        groups = _groups(loader, config_name, overrides, choices)
    content = cast("dict[str, Any]", OmegaConf.to_container(cfg, resolve=False))
    del content["hydra"]
    keys = list(_keys(content, "", sentences))
    sections = _sections(keys, content)
    titles = {name: _title(name, choices.get(name), folders, sentences) for name in sections}
    return Help(groups, sections, titles)


def _sentences(
    loader: ConfigLoader, config_name: str, overrides: Sequence[str], folders: Sequence[Path]
) -> dict[str, str]:
    """The sentences of all files of the composition; that of the first file is taken, later ones explain a value."""
    found: dict[str, str] = {}
    for part in loader.compute_defaults_list(config_name, list(overrides), RunMode.RUN).defaults:
        file = _find(part.config_path, folders)
        if file is None:
            continue
        # the root is written in two ways
        package = (part.package or "").removeprefix("<root>")
        for key, sentence in key_sentences(file).items():
            path = f"{package}.{key}".removeprefix(".")
            found[path] = found.get(path) or sentence
    return found


def _find(config_path: str | None, folders: Sequence[Path]) -> Path | None:
    """The file of a configuration; None for Hydra's own."""
    for folder in folders:
        file = folder / f"{config_path}.yaml"
        if file.is_file():
            return file
    return None


def _groups(loader: ConfigLoader, config_name: str, overrides: Sequence[str], choices: dict[str, Any]) -> list[Group]:
    """The groups in the command's defaults list, except those whose choice follows from others."""
    file = conf_dir() / f"{config_name}.yaml"
    sentences = key_sentences(file)
    found: list[Group] = []
    for entry in yaml.safe_load(file.read_text(encoding="utf-8"))["defaults"]:
        if entry == "_self_":
            continue
        if isinstance(entry, str):
            found += _groups(loader, entry, overrides, choices)
            continue
        ((name, choice),) = entry.items()
        if name.startswith("override ") or "${" in str(choice):
            continue
        options = tuple(loader.get_group_options(name, config_name=config_name, overrides=list(overrides)))
        found.append(Group(name, str(choices.get(name) or "null"), options, sentences[f"defaults.{name}"]))
    return found


def _keys(node: dict[Any, Any], prefix: str, sentences: dict[str, str]) -> Iterator[Key]:
    """Every key below a node, except ``_target_``, which the choice of a group determines."""
    for name, value in node.items():
        path = f"{prefix}{name}"
        if name == "_target_":
            continue
        if not isinstance(value, dict) or not value:
            yield Key(path, _shortened(value), sentences.get(path, ""))
            continue
        if sentences.get(path):
            yield Key(path, "", sentences[path])
        yield from _keys(value, f"{path}.", sentences)


def _sections(keys: Sequence[Key], content: dict[Any, Any]) -> dict[str, list[Key]]:
    """Keys by node; those outside of nodes come first."""
    sections: dict[str, list[Key]] = {"": []}
    for key in keys:
        top = key.path.split(".")[0]
        if not isinstance(content[top], dict):
            sections[""].append(key)
            continue
        section = sections.setdefault(top, [])
        # the node itself is the title
        if key.path != top:
            section.append(key)
    return sections


def _title(name: str, choice: str | None, folders: Sequence[Path], sentences: dict[str, str]) -> str:
    if not name:
        return "keys (key=value), their defaults:"
    file = _find(f"{name}/{choice}", folders)
    if file is None:
        return f"{name}: {sentences.get(name, '')}"
    return f"{name}={choice}: {' '.join(head(file))}"


def _shortened(value: Any) -> str:
    if value == "???":
        return "(must be given)"
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    text = text.strip().removesuffix("...").strip()
    return text if len(text) <= _LONGEST_DEFAULT else f"{text[: _LONGEST_DEFAULT - 3]}..."


def _group_table(groups: Sequence[Group]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for group in groups:
        table.add_row(f"  {group.name}", group.chosen, ", ".join(group.choices), group.sentence)
    return table


def _key_table(keys: Sequence[Key]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, max_width=_LONGEST_DEFAULT)
    table.add_column()
    for key in keys:
        table.add_row(f"  {key.path}", key.default, key.sentence)
    return table
