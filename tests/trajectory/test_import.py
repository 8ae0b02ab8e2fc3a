"""Runs of others as run directories, and files that are not what they seem."""

import base64
import json
from pathlib import Path
from typing import Any

import atif
import pytest

from tests.trajectory.helpers import episode
from workroom.errors import ConfigError
from workroom.trajectory import AssistantTurn, EpisodeResumed, Event, RunDirectory, to_atif
from workroom.trajectory.events import Picture, Tokens
from workroom.trajectory.imports import import_file
from workroom.trajectory.imports import read_file as read


def imported(tmp_path: Path, document: Any, name: str = "out") -> RunDirectory:
    [path] = import_file(stored(tmp_path, document), tmp_path / name)
    return RunDirectory.load(path)


def stored(tmp_path: Path, document: Any) -> Path:
    path = tmp_path / "given.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def rich() -> list[Event]:
    """An episode with pictures, token ids and a resumption, too."""
    events = episode()
    assert events[4].type == "assistant"
    assert events[5].type == "tool"
    events[4].tokens = Tokens(prompt=[1, 2], completion=[3], logprobs=[-0.25])
    events[5].images = [Picture(media_type="image/jpeg", data="/9j/AAAA")]
    return [*events[:-1], EpisodeResumed(seq=13, turn=2, after=12, replayed=1, time=events[-1].time), events[-1]]


@pytest.mark.parametrize("events", [episode(), rich(), episode("sandbox_error", None)], ids=["plain", "rich", "failed"])
def test_our_own_documents_come_back_as_they_were(tmp_path: Path, events: list[Event]) -> None:
    for count in [*range(1, len(events)), len(events)]:  # killed at any moment
        document = to_atif(events[:count], inline=True)
        run = imported(tmp_path, document, f"out{count}")
        assert to_atif(run.events, run.agent, inline=True) == document
    again = import_file(run.path / "trajectory.json", tmp_path / "again")  # with its pictures beside it
    assert to_atif(RunDirectory.load(again[0]).events, inline=True) == document


def test_an_imported_run_has_the_files_of_a_run(tmp_path: Path) -> None:
    run = imported(tmp_path, to_atif(episode()))
    assert (run.path / "answer.txt").read_text() == "42 é"
    assert run.run["imported_from"] == {
        "file": "given.json",
        "format": "ATIF-v1.8",
        "agent": {"name": "workroom", "version": "0.1.0"},
    }
    assert (run.run["status"], run.run["stop_reason"], run.run["cost"]) == ("finished", "submitted", 0.5)
    assert [event.seq for event in run.events] == list(range(len(run.events)))
    assert run.damaged == 0
    assert run.started is not None
    assert (run.started.model, run.started.task, run.started.documents) == ("scripted/x", "t1", ["a.txt"])


FOREIGN = {
    "schema_version": "ATIF-v1.4",
    "session_id": "s",
    "agent": {"name": "terminus", "version": "2.0", "model_name": "m"},
    "steps": [
        {"step_id": 1, "source": "user", "message": [{"type": "text", "text": "Do"}, {"type": "text", "text": "it"}]},
        {
            "step_id": 2,
            "source": "agent",
            "message": "",
            "tool_calls": [
                {"tool_call_id": "x", "function_name": "bash", "arguments": {"keystrokes": "ls\n"}},
                {"tool_call_id": "y", "function_name": "bash", "arguments": {}},
            ],
            "observation": {"results": [{"source_call_id": "y", "content": "second"}, {"content": None}]},
        },
        {"step_id": 3, "source": "system", "message": "compacted", "observation": {"results": [{"content": "note"}]}},
        {"step_id": 4, "source": "agent", "message": "done", "metrics": {"prompt_tokens": 5, "completion_tokens": 2}},
    ],
    "final_metrics": {"total_prompt_tokens": 5, "total_completion_tokens": 2},
}


def test_a_foreign_document_keeps_its_agent_and_its_order(tmp_path: Path) -> None:
    atif.Trajectory.model_validate(FOREIGN)
    run = imported(tmp_path, FOREIGN)
    assert [event.type for event in run.events] == [
        "episode_started", "turn_started", "assistant", "tool", "tool", "reminder", "reminder", "turn_started",
        "assistant", "episode_finished",
    ]  # fmt: skip
    assert run.started is not None
    assert run.started.messages == [{"role": "user", "content": "Do\nit"}]
    assert [event.observation for event in run.events if event.type == "tool"] == ["second", ""]
    assert run.finished is not None
    assert (run.finished.stop_reason, run.finished.turns, run.finished.usage.prompt) == ("submitted", 2, 5)
    again = json.loads((run.path / "trajectory.json").read_text())
    assert (again["agent"]["name"], again["agent"]["version"]) == ("terminus", "2.0")
    assert "timestamp" not in again["steps"][0]
    atif.Trajectory.model_validate(again)


