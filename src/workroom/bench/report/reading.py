"""Reads the events of each attempt once: what was observed is kept in `report/observed.jsonl`.

A line of that file counts while the `events.jsonl` that it tells of keeps its size and time, and the rules of the
analysis stay the same.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workroom.bench.report.observed import Example, Observed, observe
from workroom.trajectory.files import replace_file, to_json
from workroom.trajectory.reader import load_events, read_json

if TYPE_CHECKING:
    from workroom.bench.store import BenchDirectory, Key

OnProgress = Callable[[int, int], None]
NAME = "observed.jsonl"


def read_attempts(
    bench: "BenchDirectory", folder: Path, on_progress: OnProgress | None = None
) -> "dict[Key, Observed]":
    """What was observed of each finished attempt whose events can be read. `folder` is the report's."""
    known = _kept(folder / NAME)
    found: dict[Key, Observed] = {}
    lines: list[dict[str, Any]] = []
    total = len(bench.attempts)
    for done, key in enumerate(bench.attempts, 1):
        place = bench.attempt_dir(key)
        mark = _mark(place)
        if mark is not None:
            name = place.relative_to(bench.path).as_posix()
            line = known.get(name)
            if line is None or line["mark"] != mark:
                observed = observe(load_events(place), read_json(place / "run.json"))
                line = {"attempt": name, "mark": mark, "observed": asdict(observed)}
            lines.append(line)
            found[key] = _observed(line["observed"])
        if on_progress is not None:
            on_progress(done, total)
    replace_file(folder / NAME, "".join(f"{to_json(line)}\n" for line in lines).encode())
    return found


def _mark(place: Path) -> list[Any] | None:
    """What must stay the same for an observation to count; None where there are no events."""
    try:
        facts = (place / "events.jsonl").stat()
    except OSError:
        return None
    return [facts.st_size, facts.st_mtime_ns, _rules()]


@cache
def _rules() -> str:
    """A digest of the rules of the analysis and of what is taken from it."""
    import workroom.analysis

    folder = Path(workroom.analysis.__file__).parent
    files: Iterable[Path] = (path for path in folder.rglob("*") if path.suffix in (".py", ".toml", ".json"))
    digest = hashlib.sha256()
    for path in [*sorted(files), Path(__file__).with_name("observed.py")]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _kept(path: Path) -> dict[str, dict[str, Any]]:
    """The lines of an earlier report, by attempt; what is damaged is observed again."""
    kept = {}
    try:
        data = path.read_bytes()
    except OSError:
        return {}
    for text in data.split(b"\n"):
        try:
            line = json.loads(text)
            _observed(line["observed"])
            kept[line["attempt"]] = line
        except (ValueError, TypeError, KeyError):
            continue
    return kept


def _observed(value: dict[str, Any]) -> Observed:
    return Observed(**{**value, "examples": [Example(*example) for example in value["examples"]]})
