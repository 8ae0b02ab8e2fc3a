"""Text made fit for the cells of a terminal; what a terminal would obey is gone from it, see `workroom.harmless`."""

import unicodedata

from workroom.harmless import harmless, one_line

__all__ = ["cut", "fold", "harmless", "one_line"]


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
