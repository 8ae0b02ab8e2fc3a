"""Files of JSON lines that are appended to, as a crash, a power failure or a hand may have left them."""

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

T = TypeVar("T")
_logger = logging.getLogger("workroom.bench")


def sound_lines(path: Path, read: Callable[[dict[str, Any]], T]) -> Iterator[T]:
    """What the lines hold. One that a power failure or a hand has damaged is told and left out: its attempt is found
    again in its own directory, and its score made again."""
    for number, found in read_lines(path, read):
        if isinstance(found, Exception):
            _logger.warning("%s, line %d is damaged and left out: %s", path, number, found)
        else:
            yield found


def read_lines(path: Path, read: Callable[[dict[str, Any]], T]) -> Iterator[tuple[int, T | Exception]]:
    """The whole lines of a file as they are read, or why not, with their numbers; none where it is missing."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return
    for number, line in enumerate(data.split(b"\n")[:-1], 1):  # what follows the last line feed is torn
        if line:
            try:
                yield number, read(json.loads(line))
            except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
                yield number, error


def known_fields(kind: type[Any], line: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that this version has; a later one may have written more. Raises TypeError where one is of another
    type."""
    found = {entry.name: line[entry.name] for entry in fields(kind) if entry.name in line}
    for entry in fields(kind):
        if entry.name in found and not _is_of(found[entry.name], entry.type):
            raise TypeError(f"{entry.name} is {str(found[entry.name])[:40]!r}")
    return found


def _is_of(value: Any, kind: Any) -> bool:
    if isinstance(kind, UnionType):
        return any(_is_of(value, one) for one in get_args(kind))
    if kind in (int, float):
        return type(value) in (int, kind)
    return isinstance(value, get_origin(kind) or kind)


def cut_torn_line(path: Path) -> None:
    """What a crash left of a last line is cut off."""
    data = path.read_bytes() if path.exists() else b""
    if not data.endswith(b"\n") and data:
        os.truncate(path, data.rfind(b"\n") + 1)
