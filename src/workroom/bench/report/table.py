"""A table of the report as plain data. Markdown, HTML and CSV are three ways to write the same one."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal, NamedTuple

# How a cell is shown; a CSV file holds the number itself.
#   text: as it is · count: 1,234 · number: 1.23 · seconds: 12.3 · ratio: 0.84 · p: 0.012
#   cost: 1.23, and 0.0027 where two decimals would hide it
#   share: 0.123 as 12.3 (the title says %) · points: a difference of shares with its sign, 0.066 as +6.6
#   date: seconds since the epoch, in UTC
Kind = Literal["text", "count", "number", "seconds", "ratio", "p", "share", "points", "cost", "date"]

LONGEST: Final = 400  # characters of a text that a reader is shown; a CSV file has all of it


class Link(NamedTuple):
    """`target` is a path relative to the report's folder, not quoted."""

    text: str
    target: str


class Interval(NamedTuple):
    """Two numbers of the column's kind. In CSV they are columns of their own."""

    low: float
    high: float


Cell = str | int | float | Link | Interval | Sequence[Link] | None


class Column(NamedTuple):
    """`name` heads the CSV column, `title` the shown one. `interval`: its cells are `Interval`s."""

    name: str
    title: str
    kind: Kind = "text"
    interval: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """`name` is the file's, without `.csv`. `notes`: sentences that say how to read it. Only the CSV file has the rows
    beyond `shown`."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    shown: int = 200

    def __post_init__(self) -> None:
        assert all(len(row) == len(self.columns) for row in self.rows), self.name


def show(cell: Cell, kind: Kind) -> str:
    """The text of a cell for a reader; `–` where there is nothing to say."""
    if cell is None:
        return "–"
    if isinstance(cell, str):
        text = plain(cell)
        return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    if isinstance(cell, Interval):
        return f"{show(cell.low, kind)} to {show(cell.high, kind)}"
    if isinstance(cell, Link):
        return plain(cell.text)
    if isinstance(cell, (int, float)):
        return _number(cell, kind)
    return " ".join(plain(link.text) for link in cell) or "–"


def plain(text: str) -> str:
    r"""Text from models and sandboxes on one line; control, bidirectional and zero-width characters as `\u{..}`."""
    return "".join(map(_visible, " ".join(text.split())))


def _visible(char: str) -> str:
    return f"\\u{{{ord(char):x}}}" if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") else char


def _number(value: float, kind: Kind) -> str:
    if value != value:  # not a number
        return "–"
    match kind:
        case "share":
            text = f"{100 * value:.1f}"
        case "points":
            text = f"{100 * value:+.1f}"
            text = "0.0" if text in ("+0.0", "-0.0") else text
        case "p":
            text = "< 0.001" if value < 0.001 else f"{value:.3f}"
        case "count" | "text":
            text = f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"
        case "seconds":
            text = f"{value:,.1f}" if value >= 1 or value == 0 else f"{value:.2g}"
        case "number":
            text = f"{value:,.2f}"
        case "cost":
            text = f"{value:,.2f}" if value >= 0.1 or value == 0 else f"{Decimal(f'{value:.1e}'):f}"
        case "ratio":
            text = f"{value:.2f} ×"
        case "date":
            from datetime import UTC, datetime

            text = f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M:%S} UTC"
    return text if kind == "date" else text.replace("-", "−")
