"""A training's report as a document: what came of it in sentences, the tables, and of what it was made."""

import csv
import io
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from workroom.bench.report.document import Document
from workroom.bench.report.table import Table, show
from workroom.train import ledger
from workroom.train.report.plots import draw
from workroom.train.report.reading import Training
from workroom.train.report.tables import all_tables


def document(training: Training) -> Document:
    """What is written as Markdown and as HTML."""
    tables = list(all_tables(training))
    by_name = {table.name: table for table in tables}
    return Document(
        title=f"Training of {training.setting('model.path') or 'a model'}",
        lead=[*_how_much(training), *_findings(by_name["differences"]), *_sandboxes(by_name["time"])],
        facts=facts(training),
        commands=_commands(training),
        tables=tables,
        plots=list(draw(tables)),
    )


def _how_much(training: Training) -> Iterator[str]:
    done = training.steps()
    planned = training.setting("algorithm.steps")
    last = max((line.step for line in done), default=0)
    algorithm, source = training.setting("algorithm.name"), training.setting("data.source")
    if isinstance(source, list):
        source = ", ".join(map(str, source))
    of = f" of {planned:,}" if isinstance(planned, int) else ""
    how = f", algorithm {algorithm}, engine {training.setting('engine')}" if algorithm else ""
    on = f", on tasks of {source}" if source else ""
    yield f"{last:,}{of} steps are finished{how}{on}."
    if isinstance(planned, int) and last < planned:
        yield "This training is not at its end; all figures are of what is there."
    supervised = max((line.step for line in training.lines if line.kind == "warm_start"), default=0)
    if supervised:
        yield (
            f"The training by reward began from a warm start of {supervised:,} supervised steps, which has rows of its "
            "own below; before is the model without it."
        )
    else:
        yield "There was no warm start: the training by reward began from the model as it was."


def _findings(table: Table) -> Iterator[str]:
    """The differences in sandbox mode, then in the other, each in a sentence."""
    for mode, difference, tasks, earlier, later, points, interval, p, *_ in table.rows:
        p_shown = show(p, "p")
        p_shown = p_shown if p_shown.startswith("<") else f"= {p_shown}"
        yield (
            f"In {mode} mode, {difference}: {show(points, 'points')} points, from {show(earlier, 'share')} % to "
            f"{show(later, 'share')} % (95 % interval {show(interval, 'points')}, p {p_shown}, {tasks} tasks)."
        )


def _sandboxes(table: Table) -> Iterator[str]:
    for part, _, a_step, share in table.rows:
        if part == "sandboxes":
            yield f"Sandboxes were waited for {show(share, 'share')} % of the steps' time, {a_step:.1f} s a step."


def facts(training: Training) -> list[tuple[str, list[tuple[str, str]]]]:
    """Headings with names and values."""
    machine, sessions = training.facts.get("machine"), training.facts.get("sessions")
    last = sessions[-1] if isinstance(sessions, list) and sessions else {}
    versions = last.get("versions") if isinstance(last, Mapping) else None
    found = [
        ("Times", list(_times(training, sessions if isinstance(sessions, list) else []))),
        ("Versions", [(str(name), str(value)) for name, value in _entries(versions)]),
        ("Machine", [(str(name), _machine(name, value)) for name, value in _entries(machine)]),
        ("Configuration", list(flat(training.config))),
    ]
    return [(heading, entries) for heading, entries in found if entries]


def _entries(value: Any) -> Iterable[tuple[Any, Any]]:
    return value.items() if isinstance(value, Mapping) else ()


def _machine(name: str, value: Any) -> str:
    return f"{value / (1 << 30):.1f} GiB" if name == "memory" and isinstance(value, int | float) else str(value)


def _times(training: Training, sessions: Sequence[Any]) -> Iterator[tuple[str, str]]:
    started = [entry.get("started") for entry in sessions if isinstance(entry, Mapping)]
    if started and isinstance(started[0], int | float):
        yield "Begun", show(started[0], "date")
    if len(started) > 1:
        yield "Sessions", f"{len(started)}: it was interrupted and went on"
    if written := [line.time for line in training.lines if line.time]:
        yield "Last figures", show(max(written), "date")
        if len(started) == 1 and isinstance(started[0], int | float):
            yield "From the beginning to them", ledger.duration(max(written) - started[0])
    if steps := [found for line in training.steps() if isinstance(found := line.values.get("step_seconds"), float)]:
        yield "All steps", ledger.duration(sum(steps))
    for line in training.lines:
        if line.kind == "timing":
            for name, value in line.values.items():
                if isinstance(value, int | float):
                    yield name.replace("_", " "), ledger.duration(value)


def flat(config: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Every setting by its full name. Where things lie on this machine is not told."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{before}{name}.")
        elif f"{before}{name}" != "output.dir":
            yield f"{before}{name}", ", ".join(map(str, value)) if isinstance(value, list) else _word(value)


def _word(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _commands(training: Training) -> list[str]:
    place = training.directory.resolve().name
    return [
        shlex.join(["workroom", "train", f"{place}/config.toml", "-o", f"{place}-again"]),
        shlex.join(["workroom", "run", "TASK", "-i", "documents/", "-m", f"local/{place}/model"]),
    ]


def metrics_csv(lines: Sequence[ledger.Line]) -> str:
    """All metrics: a row for each line, a column for each name; empty where a line has it not."""
    names = list(dict.fromkeys(name for line in lines for name in line.values))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["kind", "step", "time", *names])
    for line in lines:
        writer.writerow([line.kind, line.step, line.time, *(_plain(line.values.get(name)) for name in names)])
    return text.getvalue()


def _plain(value: ledger.Value) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return "" if value is None else repr(value) if isinstance(value, int | float) else value
