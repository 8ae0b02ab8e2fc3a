"""The report of a bench: every table as Markdown, HTML and CSV, and the plots, in `<bench>/report/`.

results + observed ─▶ tables ─▶ document ─▶ report.md, report.html, *.csv, *.svg, *.png
"""

from pathlib import Path
from typing import TYPE_CHECKING

from workroom.bench.report.reading import OnProgress

if TYPE_CHECKING:
    from workroom.bench.store import BenchDirectory


def write_report(bench: "BenchDirectory", on_progress: OnProgress | None = None) -> Path:
    """Makes the report of what is there, also of a bench that still runs or was killed, and returns its folder.

    Each file is replaced whole. The same bench gives the same report. `on_progress(done, total)` is told of each
    attempt that was read. Raises WorkroomError where a file cannot be written, ConfigError without matplotlib.
    """
    from workroom.bench.report.csv_file import to_csv
    from workroom.bench.report.document import Document
    from workroom.bench.report.header import commands, facts, lead, title
    from workroom.bench.report.html import to_html
    from workroom.bench.report.markdown import to_markdown
    from workroom.bench.report.plots import draw
    from workroom.bench.report.reading import read_attempts
    from workroom.bench.report.results import FOLDER, Results
    from workroom.bench.report.tables import all_tables
    from workroom.trajectory.files import cannot_write, replace_file

    folder = bench.path / FOLDER
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    results = Results(bench, read_attempts(bench, folder, on_progress))
    tables = list(all_tables(results))
    plots = list(draw(tables))
    document = Document(title(results), lead(results), facts(results), commands(results), tables, plots)
    for table in tables:
        replace_file(folder / f"{table.name}.csv", to_csv(table).encode())
    for plot in plots:
        replace_file(folder / f"{plot.name}.svg", plot.svg.encode())
        replace_file(folder / f"{plot.name}.png", plot.png)
    replace_file(folder / "report.md", to_markdown(document).encode())
    replace_file(folder / "report.html", to_html(document).encode())
    return folder
