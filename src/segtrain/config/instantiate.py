"""A config node to an object: its `_target_` called with its keys, each checked first."""

import difflib
import functools
import importlib
import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from segtrain.errors import InputError, SegtrainError

TARGET = "_target_"
BUILT = ("data", "model", "optimizer", "schedule", "inference", "dense_crf")  # each by one target
NAMES = {int: "an integer", float: "a number", bool: "true or false", str: "a text", type(None): "null"}
SCALARS = (bool, int, float, str, list, type(None))
# What constructors, ours and libraries', refuse a value with.
REFUSALS = (ArithmeticError, AssertionError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)


def instantiate(node: Any, key: str, *, partial: bool = False) -> Any:
    """Builds a plain config node; nodes below it that have a `_target_` are built first.

    Args:
        node: dicts, lists and scalars; a dict with a `_target_` becomes what that returns.
        key: where the node stands, for messages: `model`.
        partial: gives a callable that still wants its positional arguments.

    Raises:
        InputError: an unknown or missing key, a value of the wrong type, or one that the target refuses.
    """
    if isinstance(node, Mapping):
        _check_built(node, key)
        arguments = {k: instantiate(v, f"{key}.{k}") for k, v in node.items() if k != TARGET}
        if TARGET not in node:
            return arguments
        target = locate(node[TARGET], key)
        check_arguments(target, arguments, key, partial=partial)
        return (
            functools.partial(_call, target, key, **arguments) if partial else _call(target, key, **arguments)
        )
    if isinstance(node, Sequence) and not isinstance(node, str):
        return [instantiate(v, f"{key}[{i}]") for i, v in enumerate(node)]
    return node


def check_node(node: Any, key: str, *, partial: bool = False) -> None:
    """Raises the InputErrors that `instantiate` would raise before it calls anything."""
    if isinstance(node, Mapping):
        _check_built(node, key)
        for name, value in node.items():
            check_node(value, f"{key}.{name}")
        if TARGET in node:
            arguments = {k: v for k, v in node.items() if k != TARGET}
            check_arguments(locate(node[TARGET], key), arguments, key, partial=partial)
    elif isinstance(node, Sequence) and not isinstance(node, str):
        for i, value in enumerate(node):
            check_node(value, f"{key}[{i}]")


def _check_built(node: Mapping[str, Any], key: str) -> None:
    if key in BUILT and TARGET not in node:
        raise InputError(f"{key}.{TARGET} is missing", do=f"choose an option: {key}=NAME")


def _call(target: Any, key: str, /, *positional: Any, **arguments: Any) -> Any:
    """Calls a target; what it refuses a value with becomes an InputError that names the node."""
    try:
        return target(*positional, **arguments)
    except SegtrainError:
        raise
    except REFUSALS as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        given = ", ".join(f"{k}={v}" for k, v in arguments.items() if isinstance(v, SCALARS))
        raise InputError(f"{key}: {reason}", do=f"change one of its keys ({given})") from error


def locate(target: str, key: str) -> Any:
    """The class or function of a dotted path. Raises InputError."""
    module, _, name = str(target).rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"{key}.{TARGET}={target}: {error}", do="give the path of a class") from error


def check_arguments(target: Any, arguments: Mapping[str, Any], key: str, *, partial: bool = False) -> None:
    """Raises InputError where `arguments` are not what the target's signature names and annotates.

    Args:
        partial: positional parameters may be missing.
    """
    signature = inspect.signature(target).parameters
    for name, value in arguments.items():
        if name not in signature:
            if name == "backbone":
                raise InputError(
                    f"{key}/backbone: {target.__name__} takes no backbone", do=f"leave out {key}/backbone="
                )
            keys = _settable(signature, partial)
            near = difflib.get_close_matches(name, keys, 1)
            hint = f"did you mean {key}.{near[0]}?" if near else f"its keys are {', '.join(keys) or 'none'}"
            raise InputError(f"{key}.{name}: no such key", do=hint)
        annotation = _annotations(target).get(name)
        if annotation is not None and not fits(value, annotation):
            name, value, annotation = _first_misfit(name, value, annotation)
            shown = "null" if value is None else value
            do = f"give {describe_type(annotation)}"
            if name == "backbone" and isinstance(value, str):
                do = f"choose it: {key}/backbone={shown}"
            raise InputError(f"{key}.{name}={shown}", do=do)
    for name, parameter in signature.items():
        positional = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.POSITIONAL_ONLY)
        required = parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        )
        if required and name not in arguments and not (partial and positional):
            raise InputError(f"{key}.{name} is missing", do=f"add {key}.{name}=VALUE")


def _settable(signature: Mapping[str, inspect.Parameter], partial: bool) -> list[str]:
    """The parameters that a key of a config sets: none that the code or a group of its own gives."""
    kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [
        name
        for name, one in signature.items()
        if one.kind in kinds
        and name != "backbone"
        and not (partial and one.kind is kinds[1] and one.default is one.empty)
    ]


def _annotations(target: Any) -> dict[str, Any]:
    function = target.__init__ if inspect.isclass(target) else target
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError):  # a library's own forward references
        return {}


def fits(value: Any, annotation: Any) -> bool:
    """Whether a scalar, list or dict of a config is of an annotated type; unknown types fit."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any:
        return True
    if origin is typing.Literal:
        return value in arguments
    if _is_union(annotation):
        return any(fits(value, a) for a in arguments)
    if annotation is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if annotation in (bool, str, type(None)):
        return isinstance(value, annotation)
    if origin in (tuple, list, Sequence):
        return isinstance(value, list | tuple) and _elements_fit(value, origin, arguments)
    if {origin, annotation} & {dict, Mapping}:
        return isinstance(value, Mapping) and all(fits(v, a) for v in value.values() for a in arguments[1:])
    if inspect.isclass(annotation) and isinstance(value, (*SCALARS, dict)):  # nothing that was built
        if isinstance(value, dict) and TARGET in value:
            return True
        return not getattr(annotation, "_is_protocol", False) and isinstance(value, annotation)
    return value is not None or not (inspect.isclass(annotation) or origin)  # Any and the like


def _first_misfit(name: str, value: Any, annotation: Any) -> tuple[str, Any, Any]:
    """The key below `name` whose value is not as a mapping's annotation wants it; else what was given."""
    for one in typing.get_args(annotation) if _is_union(annotation) else (annotation,):
        if isinstance(value, Mapping) and typing.get_origin(one) in (dict, Mapping):
            element = typing.get_args(one)[1]
            return next((f"{name}.{k}", v, element) for k, v in value.items() if not fits(v, element))
    return name, value, annotation


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def _elements_fit(value: Sequence, origin: type, arguments: tuple) -> bool:
    if origin is tuple and Ellipsis not in arguments:
        return len(value) == len(arguments) and all(map(fits, value, arguments))
    return all(fits(v, arguments[0]) for v in value)


def describe_type(annotation: Any) -> str:
    """The annotation in words: `an integer`, `caffe or torchvision`."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return " or ".join(map(str, arguments))
    if _is_union(annotation):
        return " or ".join(describe_type(a) for a in arguments)
    if annotation in NAMES:
        return NAMES[annotation]
    if origin is tuple and Ellipsis not in arguments:
        return "[" + ", ".join(map(describe_type, arguments)) + "]"
    if origin in (tuple, list, Sequence):
        return f"a list, each {describe_type(arguments[0])}"
    if {origin, annotation} & {dict, Mapping}:
        return "several keys" + (f", each {describe_type(arguments[1])}" if arguments else "")
    return f"a {annotation.__name__}" if inspect.isclass(annotation) else str(annotation)
