"""The two edits as functions on text: `str_replace` and `insert`."""

import re

from workroom.errors import ToolError
from workroom.tools.arguments import shorten

_LISTED = 20  # places of a text that are named; no more are looked for, a file may hold millions
_SEARCHED = 1 << 20  # characters of a file that is searched for a text with other white space


def split_lines(content: str) -> list[str]:
    """The lines as `cat -n` counts them: by LF only, and no empty one after a final LF."""
    lines = content.split("\n")
    if lines[-1] == "":
        lines.pop()
    return lines


def replace_once(content: str, old: str, new: str, path: str) -> tuple[str, int, int]:
    """The content with `old` replaced, the line number where, and how many lines it is now.

    In a file whose lines all end in CRLF, plain LF in `old` and `new` stands for CRLF. Raises ToolError where `old`
    is empty, equals `new`, or does not occur exactly once.
    """
    if not old:
        raise ToolError("no replacement was made: `old_str` is empty; to put in lines use insert")
    if _only_crlf(content):
        old, new = _to_crlf(old), _to_crlf(new)
    if old == new:
        raise ToolError("no replacement was made: `new_str` must differ from `old_str`")
    found = _places(content, old)
    if not found:
        raise ToolError(
            f"no replacement was made: old_str {shorten(repr(old))} did not appear verbatim in {path}"
            + _near(content, old)
        )
    if len(found) > 1:
        lines = [content.count("\n", 0, start) + 1 for start in found]
        listed = f"{lines}" if len(lines) <= _LISTED else f"{str(lines[:_LISTED])[:-1]}, …]"
        raise ToolError(
            f"no replacement was made: multiple occurrences of old_str {shorten(repr(old))} in lines {listed}; give "
            "more of the text around the right one"
        )
    start = found[0]
    edited = content[:start] + new + content[start + len(old) :]
    return edited, content.count("\n", 0, start) + 1, new.count("\n") + 1


def insert_lines(content: str, after: int, new: str) -> tuple[str, int]:
    """The content with `new` as lines of its own after line `after`, and how many lines that are.

    A missing end of line is added, but for the last line of a file that has none there. Raises ToolError for a line
    number outside the file.
    """
    count = len(split_lines(content))
    if not 0 <= after <= count:
        raise ToolError(f"`insert_line` {after} is outside the file; it must be within [0, {count}], its lines")
    end = "\r\n" if _only_crlf(content) else "\n"
    if end == "\r\n":
        new = _to_crlf(new)
    lines = len(split_lines(new)) or 1
    parts = content.split("\n", after)
    position = len(content) - len(parts[-1]) if len(parts) > after else len(content)
    before = content[:position]
    if before and not before.endswith("\n"):
        return before + end + (new or end), lines
    return before + (new if new.endswith("\n") else new + end) + content[position:], lines


def _places(content: str, old: str) -> list[int]:
    """Where the text is, as far as that is told. No pattern: to compile a long one takes many seconds."""
    found: list[int] = []
    place = content.find(old)
    while place >= 0 and len(found) <= _LISTED:
        found.append(place)
        place = content.find(old, place + len(old))
    return found


def _only_crlf(content: str) -> bool:
    return "\r\n" in content and content.count("\r\n") == content.count("\n")


def _to_crlf(text: str) -> str:
    return re.sub(r"(?<!\r)\n", "\r\n", text)


def _near(content: str, old: str) -> str:
    """A hint where the text is there but for white space, the commonest slip."""
    words = old.split()
    if not words or len(words) > 200 or len(content) > _SEARCHED:
        return ""
    match = re.search(r"\s+".join(map(re.escape, words)), content)
    if match is None:
        return "; look at the file with view"
    line = content.count("\n", 0, match.start()) + 1
    return f"; at line {line} the same words stand with other white space"
