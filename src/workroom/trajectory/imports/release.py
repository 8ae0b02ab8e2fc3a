"""The `trajectory.json` of the paper's release: of one run, or of a benchmark with many problems.

These files say neither the model nor the prompts, tools, tokens or times of commands, and not how the run ended: one
that did not submit counts as `max_turns`.
"""

import re
from typing import Any

from workroom.trajectory.events import (
    AssistantTurn,
    EpisodeFinished,
    EpisodeStarted,
    Reminder,
    StopReason,
    TokenUsage,
    ToolFinished,
)
from workroom.trajectory.imports.base import Imported, Log, call, number, record, records, text

FORMAT = "llm-in-sandbox"
_EXIT = re.compile(r"Exit code: (-?\d{1,9})\n")
_AGENT = {"name": "llm-in-sandbox", "version": "unknown"}


def from_release(document: dict[str, Any]) -> Imported:
    """The run of a file with one. Raises Malformed."""
    events = _events(document["problem_statement"], document.get("steps"), "", None).events
    return Imported(events, {"format": FORMAT, "agent": _AGENT})


def from_release_bench(document: dict[str, dict[str, Any]]) -> list[Imported]:
    """The runs of a benchmark's file, with reward and reference answer in their origin. Raises Malformed."""
    runs = []
    for name, problem in document.items():
        steps = problem.get("trajectory", problem.get("steps"))
        if isinstance(steps, dict):
            steps = steps.get("steps")
        answer = problem.get("agent_answer")
        log = _events(problem["problem_statement"], steps, name, None if answer is None else text(answer))
        reward = problem.get("reward")
        origin = {
            "format": FORMAT,
            "agent": _AGENT,
            "problem": name,
            "reward": reward if isinstance(reward, int | float) else None,
            "ground_truth": text(problem.get("ground_truth")),
        }
        runs.append(Imported(log.events, origin, name=name or "run"))
    return runs


def _events(problem: Any, steps: Any, name: str, answer: str | None) -> Log:
    log = Log()
    taken = records(steps, f"the steps of {name[:40]!r}" if name else "steps")
    plain = not taken and answer is not None
    log.add(
        EpisodeStarted(
            episode=name or "imported",
            task=name or "imported",
            mode="llm" if plain else "sandbox",
            model="unknown",
            protocol="native",
            messages=[{"role": "user", "content": text(problem)}],
            tools=[],
        )
    )
    if plain:
        log.begin_turn(0.0)
        log.add(AssistantTurn(turn=1, content=answer or "", usage=TokenUsage(estimated=True)))
    for place, step in enumerate(taken):
        _step(log, step, f"steps[{place}]")
    seconds, _ = log.seconds
    reason: StopReason = "submitted" if log.submitted else "max_turns"
    log.add(
        EpisodeFinished(
            stop_reason=reason,
            answer=(answer or "").strip() or None,
            turns=log.turn,
            usage=TokenUsage(estimated=True),
            duration=seconds,
            model_seconds=seconds,
        )
    )
    return log


def _step(log: Log, step: dict[str, Any], where: str) -> None:
    """`exec_time` is what the model took; of the commands no time is told."""
    turn = log.begin_turn(0.0)
    action = record(step.get("action"), f"{where}.action")
    function = text(action.get("function"))
    calls = [call(f"call_{turn}_0", function, action.get("parameters"))] if function else []
    reasoning = step.get("reasoning_content")
    log.add(
        AssistantTurn(
            turn=turn,
            content=text(step.get("thought")),
            reasoning=text(reasoning) or None,
            calls=calls,
            finish_reason="tool_calls" if calls else "stop",
            usage=TokenUsage(estimated=True),
            duration=number(record(step.get("metadata"), f"{where}.metadata").get("exec_time")),
        )
    )
    observation = text(step.get("observation"))
    if not calls:
        log.add(Reminder(turn=turn, reason="no_tool_call", text=observation))
        return
    exit_code = _EXIT.match(observation)
    facts = {"exit_code": int(exit_code[1])} if exit_code else {}
    failed = bool(facts.get("exit_code", 0)) or observation.startswith("ERROR")
    log.add(
        ToolFinished(
            turn=turn, call_id=calls[0].id, name=function, observation=observation, is_error=failed, facts=facts
        )
    )
