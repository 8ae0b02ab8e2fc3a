"""The plots, drawn from the tables alone."""

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from workroom.bench.report.document import Plot
from workroom.bench.report.table import Interval, Table, plain
from workroom.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _SOFT, _LINE = "#1c1d21", "#5b606b", "#dcdfe4"
_LLM, _SANDBOX = "#7a828f", "#1f6feb"
_OTHERS = ("#b25e09", "#1a7f4b", "#8a3ffc", "#b3261e")
# In the page each colour is a variable of its style sheet, which has others for the dark.
PAGE_COLOURS: Final = {
    _INK: "--ink",
    _SOFT: "--soft",
    _LINE: "--line",
    _LLM: "--llm",
    _SANDBOX: "--sandbox",
    **{colour: f"--other-{number}" for number, colour in enumerate(_OTHERS, 1)},
}
_WIDTH = 6.0  # inches
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 11.0,
    "text.color": _INK,
    "text.parse_math": False,  # a suite may be called $x$
    "axes.facecolor": "none",
    "axes.edgecolor": _LINE,
    "axes.labelcolor": _SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "xtick.color": _SOFT,
    "ytick.color": _INK,
    "ytick.left": False,
    "grid.color": _LINE,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "workroom",  # the same drawing gives the same file
}


def draw(tables: Sequence[Table]) -> Iterator[Plot]:
    """The plots of those tables that have something to draw. Raises ConfigError where matplotlib is missing."""
    try:
        from matplotlib import rc_context
    except ImportError as error:
        raise ConfigError(f"the plots need matplotlib ({error}): pip install 'workroom[bench]'") from error
    by_name = {table.name: table for table in tables}
    drawings: tuple[tuple[str, str, Callable[[Table], Figure | None]], ...] = (
        ("differences", "First arm less second arm, in points, with 95 % intervals", _differences),
        ("means", "Mean scores in %, with 95 % intervals", _means),
        ("capabilities", "Share of turns that show each use, in %", _capabilities),
        ("tokens", "Tokens an attempt, each counted once", _tokens),
        ("throughput", "Where the time goes, in % of the seconds of the attempts", _time),
    )
    for name, title, function in drawings:
        # Names in scripts that the font lacks are boxes in the picture and still text in the SVG.
        with rc_context(_STYLE), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            figure = function(by_name[name]) if name in by_name else None
            if figure is not None:
                yield Plot(name, name, title, *_files(figure))


def _files(figure: "Figure") -> tuple[str, bytes]:
    svg, png = io.StringIO(), io.BytesIO()
    nobody = {"Date": None, "Creator": None}
    figure.savefig(svg, format="svg", metadata=nobody, facecolor="none")
    figure.savefig(png, format="png", metadata={"Software": None}, facecolor="white", dpi=150)
    return svg.getvalue(), png.getvalue()


def _rows(table: Table, *names: str) -> list[tuple[Any, ...]]:
    """These columns of the rows that have a value in each."""
    places = [next(place for place, column in enumerate(table.columns) if column.name == name) for name in names]
    rows = [tuple(row[place] for place in places) for row in table.rows]
    return [row for row in rows if None not in row]


def _axes(rows: int, *, label: str) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, 1.0 + 0.3 * rows), layout="constrained")
    axes = figure.subplots()
    axes.grid(axis="x")
    axes.set_xlabel(label)
    axes.tick_params(length=0)
    return figure, axes


def _colour(mode: str, modes: Sequence[str]) -> str:
    if mode in ("llm", "sandbox"):
        return _LLM if mode == "llm" else _SANDBOX
    others = [other for other in modes if other not in ("llm", "sandbox")]
    return _OTHERS[others.index(mode) % len(_OTHERS)]


def _name_rows(axes: "Axes", names: Sequence[str]) -> None:
    """The first row on top."""
    axes.set_yticks(range(len(names)), [plain(name)[:45] for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)


def _legend(axes: "Axes", entries: int) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=min(entries, 4), borderaxespad=0.2)


def _differences(table: Table) -> "Figure | None":
    rows = _rows(table, "suite", "difference", "points", "interval")
    if not rows:
        return None
    kinds = list(dict.fromkeys(row[1] for row in rows))
    figure, axes = _axes(len(rows), label="points")
    axes.axvline(0, color=_SOFT, linewidth=1)
    for place, (_, kind, points, interval) in enumerate(rows):
        number = kinds.index(kind)
        colour = _SANDBOX if kind == "sandbox − llm" else _OTHERS[number % len(_OTHERS)]
        _whisker(axes, place, points, interval, colour)
    many = len(kinds) > 1
    _name_rows(axes, [f"{suite}: {kind}" if many else str(suite) for suite, kind, *_ in rows])
    return figure


def _whisker(axes: "Axes", place: float, middle: float, interval: Interval, colour: str, label: str = "") -> None:
    axes.plot([100 * interval.low, 100 * interval.high], [place, place], color=colour, linewidth=2)
    axes.plot([100 * middle], [place], "o", color=colour, markersize=6, label=label or None)


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
        _whisker(axes, place, mean, interval, _colour(mode, modes), "" if mode in told else mode)
        told.add(mode)
    _name_rows(axes, suites)
    axes.set_xlim(-2, 102)
    _legend(axes, len(modes))
    return figure


def _capabilities(table: Table) -> "Figure | None":
    names = {"external_turns": "external", "files_turns": "files", "computation_turns": "computation"}
    rows = _rows(table, "suite", "arm", *names)
    if not rows:
        return None
    figure, axes = _axes(round(1.6 * len(rows)), label="% of turns")
    for number, (label, colour) in enumerate(zip(names.values(), (_OTHERS[0], _SANDBOX, _OTHERS[1]), strict=True)):
        places = [place + (number - 1) * 0.26 for place in range(len(rows))]
        axes.barh(places, [100 * row[2 + number] for row in rows], 0.24, color=colour, label=label)
    _name_rows(axes, _places(rows))
    _legend(axes, 3)
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
    for number, (part, colour) in enumerate(zip(parts, (_LLM, _SANDBOX, _OTHERS[0]), strict=True), 2):
        widths = [row[number] for row in rows]
        axes.barh(range(len(rows)), widths, 0.7, left=left, color=colour, label=part)
        left = [before + width for before, width in zip(left, widths, strict=True)]
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    _name_rows(axes, _places(rows))
    _legend(axes, len(parts))
    return figure


def _places(rows: Sequence[tuple[Any, ...]]) -> list[str]:
    """The names of rows that begin with suite and arm."""
    return [str(row[0]) if len({row[1] for row in rows}) == 1 else f"{row[0]}: {row[1]}" for row in rows]
