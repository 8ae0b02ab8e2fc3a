"""All that a report says, before it is written as Markdown and as HTML."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from workroom.bench.report.table import Table


class Plot(NamedTuple):
    """`name` is the file's, without `.svg` and `.png`; it stands before the rows of the table called `table`."""

    name: str
    table: str
    title: str
    svg: str
    png: bytes


@dataclass(frozen=True, slots=True)
class Document:
    """`lead`: sentences that say how much is there and what came of it. `facts`: headings, each with names and
    values. `commands`: what makes all of this again. `files`: whether its tables lie beside it as CSV files."""

    title: str
    lead: Sequence[str]
    facts: Sequence[tuple[str, Sequence[tuple[str, str]]]]
    commands: Sequence[str]
    tables: Sequence[Table]
    plots: Sequence[Plot]
    files: bool = True

    def values(self) -> dict[str, Any]:
        """What the templates take."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}
