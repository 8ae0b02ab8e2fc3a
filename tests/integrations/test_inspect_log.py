"""Exports as logs of Inspect AI, read back by Inspect itself."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("inspect_ai", reason="inspect-ai is not installed; `make test` installs it")

from inspect_ai.log import read_eval_log
from inspect_ai.model import ChatMessageAssistant, ContentImage, ContentReasoning

from tests.cli.command import environment
from tests.trajectory.helpers import episode
from workroom.trajectory import RunDirectory
from workroom.trajectory.events import Picture

# Inspect itself, and what it imports, warns here and there.
QUIET = {"PYTHONWARNINGS": "default"}


def export(place: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "workroom", "export", *arguments]
    return subprocess.run(
        command, cwd=place, env=environment(place, QUIET), capture_output=True, text=True, timeout=120, check=False
    )


def written(path: Path) -> None:
    events = episode("model_error") if path.name == "failed" else episode()
    for event in events:
        if event.type == "tool" and event.seq == 5:
            event.images = [Picture(media_type="image/png", data="AAAA")]
        if event.type == "episode_finished" and path.name == "failed":
            event.error = "the model is gone"
    events = events[:8] if path.name == "killed" else events
    with RunDirectory.create(path, {}) as run:
        for event in events:
            run.record(event)


@pytest.mark.parametrize("depth", [90, 101, 250, 900, 200_000])
def test_odd_arguments_are_kept_as_they_can_be(tmp_path: Path, depth: int) -> None:
    events = episode()
    for event in events:
        if event.type == "assistant" and event.calls:
            event.calls[0].arguments = f'{{"half": "\\ud800", "nested": {"[" * depth}{"]" * depth}}}'
    with RunDirectory.create(tmp_path / "run", {}) as run:
        for event in events:
            run.record(event)
    done = export(tmp_path, "run", "--to", "inspect", "-o", "log.json")
    assert done.returncode == 0, done.stderr
    samples = read_eval_log(str(tmp_path / "log.json")).samples
    assert samples
    turn = samples[0].messages[2]
    assert isinstance(turn, ChatMessageAssistant)
    assert turn.tool_calls
    call = turn.tool_calls[0]
    if depth == 90:
        assert (call.arguments["half"], call.parse_error) == ("\N{REPLACEMENT CHARACTER}", None)
    else:
        assert (call.arguments, '"nested": [[' in (call.parse_error or "")) == ({}, True)


def test_inspect_reads_a_run_as_a_sample(tmp_path: Path) -> None:
    written(tmp_path / "run")
    done = export(tmp_path, "run", "--to", "inspect", "-o", "log.json")
    assert done.returncode == 0, done.stderr
    log = read_eval_log(str(tmp_path / "log.json"))
    assert (log.status, log.eval.model, log.eval.task) == ("success", "scripted/x", "workroom")
    assert log.samples is not None
    [sample] = log.samples
    assert (sample.id, sample.epoch, sample.uuid) == ("t1", 1, "e1")
    assert [message.role for message in sample.messages] == [
        "system", "user", "assistant", "tool", "tool", "user", "assistant", "tool",
    ]  # fmt: skip
    turn = sample.messages[2]
    assert isinstance(turn, ChatMessageAssistant)
    assert turn.tool_calls is not None
    assert turn.tool_calls[0].arguments == {"command": "ls", "timeout": None}
    assert turn.tool_calls[1].parse_error is not None
    assert '{"command": ' in turn.tool_calls[1].parse_error
    assert isinstance(turn.content, list)
    assert isinstance(turn.content[0], ContentReasoning)
    assert any(isinstance(part, ContentImage) for part in sample.messages[3].content)
    assert (sample.output.completion, sample.metadata["stop_reason"]) == ("42 é", "submitted")
    usage = sample.model_usage["scripted/x"]
    assert (usage.input_tokens, usage.output_tokens, usage.input_tokens_cache_read) == (40, 20, 60)
    assert (usage.total_cost, usage.reasoning_tokens) == (0.5, 5)
    assert sample.started_at is not None
    assert sample.started_at.startswith("2023-11-14")


def test_runs_of_one_task_are_its_epochs_and_failures_are_errors(tmp_path: Path) -> None:
    for name in ("done", "failed", "killed"):
        written(tmp_path / "runs" / name)
    done = export(tmp_path, "runs", "--to", "inspect")
    assert done.returncode == 0, done.stderr
    (tmp_path / "log.json").write_text(done.stdout)
    log = read_eval_log(str(tmp_path / "log.json"))
    assert log.status == "error"
    assert log.samples is not None
    assert [(sample.id, sample.epoch) for sample in log.samples] == [("t1", 1), ("t1", 2), ("t1", 3)]
    assert [sample.error.message if sample.error else None for sample in log.samples] == [
        None, "the model is gone", None,
    ]  # fmt: skip


def test_without_inspect_the_remedy_is_told(tmp_path: Path) -> None:
    written(tmp_path / "run")
    code = (
        "import sys; sys.modules['inspect_ai.log'] = None; from workroom.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "export", "run", "--to", "inspect"],
        cwd=tmp_path, env=environment(tmp_path, QUIET), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("pip install 'workroom[inspect]'\n")
