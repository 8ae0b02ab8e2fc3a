"""What the readers of foreign formats share: careful access to values of any kind, and making events."""

import json
import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from workroom.trajectory.events import AssistantTurn, Call, ToolFinished, TurnStarted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workroom.trajectory.events import Event

SUBMITTING = frozenset(("submit", "finish", "done", "complete", "final_answer", "mark_task_complete"))


class Malformed(Exception):
    """The file is not what it seems to be. The sentence says where."""


@dataclass
class Imported:
    """A run as events. `name`: its own name in a file of several; `origin` goes into `run.json`."""

    events: "list[Event]"
    origin: dict[str, Any]
    model: str = "unknown"
    name: str = ""


@dataclass
class Log:
    """Events in the making: gives them their turn and time."""

    events: "list[Event]" = field(default_factory=list)
    turn: int = 0

    def add(self, event: "Event", time: float = 0.0) -> None:
        event.time = time
        begin = self.events[0].time if self.events else time
        event.elapsed = max(0.0, time - begin) if time and begin else 0.0
        self.events.append(event)

    def begin_turn(self, time: float, number: int | None = None) -> int:
        self.turn = number if number is not None else self.turn + 1
        self.add(TurnStarted(turn=self.turn), time)
        return self.turn

    @property
    def seconds(self) -> tuple[float, float]:
        """What the model and what the tools took."""
        model = sum(event.duration for event in self.events if isinstance(event, AssistantTurn))
        tools = sum(event.duration for event in self.events if isinstance(event, ToolFinished))
        return model, tools

    @property
    def submitted(self) -> bool:
        """Whether it ends by a call that submits, or by words without a call.

        Most files do not say how a run ended; without either of these it was some limit that ended it.
        """
        last = next((event for event in reversed(self.events) if isinstance(event, AssistantTurn)), None)
        return last is not None and (not last.calls or last.calls[-1].name in SUBMITTING)


def record(value: Any, what: str) -> dict[str, Any]:
    """An object, empty where there is none. Raises Malformed for anything else."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Malformed(f"{what} is no object")
    return value


def records(value: Any, what: str) -> list[dict[str, Any]]:
    """A list of objects, empty where there is none. Raises Malformed for anything else."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise Malformed(f"{what} is no list")
    return [record(item, f"{what}[{number}]") for number, item in enumerate(value)]


def text(value: Any) -> str:
    """Any value as text; of content parts the texts, and a word for each that is none."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(part, dict) and "type" in part for part in value):
        return "\n".join(part["text"] if isinstance(part.get("text"), str) else _hint(part) for part in value)
    return json.dumps(value, ensure_ascii=False)


def _hint(part: "Mapping[str, Any]") -> str:
    """A picture or sound that the document only refers to. What is in it is not shown twice."""
    source = part.get("source")
    path = source.get("path") if isinstance(source, dict) else None
    return f"[{part['type']}: {path}]" if isinstance(path, str) and not path.startswith("data:") else ""


def number(value: Any) -> float:
    """A finite number that is not negative, 0 for anything else."""
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        return float(value) if usable and math.isfinite(value) and value > 0 else 0.0
    except OverflowError:
        return 0.0


def whole(value: Any) -> int:
    """A count, 0 for what is none."""
    return int(number(value))


def moment(value: Any) -> float:
    """Seconds since the epoch of an ISO time, 0 for what is none."""
    try:
        return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else 0.0
    except (ValueError, OverflowError, OSError):
        return 0.0


def call(identifier: str, name: Any, arguments: Any) -> Call:
    """A call. Arguments that are no text are written as JSON."""
    written = arguments if isinstance(arguments, str) else json.dumps({} if arguments is None else arguments)
    return Call(id=identifier, name=text(name) or "unknown", arguments=written)
