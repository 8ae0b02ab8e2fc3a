"""What a page knows of a turn before it opens it: figures, and a line of what was thought and done."""

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from workroom.view.parts import LONG, first_line, given

if TYPE_CHECKING:
    from workroom.analysis.calls import CallReader
    from workroom.trajectory.events import AssistantTurn, Call, Event, ToolFinished

_READ: Final = 4 << 20  # characters of a call above which it is not read for capabilities
_NAMES: Final = 8  # tools that are named


@dataclass
class Row:
    """A turn, or what is before, between and after turns. `kind`: start, turn, resumed or end.

    `start`, `end`: where its events are in the log, in bytes. `first`: the number of its first event. `marks`: the
    capabilities that it used. `parts`: it has pictures or long texts, which are chunks of their own.
    """

    number: int
    kind: str
    turn: int
    start: int = -1
    end: int = 0
    first: int = 0
    answered: bool = False
    void: bool = False
    parts: bool = False
    failed: bool = False
    marks: set[str] = field(default_factory=set)
    _facts: dict[str, Any] = field(default_factory=dict)
    _calls: "dict[str, Call]" = field(default_factory=dict)

    def add(self, event: "Event", start: int, end: int) -> None:
        """Takes up an event, whose line is there in the log."""
        if self.start < 0:
            self.start, self.first = start, event.seq
            self._facts["at"] = round(event.elapsed, 3)
        self.end = end
        self.parts = self.parts or end - start > LONG
        if event.type == "assistant":
            self._answer(event)
        elif event.type == "tool":
            self.failed = self.failed or event.is_error
            self.parts = self.parts or bool(event.images)
            self._add("tool", event.duration)
            self._add("pictures", len(event.images))
        elif event.type == "model_waiting":
            self._add("waits", 1)
        elif event.type in ("reminder", "context_trimmed", "egress"):
            self._add(event.type, 1)

    def mark(self, reader: "CallReader", event: "ToolFinished") -> None:
        """Reads the call that this answers for its capabilities. Calls are to be read in their order, each once."""
        call = self._calls.pop(event.call_id, None)
        if call is not None and len(call.arguments) <= _READ:
            self.marks |= {hit.capability for hit in reader.read(call.name, call.arguments, event.facts)}

    def record(self) -> dict[str, Any]:
        """The row as JSON, without what is nothing."""
        told = {"kind": self.kind, "turn": self.turn, "size": self.end - self.start, **self._facts}
        told |= {"void": self.void, "failed": self.failed, "marks": sorted(self.marks)}
        return {name: value for name, value in told.items() if value not in (0, False, "", [])}

    def _answer(self, event: "AssistantTurn") -> None:
        self.answered = True
        self.turn = event.turn
        usage = event.usage
        self._calls = {call.id: call for call in event.calls}
        self._facts |= {
            "model": round(event.duration, 3),
            "in": usage.prompt,
            "out": usage.completion,
            "cached": usage.cached,
            "tools": [call.name[:60] for call in event.calls[:_NAMES]],
            "says": first_line(event.content) or first_line(event.reasoning),
            "does": _does(event.calls[0]) if event.calls else "",
        }

    def _add(self, name: str, amount: float) -> None:
        self._facts[name] = round(self._facts.get(name, 0) + amount, 3)


def _does(call: "Call") -> str:
    """A line that says what a call does."""
    values = given(call.arguments) if len(call.arguments) <= _READ else None
    if values is None:
        return first_line(call.arguments)
    told = [values.get(name) for name in ("command", "path")]
    line = " ".join(first_line(value) for value in told if isinstance(value, str))
    return line or (first_line(json.dumps(values, ensure_ascii=False)) if values else "")
