"""What an episode does, in words, for a client that shows the model's thinking."""

import json
import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workroom.trajectory.events import AssistantTurn, Call, Event

_LINES = 12  # of a command or an output that are shown
_WIDTH = 200  # characters of a line that are shown
_FENCE = re.compile(r"`{3,}")


class Progress:
    """Turns events into pieces of Markdown.

    What the model says beside tool calls is told when the turn is over: only then is it known to be no answer. Its
    reasoning is told as it streams.
    """

    def __init__(self) -> None:
        self._streamed = False
        self._tells = False  # whether the last piece was reasoning that goes on

    def tell(self, event: "Event") -> str:
        """The piece that the event adds; empty where it adds nothing."""
        if event.type == "model_delta":
            if event.kind != "reasoning":
                return ""
            self._streamed = True
            return self._paragraph(event.text) if not self._tells else event.text
        if event.type == "model_waiting":
            return self._block(f"(the model does not answer; trying again in {event.seconds:.0f} s)")
        if event.type == "assistant":
            text = self._turn(event)
            self._streamed = False
            return text
        if event.type == "tool":
            return self._block(_fenced(event.observation))
        if event.type == "context_trimmed":
            return self._block("(the conversation is too long for the model: old outputs were shortened)")
        return ""

    def _turn(self, turn: "AssistantTurn") -> str:
        pieces = []
        if turn.reasoning and not self._streamed:
            pieces.append(turn.reasoning)
        if turn.calls:
            if turn.content.strip():
                pieces.append(turn.content.strip())
            pieces += [_fenced(_called(call)) for call in turn.calls]
        return self._block("\n\n".join(pieces)) if pieces else ""

    def _paragraph(self, text: str) -> str:
        self._tells = True
        return text

    def _block(self, text: str) -> str:
        begins = "\n\n" if self._tells else ""
        self._tells = False
        return f"{begins}{text}\n\n"


def _called(call: "Call") -> str:
    try:
        arguments = json.loads(call.arguments or "{}")
    except ValueError:
        arguments = {}
    if not isinstance(arguments, dict):
        arguments = {}
    if call.name == "execute_bash":
        return f"$ {arguments.get('command', '')}"
    words = [str(arguments[name]) for name in ("command", "path") if name in arguments]
    return " ".join([call.name, *words])


def _fenced(text: str) -> str:
    """The text as a code block that it cannot end, at most so many lines of it, without what a terminal would obey."""
    lines = text.expandtabs(4).splitlines()
    if len(lines) > _LINES:
        lines = [*lines[: _LINES - 4], f"… {len(lines) - _LINES + 1:,} more lines …", *lines[-3:]]
    shown = "\n".join(_visible(line)[:_WIDTH] for line in lines)
    longest = max((len(run) for run in _FENCE.findall(shown)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}\n{shown}\n{fence}"


def _visible(text: str) -> str:
    return "".join(
        char if unicodedata.category(char) not in ("Cc", "Cf", "Cs") else "\ufffd" for char in text[: 4 * _WIDTH]
    )
