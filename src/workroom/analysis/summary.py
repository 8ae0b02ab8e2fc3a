"""Runs analysed one by one, and together by suite, mode and model."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from workroom.analysis.capabilities import CapabilityUse, together, usage
from workroom.analysis.phrases import PhraseUse, kinds, phrases, phrases_together
from workroom.analysis.rules import CAPABILITIES, load_rules
from workroom.analysis.tokens import Consumption, consumed_together, consumption
from workroom.trajectory.export import find_runs
from workroom.trajectory.reader import kept
from workroom.trajectory.rundir import RunDirectory

Progress = Callable[[int, int], None]
_ATTEMPT = 5  # parts of attempts/<suite>/<task>/<mode>/<repeat>


class Group(NamedTuple):
    """What is summed up together. `domain` is the suite of a bench's attempt, else the domain of the task."""

    domain: str
    mode: str
    model: str


@dataclass(frozen=True, slots=True)
class RunAnalysis:
    """One run. `stop_reason` is None for one that did not come to an end."""

    path: Path
    group: Group
    task: str
    stop_reason: str | None
    use: CapabilityUse
    phrases: PhraseUse
    consumption: Consumption


@dataclass(frozen=True, slots=True)
class Summary:
    """The runs of a group together."""

    group: Group
    use: CapabilityUse
    phrases: PhraseUse
    consumption: Consumption


def analyze_run(path: Path) -> RunAnalysis | None:
    """The analysis of the run in a directory; None where it ended before its episode began.

    Raises ConfigError where there is no run.
    """
    run = RunDirectory.load(path)
    started = next((event for event in kept(run.events) if event.type == "episode_started"), None)
    if started is None:
        return None
    end = run.finished
    return RunAnalysis(
        path,
        _group(path, run.run, started.mode, started.model),
        started.task,
        end.stop_reason if end is not None else None,
        usage(run.events),
        phrases(run.events),
        consumption(run.events),
    )


def analyze(directory: Path, on_progress: Progress | None = None) -> Iterator[RunAnalysis]:
    """Every run in or below a directory, one after the other; those without an episode are left out.

    `on_progress` is called with how many are done, of how many. Raises ConfigError where there is no run.
    """
    paths = find_runs(directory)
    for number, path in enumerate(paths, 1):
        found = analyze_run(path)
        if found is not None:
            yield found
        if on_progress is not None:
            on_progress(number, len(paths))


def summarize(runs: Iterable[RunAnalysis]) -> list[Summary]:
    """The runs by group, in the order of the groups' names."""
    groups: dict[Group, list[RunAnalysis]] = {}
    for run in runs:
        groups.setdefault(run.group, []).append(run)
    return [
        Summary(
            group,
            together(run.use for run in some),
            phrases_together(run.phrases for run in some),
            consumed_together(run.consumption for run in some),
        )
        for group, some in sorted(groups.items())
    ]


def run_record(run: RunAnalysis, *, evidence: bool) -> dict[str, Any]:
    """A run as JSON; with `evidence` also why its turns count."""
    record: dict[str, Any] = {"path": str(run.path), "task": run.task, "stop_reason": run.stop_reason}
    record |= _record(run.group, run.use, run.phrases, run.consumption)
    if evidence:
        record["evidence"] = [one._asdict() for one in run.use.evidence]
    return record


def summary_record(summary: Summary) -> dict[str, Any]:
    """A group as JSON."""
    return _record(summary.group, summary.use, summary.phrases, summary.consumption)


def rules_version() -> int:
    """The version of the rules, so that figures of different rules are not compared."""
    return load_rules().version


def _record(group: Group, use: CapabilityUse, said: PhraseUse, used: Consumption) -> dict[str, Any]:
    capabilities = {
        name: {"turns": use.matched[name], "rate": use.rate(name), "episodes": use.used[name], "share": use.share(name)}
        for name in CAPABILITIES
    }
    spoken = {kind: {"count": said.counts[kind], "per_response": said.per_response(kind)} for kind in kinds()}
    derived = {"total": used.total, "environment_share": used.environment_share, "tool_share": used.tool_share}
    return {
        **group._asdict(),
        "episodes": use.episodes,
        "turns": use.turns,
        "capabilities": capabilities,
        "phrases": spoken,
        "tokens": asdict(used) | derived,
    }


def _group(path: Path, run: dict[str, Any], mode: str, model: str) -> Group:
    parts = path.resolve().parts
    if len(parts) > _ATTEMPT and parts[-_ATTEMPT] == "attempts":
        return Group(parts[-4], parts[-2], model)
    task = run.get("task")
    domain = task.get("domain") if isinstance(task, dict) else None
    return Group(domain if isinstance(domain, str) else "general", mode, model)
