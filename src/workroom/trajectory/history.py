"""What a run that did not come to its end can go on from: its events up to the last whole turn."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workroom.trajectory.reader import kept

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from workroom.trajectory.events import AssistantTurn, EpisodeStarted, Event

CUT_SHORT = ("interrupted", "max_time")  # why a call was not run that is to be run when the episode goes on
_CLOSING = ("no_tool_call", "repeated_call", "resumed")  # reminders that belong to the turn before them


@dataclass(frozen=True, slots=True)
class History:
    """`events`: those that count, up to the end of turn `turn` (0: the prompts only), the last one numbered `after`.

    `used`: every event of the log, also those that are put aside: what they used was used. `next`: the number of the
    next event.
    """

    events: "Sequence[Event]"
    used: "Sequence[Event]"
    turn: int
    after: int
    next: int

    @property
    def started(self) -> "EpisodeStarted":
        first = self.events[0]
        assert first.type == "episode_started"
        return first


def whole_turns(events: "Iterable[Event]") -> History | None:
    """The history of these events of one log, None where not even the prompts are there."""
    used = list(events)
    line = kept(_unbroken(used))
    if not line or line[0].type != "episode_started":
        return None
    end, turn = 0, 0
    assistant: AssistantTurn | None = None
    waiting: set[str] = set()
    for index, event in enumerate(line):
        if event.type == "assistant":
            assistant, waiting = event, {call.id for call in event.calls}
        elif event.type == "tool" and assistant is not None:
            if event.facts.get("not_run") not in CUT_SHORT:
                waiting.discard(event.call_id)
            if not waiting:
                end, turn = index, assistant.turn
        elif event.type == "reminder" and event.reason in _CLOSING and not waiting:
            end, turn = index, turn if assistant is None else assistant.turn
        elif (event.type == "egress" and index == end + 1) or event.type == "episode_resumed":
            end = index
    number = max(event.seq for event in used) + 1
    return History(line[: end + 1], used, turn, line[end].seq, number)


def _unbroken(events: "Sequence[Event]") -> "list[Event]":
    """The events without those that follow a missing one, up to where the run went on in spite of it."""
    result: list[Event] = []
    expected, broken, last = 0, False, -1
    for event in events:
        if event.type == "episode_resumed" and event.after <= last:
            expected, broken = event.seq, False
        broken = broken or event.seq != expected
        if not broken:
            result.append(event)
            last = event.seq
        expected += 1
    return result
