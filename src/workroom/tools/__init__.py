"""The three tools of the sandbox."""

from workroom.models.base import ModelHints
from workroom.sandbox.base import Limits
from workroom.tools.base import Observation, Tool
from workroom.tools.bash import BashTool
from workroom.tools.editor import EditorTool
from workroom.tools.submit import SubmitTool
from workroom.tools.truncate import Bounds

__all__ = ["BashTool", "EditorTool", "Observation", "SubmitTool", "Tool", "default_tools"]

_COMPACT_BOUNDS = Bounds(size=6_000, lines=150)  # a small model has a small window


def default_tools(hints: ModelHints | None = None, limits: Limits | None = None) -> tuple[Tool, ...]:
    """The tools to offer to a model of these hints, in a sandbox of these limits."""
    hints = hints or ModelHints()
    if hints.prompt == "compact":
        tools: tuple[Tool, ...] = (
            BashTool(limits, wording="compact", bounds=_COMPACT_BOUNDS),
            EditorTool(wording="compact", bounds=_COMPACT_BOUNDS, vision=hints.vision),
            SubmitTool(wording="compact"),
        )
    else:
        tools = (BashTool(limits), EditorTool(vision=hints.vision), SubmitTool())
    return tuple(tool for tool in tools if hints.tools is None or tool.spec.name in hints.tools)
