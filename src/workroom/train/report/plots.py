"""The plots of a training's report, drawn from its tables alone."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from workroom.bench.report.document import Plot
from workroom.bench.report.style import (
    LLM,
    OTHERS,
    SANDBOX,
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

_HEIGHT = 2.4  # inches of a curve's panel


def draw(tables: Sequence[Table]) -> Iterator[Plot]:
    """The plots of those tables that have something to draw. Raises ConfigError where matplotlib is missing."""
    by_name = {table.name: table for table in tables}
    drawings: tuple[tuple[str, str, str, Callable[[Table], Figure | None]], ...] = (
        ("success", "results", "Success on held-out documents in %, with 95 % intervals", _success),
        ("held_out", "validation", "Success on held-out documents by step, in %", _held_out),
        ("reward", "steps", "Reward and success of the rollouts by step", _reward),
        ("conduct", "steps", "Turns, sampled tokens and tool use by step", _conduct),
        ("health", "steps", "Shares that ran into a limit, whose group earned alike, and entropy by step", _health),
        ("time", "time", "Where the time went, in % of the steps' wall time", _time),
    )
    for name, table, title, function in drawings:
        if table in by_name:
            with styled():
                figure = function(by_name[table])
                if figure is not None:
                    yield Plot(name, table, title, *as_files(figure))


def column(table: Table, name: str) -> list[Any] | None:
    """The values of a column, None where the table has none of that name."""
    for place, entry in enumerate(table.columns):
        if entry.name == name:
            return [row[place] for row in table.rows]
    return None


def panels(*labels: str) -> "tuple[Figure, list[Axes]]":
    """One above the other, over the same steps."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(WIDTH, 0.6 + _HEIGHT * len(labels)), layout="constrained")
    found = list(figure.subplots(len(labels), 1, sharex=True, squeeze=False)[:, 0])
    for axes, label in zip(found, labels, strict=True):
        axes.grid(axis="y")
        axes.set_ylabel(label)
        axes.tick_params(length=0)
    found[-1].set_xlabel("step")
    found[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure, found


def curve(axes: "Axes", steps: Sequence[Any], values: Sequence[Any], colour: str, label: str, scale: float = 1) -> None:
    """A line through the steps that have a value."""
    there = [(step, scale * value) for step, value in zip(steps, values, strict=True) if value is not None]
    axes.plot([step for step, _ in there], [value for _, value in there], color=colour, label=label, marker=".")


def _success(table: Table) -> "Figure | None":
    from matplotlib.figure import Figure

    if not table.rows:
        return None
    names = [f"{stage}, {mode}" for stage, mode, *_ in table.rows]
    figure = Figure(figsize=(WIDTH, 1.0 + 0.3 * len(names)), layout="constrained")
    axes = figure.subplots()
    axes.grid(axis="x")
    axes.set_xlabel("%")
    axes.tick_params(length=0)
    means, intervals = column(table, "success") or [], column(table, "interval") or []
    for place, (row, mean, interval) in enumerate(zip(table.rows, means, intervals, strict=True)):
        whisker(axes, place, mean, interval, _colour(str(row[1])))
    name_rows(axes, names)
    axes.set_xlim(-2, 102)
    return figure


def _colour(mode: str) -> str:
    return LLM if mode == "llm" else SANDBOX


def _held_out(table: Table) -> "Figure | None":
    modes = list(dict.fromkeys(column(table, "mode") or []))
    if len({row[0] for row in table.rows}) < 2:
        return None
    figure, (axes,) = panels("%")
    for mode in modes:
        rows = [row for row in table.rows if row[1] == mode]
        curve(axes, [row[0] for row in rows], [row[3] for row in rows], _colour(mode), mode, 100)
    axes.set_ylim(-3, 103)
    legend(figure)
    return figure


def _reward(table: Table) -> "Figure | None":
    return _curves(table, ("of 1",), (("reward", 0, "reward", SANDBOX, 1), ("success", 0, "success", OTHERS[1], 1)))


def _conduct(table: Table) -> "Figure | None":
    return _curves(
        table,
        ("turns", "tokens an episode", "% of episodes"),
        (
            ("turns", 0, "turns", SANDBOX, 1),
            ("sampled_tokens", 1, "sampled tokens", OTHERS[0], 1),
            ("tool_use", 2, "used a tool", OTHERS[1], 100),
        ),
    )


def _health(table: Table) -> "Figure | None":
    return _curves(
        table,
        ("%", "entropy"),
        (
            ("clipped", 0, "ran into a limit", OTHERS[0], 100),
            ("flat_groups", 0, "groups alike", LLM, 100),
            ("clip_fraction", 0, "ratios clipped", OTHERS[2], 100),
            ("entropy", 1, "entropy", SANDBOX, 1),
        ),
    )


def _curves(table: Table, labels: Sequence[str], lines: Sequence[tuple[str, int, str, str, float]]) -> "Figure | None":
    """Panels with lines: column, panel, label, colour, scale. Panels of which no column is there are left out."""
    if len(table.rows) < 2:
        return None
    steps = column(table, "step") or []
    there = [(line, values) for line in lines if (values := column(table, line[0])) is not None]
    used = sorted({panel for (_, panel, *_), _ in there})
    if not used:
        return None
    figure, axes = panels(*(labels[panel] for panel in used))
    for (_, panel, label, colour, scale), values in there:
        curve(axes[used.index(panel)], steps, values, colour, label, scale)
    legend(figure)
    return figure


def _time(table: Table) -> "Figure | None":
    from matplotlib.figure import Figure

    shares = column(table, "share")
    if not shares:
        return None
    figure = Figure(figsize=(WIDTH, 1.3), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel("%")
    axes.tick_params(length=0)
    axes.set_yticks([])
    left = 0.0
    for row, share, colour in zip(table.rows, shares, (LLM, SANDBOX, OTHERS[0], OTHERS[1]), strict=True):
        axes.barh([0], [100 * share], 0.7, left=[left], color=colour, label=str(row[0]))
        left += 100 * share
    axes.set_xlim(0, 100)
    figure.legend(loc="outside upper left", ncols=4)
    return figure
