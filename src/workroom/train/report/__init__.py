"""The report of a training, made from its files alone, in `<directory>/report/`; and of several seeds together.

reading ─▶ tables ─▶ plots ─▶ report.md, report.html, metrics.csv, a CSV file a table, *.svg, *.png
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from workroom.bench.report.document import Document

FOLDER: Final = "report"


def write(directory: Path) -> Path:
    """Makes the report of what is there, also of a training that still runs or was killed; the path of `report.md`.

    The same files give the same report. Raises ConfigError where there is no training, or without matplotlib,
    WorkroomError where a file cannot be written.
    """
    from workroom.train.report.document import document, metrics_csv
    from workroom.train.report.reading import load

    training = load(directory)
    others = {"metrics.csv": metrics_csv(training.lines)}
    return _write(directory / FOLDER, "report", document(training), others)


def write_seeds(directories: Sequence[Path], target: Path) -> Path:
    """Joins trainings that differ in their seed: each one's row, the mean, the range; the path of `seeds.md`.

    Raises ConfigError where there are less than two, one has no evaluation, or they were configured otherwise.
    """
    from workroom.train.report.reading import load
    from workroom.train.report.seeds import document

    return _write(target, "seeds", document([load(directory) for directory in directories]), {})


def summary(directory: Path) -> list[str]:
    """What came of a training, for a terminal: success on held-out documents by stage and mode."""
    from workroom.bench.report.table import show
    from workroom.train.report.reading import load
    from workroom.train.report.tables import results

    table = results(load(directory))
    if not table.rows:
        return []
    shown = [[column.title for column in table.columns]]
    shown += [[show(cell, column.kind) for cell, column in zip(row, table.columns, strict=True)] for row in table.rows]
    widths = [max(len(row[place]) for row in shown) for place in range(len(table.columns))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown]


def _write(folder: Path, name: str, document: "Document", others: "dict[str, str]") -> Path:
    from workroom.bench.report.csv_file import to_csv
    from workroom.bench.report.html import to_html
    from workroom.bench.report.markdown import to_markdown
    from workroom.trajectory.files import cannot_write, replace_file

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    files: Iterable[tuple[str, bytes]] = [
        *((other, text.encode()) for other, text in others.items()),
        *((f"{table.name}.csv", to_csv(table).encode()) for table in document.tables if table.rows),
        *((f"{plot.name}.svg", plot.svg.encode()) for plot in document.plots),
        *((f"{plot.name}.png", plot.png) for plot in document.plots),
        (f"{name}.html", to_html(document).encode()),
        (f"{name}.md", to_markdown(document).encode()),
    ]
    for file, data in files:
        replace_file(folder / file, data)
    return folder / f"{name}.md"
