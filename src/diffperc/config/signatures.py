"""The parameters of a ``_target_``, read from its signature."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from diffperc.ranges import Range

_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_LISTS = (list, tuple, Sequence)
_MAPPINGS = (dict, Mapping)
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
        # of what a decorator wraps, not of the wrapper
        kinds = {parameter.kind for parameter in inspect.signature(init).parameters.values()}
        if inspect.Parameter.VAR_KEYWORD not in kinds:
            return Signature(found, False, supplied)
    return Signature(found, True, supplied)


def fields_of(annotation: Any) -> Signature | None:
    """The fields of a mapping whose annotation is a `TypedDict`, or that or None; None for other annotations."""
    options = typing.get_args(annotation) or (annotation,)
    fields = next(filter(typing.is_typeddict, options), None)
    if fields is None:
        return None
    hints = typing.get_type_hints(fields, include_extras=True)
    return Signature({name: Parameter(False, hint) for name, hint in hints.items()}, False, frozenset())


def _own_parameters(function: Callable[..., Any]) -> dict[str, Parameter]:
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except Exception:  # an annotation of another library that cannot be resolved is not checked
        hints = {}
    found = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in _BY_NAME and name != "self":
            required = parameter.default is parameter.empty
            found[name] = Parameter(required, hints.get(name, Any))
    return found


def value_problem(annotation: Any, value: Any) -> str | None:
    """What a value should be by its annotation, such as ``a whole number`` or ``more than 0``.

    None if it is that, or if that cannot be decided. Of a list, every element is looked at; a `Range` may be annotated.
    """
    kind = typing.get_origin(annotation)
    if kind in (types.UnionType, typing.Union):
        return _none_fits([value_problem(option, value) for option in typing.get_args(annotation)])
    if kind is typing.Annotated:
        base, *limits = typing.get_args(annotation)
        problem = value_problem(base, value)
        outside = [limit for limit in limits if isinstance(limit, Range) and _is_number(value) and value not in limit]
        return problem or (str(outside[0]) if outside else None)
    if kind is typing.Literal:
        choices = typing.get_args(annotation)
        return None if value in choices else " or ".join(map(repr, choices))
    if kind in _MAPPINGS or typing.is_typeddict(annotation):
        return None if isinstance(value, dict) else "a mapping"
    if kind in _LISTS:
        return _list_problem(typing.get_args(annotation), value)
    accepted = (int, float) if annotation is float else (annotation,)
    if type(value) in accepted:
        return None
    return "null" if annotation is type(None) else SIMPLE.get(annotation)


def _none_fits(problems: Sequence[str | None]) -> str | None:
    """The alternatives, if a value is none of them."""
    if not all(problems):
        return None
    return " or ".join(dict.fromkeys(filter(None, problems)))


def _list_problem(kinds: Sequence[Any], value: Any) -> str | None:
    if not isinstance(value, list | tuple):
        return "a list"
    fixed = len(kinds) > 1 and kinds[1] is not Ellipsis
    if fixed and len(value) != len(kinds):
        return f"a list of {len(kinds)}"
    for i, element in enumerate(value):
        problem = value_problem(kinds[i] if fixed else kinds[0], element) if kinds else None
        if problem:
            return f"a list whose elements are {problem}"
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
