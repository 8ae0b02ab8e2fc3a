"""Plays rows of the table as a scripted model does, and compares the trajectory and the files with what is expected."""

from pathlib import Path
from typing import Any

from tests.agent.helpers import QUICK, Player, call, says
from tests.conformance.table import Row, Step
from tests.tools.helpers import section
from workroom.agent import Agent, EpisodeLimits
from workroom.errors import TransferError
from workroom.sandbox import Sandbox
from workroom.tools.truncate import fits
from workroom.trajectory import RunDirectory, ToolFinished


async def play_rows(box: Sandbox, rows: list[Row], directory: Path) -> list[str]:
    """All rows in one episode, a turn each; returns what was not as expected, named by the row's number."""
    for one in rows:
        await box.exec(["mkdir", "-p", one.folder])
        for name, data in one.files.items():
            await box.write(f"{one.folder}/{name}", _bytes(data))
    turns = [says(*(call(step.tool, _filled(step.arguments, one)) for step in _steps(one))) for one in rows]
    agent = Agent(Player(*turns), box, retry=QUICK, limits=EpisodeLimits(max_turns=len(rows)))
    with RunDirectory.create(directory, {}) as run:
        async for event in agent.stream("Play the rows."):
            run.record(event)
    seen = [event for event in RunDirectory.load(directory).events if isinstance(event, ToolFinished)]
    wrong: list[str] = []
    for number, one in enumerate(rows, 1):
        answers = [event for event in seen if event.turn == number]
        steps = _steps(one)
        found = [f"{len(answers)} of {len(steps)} calls were answered"] if len(answers) != len(steps) else []
        for step, answer in zip(steps, answers, strict=False):
            found += [f"{_shown(step, one)}: {what}\n{_text(answer)[:2000]}" for what in _mistakes(step, answer, one)]
        found += await _wrong_files(box, one)
        wrong += [f"row {one.name} ({one.behaviour}): {what}" for what in found]
    return wrong


def _steps(one: Row) -> list[Step]:
    """The row's calls, after one that goes into its directory."""
    return [Step("execute_bash", {"command": "cd ROW"}, exit_code=0), *one.steps]


def _mistakes(step: Step, answer: ToolFinished, one: Row) -> list[str]:
    text = _text(answer)
    found = []
    if step.is_error is not None and answer.is_error != step.is_error:
        found.append("refused" if answer.is_error else "not refused")
    if step.exit_code is not None and answer.facts.get("exit_code") != step.exit_code:
        found.append(f"exit code {answer.facts.get('exit_code')}, not {step.exit_code}")
    if step.streams:
        out, err = step.streams["stdout"], step.streams["stderr"]
        if section(text, "stdout") != (None if out is None else _filled(out, one)):
            found.append(f"stdout is not {out!r}")
        said = section(text, "stderr")
        if (said is None) != (err is None) or (err is not None and err not in (said or "")):
            found.append(f"stderr does not hold {err!r}")
    found += [f"lacks {wanted!r}" for wanted in step.holds if _filled(wanted, one) not in text]
    found += [f"holds {unwanted!r}" for unwanted in step.lacks if _filled(unwanted, one) in text]
    if step.bounds is not None and not fits(text, step.bounds):
        found.append(f"longer than {step.bounds}")
    if step.seconds is not None and answer.duration > step.seconds:
        found.append(f"took {answer.duration:.1f} s")
    return found


async def _wrong_files(box: Sandbox, one: Row) -> list[str]:
    found = []
    for name, expected in one.after.items():
        try:
            data: bytes | None = await box.read(f"{one.folder}/{name}")
        except FileNotFoundError:
            data = None
        except (OSError, TransferError) as error:
            found.append(f"file {name!r}: {error}")
            continue
        if data != (None if expected is None else _bytes(expected)):
            found.append(f"file {name!r} holds {data if data is None else data[:200]!r}")
    return found


def _text(answer: ToolFinished) -> str:
    """The observation without the budget, which the last one of a turn tells on a line of its own."""
    text, _, budget = answer.observation.rpartition("\n[")
    return text if budget.endswith(" left]") else answer.observation


def _filled(value: Any, one: Row) -> Any:
    if isinstance(value, str):
        return value.replace("ROW", one.folder)
    if isinstance(value, dict):
        return {key: _filled(item, one) for key, item in value.items()}
    return value


def _shown(step: Step, one: Row) -> str:
    return f"{step.tool} {str(_filled(step.arguments, one))[:300]}"


def _bytes(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else data
