"""What stands above the tables: how much is there, what came of it, and of what it was made."""

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from workroom.bench.outcomes import unscored
from workroom.bench.report.results import Results
from workroom.bench.report.table import show
from workroom.bench.report.tables.scores import differences_of, verdict
from workroom.config import redact_url

_MEANING = {
    "better": "the sandbox helps",
    "worse": "the sandbox harms",
    "no difference shown": "no difference shown",
}
Facts = list[tuple[str, list[tuple[str, str]]]]


def title(results: Results) -> str:
    """The heading."""
    model = results.bench.config.get("model")
    return f"Bench of {model}" if model else "Bench"


def lead(results: Results) -> list[str]:
    """How much is there, what unscored means, and the difference of each suite in a sentence."""
    return [*_how_much(results), *_findings(results)]


def _how_much(results: Results) -> Iterator[str]:
    finished, planned = len(results.bench.attempts), results.planned
    missing = len(unscored(results.bench))
    if planned is None or finished >= planned:
        yield f"All {finished:,} attempts are finished." if planned else f"{finished:,} attempts are finished."
    else:
        yield (
            f"This bench is not at its end: {finished:,} of {planned:,} attempts are finished "
            f"({100 * finished / planned:.0f} %). All figures are of these."
        )
    if missing:
        yield (
            f"{missing:,} of them {'is' if missing == 1 else 'are'} unscored: not graded, or the model's provider or "
            "the sandbox failed. They are left out of every mean, and never count as wrong."
        )
    elif finished:
        yield "Each of them has a score."
    unread = finished - len(results.observed)
    if unread:
        yield f"The events of {unread:,} cannot be read: they are missing where commands, tokens and words are counted."


def _findings(results: Results) -> Iterator[str]:
    for suite, (difference, p) in differences_of(results, "sandbox", "llm").items():
        interval = f"{show(difference.low, 'points')} to {show(difference.high, 'points')}"
        yield (
            f"{suite}: sandbox − llm is {show(difference.mean, 'points')} points (95 % interval {interval}; p {_p(p)} "
            f"corrected; {difference.items:,} items): {_MEANING[verdict(difference, p)]}."
        )


def _p(p: float) -> str:
    text = show(p, "p")
    return text if text.startswith("<") else f"= {text}"


def facts(results: Results) -> Facts:
    """Headings with names and values: when, with what, from where, under which settings."""
    return [
        ("Times", list(_times(results))),
        ("Versions", list(_versions(results))),
        ("Data", list(_data(results))),
        ("Configuration", list(_flat(results.bench.config))),
    ]


def _times(results: Results) -> Iterator[tuple[str, str]]:
    attempts = results.bench.attempts.values()
    yield "Begun", show(min((one.started for one in attempts), default=None), "date")
    yield "Last attempt finished", show(max((one.finished for one in attempts), default=None), "date")


def _versions(results: Results) -> Iterator[tuple[str, str]]:
    """Each version that an attempt recorded."""
    found: dict[str, Counter[str]] = {}
    for observed in results.observed.values():
        for name, version in observed.versions.items():
            found.setdefault(name, Counter())[str(version)] += 1
    for name, versions in sorted(found.items()):
        yield name, ", ".join(version for version, _ in versions.most_common())


def _data(results: Results) -> Iterator[tuple[str, str]]:
    """Where the tasks of each suite come from, and under which licence."""
    for suite, tasks in results.bench.tasks.items():
        origins: Counter[str] = Counter()
        for task in tasks:
            source, licence = task.meta.get("source"), task.meta.get("license") or task.meta.get("licence")
            origins[f"{_place(source)}, {licence or 'licence not told'}" if source or licence else ""] += 1
        parts = [f"{count:,} from {origin}" for origin, count in origins.most_common() if origin]
        yield suite, "; ".join([f"{len(tasks):,} tasks", *parts])


def _place(source: Any) -> str:
    """Where an item comes from, without the item's own place in it."""
    return str(source).partition("#")[0] if source else "a source not told"


def _flat(config: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        elif name == "base_url" and isinstance(value, str):
            yield f"{before}{name}", redact_url(value)
        else:
            yield f"{before}{name}", _words(value)


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value))
    return str(value)


def commands(results: Results) -> list[str]:
    """What makes this bench and this report again."""
    config, place = results.bench.config, results.bench.path.name
    told = config.get("command")
    first = told if isinstance(told, str) else shlex.join(map(str, told)) if told else _run_command(results)
    return [first, *(shlex.join(("workroom", "bench", verb, place)) for verb in ("grade", "report"))]


def _run_command(results: Results) -> str:
    """From the configuration, where the command itself is not recorded."""
    config = results.bench.config
    words = ["workroom", "bench", "run", ",".join(results.suites)]
    for key in ("model", "data", "repeats", "limit", "seed"):
        value = config.get(key)
        if isinstance(value, (str, int)) and not isinstance(value, bool):
            words += [f"--{key}", str(value)]
    return shlex.join([*words, "-o", results.bench.path.name])
