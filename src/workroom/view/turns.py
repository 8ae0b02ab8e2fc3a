"""A log of events as a page wants it: a row for each turn, and the events of 20 rows at a time.

The rows are small and all in memory; the events stay in the file, and are read again where they are shown. A text that
is too long to be shown at once is cut, with its full text at hand under a name of its own:

    turns-K       rows 20 K to 20 K + 19, with their events
    text-R-E-N    the N-th long text of the E-th event of row R, in UTF-8
    image-R-E-N   the N-th picture of that event, as bytes
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from workroom.analysis.calls import CallReader
from workroom.trajectory.files import to_json
from workroom.trajectory.reader import parse_events
from workroom.view.parts import Cutter, picture_bytes, shown_event
from workroom.view.rows import Row

if TYPE_CHECKING:
    from workroom.trajectory.events import EpisodeFinished, EpisodeResumed, EpisodeStarted, Event

CHUNK: Final = 20  # rows
_NAME = re.compile(
    r"turns-(?P<chunk>\d{1,9})|(?P<kind>text|image)-(?P<row>\d{1,9})-(?P<event>\d{1,9})-(?P<number>\d{1,9})"
)


class Turns:
    """The rows of a log, which may still grow. `advance` reads what is new.

    `damaged`: lines that could not be read. `started`, `finished`: these events of the history that counts, if they
    are there. `last`: the last event of all.
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        self._torn = False  # the last line has no end
        self._begin()

    def advance(self, *, ended: bool) -> bool:
        """Reads on, and says whether anything is new. `ended`: nobody writes any more, so that a last line without its
        end is a damaged one. Raises OSError where the log cannot be read."""
        with self.log.open("rb") as file:
            size = file.seek(0, 2)
            if size < self._offset or (self._torn and size != self._offset):  # begun anew, or a torn line was cut off
                self._begin()
            before = self._offset, self.damaged
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n") and not ended:
                    break
                self._take(line)
                self._offset += len(line)
                self._torn = not line.endswith(b"\n")
        return (self._offset, self.damaged) != before

    def chunk(self, name: str) -> bytes:
        """What the name stands for: JSON, a text, or a picture's bytes. Raises KeyError where there is nothing."""
        match = _NAME.fullmatch(name)
        if match is None:
            raise KeyError(name)
        if match["chunk"] is not None:
            start = int(match["chunk"]) * CHUNK
            if start >= len(self.rows):
                raise KeyError(name)
            return self._rows_chunk(range(start, min(start + CHUNK, len(self.rows))))
        row, place, number = (int(match[part]) for part in ("row", "event", "number"))
        if row >= len(self.rows):
            raise KeyError(name)
        events = self.events(row)
        if place >= len(events):
            raise KeyError(name)
        return _part(events[place], match["kind"], Cutter(row, place), number)

    def chunks(self) -> Iterator[tuple[str, bytes]]:
        """Every chunk with its name: the turns in order, and after each chunk of them the parts that were cut out."""
        for start in range(0, len(self.rows), CHUNK):
            rows = range(start, min(start + CHUNK, len(self.rows)))
            yield f"turns-{start // CHUNK}", self._rows_chunk(rows)
            for row in rows:
                if self.rows[row].parts:
                    yield from self._parts(row)

    def events(self, row: int) -> "list[Event]":
        """The events of a row, read from the log."""
        with self.log.open("rb") as file:
            return _read(file, self.rows[row])

    def _begin(self) -> None:
        self._offset = 0
        self._torn = False
        self.damaged = 0
        self.rows: list[Row] = []
        self.started: EpisodeStarted | None = None
        self.finished: EpisodeFinished | None = None
        self.last: Event | None = None
        self._void: list[tuple[int, int]] = []
        self._reader = CallReader()

    def _take(self, line: bytes) -> None:
        if line == b"\n":
            return
        events, damaged = parse_events(line.removesuffix(b"\n"))
        self.damaged += damaged
        for event in events:
            if event.type == "episode_resumed":
                self._set_aside(event)
            row = self._row_for(event)
            row.add(event, self._offset, self._offset + len(line))
            self.last = event
            if event.type == "episode_started":
                self.started = self.started or event
                self._reader = CallReader(event.documents)
            elif event.type == "episode_finished":
                self.finished = event
            elif event.type == "tool":
                row.mark(self._reader, event)

    def _row_for(self, event: "Event") -> Row:
        """The row that the event belongs to; a turn begins a new one."""
        last = self.rows[-1] if self.rows else None
        kind = {"episode_started": "start", "episode_resumed": "resumed", "episode_finished": "end"}.get(
            event.type, "turn"
        )
        begins = event.type == "turn_started" or (event.type == "assistant" and last is not None and last.answered)
        if last is None or kind != "turn" or begins or last.kind == "end":
            turn = getattr(event, "turn", 0) if kind == "turn" else 0
            self.rows.append(Row(len(self.rows), kind, turn))
        elif last.kind != "turn" and event.type == "assistant":  # a run of others tells no beginnings
            self.rows.append(Row(len(self.rows), "turn", event.turn))
        return self.rows[-1]

    def _set_aside(self, event: "EpisodeResumed") -> None:
        """Marks what a resumed run did not keep, as `workroom.trajectory.kept` leaves it out."""
        self._void.append((event.after, event.seq))
        self.finished = None
        for row in reversed(self.rows):
            if row.first <= event.after:
                break
            row.void = True
            row.marks.clear()
        self._reader = CallReader(self.started.documents if self.started is not None else ())
        with self.log.open("rb") as file:
            for row in self.rows:
                if row.kind == "turn" and not row.void:
                    row.marks.clear()
                    again = Row(row.number, row.kind, row.turn)
                    for earlier in _read(file, row):
                        again.add(earlier, 0, 0)
                        if earlier.type == "tool":
                            again.mark(self._reader, earlier)
                    row.marks |= again.marks

    def _rows_chunk(self, rows: range) -> bytes:
        with self.log.open("rb") as file:
            shown = [
                {
                    "row": number,
                    "events": [
                        self._shown(event, Cutter(number, place))
                        for place, event in enumerate(_read(file, self.rows[number]))
                    ],
                }
                for number in rows
            ]
        return to_json({"rows": shown}).encode()

    def _shown(self, event: "Event", cutter: Cutter) -> dict[str, Any]:
        shown = shown_event(event, cutter)
        if any(after < event.seq < resumed for after, resumed in self._void):
            shown["void"] = True
        return shown

    def _parts(self, row: int) -> Iterator[tuple[str, bytes]]:
        for place, event in enumerate(self.events(row)):
            cutter = Cutter(row, place)
            shown_event(event, cutter)
            for number, text in enumerate(cutter.long):
                yield f"text-{row}-{place}-{number}", text.encode()
            for number, picture in enumerate(event.images if event.type == "tool" else ()):
                yield f"image-{row}-{place}-{number}", picture_bytes(picture.data)


def _read(file: BinaryIO, row: Row) -> "list[Event]":
    file.seek(row.start)
    return parse_events(file.read(row.end - row.start))[0]


def _part(event: "Event", kind: str, cutter: Cutter, number: int) -> bytes:
    if kind == "image":
        pictures = event.images if event.type == "tool" else []
        if number >= len(pictures):
            raise KeyError(kind)
        return picture_bytes(pictures[number].data)
    shown_event(event, cutter)
    if number >= len(cutter.long):
        raise KeyError(kind)
    return cutter.long[number].encode()
