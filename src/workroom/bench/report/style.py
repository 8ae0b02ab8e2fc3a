"""How every drawing of a report looks, and what they share."""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from workroom.bench.report.table import Interval, plain
from workroom.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, SOFT, LINE = "#1c1d21", "#5b606b", "#dcdfe4"
LLM, SANDBOX = "#7a828f", "#1f6feb"
OTHERS: Final = ("#b25e09", "#1a7f4b", "#8a3ffc", "#b3261e")
# In the page each colour is a variable of its style sheet, which has others for the dark.
PAGE_COLOURS: Final = {
    INK: "--ink",
    SOFT: "--soft",
    LINE: "--line",
    LLM: "--llm",
    SANDBOX: "--sandbox",
    **{colour: f"--other-{number}" for number, colour in enumerate(OTHERS, 1)},
}
WIDTH: Final = 6.0  # inches
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 11.0,
    "text.color": INK,
    "text.parse_math": False,  # a suite may be called $x$
    "axes.facecolor": "none",
    "axes.edgecolor": LINE,
    "axes.labelcolor": SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "xtick.color": SOFT,
    "ytick.color": INK,
    "ytick.left": False,
    "grid.color": LINE,
    "figure.constrained_layout.w_pad": 0.15,  # room for half of the last number
    "legend.frameon": False,
    "legend.handlelength": 1.2,
    "legend.columnspacing": 1.2,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "workroom",  # the same drawing gives the same file
}


@contextmanager
def styled() -> Iterator[None]:
    """In it, figures are drawn and written in this style. Raises ConfigError where matplotlib is missing."""
    try:
        from matplotlib import rc_context
    except ImportError as error:
        raise ConfigError(f"the plots need matplotlib ({error}): pip install 'workroom[bench]'") from error
    # Names in scripts that the font lacks are boxes in the picture and still text in the SVG.
    with rc_context(_STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def as_files(figure: "Figure") -> tuple[str, bytes]:
    """The text of the SVG, and the PNG; the same for the same drawing."""
    svg, png = io.StringIO(), io.BytesIO()
    nobody = {"Date": None, "Creator": None}
    figure.savefig(svg, format="svg", metadata=nobody, facecolor="none")
    figure.savefig(png, format="png", metadata={"Software": None}, facecolor="white", dpi=150)
    return svg.getvalue(), png.getvalue()


def name_rows(axes: "Axes", names: Sequence[str]) -> None:
    """The first row on top."""
    axes.set_yticks(range(len(names)), [plain(name)[:45] for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)


def legend(figure: "Figure") -> None:
    """Above the axes, as far to the left as the names of the rows, since these take much of the width."""
    figure.legend(loc="outside upper left", ncols=3)


def whisker(axes: "Axes", place: float, middle: float, interval: Interval, colour: str, label: str = "") -> None:
    """A mean and its interval, shares of 1, in hundredths in the row `place`."""
    axes.plot([100 * interval.low, 100 * interval.high], [place, place], color=colour, linewidth=2)
    axes.plot([100 * middle], [place], "o", color=colour, markersize=6, label=label or None)
