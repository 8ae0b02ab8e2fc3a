"""What stands above the tables: how much is there, what came of it, and of what it was made."""

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from workroom._values import redact_url
from workroom.bench.outcomes import unscored
from workroom.bench.report.results import Results, section
from workroom.bench.report.table import show
from workroom.bench.report.tables.scores import differences_of, left_out, verdict
from workroom.bench.store import ScoreLine
from workroom.bench.suite import find_suite
from workroom.errors import ConfigError
from workroom.task import Task

_MEANING = {
    "better": "the sandbox helps",
    "worse": "the sandbox harms",
    "no difference shown": "no difference shown",
}
Facts = list[tuple[str, list[tuple[str, str]]]]


def title(results: Results) -> str:
    """The heading."""
    model = section(results.bench.config, "run").get("model")
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
        missing = left_out(results, suite, "sandbox", "llm")
        items = f"{difference.items:,} item{'' if difference.items == 1 else 's'}"
        also = f", {missing:,} more without a score in both arms" if missing else ""
        interval = f"{show(difference.low, 'points')} to {show(difference.high, 'points')}"
        yield (
            f"{suite}: sandbox − llm is {show(difference.mean, 'points')} points (95 % interval {interval}; p {_p(p)} "
            f"corrected; {items}{also}): {_MEANING[verdict(difference, p)]}."
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
        ("Scores by grader", list(_graders(results))),
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


def _graders(results: Results) -> Iterator[tuple[str, str]]:
    """Who gave the scores of each suite, which may have been graded again by another judge than at first."""
    for suite in results.suites:
        found = Counter(_grader(line) for key, line in results.bench.scores.items() if key.suite == suite)
        if found:
            yield suite, "; ".join(f"{count:,} {name}" for name, count in found.most_common())


def _grader(line: ScoreLine) -> str:
    if line.score is None:
        return "unscored"
    judge, first = line.details.get("judge"), line.details.get("found_by")
    if judge:
        return f"by {line.grader}, the judge being {judge}"
    return f"by {first}, found right before a judge was asked" if first else f"by {line.grader}"


def _data(results: Results) -> Iterator[tuple[str, str]]:
    """Where the tasks of each suite come from, and under which licence."""
    for suite, tasks in results.bench.tasks.items():
        origins = Counter(_origin(task) for task in tasks)
        parts = [f"{count:,} from {origin}" for origin, count in origins.most_common() if origin]
        yield suite, "; ".join([f"{len(tasks):,} tasks", *(parts or _source(results, suite))])


def _origin(task: Task) -> str:
    """What a data file says of it."""
    source, licence = task.meta.get("source"), task.meta.get("license") or task.meta.get("licence")
    if not source and not licence:
        return ""
    return f"{source or 'a source that is not told'} ({licence or 'licence not told'})"


def _source(results: Results, suite: str) -> list[str]:
    """The data set of the hub, where the tasks come from one that the suite names."""
    bench = section(results.bench.config, "bench")
    if bench.get("data"):
        return ["from " + ", ".join(map(str, bench["data"])) + " (licence not told)"]
    try:
        found = find_suite(str(section(section(results.bench.config, "suites"), suite).get("path", suite)))
        source = None if found.data is not None and not bench.get("source") else found.source(bench.get("source"))
    except ConfigError:  # a suite of the user's that is here no more
        return []
    if source is None:
        return []
    revision = f" at {source.revision}" if source.revision else ""
    return [f"from the hub's {source.hub}{revision} ({source.licence})"]


def _flat(config: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Every setting. Where each came from is told by the command."""
    for name, value in config.items():
        if name == "origins":
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", _words(_safe(name, value))


def _safe(name: str, value: Any) -> Any:
    """The value without a key or a password."""
    return redact_url(value) if name == "base_url" and isinstance(value, str) else value


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value))
    return str(value)


def commands(results: Results) -> list[str]:
    """What makes this bench and this report again. Secrets and what the bench found by itself are not in it."""
    place = results.bench.path.resolve().name
    run = shlex.join([*_run_command(results), "-o", place])
    return [run, *(shlex.join(("workroom", "bench", verb, place)) for verb in ("grade", "report"))]


def _run_command(results: Results) -> list[str]:
    """The words of `bench run` that give the same configuration."""
    config = results.bench.config
    bench, judge = section(config, "bench"), section(config, "judge")
    suites = section(config, "suites")
    paths = [str(section(suites, suite).get("path", suite)) for suite in results.suites]
    words = ["workroom", "bench", "run", ",".join(paths)]
    modes = [mode for mode in results.modes if "+" not in mode]
    words += ["--mode", "both" if len(modes) > 1 else modes[0]] if modes else []
    words += _options("--arm", (mode for mode in results.modes if "+" in mode))
    for name in ("repeats", "limit", "source"):
        words += _options(f"--{name}", [bench[name]] if name in bench else [])
    words += _options("--data", bench.get("data", ()))
    words += ["--ids", ",".join(map(str, bench["ids"]))] if bench.get("ids") else []
    words += ["--shuffle"] if bench.get("shuffle") else []
    for name in ("model", "base_url"):
        words += _options(f"--judge-{name.replace('_', '-')}", [_safe(name, judge[name])] if name in judge else [])
    run = section(config, "run")
    for key in section(config, "origins"):  # what somebody set
        words += _options(f"--{key.replace('_', '-')}", [_safe(key, run[key])] if key in run else [])
    return words


def _options(flag: str, values: Iterable[Any]) -> list[str]:
    return [word for value in values for word in (flag, str(value))]