RELEASE: dict[str, Any] = {
    "problem_statement": "Area?",
    "steps": [
        {
            "thought": "",
            "reasoning_content": "I compute.",
            "action": {"function": "execute_bash", "parameters": {"command": "python x.py"}},
            "observation": "Exit code: 1\nExecution output of \\[execute_bash]:\n\\[STDOUT]\n",
            "metadata": {"step": 1, "exec_time": 37.25},
        },
        {"thought": "Hm", "action": {"function": "", "parameters": {}}, "observation": "You forgot", "metadata": {}},
        {
            "thought": "",
            "action": {"function": "submit", "parameters": {}},
            "observation": "<<< Finished >>>",
            "metadata": {"step": 3, "exec_time": 1},
        },
    ],
    "metadata": {"total_steps": 3},
}


def test_a_trajectory_of_the_release(tmp_path: Path) -> None:
    run = imported(tmp_path, RELEASE)
    assert [event.type for event in run.events if event.type != "turn_started"] == [
        "episode_started", "assistant", "tool", "assistant", "reminder", "assistant", "tool", "episode_finished",
    ]  # fmt: skip
    turns = [event for event in run.events if isinstance(event, AssistantTurn)]
    assert (turns[0].reasoning, turns[0].duration) == ("I compute.", 37.25)
    assert json.loads(turns[0].calls[0].arguments) == {"command": "python x.py"}
    assert turns[0].usage.estimated
    tool = next(event for event in run.events if event.type == "tool")
    assert (tool.is_error, tool.facts) == (True, {"exit_code": 1})
    assert run.finished is not None
    assert (run.finished.stop_reason, run.finished.turns, run.finished.model_seconds) == ("submitted", 3, 38.25)
    assert run.run["imported_from"]["format"] == "llm-in-sandbox"


def test_a_benchmark_of_the_release_makes_a_run_for_each_problem(tmp_path: Path) -> None:
    problems = {
        "aime/1": {
            "problem_statement": "?",
            "trajectory": RELEASE["steps"],
            "reward": 1.0,
            "agent_answer": " 588 ",
            "ground_truth": 588,
        },
        "aime_1": {"problem_statement": "?", "trajectory": RELEASE["steps"][:1], "reward": 0, "agent_answer": ""},
        "../../up": {"problem_statement": "?", "trajectory": [], "agent_answer": "plain"},
    }
    paths = import_file(stored(tmp_path, problems), tmp_path / "out")
    assert [str(path.relative_to(tmp_path)) for path in paths] == ["out/aime_1", "out/aime_1-2", "out/_.._up"]
    first, second, third = map(RunDirectory.load, paths)
    assert (first.path / "answer.txt").read_text() == "588"
    assert first.run["imported_from"]["reward"] == 1.0
    assert first.run["imported_from"]["ground_truth"] == "588"
    assert second.finished is not None
    assert (second.finished.stop_reason, second.finished.answer) == ("max_turns", None)
    assert third.started is not None
    assert (third.started.mode, third.started.task) == ("llm", "../../up")
    with pytest.raises(ConfigError, match="not empty"):
        import_file(stored(tmp_path, problems), tmp_path / "out")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is no JSON"),
        ("{", "is no JSON"),
        ("[]", "it is no JSON object"),
        ("7", "it is no JSON object"),
        ("{}", "neither an ATIF document"),
        ('{"a": {"problem_statement": 1}, "b": 2}', "neither an ATIF document"),
        ('{"schema_version": "ATIF-v2.0", "steps": []}', "its schema_version is 'ATIF-v2.0'"),
        ('{"schema_version": 7}', "its schema_version is '7'"),
        ('{"schema_version": "ATIF-v1.8", "steps": []}', "it has no steps"),
        ('{"schema_version": "ATIF-v1.8", "steps": {"a": 1}}', "steps is no list"),
        ('{"schema_version": "ATIF-v1.8", "steps": [7]}', "steps[0] is no object"),
        ('{"schema_version": "ATIF-v1.8", "agent": "me", "steps": [{}]}', "agent is no object"),
        ('{"problem_statement": "", "steps": [{"action": []}]}', "steps[0].action is no object"),
        ('{"problem_statement": "", "steps": ' + "[" * 200 + "]" * 200 + "}", "nested too deeply"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "nested too deeply"),
    ],
)
def test_a_file_that_is_none_of_them_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, content: str, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        import_file(stored(tmp_path, content), tmp_path / "out")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_bytes_that_are_no_text_and_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xff\xfe\x00")
    for path, said in ((tmp_path / "x", "is no JSON"), (tmp_path, "cannot be read"), (tmp_path / "y", "No such file")):
        with pytest.raises(ConfigError, match=said):
            read(path)


