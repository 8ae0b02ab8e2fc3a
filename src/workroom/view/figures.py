"""The figures of a run that has not come to its end, from its log: run.json has them only afterwards.

Of a log, which may be long and hold pictures, only the lines that tell figures are parsed, and none is
read again.
"""

import json
import math
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from workroom.trajectory.reader import open_regular

_HEAD: Final = 400  # bytes of a line within which its type is
_TELLING: Final = re.compile(rb'"(turn_started|assistant|model_waiting|episode_\w+)"')


class LogFigures:
    """What a log tells so far; `advance` reads what is new. `started`: of the run that it belongs to."""

    def __init__(self, log: Path, started: Any) -> None:
        self.started = started
        self._log = log
        self._begin()

    def _begin(self) -> None:
        self._offset = 0
        self._elapsed: float | None = None
        self._end: dict[str, Any] = {}
        self._events: list[tuple[int, int | None, Any]] = []  # number, turn, tokens

    def advance(self) -> None:
        """Reads the whole lines that are new. A log that cannot be read, or is a link, tells nothing."""
        with suppress(OSError):
            if self._log.is_symlink():
                return
            with open_regular(self._log) as file:
                if file.seek(0, 2) < self._offset:  # begun anew, or a torn line was cut off
                    self._begin()
                file.seek(self._offset)
                last = b"{}"
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._offset += len(line)
                    if _TELLING.search(line, 0, _HEAD):
                        self._take(_parsed(line))
                    last = line
                elapsed = number_of(_parsed(last).get("elapsed"))
                self._elapsed = self._elapsed if elapsed is None else elapsed

    def told(self) -> dict[str, Any]:
        """The figures by their names in a row."""
        if self._end:
            usage = self._end.get("usage")
            return figures(self._end.get("turns"), usage, self._end.get("duration"), self._end.get("cost"))
        used = [usage for _, _, usage in self._events if isinstance(usage, dict)]
        tokens = {name: sum(count(usage.get(name)) or 0 for usage in used) for name in ("prompt", "completion")}
        turns = {turn for _, turn, _ in self._events if turn is not None}
        return figures(len(turns) if self._offset else None, tokens if used else {}, self._elapsed, None)

    def _take(self, event: dict[str, Any]) -> None:
        kind, number = event.get("type"), count(event.get("seq")) or 0
        if kind == "episode_finished":
            self._end = event
        elif kind == "episode_resumed":  # what came after that is put aside
            after = count(event.get("after")) or 0
            self._events = [earlier for earlier in self._events if earlier[0] <= after]
            self._end = {}
        elif kind in ("turn_started", "assistant", "model_waiting"):
            self._events.append((number, count(event.get("turn")), event.get("usage")))


def figures(turns: Any, usage: Any, duration: Any, cost: Any) -> dict[str, Any]:
    """Figures by their names in a row, None for each that is no number."""
    tokens = usage if isinstance(usage, dict) else {}
    return {
        "turns": count(turns),
        "tokens_in": count(tokens.get("prompt")),
        "tokens_out": count(tokens.get("completion")),
        "seconds": number_of(duration),
        "cost": number_of(cost),
    }


def count(value: Any) -> int | None:
    """The value as a whole number, None where it is no finite number."""
    number = number_of(value)
    return None if number is None else int(number)


def number_of(value: Any) -> float | None:
    """The value as a finite number, None where it is none."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # whole, and larger than any number that is not
        return None


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}
