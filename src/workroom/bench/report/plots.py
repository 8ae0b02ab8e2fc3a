"""The plots, drawn from the tables alone."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from workroom.bench.report.document import Plot
from workroom.bench.report.style import (
    LLM,
    OTHERS,
    SANDBOX,
    SOFT,
    WIDTH,
    as_files,
    legend,
    name_rows,
    styled,
    whisker,
)
from workroom.bench.report.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw(tables: Sequence[Table]) -> Iterator[Plot]:
    """The plots of those tables that have something to draw. Raises ConfigError where matplotlib is missing."""
    by_name = {table.name: table for table in tables}
    drawings: tuple[tuple[str, str, Callable[[Table], Figure | None]], ...] = (
        ("differences", "First arm less second arm, in points, with 95 % intervals", _differences),
        ("means", "Mean scores in %, with 95 % intervals", _means),
        ("capabilities", "Share of turns that show each use, in %", _capabilities),
        ("tokens", "Tokens an attempt, each counted once", _tokens),
        ("throughput", "Where the time goes, in % of the seconds of the attempts", _time),
    )
    for name, title, function in drawings:
        with styled():
            figure = function(by_name[name]) if name in by_name else None
            if figure is not None:
                yield Plot(name, name, title, *as_files(figure))


def _rows(table: Table, *names: str) -> list[tuple[Any, ...]]:
    """These columns of the rows that have a value in each."""
    places = [next(place for place, column in enumerate(table.columns) if column.name == name) for name in names]
    rows = [tuple(row[place] for place in places) for row in table.rows]
    return [row for row in rows if None not in row]


def _axes(rows: int, *, label: str) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 1.0 + 0.3 * rows), layout="constrained")
    axes = figure.subplots()
    axes.grid(axis="x")
    axes.set_xlabel(label)
    axes.tick_params(length=0)
    return figure, axes


def _colour(mode: str, modes: Sequence[str]) -> str:
    if mode in ("llm", "sandbox"):
        return LLM if mode == "llm" else SANDBOX
    others = [other for other in modes if other not in ("llm", "sandbox")]
    return OTHERS[others.index(mode) % len(OTHERS)]


def _differences(table: Table) -> "Figure | None":
    rows = _rows(table, "suite", "difference", "points", "interval")
    if not rows:
        return None
    kinds = list(dict.fromkeys(row[1] for row in rows))
    figure, axes = _axes(len(rows), label="points")
    axes.axvline(0, color=SOFT, linewidth=1)
    for place, (_, kind, points, interval) in enumerate(rows):
        number = kinds.index(kind)
        colour = SANDBOX if kind == "sandbox − llm" else OTHERS[number % len(OTHERS)]
        whisker(axes, place, points, interval, colour)
    many = len(kinds) > 1
    name_rows(axes, [f"{suite}: {kind}" if many else str(suite) for suite, kind, *_ in rows])
    return figure


def _means(table: Table) -> "Figure | None":
    rows = _rows(table, "suite", "arm", "mean", "interval")
    if not rows:
        return None
    suites = list(dict.fromkeys(row[0] for row in rows))
    modes = list(dict.fromkeys(row[1] for row in rows))
    figure, axes = _axes(round(len(suites) * (0.6 + 0.4 * len(modes))), label="%")
    told = set()
    for suite, mode, mean, interval in rows:
        place = suites.index(suite) + (modes.index(mode) - (len(modes) - 1) / 2) * 0.7 / len(modes)
        whisker(axes, place, mean, interval, _colour(mode, modes), "" if mode in told else mode)
        told.add(mode)
    name_rows(axes, suites)
    axes.set_xlim(-2, 102)
    legend(figure)
    return figure


def _capabilities(table: Table) -> "Figure | None":
    names = {"external_turns": "external", "files_turns": "files", "computation_turns": "computation"}
    rows = _rows(table, "suite", "arm", *names)
    if not rows:
        return None
    figure, axes = _axes(round(1.6 * len(rows)), label="% of turns")
    for number, (label, colour) in enumerate(zip(names.values(), (OTHERS[0], SANDBOX, OTHERS[1]), strict=True)):
        places = [place + (number - 1) * 0.26 for place in range(len(rows))]
        axes.barh(places, [100 * row[2 + number] for row in rows], 0.24, color=colour, label=label)
    name_rows(axes, _places(rows))
    legend(figure)
    return figure


def _tokens(table: Table) -> "Figure | None":
    return _stacked(
        _rows(table, "suite", "arm", "prompt", "completion", "environment"),
        ("prompt", "completion", "environment"),
        label="tokens",
    )


def _time(table: Table) -> "Figure | None":
    rows = [
        (suite, mode, 100 * model, 100 * tools, max(0.0, 100 * (1 - model - tools)))
        for suite, mode, model, tools in _rows(table, "suite", "arm", "model_share", "tool_share")
    ]
    return _stacked(rows, ("model", "tools", "rest"), label="%")


def _stacked(rows: Sequence[tuple[Any, ...]], parts: Sequence[str], *, label: str) -> "Figure | None":
    if not rows:
        return None
    figure, axes = _axes(len(rows), label=label)
    left = [0.0] * len(rows)
    for number, (part, colour) in enumerate(zip(parts, (LLM, SANDBOX, OTHERS[0]), strict=True), 2):
        widths = [row[number] for row in rows]
        axes.barh(range(len(rows)), widths, 0.7, left=left, color=colour, label=part)
        left = [before + width for before, width in zip(left, widths, strict=True)]
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    name_rows(axes, _places(rows))
    legend(figure)
    return figure


def _places(rows: Sequence[tuple[Any, ...]]) -> list[str]:
    """The names of rows that begin with suite and arm."""
    return [str(row[0]) if len({row[1] for row in rows}) == 1 else f"{row[0]}: {row[1]}" for row in rows]