def test_a_sparse_file_larger_than_memory_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ConfigError, match="at most"):
        read(tmp_path / "x")


def test_hostile_values_become_text_or_nothing(tmp_path: Path) -> None:
    """NUL, half surrogates, numbers that are none, times out of reach, values of any kind where a text should be."""
    document = {
        "schema_version": "ATIF-v1.8",
        "session_id": "\ud800\0",
        "agent": {"name": ["x"], "model_name": {"a": 1}, "extra": {"mode": 7, "protocol": "\udfff"}},
        "steps": [
            {"source": "user", "message": "\0\ud83d", "timestamp": "9999-12-31T23:59:59"},
            {
                "source": "agent",
                "message": {"a": [1]},
                "reasoning_content": 7,
                "timestamp": "yesterday",
                "tool_calls": [{"function_name": 5, "arguments": "\0{"}, {"tool_call_id": 3, "function_name": None}],
                "metrics": {"prompt_tokens": -5, "completion_tokens": 1e400, "prompt_token_ids": ["a"]},
                "observation": {"results": [{"source_call_id": [1], "content": 7, "extra": {"seconds": "x"}}]},
                "extra": {"turn": 10**30, "reminder": {"a": 1}},
            },
            {"source": "nobody", "message": None, "extra": "text"},
        ],
        "final_metrics": {"total_cost_usd": "much", "extra": {"turns": True}},
        "extra": {"stop_reason": {}, "answer": ["\ud800"], "documents": "x", "sandbox": 1},
    }
    run = imported(tmp_path, json.dumps(document))
    assert run.damaged == 0
    assert run.started is not None
    assert run.started.messages == [{"role": "user", "content": "\0\ufffd"}]
    [turn] = [event for event in run.events if isinstance(event, AssistantTurn)]
    assert (turn.content, turn.reasoning, turn.usage.prompt, turn.tokens) == ('{"a": [1]}', "7", 0, None)
    assert [call.name for call in turn.calls] == ["5", "unknown"]
    assert run.finished is not None
    assert run.finished.answer == '["\ufffd"]'
    atif.Trajectory.model_validate_json((run.path / "trajectory.json").read_bytes())


def test_a_directory_that_is_taken_is_left_alone(tmp_path: Path) -> None:
    imported(tmp_path, RELEASE)
    with pytest.raises(ConfigError, match="holds a run already"):
        imported(tmp_path, RELEASE)


def test_pictures_are_read_from_beside_the_document_and_nowhere_else(tmp_path: Path) -> None:
    png = b"\x89PNG\r\n\x1a\n-"
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.png").write_bytes(png)
    (tmp_path / "in/text.png").write_text("no picture")
    (tmp_path / "in/link.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "in/good.png").write_bytes(png)
    paths = ["../secret.png", str(tmp_path / "secret.png"), "link.png", "text.png", "missing.png", "a\0b", "good.png"]
    document = json.loads(json.dumps(FOREIGN))
    document["steps"][1]["observation"]["results"][0]["content"] = [
        {"type": "image", "source": {"media_type": "image/png", "path": path}} for path in paths
    ]
    (tmp_path / "in/doc.json").write_text(json.dumps(document))
    [made] = import_file(tmp_path / "in/doc.json", tmp_path / "out")
    tool = next(event for event in RunDirectory.load(made).events if event.type == "tool")
    assert [base64.b64decode(image.data) for image in tool.images] == [png]
    assert tool.observation == "\n".join(f"[image: {path}]" for path in paths[:-1])
    assert [path.read_bytes() for path in (made / "images").iterdir()] == [png]
