"""A small bench on disk with real events, for the tests of the report."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from workroom.bench.score import Score
from workroom.bench.store import Attempt, BenchDirectory, Key, ScoreLine
from workroom.task import Task
from workroom.trajectory.events import (
    AssistantTurn,
    Call,
    Egress,
    EpisodeFinished,
    EpisodeStarted,
    StopReason,
    TokenUsage,
    ToolFinished,
)
from workroom.trajectory.rundir import RunDirectory

BEGIN = 1_790_000_000.0  # when the bench begins, in Unix time
SANDBOX = {
    "backend": "bwrap",
    "image": f"default@{'ab' * 32}",
    "network": "packages",
    "limits": {"memory": 4 << 30, "pids": 512, "cpus": None},
    "enforcement": {"memory": "cgroup v1"},
    "notices": [],
    "versions": {"bwrap": "0.11.0"},
}
COMMANDS = {
    "math": ("python3 -c 'import sympy; print(sympy.factorint(91))'", "echo 42 > answer.txt"),
    "long_context": ("cat documents/report.txt | grep -n total", "pip install pypdf", "echo 42 > answer.txt"),
}


def make_bench(
    path: Path,
    scores: Mapping[tuple[str, str], Sequence[Sequence[float | None]]],
    *,
    run: Mapping[str, Any] | None = None,
    commands: Mapping[str, Sequence[str]] = COMMANDS,
    named: Callable[[str, int], str] = lambda suite, number: f"{suite}-{number}",
    reason: str = "the grader took longer than 30 s",
    planned_items: int = 0,
) -> BenchDirectory:
    """`scores`: by suite and arm, for each task its score of each repeat; None is unscored, for `reason`.

    Every attempt has its events. `planned_items`: so many tasks a suite has at least, of which the last were not begun.
    """
    items: dict[str, int] = {}
    for (suite, _), values in scores.items():
        items[suite] = max(items.get(suite, planned_items), len(values))
    tasks = {
        suite: [_task(suite, named(suite, number)) for number in range(1, count + 1)] for suite, count in items.items()
    }
    arms = list(dict.fromkeys(mode for _, mode in scores))
    repeats = max((len(values) for some in scores.values() for values in some), default=1)
    settings = {
        "bench": {"suites": list(items), "arms": arms, "repeats": repeats},
        "run": {"model": "scripted/model", **(run or {})},
        "origins": dict.fromkeys(("model", *(run or {})), "flag"),
        "suites": {suite: {"path": suite, "repeats": repeats} for suite in items},
    }
    bench = BenchDirectory.create(path, settings, tasks)
    for (suite, mode), values in scores.items():
        for task, repeated in zip(tasks[suite], values, strict=False):
            for repeat, score in enumerate(repeated, 1):
                key = Key(suite, task.id, mode, repeat)
                attempt = add_attempt(bench, key, commands.get(suite, ()) if mode != "llm" else ())
                why = "" if score is not None else reason
                bench.record_score(ScoreLine.of(attempt.key, Score(score, why, "42"), "exact"))
    bench.close()
    return BenchDirectory.load(path)


def add_attempt(
    bench: BenchDirectory,
    key: Key,
    commands: Sequence[str] = (),
    *,
    stop_reason: StopReason = "submitted",
    error: str | None = None,
) -> Attempt:
    """Records an attempt whose times follow those that are there, and writes its run directory."""
    number = len(bench.attempts)
    sandboxed = key.mode != "llm"
    usage = TokenUsage(prompt=400 * (len(commands) + 1), completion=50 + number, environment=20 * len(commands))
    seconds = 10.0 + number % 5
    attempt = Attempt(
        *key,
        stop_reason=stop_reason,
        answered=error is None,
        error=error,
        turns=len(commands) + 1,
        usage=usage.model_dump(),
        seconds=seconds,
        model_seconds=seconds - 2 if sandboxed else seconds - 0.5,
        tool_seconds=1.5 if sandboxed else 0.0,
        started=BEGIN + 5 * number,
        finished=BEGIN + 5 * number + seconds,
    )
    facts: dict[str, Any] = {"versions": {"python": "3.11.2", "workroom": "0.1.0"}}
    if sandboxed:
        facts["sandbox_memory"] = {"start": 1 << 20, "peak": (50 + number) << 20}
    run = RunDirectory.create(bench.attempt_dir(key), {}, facts=facts)
    _write_events(run, key, attempt, commands, usage)
    run.close()
    bench.record(attempt)
    return attempt


def _write_events(run: RunDirectory, key: Key, attempt: Attempt, commands: Sequence[str], usage: TokenUsage) -> None:
    sandboxed = key.mode != "llm"
    run.record(
        EpisodeStarted(
            episode="e",
            task=key.task,
            mode="sandbox" if sandboxed else "llm",
            model="scripted/model",
            protocol="native",
            messages=[{"role": "user", "content": "?"}],
            tools=[],
            sandbox=SANDBOX if sandboxed else None,
        )
    )
    for turn, command in enumerate(commands, 1):
        call = Call(id=f"c{turn}", name="execute_bash", arguments=json.dumps({"command": command}))
        run.record(AssistantTurn(turn=turn, content="Let me check that.", calls=[call], usage=TokenUsage(prompt=400)))
        run.record(ToolFinished(turn=turn, call_id=call.id, name=call.name, observation="42"))
        if "pip install" in command:
            run.record(Egress(host="packages.example", port=443, verdict="allowed"))
    text = "First, the number. Then I verify it: 42."
    run.record(AssistantTurn(turn=len(commands) + 1, content=text, usage=TokenUsage(prompt=400)))
    run.record(
        EpisodeFinished(
            stop_reason=attempt.stop_reason,  # type: ignore[arg-type] # it is one
            answer="42" if attempt.answered else None,
            error=attempt.error,
            turns=attempt.turns,
            usage=usage,
        )
    )


def _task(suite: str, name: str) -> Task:
    return Task(
        "What is it?",
        id=name,
        domain=suite,
        documents={"report.txt": "total 42"} if suite == "long_context" else {},
        answer="42",
        grader="exact",
        meta={"source": "made by hand", "license": "CC0-1.0"},
    )
