"""The comments of the files in ``conf/``: the sentence of each key, which ``--help`` and the schema show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml


def head(file: Path) -> list[str]:
    """The comment at the top of a file, line by line, without the signs."""
    lines = file.read_text(encoding="utf-8").splitlines()
    block = lines[: _head_length(lines)]
    # what composes into another package begins with a word to Hydra
    return [line.removeprefix("#").removeprefix(" ") for line in block if not line.startswith("# @package")]


def key_sentences(file: Path) -> dict[str, str]:
    """By dotted key: the comment behind it, else the comment above it. Keys without a comment are left out.

    The comment at the top of the file belongs to the file, not to its first key.
    """
    lines = file.read_text(encoding="utf-8").splitlines()
    root = yaml.compose("\n".join(lines))
    if not isinstance(root, yaml.MappingNode):
        return {}
    found = {path: _sentence(lines, key, value) for path, key, value in _pairs(root, "")}
    return {path: sentence for path, sentence in found.items() if sentence}


def group_sentences(file: Path) -> dict[str, str]:
    """As `key_sentences`, of the groups in the file's defaults list."""
    lines = file.read_text(encoding="utf-8").splitlines()
    root = yaml.compose("\n".join(lines))
    found = {}
    for key, entries in root.value:
        if key.value == "defaults":
            for group, choice in _mappings(entries):
                found[group.value] = _sentence(lines, group, choice)
    return found


def _pairs(node: yaml.MappingNode, path: str) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
    """Every key with its value and its dotted path; lists are values."""
    for key, value in node.value:
        own = f"{path}.{key.value}" if path else key.value
        yield own, key, value
        if isinstance(value, yaml.MappingNode):
            yield from _pairs(value, own)


def _mappings(entries: yaml.SequenceNode) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """The ``group: choice`` entries of a defaults list."""
    for entry in entries.value:
        if isinstance(entry, yaml.MappingNode):
            yield from entry.value


def _sentence(lines: list[str], key: yaml.Node, value: yaml.Node) -> str:
    is_block = isinstance(value, yaml.CollectionNode) and not value.flow_style
    end = key.end_mark if is_block else value.end_mark
    behind = lines[end.line][end.column :].lstrip(": ") if end.line < len(lines) else ""
    if behind.startswith("#"):
        return behind.lstrip("# ")
    above: list[str] = []
    row = key.start_mark.line - 1
    while row >= _head_length(lines) and lines[row].lstrip().startswith("#"):
        above.insert(0, lines[row].lstrip(" #"))
        row -= 1
    return " ".join(above)


def _head_length(lines: list[str]) -> int:
    count = 0
    while count < len(lines) and lines[count].startswith("#"):
        count += 1
    return count
