"""The page of a bench, or of a folder with runs: a table of attempts, each of which opens its conversation.

Chunks of the page: `records-K` (what is known of the attempts 100 K to 100 K + 99 beside their rows), `aN/index` and
`aN/...` (the run of attempt N, see `run_page`), `plot-NAME` (an SVG file of the report).
"""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from workroom.errors import ConfigError
from workroom.trajectory.files import to_json
from workroom.view.artefacts import read_artefact, text_of
from workroom.view.bench_data import Source
from workroom.view.page import assemble, element
from workroom.view.run_page import RunSource, write_pieces
from workroom.view.sources import open_source

FORMAT: Final = 1
MOST: Final = 100 << 20  # bytes of a page
OnProgress = Callable[[int, int], None]
RECORDS: Final = 100  # in an element; assets/bench.js knows it too
_PLOTS = ("means", "differences", "capabilities", "tokens", "throughput")
_PLOT_SIZE = 4 << 20  # bytes
_TABLE_SIZE = 1 << 20
_TABLE_ROWS = 200
_RESERVE = 4096  # bytes, for the end of the page
_PACKED = 3  # how much smaller events get at least, as a rough guess by which the hopeless are left out


def index(source: Source, numbers: list[int] | None = None) -> dict[str, Any]:
    """What the page knows at once. `numbers`: of the rows that are told, all unless given."""
    chosen = range(len(source.rows)) if numbers is None else numbers
    places = {source.rows[number].place for number in chosen}
    return {
        "format": FORMAT,
        "kind": "bench",
        "title": source.title,
        "facts": source.facts,
        "live": source.alive,
        "questions": source.questions if numbers is None else {place: source.questions[place] for place in places},
        "numbers": numbers,
        "rows": [source.rows[number].record() for number in chosen],
        "plots": [name for name in _PLOTS if plot(source, name) is not None],
        "tables": [found for name in ("means", "differences") if (found := _table(source, name))],
    }


def plot(source: Source, name: str) -> bytes | None:
    """The SVG file of a plot of the report, None where there is none."""
    if name not in _PLOTS:
        return None
    return read_artefact(source.directory / "report", f"{name}.svg", _PLOT_SIZE)


def record(source: Source, number: int) -> bytes:
    """What there is of an attempt beside its row and its run, as JSON. Raises LookupError where there is none."""
    if not 0 <= number < len(source.rows):
        raise LookupError(number)
    return to_json(source.details(number)).encode()


def write(directory: Path, target: Path, *, most: int = MOST, on_progress: OnProgress | None = None) -> Path:
    """Writes the page of the bench or the runs in a directory, at most `most` bytes.

    Attempts whose conversations do not fit any more are listed. `on_progress(done, total)` is told of each attempt.
    Raises ConfigError where there is nothing to show, the table alone is larger, or the target cannot be written.
    """
    source = open_source(directory)
    return write_pieces(target, _pieces(source, most, on_progress))


def _pieces(source: Source, most: int, on_progress: OnProgress | None) -> Iterator[bytes]:
    written = 0

    def chunks() -> Iterator[bytes]:
        for name in _PLOTS:
            if (data := plot(source, name)) is not None:
                made = b"".join(element(f"plot-{name}", data))
                if written + len(made) + _RESERVE <= most:
                    yield made
        for number in range(len(source.rows)):
            if number % RECORDS == 0:
                made = _records(source, number)
                if written + len(made) + _RESERVE <= most:
                    yield made
            if (conversation := _conversation(source, number, most - written - _RESERVE)) is not None:
                yield conversation
            if on_progress is not None:
                on_progress(number + 1, len(source.rows))

    told = {**index(source), "live": False}
    for piece in assemble(title=source.title, kind="bench", index=told, chunks=chunks()):
        written += len(piece)
        if written > most:
            raise ConfigError(
                f"the table of {len(source.rows):,} attempts alone is larger than {most:,} bytes: give a larger "
                "--max-size, or use --serve"
            )
        yield piece


def _records(source: Source, first: int) -> bytes:
    """What is known of so many attempts, in one element: thousands of elements are slow to open."""
    told = [source.details(number) for number in range(first, min(first + RECORDS, len(source.rows)))]
    return b"".join(element(f"records-{first // RECORDS}", to_json(told).encode()))


def _conversation(source: Source, number: int, left: int) -> bytes | None:
    """The elements of the run of an attempt; None where it does not fit or cannot be read."""
    place = source.run_dir(number)
    try:
        if (place / "events.jsonl").stat().st_size > _PACKED * 8 * max(left, 0):
            return None
        run = RunSource(place, root=source.directory, each=left, total=left)
        parts = []
        told = to_json({**run.index(), "live": False}).encode()
        for name, data in (("index", told), *run.chunks()):
            parts.append(b"".join(element(f"a{number}/{name}", data)))
            left -= len(parts[-1])
            if left < 0:
                return None
    except (OSError, ConfigError):
        return None
    return b"".join(parts)


def _table(source: Source, name: str) -> dict[str, Any] | None:
    """A table of the report as its file has it; None where there is none."""
    data = read_artefact(source.directory / "report", f"{name}.csv", _TABLE_SIZE)
    if data is None:
        return None
    try:
        rows = list(csv.reader(text_of(data).splitlines()))[: _TABLE_ROWS + 1]
    except csv.Error:
        return None
    return {"name": name, "columns": rows[0], "rows": rows[1:]} if rows else None
