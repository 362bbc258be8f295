"""The parameters of a ``_target_``, read from its signature."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from typing import Any, NamedTuple

_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
SIMPLE = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


class Parameter(NamedTuple):
    """An argument: whether it is required, and its annotation."""

    required: bool
    annotation: Any


class Signature(NamedTuple):
    """The arguments of a function or class.

    Attributes:
        parameters: by name.
        open_ended: whether any other keyword is accepted.
        supplied: names of arguments that the program passes, not a yaml file.
    """

    parameters: dict[str, Parameter]
    open_ended: bool
    supplied: frozenset[str]


def signature_of(callable_: Callable[..., Any]) -> Signature:
    """The parameters of a function or class; for a class that passes **kwargs on, also those of its bases.

    Arguments of a base class are never required, because the subclass may pass them. The attribute ``supplied`` of a class
    names the arguments that the program passes.
    """
    supplied = frozenset(getattr(callable_, "supplied", ()))
    if not inspect.isclass(callable_):
        return Signature(_own_parameters(callable_), False, supplied)
    found: dict[str, Parameter] = {}
    for base in callable_.__mro__[:-1]:
        init = base.__dict__.get("__init__")
        if init is None:
            continue
        own = _own_parameters(init)
        if found:
            own = {name: parameter._replace(required=False) for name, parameter in own.items()}
        found = own | found
        if inspect.getfullargspec(init).varkw is None:
            return Signature(found, False, supplied)
    return Signature(found, True, supplied)


def _own_parameters(function: Callable[..., Any]) -> dict[str, Parameter]:
    try:
        hints = typing.get_type_hints(function)
    except Exception:  # an annotation of another library that cannot be resolved is not checked
        hints = {}
    found = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in _BY_NAME and name != "self":
            required = parameter.default is parameter.empty
            found[name] = Parameter(required, hints.get(name, Any))
    return found


def type_problem(annotation: Any, value: Any) -> str | None:
    """The type that a value should have, for simple annotations; None if it has it, or if that cannot be decided."""
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        problems = [type_problem(option, value) for option in typing.get_args(annotation)]
        expected = list(filter(None, problems))
        return " or ".join(expected) if len(expected) == len(problems) else None
    accepted = (int, float) if annotation is float else (annotation,)
    if type(value) in accepted:
        return None
    return "null" if annotation is type(None) else SIMPLE.get(annotation)
