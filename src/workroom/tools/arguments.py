"""From the raw text of a tool call's arguments to checked values, with errors that say how to do it right."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from workroom.errors import ToolError
from workroom.models.base import ToolSpec
from workroom.tools.specs import example


def parse(raw: str, spec: ToolSpec) -> dict[str, Any]:
    """The arguments as a dictionary; no text at all counts as none.

    Raises ToolError where the text is no JSON object: malformed, NaN, a key given twice, nested too deep.
    """
    if not raw.strip():
        arguments: Any = {}
    else:
        try:
            arguments = json.loads(raw, parse_constant=_no_constant, object_pairs_hook=_unique)
        except RecursionError:
            _wrong_json(spec, "they are nested too deep")
        except json.JSONDecodeError as error:
            _wrong_json(spec, f"{error.msg} at line {error.lineno} column {error.colno}")
        except ValueError as error:
            _wrong_json(spec, str(error))
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, dict):
        _wrong_json(spec, "they are a value of another kind")
    return arguments


def check(arguments: Mapping[str, Any], tool: str, *, known: Iterable[str], required: Iterable[str] = ()) -> None:
    """Raises ToolError where a required parameter is missing or null, or where the tool has no such parameter."""
    known = tuple(known)
    for key in required:
        if arguments.get(key) is None:
            missing(tool, key)
    for key, value in arguments.items():
        if key not in known and value is not None:
            names = ", ".join(known) or "none"
            raise ToolError(f"{tool} has no parameter {shorten(key)!r}; its parameters are: {names}. {right(tool)}")


def missing(tool: str, key: str, where: str = "") -> NoReturn:
    """Raises the ToolError for a parameter that is needed and not there."""
    raise ToolError(f"the parameter `{key}` is required{where} and missing. {right(tool)}")


def text(arguments: Mapping[str, Any], key: str, tool: str) -> str | None:
    """A string parameter, None where it was not given. Numbers are taken as their text."""
    value = arguments.get(key)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = json.dumps(value)
    if value is None:
        return None
    if not isinstance(value, str):
        raise ToolError(f"the parameter `{key}` must be a string, not {_kind(value)}. {right(tool)}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise ToolError(f"the parameter `{key}` holds half of a surrogate pair (\\ud800 to \\udfff), no text") from None
    return value


def number(arguments: Mapping[str, Any], key: str, tool: str) -> float | None:
    """A finite number, also one given as a string; None where it was not given."""
    value = arguments.get(key)
    if value is None:
        return None
    try:
        if isinstance(value, (int, float, str)) and not isinstance(value, bool):
            result = float(value)
            if abs(result) < 1e18:  # also false for NaN
                return result
    except (ValueError, OverflowError):
        pass
    raise ToolError(f"the parameter `{key}` must be a number, not {_kind(value)}. {right(tool)}")


def integer(arguments: Mapping[str, Any], key: str, tool: str) -> int | None:
    """A whole number, also one given as a string or as 3.0; None where it was not given."""
    try:
        value = number(arguments, key, tool)
    except ToolError:
        value = 0.5
    if value is None:
        return None
    if value != int(value):
        raise ToolError(f"the parameter `{key}` must be an integer, not {_kind(arguments[key])}. {right(tool)}")
    return int(value)


def shorten(value: str, limit: int = 80) -> str:
    """The beginning of a text that is too long to be repeated in a message."""
    return value if len(value) <= limit else value[:limit] + "…"


def _kind(value: Any) -> str:
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "an object"}
    shown = f" ({shorten(repr(value), 40)})" if isinstance(value, (bool, int, float, str)) else ""
    return names.get(type(value), "that") + shown


def right(tool: str) -> str:
    """A sentence with an example of a right call, empty for a tool that has none."""
    shown = example(tool)
    return f"A right call of {tool} has arguments such as {shown}" if shown else ""


def _wrong_json(spec: ToolSpec, why: str) -> NoReturn:
    raise ToolError(f"the arguments are no JSON object: {why}. Nothing was run. {right(spec.name)}") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        twice = next(key for key in result if sum(other == key for other, _ in pairs) > 1)
        raise ValueError(f"the key {shorten(twice)!r} is given twice")
    return result
