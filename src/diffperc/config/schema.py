"""A JSON schema of the composed training configuration, for editors: ``python -m diffperc.config.schema``.

Its sources are the signatures of the classes that ``_target_`` names, which `validate` reads too, and their docstrings. A
number of the recipe has the type of the argument that points to it.
"""

from __future__ import annotations

import collections.abc
import inspect
import itertools
import json
import math
import re
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from hydra.utils import get_object
from omegaconf import OmegaConf

from diffperc.config.comments import key_sentences
from diffperc.config.find import conf_dir
from diffperc.config.help import read_help
from diffperc.config.signatures import signature_of
from diffperc.config.validate import OWN_KEYS
from diffperc.ranges import Range

Schema = dict[str, Any]
# an interpolation, or a missing value, may replace a value of any type
_OPEN: Schema = {"type": "string", "pattern": r"\$\{|^\?\?\?$"}
_SIMPLE = {int: "integer", float: "number", bool: "boolean", str: "string", type(None): "null"}
_POINTER = re.compile(r"\$\{recipe\.(\w+)\}")
_ENTRY = re.compile(r"(\w+)(?: \(.*?\))?: (.*)")


def train_schema() -> Schema:
    """Draft 2020-12; one definition per group and class."""
    properties = _own_properties()
    definitions: dict[str, Schema] = {}
    groups = [group.name for group in read_help("train", []).groups]
    for group in [*groups, "protocol"]:
        classes = _classes(group)
        for target, keys in classes.items():
            definitions[f"{group}.{target}"] = _definition(get_object(target), keys)
        if classes:
            properties[group] = _choice(group, list(classes))
    trainer = definitions["trainer.lightning.Trainer"]["properties"]
    for key, annotation in OWN_KEYS.items():
        if key.startswith("trainer."):
            name = key.removeprefix("trainer.")
            trainer[name] = {**trainer[name], **_or_open(_type(annotation))}
    protocol = properties.pop("protocol")
    for target in _classes("task"):
        definitions[f"task.{target}"]["properties"]["protocol"] = protocol
    properties["recipe"] = {"type": "object", "properties": _recipe()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "diffperc train",
        "type": "object",
        "properties": properties,
        "$defs": definitions,
    }


def _own_properties() -> dict[str, Schema]:
    """The keys of ``conf/train.yaml`` itself; a default of null allows any type."""
    file = conf_dir() / "train.yaml"
    content, sentences = _content(file), key_sentences(file)
    del content["defaults"], content["hydra"]
    found = {}
    for key, value in content.items():
        own = {} if value is None else _or_open(_type(type(value)))
        found[key] = {**own, "default": value, "description": sentences[key]}
    return found


def _classes(group: str) -> dict[str, set[str]]:
    """The classes of a group's choices, each with the keys that all its files have."""
    found: dict[str, set[str]] = {}
    for file in sorted((conf_dir() / group).glob("*.yaml")):
        content = _content(file)
        target = content.get("_target_")
        if target is not None:
            found.setdefault(target, set(content)).intersection_update(content)
    return found


def _content(file: Path) -> dict[str, Any]:
    content = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    return typing.cast("dict[str, Any]", content)


def _choice(group: str, targets: list[str]) -> Schema:
    """A node is checked by the definition of its class; classes of the user's own may have any keys."""
    cases = []
    for target in targets:
        condition = {"properties": {"_target_": {"const": target}}, "required": ["_target_"]}
        cases.append({"if": condition, "then": {"$ref": f"#/$defs/{group}.{target}"}})
    return {"type": ["object", "null"], "allOf": cases}


def _definition(kind: type, keys: set[str]) -> Schema:
    """The arguments of a class, without required ones that its yaml files lack: the program passes these."""
    signature = signature_of(kind)
    needed = {name for name, parameter in signature.parameters.items() if parameter.required} - signature.supplied
    defaults, descriptions = _defaults(kind), _descriptions(kind)
    properties: dict[str, Schema] = {"_target_": {"type": "string"}}
    for name in sorted(signature.parameters.keys() - signature.supplied - (needed - keys)):
        own = _or_open(_type(signature.parameters[name].annotation))
        properties[name] = {**own, **defaults.get(name, {}), **descriptions.get(name, {})}
    return {
        "description": (inspect.getdoc(kind) or "").split("\n")[0],
        "type": "object",
        "properties": properties,
        "patternProperties": {"^_.*_$": {}},
        "required": ["_target_", *sorted(needed & keys)],
        "additionalProperties": signature.open_ended,
    }


