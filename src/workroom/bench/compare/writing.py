"""A comparison as text and as files."""

from pathlib import Path
from typing import TYPE_CHECKING

from workroom.bench.compare.document import document, tables
from workroom.bench.report import csv_file, html, markdown
from workroom.trajectory.files import cannot_write, replace_file

if TYPE_CHECKING:
    from workroom.bench.compare import Comparison


def to_markdown(comparison: "Comparison") -> str:
    """All of it, on its own; names and settings are escaped."""
    return markdown.to_markdown(document(comparison, files=False))


def to_csv(comparison: "Comparison") -> dict[str, str]:
    """By the name of the table, its text."""
    return {table.name: csv_file.to_csv(table) for table in tables(comparison)}


def write_comparison(comparison: "Comparison", folder: Path) -> Path:
    """Writes `compare.md`, `compare.html` and a CSV file for each table; returns the folder.

    Raises WorkroomError where a file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    whole = document(comparison, files=True)
    replace_file(folder / "compare.md", markdown.to_markdown(whole).encode())
    replace_file(folder / "compare.html", html.to_html(whole).encode())
    for name, text in to_csv(comparison).items():
        replace_file(folder / f"{name}.csv", text.encode())
    return folder
