"""Replays in real sandboxes: what comes out the same, what does not, and runs that ended early."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import SUBMIT, bash, call, script
from workroom import run
from workroom.errors import ConfigError, SandboxError
from workroom.replay import Result, configuration, replay
from workroom.replay.documents import find_documents
from workroom.trajectory import AssistantTurn, Call, ContextTrimmed, EpisodeResumed, RunDirectory, ToolFinished


def recorded(place: Path, *turns: Any, **settings: Any) -> RunDirectory:
    settings = {"image": "host", "network": "none", **settings}
    run("Do it.", model=script(place / "script.jsonl", *turns), out=place / "out", **settings)
    return RunDirectory.load(place / "out")


def replayed(directory: RunDirectory, told: list[str] | None = None, **overrides: Any) -> Result:
    notices: list[str] = [] if told is None else told
    documents = find_documents(directory, overrides.pop("inputs", ()), notices.append)
    config = configuration(directory, overrides)
    return asyncio.run(replay(directory, config, documents, on_notice=notices.append))


def states(result: Result) -> list[str]:
    return [outcome.status for outcome in result.outcomes]


def test_what_a_run_did_is_done_again_with_its_documents(tmp_path: Path, backend: str) -> None:
    """Everything that a tool call can give: output, errors of tools, malformed calls, time-outs, state, submit."""
    (tmp_path / "docs/deep").mkdir(parents=True)
    (tmp_path / "docs/deep/a.txt").write_text("one\n")
    image = "host" if backend == "bwrap" else None
    directory = recorded(
        tmp_path,
        [*bash("cat documents/deep/a.txt; export X=5; cd /tmp; date; mktemp"), *bash("echo $X; pwd; exit 3")],
        [call("str_replace_editor", command="view", path="/missing"), call("no_such_tool", a=1)],
        [{**call("execute_bash"), "function": {"name": "execute_bash", "arguments": "{broken"}}],
        "only words",
        [call("execute_bash", command="echo so far; sleep 9", timeout=0.5)],
        SUBMIT,
        bash("echo 42 > /testbed/answer.txt; seq 100000"),
        SUBMIT,
        files=[tmp_path / "docs"],
        sandbox=backend,
        image=image,
    )
    assert directory.finished is not None
    assert directory.finished.answer == "42"
    told: list[str] = []
    result = replayed(directory, told)
    assert [outcome.diff for outcome in result.outcomes] == [""] * 9
    assert result.same
    assert (result.answer, result.skipped) == ("same", 0)
    assert told == [] or backend == "docker"


def test_differences_are_shown_call_by_call(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("3\n")
    directory = recorded(
        tmp_path,
        bash("cat documents/a.txt > answer.txt"),
        bash("cat documents/a.txt; echo fine"),
        SUBMIT,
        files=[tmp_path / "a.txt"],
    )
    (tmp_path / "a.txt").write_text("4\n")
    with pytest.raises(ConfigError, match=r"a\.txt \(.*\) has changed since the run; hand in .* with -i"):
        replayed(directory)
    told: list[str] = []
    result = replayed(directory, told, inputs=[tmp_path / "a.txt"])
    assert states(result) == ["same", "different", "same"]
    assert "-3\n+4\n fine" in result.outcomes[1].diff
    assert (result.answer, result.same) == ("different", False)
    assert told == ["the document a.txt is not the one that the run had"]
    (tmp_path / "a.txt").unlink()
    with pytest.raises(ConfigError, match=r"a\.txt is no longer at .* hand it in with -i"):
        replayed(directory)
    (tmp_path / "b.txt").write_text("")
    with pytest.raises(ConfigError, match=r"had no document b\.txt; it had: a\.txt"):
        replayed(directory, inputs=[tmp_path / "b.txt"])
    del directory.run["task"]["documents"]["a.txt"]
    with pytest.raises(ConfigError, match=r"does not tell where its document a\.txt came from"):
        replayed(directory)


def test_settings_are_the_run_s_unless_others_are_given(tmp_path: Path) -> None:
    directory = recorded(
        tmp_path,
        [call("execute_bash", command="sleep 0.7; echo done")],
        SUBMIT,
        SUBMIT,
        command_timeout=5,
        max_turns=3,
        memory="300m",
    )
    config = configuration(directory, {"network": "open", "image": None})
    assert (config.network, config.image, config.command_timeout) == ("open", "host", 5.0)
    assert (config.memory, config.max_turns, config.sandbox) == ("300m", 3, "bwrap")
    directory.run["config"]["command_timeout"]["value"] = 0.2
    assert states(replayed(directory)) == ["different", "same", "same"]
    directory.run["config"] = None  # then what the sandbox itself was tells
    assert configuration(directory, {}).network == "none"
    with pytest.raises(ConfigError, match="must be none, packages"):
        configuration(directory, {"network": "world"})
    directory.run["config"] = {"memory": {"value": ["much"]}}
    with pytest.raises(ConfigError, match="memory must be a size"):
        configuration(directory, {})


def cut(directory: RunDirectory, events: list[Any]) -> RunDirectory:
    """The run as if its log had these events."""
    lines = [json.dumps(event.model_dump()) for event in events]
    (directory.path / "events.jsonl").write_text("\n".join(lines) + "\n")
    return RunDirectory.load(directory.path)


def test_runs_that_were_killed_or_resumed_are_replayed_as_far_as_they_went(tmp_path: Path) -> None:
    whole = recorded(tmp_path, [*bash("echo 1"), *bash("echo 2")], bash("echo 3 | tee answer.txt"), SUBMIT)
    events = list(whole.events)
    tools = [place for place, event in enumerate(events) if event.type == "tool"]

    result = replayed(cut(whole, events[: tools[0] + 1]))  # killed in the middle of the first turn
    assert (states(result), result.skipped, result.answer, result.same) == (["same"], 1, None, True)

    stopped = events[: tools[0] + 1]
    first = next(event for event in events if isinstance(event, AssistantTurn))
    refusal = ToolFinished(
        turn=1,
        call_id=first.calls[1].id,
        name="execute_bash",
        observation="Not run: the work was stopped.\n[9 turns left]",
    )
    result = replayed(cut(whole, [*stopped, refusal]))  # stopped by Ctrl-C within the turn
    assert (states(result), result.skipped) == (["same"], 1)

    void = AssistantTurn(
        seq=events[tools[1]].seq + 1, turn=2, content="", calls=[Call(id="v", name="execute_bash", arguments="{}")]
    )
    resumed = EpisodeResumed(seq=void.seq + 1, turn=1, after=events[tools[1]].seq)
    later = events[tools[1] + 1 :]
    for number, event in enumerate(later, resumed.seq + 1):
        event.seq = number
    result = replayed(cut(whole, [*events[: tools[1] + 1], void, resumed, *later]))
    assert (states(result), result.skipped, result.answer) == (["same"] * 4, 0, "same")


def test_the_files_of_shortened_observations_are_there_again(tmp_path: Path) -> None:
    path = "/var/lib/workroom/observations/turn-1-1.txt"
    whole = recorded(tmp_path, bash("seq 3"), bash(f"cat {path}; echo x > answer.txt"), SUBMIT)
    tools = [event for event in whole.events if event.type == "tool"]
    tools[1].observation = f"[exit code: 0]\n[stdout]\n{tools[0].observation}\n[98 turns left]"
    place = whole.events.index(tools[0]) + 1
    trimmed = ContextTrimmed(turn=2, observations=1, files=[path, "/etc/passwd", "/x/turn-9-9.txt"])
    run = cut(whole, [*whole.events[:place], trimmed, *whole.events[place:]])
    assert [outcome.diff for outcome in replayed(run).outcomes] == ["", "", ""]


def test_what_the_replay_does_not_reach_is_told(tmp_path: Path) -> None:
    """With another document the first submit is taken, and the replay ends where the run went on."""
    (tmp_path / "a.txt").write_text("")
    turns = [bash("cp documents/a.txt answer.txt"), SUBMIT, bash("echo 1 > answer.txt"), SUBMIT]
    directory = recorded(tmp_path, *turns, files=[tmp_path / "a.txt"])
    (tmp_path / "a.txt").write_text("7")
    result = replayed(directory, inputs=[tmp_path / "a.txt"])
    assert states(result) == ["same", "different", "not_reached", "not_reached"]
    assert "+Submitted." in result.outcomes[1].diff
    assert (result.answer, result.same) == ("different", False)


def test_a_run_without_commands_and_a_sandbox_that_cannot_start(tmp_path: Path) -> None:
    directory = recorded(tmp_path, "the answer", mode="llm")
    with pytest.raises(ConfigError, match="mode llm"):
        configuration(directory, {})
    (tmp_path / "two").mkdir()
    directory = recorded(tmp_path / "two", bash("true"))
    with pytest.raises((ConfigError, SandboxError), match="there-is-none"):
        replayed(directory, image="there-is-none")
    with pytest.raises(ConfigError, match="no tool call"):
        replayed(cut(directory, directory.events[:1]))


def test_an_imported_run_gets_no_network_unless_it_is_given(tmp_path: Path) -> None:
    directory = recorded(tmp_path, bash("echo 1"), SUBMIT, network="packages")
    directory.run = {"imported_from": {"format": "llm-in-sandbox"}}
    assert configuration(directory, {}).network == "none"
    assert configuration(directory, {"network": "open"}).network == "open"
