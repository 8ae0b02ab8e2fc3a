"""Reading what a run left, however it ended."""

import errno
import json
import os
import stat
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from workroom.trajectory.events import event_adapter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workroom.trajectory.events import Event, ToolFinished


def load_events(path: str | os.PathLike[str]) -> "list[Event]":
    """The events of an `events.jsonl`, or of the one in a run's directory; damaged lines are left out."""
    file = Path(path)
    with open_regular(file / "events.jsonl" if file.is_dir() else file) as log:
        return parse_events(log.read())[0]


def parse_events(data: bytes) -> "tuple[list[Event], int]":
    """The events, and how many lines could not be read: a last one cut by a crash, zeros after a power failure."""
    events, damaged = [], 0
    for line in data.split(b"\n"):
        if not line:
            continue
        try:
            events.append(event_adapter.validate_python(without_surrogates(json.loads(line))))
        except (ValueError, RecursionError, ValidationError):
            damaged += 1
    return events, damaged


def whole_lines(data: bytes) -> int:
    """How many bytes of a log are whole lines: all but the end of what a crash or a power failure left half-written."""
    while data:
        end = data.rfind(b"\n") + 1
        start = data.rfind(b"\n", 0, max(end - 1, 0)) + 1
        if parse_events(data[start:end])[1] == 0 or not end:
            return end
        data = data[:start]
    return 0


def kept(events: "Iterable[Event]") -> "list[Event]":
    """The events without those that a resumed run has put aside: the one history that the episode went through."""
    result: list[Event] = []
    for event in events:
        if event.type == "episode_resumed":
            result = [earlier for earlier in result if earlier.seq <= event.after]
        result.append(event)
    return result


def answers(history: "list[Event]", place: int) -> "dict[str, ToolFinished]":
    """What answered the calls of the turn at `place`, by call id; ids may come again in later turns."""
    found: dict[str, ToolFinished] = {}
    for event in history[place + 1 :]:
        if event.type == "assistant":
            break
        if event.type == "tool":
            found.setdefault(event.call_id, event)
    return found


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, empty where the file is missing or damaged, or is none that could be read to its end."""
    try:
        with open_regular(path) as file:
            value = json.load(file)
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def open_regular(path: Path) -> BufferedReader:
    """The file, opened for reading. Raises OSError also for what is no regular file: reading a pipe would wait for
    ever, reading some devices would never end."""
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return file


def whole_text(text: str) -> str:
    """The text with half surrogate pairs, which are no text, as U+FFFD."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def without_surrogates(value: Any) -> Any:
    """A JSON value with every text in it made whole."""
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, dict):
        return {whole_text(key): without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_surrogates(item) for item in value]
    return value
