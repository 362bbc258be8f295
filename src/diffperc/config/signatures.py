"""What a ``_target_`` takes, read from its signature."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from typing import Any, NamedTuple

SIMPLE = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


class Parameter(NamedTuple):
    """Whether a value is required, and the annotation."""

    required: bool
    annotation: Any


class Signature(NamedTuple):
    """parameters: by name; open_ended: whether any other keyword is passed on; supplied: by the program, not by a yaml."""

    parameters: dict[str, Parameter]
    open_ended: bool
    supplied: frozenset[str]


def signature_of(callable_: Callable[..., Any]) -> Signature:
    """The parameters of a function or class. A class that passes **kwargs on is followed upwards.

    What a base class requires is its subclass's business. A class names in an attribute ``supplied`` which arguments come
    from the program.
    """
    supplied = frozenset(getattr(callable_, "supplied", ()))
    if not inspect.isclass(callable_):
        return Signature(_own_parameters(callable_), False, supplied)
    found: dict[str, Parameter] = {}
    for base in callable_.__mro__:
        init = base.__dict__.get("__init__")
        if init is None or base is object:
            continue
        inherited = bool(found)
        for name, parameter in _own_parameters(init).items():
            found.setdefault(name, parameter._replace(required=parameter.required and not inherited))
        passes_on = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(init).parameters.values())
        if not passes_on:
            return Signature(found, False, supplied)
    return Signature(found, True, supplied)


def _own_parameters(function: Callable[..., Any]) -> dict[str, Parameter]:
    try:
        hints = typing.get_type_hints(function)
    except Exception:  # a foreign annotation that cannot be resolved is only not checked
        hints = {}
    found = {}
    for parameter in inspect.signature(function).parameters.values():
        by_name = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        if by_name and parameter.name != "self":
            required = parameter.default is parameter.empty
            found[parameter.name] = Parameter(required, hints.get(parameter.name, Any))
    return found


def type_problem(annotation: Any, value: Any) -> str | None:
    """What a value should have been, for simple annotations; None if it fits or cannot be decided."""
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        problems = [type_problem(option, value) for option in typing.get_args(annotation)]
        return None if None in problems else " or ".join(filter(None, problems))
    if annotation is type(None):
        return None if value is None else "null"
    if annotation not in SIMPLE:
        return None
    fits = type(value) is annotation
    if annotation is float:
        fits = isinstance(value, int | float) and not isinstance(value, bool)
    return None if fits else SIMPLE[annotation]
