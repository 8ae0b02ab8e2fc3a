"""Episodes of given calls, as events."""

import json
from typing import Any

from workroom.trajectory.events import AssistantTurn, Call, EpisodeFinished, EpisodeStarted, Event, ToolFinished

Step = tuple[str, dict[str, Any]]


def bash(command: str) -> Step:
    return "execute_bash", {"command": command}


def editor(command: str, path: str, **rest: Any) -> Step:
    return "str_replace_editor", {"command": command, "path": path, **rest}


def episode(*turns: list[Step], documents: tuple[str, ...] = (), mode: Any = "sandbox") -> list[Event]:
    """One turn for each list of calls; every call is answered."""
    events: list[Event] = [
        EpisodeStarted(
            episode="e",
            task="t",
            mode=mode,
            model="scripted/x",
            protocol="native",
            messages=[],
            tools=[],
            documents=list(documents),
        )
    ]
    for turn, steps in enumerate(turns, 1):
        calls = [
            Call(id=f"c{place}", name=name, arguments=json.dumps(given)) for place, (name, given) in enumerate(steps)
        ]
        events.append(AssistantTurn(turn=turn, content="", calls=calls))
        events += [ToolFinished(turn=turn, call_id=call.id, name=call.name, observation="") for call in calls]
    events.append(EpisodeFinished(stop_reason="submitted", answer="42", turns=len(turns)))
    for number, event in enumerate(events):
        event.seq = number
    return events
