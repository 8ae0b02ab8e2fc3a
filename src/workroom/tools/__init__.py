"""The three tools of the sandbox."""

from typing import TYPE_CHECKING

from workroom.models.base import ModelHints
from workroom.sandbox.base import Limits
from workroom.tools.base import Observation, Tool
from workroom.tools.bash import BashTool
from workroom.tools.editor import EditorTool
from workroom.tools.submit import SubmitTool
from workroom.tools.truncate import Bounds

if TYPE_CHECKING:
    from workroom.tools.specs import Wording

__all__ = ["BashTool", "EditorTool", "Observation", "SubmitTool", "Tool", "default_tools"]

_COMPACT_BOUNDS = Bounds(size=6_000, lines=150)  # a small model has a small window


def default_tools(
    hints: ModelHints | None = None,
    limits: Limits | None = None,
    *,
    execution: bool = True,
    read_only: bool = False,
) -> tuple[Tool, ...]:
    """The tools to offer to a model of these hints, in a sandbox of these limits.

    Without `execution` these are the editor and submit, whatever the hints say. `read_only`: the sandbox is sealed.
    """
    hints = hints or ModelHints()
    compact = hints.prompt == "compact"
    wording: Wording = "compact" if compact else "read_only" if read_only else "standard"
    bounds = {"bounds": _COMPACT_BOUNDS} if compact else {}
    editor = EditorTool(wording=wording, vision=hints.vision, **bounds)
    submit = SubmitTool(wording=wording)
    if not execution:
        return (editor, submit)
    tools: tuple[Tool, ...] = (BashTool(limits, wording=wording, **bounds), editor, submit)
    return tuple(tool for tool in tools if hints.tools is None or tool.spec.name in hints.tools)
