"""Checks of the values of a setting: each takes what was given and says `where`, and gives the value in its right type.

All raise ConfigError for a value of a wrong type or range.
"""

import re
import sys
from collections.abc import Callable
from typing import Any, get_args
from urllib.parse import urlsplit, urlunsplit

from workroom.errors import ConfigError
from workroom.sandbox.base import parse_size

_ALLOW = re.compile(r"allow:[^\s,]+(,[^\s,]+)*")

Check = Callable[[Any, str], Any]


def redact_url(url: str) -> str:
    """The URL without user, password, query and fragment, any of which may hold a key."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    netloc = f"***@{host}" if "@" in parts.netloc else host
    return urlunsplit((parts.scheme, netloc, parts.path, "***" if parts.query else "", ""))


def text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{where} must be text and not empty, not {value!r}")
    return value


def choice(literal: Any) -> Callable[[Any, str], str]:
    choices = get_args(literal)

    def check(value: Any, where: str) -> str:
        if value not in choices:
            raise ConfigError(f"{where} must be one of {', '.join(choices)}, not {value!r}")
        return str(value)

    return check


def switch(value: Any, where: str) -> bool:
    words = {"on": True, "true": True, "off": False, "false": False}
    found = value if isinstance(value, bool) else words.get(str(value).lower())
    if found is None:
        raise ConfigError(f"{where} must be on or off, not {value!r}")
    return found


def whole(minimum: int | None) -> Callable[[Any, str], int]:
    def check(value: Any, where: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or (minimum is not None and value < minimum):
            bound = "" if minimum is None else f" of at least {minimum}"
            raise ConfigError(f"{where} must be a whole number{bound}, not {value!r}")
        return value

    return check


def number(*, positive: bool) -> Callable[[Any, str], float]:
    """A finite number, above 0 where `positive`, else 0 or above."""

    def check(value: Any, where: str) -> float:
        fits = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= sys.float_info.max
        if not fits or (positive and value == 0):
            raise ConfigError(f"{where} must be a number {'above 0' if positive else 'not below 0'}, not {value!r}")
        return float(value)

    return check


def size(value: Any, where: str) -> str | int:
    try:
        fits = isinstance(value, str | int) and not isinstance(value, bool) and parse_size(value) > 0
    except (ConfigError, OverflowError):
        fits = False
    if not fits:
        raise ConfigError(f"{where} must be a size above 0 such as 512m or 4g, not {value!r}")
    return value if isinstance(value, int) else str(value)


def network(value: Any, where: str) -> str:
    if value not in ("none", "packages", "open") and not (isinstance(value, str) and _ALLOW.fullmatch(value)):
        raise ConfigError(f"{where} must be none, packages, open or allow:HOST,HOST (no spaces), not {value!r}")
    return str(value)


def price_list(given: str) -> list[float]:
    return [float(part) for part in given.split(",")]


def price(value: Any, where: str) -> str:
    try:
        numbers = price_list(value)
        fits = len(numbers) in (2, 3) and all(0 <= number < float("inf") for number in numbers)
    except (AttributeError, ValueError):
        fits = False
    if not fits:
        raise ConfigError(
            f"{where} must be IN,OUT or IN,OUT,CACHED in US dollars per million tokens, such as 1.25,10, not {value!r}"
        )
    return str(value)


def url(value: Any, where: str) -> str:
    given = text(value, where)
    shown = "what was given"  # where it may hold a key: it has a login, or no part of it can be told from another
    try:
        parts = urlsplit(given)
        shown = shown if "@" in given else repr(redact_url(given))
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise ConfigError(f"{where} must be a URL such as http://127.0.0.1:8000/v1, not {shown}")
    return given