def _recipe() -> dict[str, Schema]:
    """Every key of a recipe, with the types of the arguments that point to it, or else of its values."""
    pointed: dict[str, list[Schema]] = {}
    for target, argument, key in _pointers():
        parameters = signature_of(get_object(target)).parameters
        if argument in parameters:
            pointed.setdefault(key, []).append(_type(parameters[argument].annotation))
    own: dict[str, list[Schema]] = {}
    sentences: dict[str, str] = {}
    for file in sorted((conf_dir() / "recipe").rglob("*.yaml")):
        sentences = {**key_sentences(file), **sentences}
        for key, value in _content(file).items():
            own.setdefault(key, []).append(_type(type(value)))
    own.pop("defaults", None)
    recipe = {}
    for key, options in {**own, **pointed}.items():
        recipe[key] = {**_or_open(_union(options)), "description": sentences.get(key, "")}
    return recipe


def _pointers() -> Iterator[tuple[str, str, str]]:
    """Class, argument, and the key of the recipe that its value points to, for all values such as ``${recipe.lr}``."""
    for file in sorted(conf_dir().rglob("*.yaml")):
        for node in _classes_in(_content(file)):
            for argument, value in node.items():
                match = _POINTER.fullmatch(str(value))
                if match:
                    yield node["_target_"], argument, match[1]


def _classes_in(value: Any) -> Iterator[dict[str, Any]]:
    """All nodes with a ``_target_``, at any depth."""
    if isinstance(value, dict):
        if "_target_" in value:
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for child in value:
            yield from _classes_in(child)


def _or_open(schema: Schema) -> Schema:
    return _union([schema, _OPEN])


def _union(options: Sequence[Schema]) -> Schema:
    """Any of several; without restrictions if one of them has none."""
    if not all(options):
        return {}
    flat: list[Schema] = []
    for option in options:
        for part in option.get("anyOf", [option]):
            if part not in flat:
                flat.append(part)
    return flat[0] if len(flat) == 1 else {"anyOf": flat}


def _type(annotation: Any) -> Schema:
    """The schema of an annotation; empty, which allows anything, where JSON has no such type."""
    if annotation in _SIMPLE:
        return {"type": _SIMPLE[annotation]}
    if typing.get_origin(annotation) is typing.Annotated:
        base, *limits = typing.get_args(annotation)
        return _limited(_type(base), limits)
    make = _GENERIC.get(typing.get_origin(annotation), _anything)
    return make(typing.get_args(annotation))


def _limited(schema: Schema, limits: Sequence[Any]) -> Schema:
    """With the bounds of a `Range`."""
    for limit in limits:
        if isinstance(limit, Range) and limit.also is None:
            bounds = {
                "exclusiveMinimum" if limit.above else "minimum": limit.low,
                "exclusiveMaximum" if limit.below else "maximum": limit.high,
            }
            schema = schema | {key: bound for key, bound in bounds.items() if math.isfinite(bound)}
    return schema


def _enumeration(arguments: tuple[Any, ...]) -> Schema:
    return {"enum": list(arguments)}


def _options(arguments: tuple[Any, ...]) -> Schema:
    return _union([_type(argument) for argument in arguments])


def _array(arguments: tuple[Any, ...]) -> Schema:
    return {"type": "array", "items": _or_open(_type(arguments[0]))}


def _object(arguments: tuple[Any, ...]) -> Schema:
    return {"type": "object"}


def _anything(arguments: tuple[Any, ...]) -> Schema:
    return {}


_GENERIC: dict[Any, Callable[[tuple[Any, ...]], Schema]] = {
    Literal: _enumeration,
    typing.Union: _options,
    types.UnionType: _options,
    list: _array,
    tuple: _array,
    collections.abc.Sequence: _array,
    dict: _object,
    collections.abc.Mapping: _object,
}


def _defaults(kind: type) -> dict[str, Schema]:
    """By argument: its default, where JSON has such a value."""
    found = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        if isinstance(parameter.default, int | float | str | None):
            found[name] = {"default": parameter.default}
    return found


def _descriptions(kind: type) -> dict[str, Schema]:
    """By argument: its text under ``Args:`` or ``Attributes:``, also in the base classes that take it."""
    bases = inspect.getmro(kind)
    found: dict[str, Schema] = {}
    for documented in itertools.chain(bases, (base.__init__ for base in bases)):  # type: ignore[misc]
        for name, text in documented_arguments(inspect.getdoc(documented) or ""):
            found.setdefault(name, {"description": text})
    return found


def documented_arguments(docstring: str) -> Iterator[tuple[str, str]]:
    """Names and descriptions of a docstring in Google's style."""
    for section in re.findall(r"^(?:Args|Attributes):\n((?: .*\n?|\n)+)", docstring, flags=re.MULTILINE):
        # an entry begins at the section's own indentation and continues deeper
        for entry in re.split(r"\n(?=\S)", inspect.cleandoc(f"\n{section}")):
            match = _ENTRY.match(" ".join(entry.split()))
            if match:
                yield match[1], match[2]


if __name__ == "__main__":
    print(json.dumps(train_schema(), indent=2, ensure_ascii=False))
