"""The shape of the report, as templates beside this file."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jinja2


def environment(*, html: bool = False) -> "jinja2.Environment":
    """An environment of its own for a writer's filters. With `html`, every value is escaped."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("workroom.bench.report", "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        autoescape=html,
    )
