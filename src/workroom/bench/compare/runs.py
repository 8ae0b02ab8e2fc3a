"""The benches that are compared: what they are called, and whether their tasks are the same."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workroom.bench.store import BenchDirectory
from workroom.errors import ConfigError
from workroom.task import Task


@dataclass(frozen=True, slots=True)
class Run:
    """A bench under the name that it has in the comparison: its model's, with its directory's where that is not one."""

    name: str
    bench: BenchDirectory

    def tasks(self, suite: str) -> dict[str, Task]:
        """The tasks of a suite by id; empty where the bench has not this suite."""
        return {task.id: task for task in self.bench.tasks.get(suite, ())}


def runs_of(benches: Sequence[BenchDirectory]) -> list[Run]:
    """Names the benches. Raises ConfigError for fewer than two, or the same one twice."""
    if len(benches) < 2:
        raise ConfigError("one bench alone cannot be compared; give two or more: workroom bench compare DIR DIR")
    [(place, times)] = Counter(bench.path.resolve() for bench in benches).most_common(1)
    if times > 1:
        raise ConfigError(f"{place} is given twice; give benches that differ")
    models = [model_of(bench) for bench in benches]
    folders = [bench.path.resolve().name for bench in benches]
    names = []
    for index, (bench, model, folder) in enumerate(zip(benches, models, folders, strict=True)):
        others = [pair for other, pair in enumerate(zip(models, folders, strict=True)) if other != index]
        if model not in [other for other, _ in others]:
            names.append(model)
        elif (model, folder) not in others:
            names.append(f"{model} ({folder})")
        else:
            names.append(f"{model} ({bench.path.resolve()})")
    return [Run(name, bench) for name, bench in zip(names, benches, strict=True)]


def model_of(bench: BenchDirectory) -> str:
    """The model that the configuration names, else the name of the directory."""
    for table in (bench.config, bench.config.get("run")):
        if isinstance(table, dict) and isinstance(table.get("model"), str):
            return str(table["model"])
    return bench.path.resolve().name


def suites_of(runs: Sequence[Run]) -> list[str]:
    """All suites, in the order in which the benches have them."""
    return list(dict.fromkeys(suite for run in runs for suite in run.bench.tasks))


def check_tasks(runs: Sequence[Run]) -> None:
    """Raises ConfigError where a task of the same suite and id is another one in another bench."""
    for suite in suites_of(runs):
        seen: dict[str, tuple[Run, Task]] = {}
        apart: list[tuple[str, str, Run, Run]] = []
        for run in runs:
            for name, task in run.tasks(suite).items():
                first, before = seen.setdefault(name, (run, task))
                if (what := _difference(before, task)) is not None:
                    apart.append((name, what, first, run))
        if apart:
            name, what, first, run = apart[0]
            more = f" ({len(apart)} such tasks)" if len(apart) > 1 else ""
            raise ConfigError(
                f"the task {name!r} of the suite {suite!r} has not the same {what} in {first.bench.path} and "
                f"{run.bench.path}{more}: only benches of the same data can be compared"
            )


def _difference(one: Task, other: Task) -> str | None:
    """The first part in which two tasks differ that makes the question or decides what is right."""
    for name, part in (("question", "prompt"), ("answer", "answer"), ("choices", "choices"), ("meta", "meta")):
        if getattr(one, part) != getattr(other, part):
            return name
    return None if _documents(one) == _documents(other) else "documents"


def _documents(task: Task) -> dict[str, Any]:
    # A bench names the files of its documents by their SHA-256.
    return {name: content.name if isinstance(content, Path) else content for name, content in task.documents.items()}
