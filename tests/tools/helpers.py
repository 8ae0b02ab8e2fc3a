"""Calling tools in tests as the loop does: arguments as JSON text, a ToolError becomes an observation."""

import json
from typing import Any

from workroom.errors import ToolError
from workroom.sandbox import Sandbox
from workroom.tools import Observation, Tool
from workroom.tools.arguments import parse


async def use(tool: Tool, box: Sandbox, **arguments: Any) -> Observation:
    try:
        return await tool(parse(json.dumps(arguments), tool.spec), box)
    except ToolError as error:
        return Observation(f"Error: {error}", is_error=True)


def section(text: str, name: str) -> str | None:
    """What stands below `[name]` in the result of a command, None where that stream is not there."""
    parts = text.split(f"\n[{name}]\n")
    return None if len(parts) == 1 else parts[1].split("\n[stderr]\n")[0]
