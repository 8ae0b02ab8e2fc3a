"""The report as Markdown."""

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from workroom.bench.report.table import Cell, Column, Link, Table, plain, show
from workroom.bench.report.templates import environment

if TYPE_CHECKING:
    from workroom.bench.report.document import Document

# An underscore inside a word is none, a `<` before a blank neither.
_MARKUP = re.compile(r"([\\`*{}\[\]>|#~&$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|<(?! ))")


def to_markdown(document: "Document") -> str:
    """The text of `report.md`."""
    jinja = environment()
    jinja.filters |= {"text": escaped, "table": _table, "command": plain}  # a command has a block of its own
    text = jinja.get_template("report.md.j2").render(document.values())
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def escaped(text: str) -> str:
    """Text in which nothing is markup, on one line."""
    return _MARKUP.sub(r"\\\1", plain(text))


def _table(table: Table) -> str:
    lines = [
        "| " + " | ".join(escaped(column.title) for column in table.columns) + " |",
        "|" + "|".join("---" if column.kind == "text" else "---:" for column in table.columns) + "|",
    ]
    for row in table.rows[: table.shown]:
        cells = (_cell(cell, column) for cell, column in zip(row, table.columns, strict=True))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(cell: Cell, column: Column) -> str:
    if isinstance(cell, Link):
        return f"[{escaped(cell.text)}]({quote(cell.target)})"
    if isinstance(cell, (list, tuple)) and cell and isinstance(cell[0], Link):
        return " ".join(f"[{escaped(link.text)}]({quote(link.target)})" for link in cell)
    return escaped(show(cell, column.kind))
