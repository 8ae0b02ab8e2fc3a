"""The report as one HTML file: no script, no font, nothing from the network; every text is escaped."""

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from workroom.bench.report.table import Cell, Kind, Link, plain, show
from workroom.bench.report.templates import environment

if TYPE_CHECKING:
    from markupsafe import Markup

    from workroom.bench.report.document import Document, Plot


def to_html(document: "Document") -> str:
    """The text of `report.html`."""
    jinja = environment(html=True)
    jinja.filters |= {"parts": _parts, "drawing": _drawing}
    jinja.finalize = lambda value: plain(value) if type(value) is str else value  # markup is no plain `str`
    return jinja.get_template("report.html.j2").render(document.values())


def _parts(cell: Cell, kind: Kind) -> list[tuple[str, str]]:
    """The texts of a cell, each with the target of its link, if it is one."""
    if isinstance(cell, Link):
        return [(cell.text, quote(cell.target))]
    if isinstance(cell, (list, tuple)) and cell and isinstance(cell[0], Link):
        return [(link.text, quote(link.target)) for link in cell]
    return [(show(cell, kind), "")]


def _drawing(plot: "Plot") -> "Markup":
    """The SVG as part of the page: names of its own, so that two drawings do not share any, and colours of the page."""
    from markupsafe import Markup

    from workroom.bench.report.style import PAGE_COLOURS

    svg = plot.svg[plot.svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\sxmlns(?::\w+)?="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r'(\sid="|\shref="#|url\(#)', rf"\g<1>{plot.name}-", svg)
    for colour, variable in PAGE_COLOURS.items():
        svg = svg.replace(colour, f"var({variable})")
    return Markup(svg)  # matplotlib escapes the texts in it
