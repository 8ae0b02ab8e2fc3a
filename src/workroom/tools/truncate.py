"""Cutting long text so that a model can read it: by bytes and by lines, never within a character."""

from collections.abc import Callable
from dataclasses import dataclass

_UNSAFE = {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F) if chr(code) not in "\t\n\r"}


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of a text is shown: bytes of UTF-8 and lines."""

    size: int
    lines: int


@dataclass(frozen=True, slots=True)
class Cut:
    """What is left of a text. `lines` and `size` tell what was left out; both are 0 where all is there."""

    text: str
    lines: int = 0
    size: int = 0


def readable(data: bytes) -> str:
    """The bytes as UTF-8 text: what is none becomes U+FFFD, a control character but tab, LF and CR becomes `\\x1b`."""
    text = data.decode("utf-8", "replace")
    return text if text.isprintable() else text.translate(_UNSAFE)


def fits(text: str, bounds: Bounds) -> bool:
    """Whether nothing has to be cut."""
    return len(text) <= bounds.size and len(text.encode("utf-8")) <= bounds.size and _count_lines(text) <= bounds.lines


def cut_middle(text: str, bounds: Bounds, notice: Callable[[int, int], str]) -> Cut:
    """The first and last part of a text, with `notice(lines left out, bytes left out)` on a line of its own between.

    The result is within the bounds, notice included, as long as the notice alone is.
    """
    if fits(text, bounds):
        return Cut(text)
    total_size, total_lines = len(text.encode("utf-8")), _count_lines(text)
    room = bounds.size - len(f"\n{notice(total_lines, total_size)}\n".encode())
    half_lines = max(bounds.lines - 1, 0) // 2
    head = _first_bytes(text[: _end_of_line(text, half_lines)], room // 2)
    tail = _last_bytes(text[_start_of_line(text, half_lines) :], room - room // 2)
    size = total_size - len(head.encode()) - len(tail.encode())
    lines = max(total_lines - _count_lines(head) - _count_lines(tail), 0)
    glue = "" if not head or head.endswith("\n") else "\n"
    return Cut(f"{head}{glue}{notice(lines, size)}\n{tail}", lines, size)


def _count_lines(text: str) -> int:
    return text.count("\n") + (0 if text.endswith("\n") or not text else 1)


def _end_of_line(text: str, count: int) -> int:
    """Where the first `count` lines end."""
    end = 0
    for _ in range(count):
        found = text.find("\n", end)
        if found < 0:
            return len(text)
        end = found + 1
    return end


def _start_of_line(text: str, count: int) -> int:
    """Where the last `count` lines begin."""
    if count == 0:
        return len(text)
    start = len(text) - 1 if text.endswith("\n") else len(text)
    for _ in range(count):
        start = text.rfind("\n", 0, start)
        if start < 0:
            return 0
    return start + 1


def _first_bytes(text: str, limit: int) -> str:
    data = text.encode("utf-8")
    return text if len(data) <= limit else data[: max(limit, 0)].decode("utf-8", "ignore")


def _last_bytes(text: str, limit: int) -> str:
    data = text.encode("utf-8")
    if len(data) <= limit:
        return text
    return data[len(data) - max(limit, 0) :].decode("utf-8", "ignore")
