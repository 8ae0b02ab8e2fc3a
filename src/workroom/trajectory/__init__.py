"""What happened in an episode: typed events, the directory they are kept in, and ATIF.

Names are loaded when they are first used, since pydantic takes its time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workroom.trajectory.atif import to_atif
    from workroom.trajectory.events import (
        AssistantTurn,
        Call,
        ContextTrimmed,
        Egress,
        EpisodeFinished,
        EpisodeResumed,
        EpisodeStarted,
        Event,
        ModelDelta,
        ModelWaiting,
        Reminder,
        StopReason,
        TokenUsage,
        ToolFinished,
        ToolStarted,
        TurnStarted,
    )
    from workroom.trajectory.reader import load_events
    from workroom.trajectory.rundir import RunDirectory

__all__ = [
    "AssistantTurn",
    "Call",
    "ContextTrimmed",
    "Egress",
    "EpisodeFinished",
    "EpisodeResumed",
    "EpisodeStarted",
    "Event",
    "ModelDelta",
    "ModelWaiting",
    "Reminder",
    "RunDirectory",
    "StopReason",
    "TokenUsage",
    "ToolFinished",
    "ToolStarted",
    "TurnStarted",
    "load_events",
    "to_atif",
]

_HOMES = {"RunDirectory": "rundir", "load_events": "reader", "to_atif": "atif"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'workroom.trajectory' has no attribute {name!r}")
    value = getattr(import_module(f"workroom.trajectory.{_HOMES.get(name, 'events')}"), name)
    globals()[name] = value
    return value
