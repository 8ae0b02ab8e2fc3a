"""The seam between the loop and what it can do: a schema and a function `(arguments, sandbox) -> observation`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from workroom.models.base import Image, ToolSpec

if TYPE_CHECKING:
    from workroom.sandbox import Sandbox


@dataclass(frozen=True, slots=True)
class Observation:
    """What a tool call gave.

    `text` is what the model sees. `facts` are for the harness (exit code, time-out, bytes, ...): JSON values only.
    `ends` is True when the call ends the episode. `images` are shown to a model that can see.
    """

    text: str
    is_error: bool = False
    ends: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)
    images: tuple[Image, ...] = ()


class Tool(Protocol):
    """A tool. It raises `ToolError` for a call that cannot be done; `SandboxError` passes through to the loop."""

    @property
    def spec(self) -> ToolSpec: ...

    async def __call__(self, arguments: Mapping[str, Any], sandbox: "Sandbox") -> Observation: ...
