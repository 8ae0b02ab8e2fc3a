"""A table as CSV: numbers in full, an interval in two columns, a link as its text and its target."""

import csv
import io
from collections.abc import Iterator

from workroom.bench.report.table import Cell, Column, Interval, Link, Table, plain


def to_csv(table: Table) -> str:
    """The file's text, with all rows. Empty cells are what is not known."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([name for column in table.columns for name in _names(column)])
    for row in table.rows:
        writer.writerow(
            [value for column, cell in zip(table.columns, row, strict=True) for value in _values(cell, column)]
        )
    return text.getvalue()


def _names(column: Column) -> tuple[str, ...]:
    return (f"{column.name}_low", f"{column.name}_high") if column.interval else (column.name,)


def _values(cell: Cell, column: Column) -> Iterator[str]:
    if column.interval:
        yield from map(repr, cell) if isinstance(cell, Interval) else ("", "")
    elif cell is None:
        yield ""
    elif isinstance(cell, (int, float)):
        yield repr(cell)
    elif isinstance(cell, str):
        yield _inert(plain(cell))
    elif isinstance(cell, Link):
        yield _inert(f"{plain(cell.text)} ({cell.target})")
    else:
        yield _inert(" ".join(plain(link.target) for link in cell if isinstance(link, Link)))


def _inert(text: str) -> str:
    """No formula for a spreadsheet program, whatever the model wrote."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
