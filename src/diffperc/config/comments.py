"""The comments of the files in ``conf/``: one sentence per key, for ``--help`` and the schema."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import yaml


def head(file: Path) -> list[str]:
    """The comment at the top of a file, line by line, without "#"."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return [line.removeprefix("#").removeprefix(" ") for line in takewhile(_is_comment, lines)]


def key_sentences(file: Path) -> dict[str, str]:
    """The sentence of each dotted key: the comment behind it, else the comment above it, else "".

    Groups of the defaults list are keys too, such as ``defaults.task``. The comment at the top of the file belongs to
    the file, not to its first key.
    """
    text = file.read_text(encoding="utf-8")
    # a value may end on the line after the last
    lines = [*text.splitlines(), ""]
    return {path: _sentence(lines, key, value) for path, key, value in _pairs(yaml.compose(text), "")}


def _pairs(node: yaml.Node, prefix: str) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
    """Every key with its value and its dotted path; entries of a list have the path of the list."""
    if isinstance(node, yaml.SequenceNode):
        for entry in node.value:
            yield from _pairs(entry, prefix)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            path = f"{prefix}{key.value}"
            yield path, key, value
            yield from _pairs(value, f"{path}.")


def _sentence(lines: list[str], key: yaml.Node, value: yaml.Node) -> str:
    is_block = value.start_mark.line > key.start_mark.line
    end = key.end_mark if is_block else value.end_mark
    behind = lines[end.line][end.column :].lstrip(": ")
    if _is_comment(behind):
        return behind.lstrip("# ")
    top = len(list(takewhile(_is_comment, lines)))
    above = list(takewhile(_is_comment, reversed(lines[top : key.start_mark.line])))
    return " ".join(line.lstrip(" #") for line in reversed(above))


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")
