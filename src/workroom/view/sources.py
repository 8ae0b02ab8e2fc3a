"""Where the rows of a page come from: a bench, or the runs below a folder."""

from pathlib import Path
from typing import Any

from workroom.errors import ConfigError
from workroom.trajectory.export import find_runs
from workroom.trajectory.reader import read_json
from workroom.view.bench_data import (
    NOTHING,
    QUESTION,
    REASON,
    BenchRows,
    Row,
    Source,
    is_held,
    mark,
    part,
    shortened,
)
from workroom.view.figures import LogFigures, figures


def open_source(directory: Path) -> Source:
    """The bench in a directory, or the runs below it. Raises ConfigError where there is neither."""
    try:
        empty = not any(directory.iterdir())
    except OSError as error:
        raise ConfigError(
            f"{directory} cannot be read: {error.strerror}; name a run, a bench, or a folder with runs"
        ) from error
    if empty:
        raise ConfigError(f"{directory} is empty; name a run, a bench, or a folder with runs")
    if (directory / "tasks.jsonl").is_file() and (directory / "config.toml").is_file():
        return BenchRows(directory)
    return FolderRows(directory)


class FolderRows:
    """The runs below a folder, by path."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.alive = False
        self.questions: list[tuple[str, str, str]] = []
        self.rows: list[Row] = []
        self._runs: list[Path] = []
        self._seen: dict[Path, Any] = {}
        self._places: dict[Path, int] = {}
        self._logs: dict[Path, LogFigures] = {}  # of the runs that are under way
        self.advance()

    @property
    def title(self) -> str:
        return f"Runs in {self.directory.resolve().name or self.directory}"

    @property
    def facts(self) -> list[tuple[str, str]]:
        return [("Runs", str(len(self.rows)))]

    def advance(self) -> bool:
        changed = False
        alive = False
        for path in find_runs(self.directory):
            seen = mark(path / "run.json"), mark(path / "events.jsonl")
            number = self._places.setdefault(path, len(self._runs))
            if number == len(self._runs):
                self._runs.append(path)
            elif self._seen[path] == seen and self.rows[number].stop != "running":
                continue
            self._seen[path] = seen
            question, row = self._read(path, number)
            alive = alive or row.stop == "running"
            if self.rows[number : number + 1] != [row]:
                self.rows[number : number + 1] = [row]
                self.questions[number : number + 1] = [question]
                changed = True
        changed = changed or alive != self.alive
        self.alive = alive
        return changed

    def run_dir(self, number: int) -> Path:
        return self._runs[number]

    def details(self, number: int) -> dict[str, Any]:
        return {"error": read_json(self._runs[number] / "run.json").get("error")}

    def _read(self, path: Path, place: int) -> tuple[tuple[str, str, str], Row]:
        """What the run's own file tells; a run that somebody is at work on holds its log."""
        run = read_json(path / "run.json")
        status = run.get("status")
        over = status in ("finished", "failed")
        held = not over and is_held(path / "events.jsonl")
        stop = run.get("stop_reason") or ("killed" if status == "running" else status or "")
        values: dict[str, Any] = {
            **NOTHING,
            "reason": shortened(str(run.get("error") or ""), REASON),
            "stop": "running" if held else str(stop),
            **(_of_end(run) if over else self._of_log(path, run, held)),
        }
        mode = part(part(run, "config"), "mode").get("value") or "sandbox"
        prompt = part(run, "task").get("prompt")
        question = shortened(prompt, QUESTION) if isinstance(prompt, str) else ""
        name = path.relative_to(self.directory).as_posix()
        return ("", name, question), Row(place, str(mode), 1, **values)

    def _of_log(self, path: Path, run: dict[str, Any], held: bool) -> dict[str, Any]:
        """The figures of a run that has not come to its end. Of one that goes on, what was read is kept."""
        log = self._logs.pop(path, None)
        if log is None or log.started != run.get("started"):  # another run took the place of that one
            log = LogFigures(path / "events.jsonl", run.get("started"))
        log.advance()
        if held:
            self._logs[path] = log
        return log.told()


def _of_end(run: dict[str, Any]) -> dict[str, Any]:
    """The figures that are in run.json once the run is over."""
    return figures(run.get("turns"), run.get("usage"), part(run, "timings").get("total"), run.get("cost"))
