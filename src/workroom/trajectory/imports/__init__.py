"""Runs of others as run directories: ATIF documents, and the trajectory files of the paper's release.

The file is nobody's friend: it may be huge, nested without end, or hold anything at all where a text should be.
"""

import json
import re
from itertools import count
from pathlib import Path
from typing import Any

from workroom.errors import ConfigError
from workroom.nesting import deeper
from workroom.trajectory.imports.atif import from_atif
from workroom.trajectory.imports.base import Imported, Malformed
from workroom.trajectory.imports.release import from_release, from_release_bench
from workroom.trajectory.reader import without_surrogates
from workroom.trajectory.rundir import RunDirectory

LARGEST = 512 << 20  # bytes of a file
DEEPEST = 100  # levels of objects and lists


def import_file(path: Path, out: Path) -> list[Path]:
    """Makes a run directory of the file at `out`, or one a problem below it, and gives their paths.

    Raises ConfigError, before anything is written, where the file is none of the known formats or damaged, or where
    `out` is taken.
    """
    runs = read_file(path)
    if not any(run.name for run in runs):
        return [_write(runs[0], path, out)]
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} is not empty; choose another output directory")
    return [_write(run, path, out / name) for run, name in zip(runs, _names(runs), strict=True)]


def read_file(path: Path) -> list[Imported]:
    """The runs in a file. Those of a file with several have names. Raises ConfigError."""
    document = _decode(path)
    try:
        return _runs(document, path.parent)
    except Malformed as error:
        raise ConfigError(f"{path} cannot be imported: {error}") from error


def _decode(path: Path) -> dict[str, Any]:
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise ConfigError(f"{path} has {size:,} bytes; at most {LARGEST:,} can be imported: split it")
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # also of bytes that are no text
        raise ConfigError(f"{path} is no JSON: {error}") from error
    except RecursionError:
        document = None
    if document is None or deeper(document, DEEPEST):
        raise ConfigError(f"{path} cannot be imported: it is nested too deeply (more than {DEEPEST} levels)")
    if not isinstance(document, dict):
        raise ConfigError(f"{path} cannot be imported: it is no JSON object")
    whole: dict[str, Any] = without_surrogates(document)
    return whole


def _runs(document: dict[str, Any], folder: Path) -> list[Imported]:
    if "schema_version" in document:
        return [from_atif(document, folder)]
    if "steps" in document and "problem_statement" in document:
        return [from_release(document)]
    if document and all(isinstance(value, dict) and "problem_statement" in value for value in document.values()):
        return from_release_bench(document)
    raise Malformed(
        "it is neither an ATIF document (`schema_version`, `steps`) nor a trajectory.json of LLM-in-Sandbox "
        "(`problem_statement`, `steps`)"
    )


def _names(runs: list[Imported]) -> list[str]:
    """A directory name for each run: what is no plain name in its id becomes `_`."""
    taken: set[str] = set()
    names = []
    for run in runs:
        plain = re.sub(r"[^\w.-]", "_", run.name, flags=re.ASCII).strip(".")[:100] or "run"
        name = next(name for name in (plain, *(f"{plain}-{n}" for n in range(2, len(runs) + 2))) if name not in taken)
        taken.add(name)
        names.append(name)
    return names


def _write(run: Imported, source: Path, out: Path) -> Path:
    directory = RunDirectory.create(out, {})
    with directory:
        directory.run["imported_from"] = {"file": source.name, **run.origin}
        directory.run["model"] = run.model
        for number, event in zip(count(), run.events):
            event.seq = number
            directory.record(event)
        directory.finish()
    return out
