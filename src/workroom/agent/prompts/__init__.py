"""All that the harness says to a model, as templates beside this file."""

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2


def render(name: str, **values: Any) -> str:
    """The text of the template `name`.j2. Values are put in as they are: braces in a task's prompt mean nothing."""
    return _environment().get_template(f"{name}.j2").render(values).strip("\n")


@cache
def _environment() -> "jinja2.Environment":
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("workroom.agent", "prompts"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        autoescape=False,
    )
