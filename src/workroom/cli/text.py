"""Text from models and sandboxes made fit for a terminal.

A model or a program in the sandbox can print escape sequences that retitle the window, forge earlier lines or fill
the clipboard, and characters that reorder or hide text. None of them reaches a person's screen: they become `\\u{..}`.
"""

import unicodedata

_KEPT = frozenset("\n\t")
_ESCAPED = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
# Invisible, though Unicode counts them as letters or marks: joiner, Hangul fillers, Khmer inherent vowels.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")


def harmless(text: str) -> str:
    r"""The text with every control, bidirectional, zero-width and tag character shown as `\u{..}`.

    Newlines and tabs stay; a carriage return stays only as part of a line end, where it is dropped.
    """
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(char if _shown(char) else f"\\u{{{ord(char):x}}}" for char in text.replace("\r\n", "\n"))


def _shown(char: str) -> bool:
    if char in _KEPT:
        return True
    if char in _INVISIBLE or "\U000e0100" <= char <= "\U000e01ef":
        return False
    return unicodedata.category(char) not in _ESCAPED


def one_line(text: str) -> str:
    """Harmless text on one line, runs of white space as one blank."""
    return " ".join(harmless(text).split())


def cut(text: str, cells: int) -> str:
    """The text cut to so many terminal cells, with `…` where something was left out. It must be harmless already."""
    if len(text) <= cells and text.isascii():
        return text
    used = fits = 0
    for index, char in enumerate(text):
        used += _cells(char)
        if used > cells:
            return text[:fits] + "…"
        if used < cells:
            fits = index + 1
    return text


def _cells(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def fold(text: str, *, lines: int, cells: int) -> list[str]:
    """Harmless lines of at most `cells` cells; of more than `lines` the middle is left out and counted."""
    all_lines = harmless(text).expandtabs(4).rstrip("\n").split("\n")
    if len(all_lines) > lines:
        head = (lines * 2) // 3
        tail = lines - head - 1
        left_out = len(all_lines) - head - tail
        all_lines = [*all_lines[:head], f"… {left_out:,} more lines …", *all_lines[len(all_lines) - tail :]]
    return [cut(line, cells) for line in all_lines]
