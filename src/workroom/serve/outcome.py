"""What came of a request, and what its run has made on its way to the client."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from workroom.errors import WorkroomError
from workroom.serve.errors import ApiError
from workroom.serve.filestore import OUTPUT, FileStore, StoredFile
from workroom.serve.names import safe_name

if TYPE_CHECKING:
    from workroom._outcome import RunResult
    from workroom._run import Run
    from workroom.serve.conversation import Conversation
    from workroom.serve.settings import Key
    from workroom.trajectory.events import AssistantTurn, Event, TokenUsage

_logger = logging.getLogger("workroom.serve")
Finish = Literal["stop", "length", "content_filter"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a request. `text`: the answer, without links; `finish`: `length` where a limit ended it, the model's
    own among them. `cost` in US dollars, None where the price is unknown; `duration` in seconds."""

    text: str
    files: tuple[StoredFile, ...]
    usage: "TokenUsage"
    cost: float | None
    stop_reason: str
    turns: int
    duration: float
    finish: Finish


class Endings:
    """Why the model ended its turns."""

    def __init__(self) -> None:
        self._by_text: dict[str, str] = {}
        self._last = ""

    def note(self, turn: "AssistantTurn") -> None:
        """Another turn is over."""
        self._by_text[turn.content.strip()] = self._last = turn.finish_reason

    def finish(self, stop_reason: str, answer: str | None) -> Finish:
        """What cut the answer off, if anything: a limit, or the filter of the model's provider."""
        ends = {self._by_text.get(answer or "")}
        if stop_reason == "stalled":
            ends.add(self._last)
        if stop_reason not in ("submitted", "stalled") or "length" in ends:
            return "length"
        return "content_filter" if "content_filter" in ends else "stop"


def hand_over(
    run: "Run", result: "RunResult", store: FileStore, key: "Key", conversation: "Conversation"
) -> tuple[tuple[StoredFile, ...], str]:
    """The files that are the client's from now on, and what is to be said of others; these come with a later answer."""
    files, notes, taken = [], "", set()
    for path in result.files:
        inside = path.relative_to(result.path / "files")
        below = "/".join(map(safe_name, inside.parts))
        try:
            files.append(store.add(key, path, path.name, OUTPUT, conversation=conversation.id, path=below))
        except ApiError as error:
            notes += f"\n\n({safe_name(path.name)} was not kept: {error.message})"
        except (OSError, WorkroomError) as error:
            _logger.warning("%s could not be kept: %s", path, error)
            notes += f"\n\n({safe_name(path.name)} could not be kept)"
        else:
            taken.add(inside.as_posix())
    if "files_error" in run.record:
        notes += "\n\n(not all files could be handed over: there are too many, or they are too large)"
    before = conversation.handed
    conversation.handed = {
        name: stamp for name, stamp in run.stamps.items() if name in taken or before.get(name) == stamp
    }
    return tuple(files), notes


def result_events(run: "Run") -> "list[Event]":
    """What was recorded of a run that did not come to its end."""
    from workroom.trajectory.rundir import RunDirectory

    return [] if run.path is None else RunDirectory.load(run.path).events
