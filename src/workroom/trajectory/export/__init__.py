"""Runs in the formats of others: chat messages for training, ATIF, Inspect's log, token ids for a trainer.

A format takes a run and gives its JSON records, one a line; only Inspect's log is one document for all runs.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from workroom.errors import ConfigError
from workroom.trajectory.files import to_json
from workroom.trajectory.rundir import RunDirectory

if TYPE_CHECKING:
    from typing import TextIO

Tell = Callable[[str], None]


class Format(NamedTuple):
    """Where a format is written: a function of `module` from a run to its records."""

    module: str
    function: str


FORMATS = {
    "openai-jsonl": Format("messages", "to_openai"),
    "sharegpt": Format("sharegpt", "to_sharegpt"),
    "atif": Format("documents", "to_document"),
    "tokens": Format("tokens", "to_rows"),
}
NAMES = (*FORMATS, "inspect")


def find_runs(directory: Path) -> list[Path]:
    """The directory itself where it holds a run, else every run below it, by path. Links are not followed.

    Raises ConfigError where there is none.
    """
    if (directory / "events.jsonl").is_file():
        return [directory]
    found = []
    for folder, folders, files in os.walk(directory):
        if "events.jsonl" in files:
            found.append(Path(folder))
            folders.clear()  # what a run left in its own folders is no run, whatever it is called
    if not found:
        what = "there is no run in or below" if directory.is_dir() else "there is no directory"
        raise ConfigError(f"{what} {directory}; name the output directory of a run")
    return sorted(found)


def export_runs(paths: Iterable[Path], name: str, stream: "TextIO", tell: Tell) -> int:
    """Writes the runs in a format to the stream and gives the number of runs written.

    Of several runs, one that the format cannot tell is left out and told. Raises ConfigError where that is the only
    one, or where there is no such format.
    """
    if name not in NAMES:
        raise ConfigError(f"there is no format {name!r}; the formats are: {', '.join(NAMES)}")
    runs = list(paths)
    loaded = _load_all(runs, tell)
    if name == "inspect":
        from workroom.trajectory.export.inspect_log import write_log

        return write_log(loaded, stream)
    chosen = FORMATS[name]
    convert = getattr(import_module(f"{__name__}.{chosen.module}"), chosen.function)
    written = 0
    for run in loaded:
        try:
            records = list(convert(run))
        except ConfigError as error:
            if len(runs) == 1:
                raise
            tell(f"left out: {error}")
            continue
        for record in records:
            stream.write(to_json(record) + "\n")
        written += 1
    return written


def _load_all(paths: list[Path], tell: Tell) -> Iterator[RunDirectory]:
    """One after the other, so that a bench of thousands of runs needs the memory of one."""
    for path in paths:
        run = RunDirectory.load(path)
        if run.damaged:
            tell(f"{path}: {run.damaged} damaged line(s) of events.jsonl were left out")
        if run.started is None:
            if len(paths) == 1:
                raise ConfigError(f"the run in {path} ended before its episode began: there is nothing to export")
            tell(f"left out: the run in {path} ended before its episode began")
            continue
        yield run
