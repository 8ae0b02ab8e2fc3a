"""The branches of the loop: calls, answers, reminders, ends (faults F18 to F21)."""

import asyncio
import json
import time
from pathlib import Path

import atif
import pytest

from tests.agent.helpers import FINISH, SUBMIT, Player, bash, call, end, play, reminders, says, tools
from tests.conftest import SMALL, RunInBox
from workroom.agent import Agent, EpisodeLimits
from workroom.errors import AuthError, BadRequest, ConfigError, Overloaded, RateLimited
from workroom.models.base import Message, ModelHints, ToolCall
from workroom.models.scripted import ScriptedModel
from workroom.sandbox import Sandbox
from workroom.sandbox.egress import EgressRecord
from workroom.task import Task
from workroom.trajectory import (
    AssistantTurn,
    Egress,
    EpisodeStarted,
    Event,
    ModelDelta,
    ModelWaiting,
    RunDirectory,
    ToolStarted,
)


def test_an_episode_from_task_to_answer(run_in_box: RunInBox, tmp_path: Path) -> None:
    (tmp_path / "host.txt").write_bytes(b"from the host \xff")
    task = Task(
        prompt="Add {{ 1 }} %s",
        id="sum",
        documents={"deep/a.txt": "3\n4\n", "host.bin": tmp_path / "host.txt"},
        answer="SECRET",
    )
    model = Player(
        says(bash("cat documents/deep/a.txt; wc -c < documents/host.bin; ls"), text="I look.", reasoning="hm"),
        says(bash("echo 7 > /testbed/answer.txt; echo plot > output/p.txt"), SUBMIT),
    )
    events = play(run_in_box, model, task)
    last = end(events)
    assert (last.stop_reason, last.answer, last.turns, last.error) == ("submitted", "7", 2, None)
    assert tools(events)[0].observation.startswith("[exit code: 0]\n[stdout]\n3\n4\n15\n")
    started = events[0]
    assert isinstance(started, EpisodeStarted)
    assert (started.task, started.mode, started.documents) == ("sum", "sandbox", ["deep/a.txt", "host.bin"])
    assert "Add {{ 1 }} %s" in started.messages[1]["content"]
    assert [tool["function"]["name"] for tool in started.tools] == ["execute_bash", "str_replace_editor", "submit"]
    assert started.sandbox is not None
    assert started.sandbox["network"] == "none"
    assert not any("SECRET" in event.model_dump_json() for event in events)
    assert last.duration > last.tool_seconds > 0
    assert [event.type for event in events if isinstance(event, (ToolStarted, ModelDelta))][:2] == [
        "model_delta",
        "tool_started",
    ]


def test_a_plain_text_is_a_task_and_a_script_a_model(run_in_box: RunInBox, tmp_path: Path) -> None:
    lines = [{"content": "hm"}, {"tool_calls": [{"function": {"name": "submit", "arguments": '{"answer": "5"}'}}]}]
    (tmp_path / "s.jsonl").write_text("\n".join(map(json.dumps, lines)))

    async def work(box: Sandbox) -> list[Event]:
        return [event async for event in Agent(ScriptedModel(tmp_path / "s.jsonl"), box).stream("Say 5")]

    assert end(run_in_box(work)).answer == "5"


def test_all_calls_of_a_turn_are_run_in_order_and_answered(run_in_box: RunInBox) -> None:
    model = Player(says(bash("echo 1 >> f"), bash("echo 2 >> f; false"), bash("cat f")), says(*FINISH))
    events = play(run_in_box, model)
    assert "[stdout]\n1\n2\n" in tools(events)[2].observation
    history = model.seen[1]
    answered = [message.tool_call_id for message in history if message.role == "tool"]
    assert answered == [one.id for one in history[2].tool_calls]
    assert len(set(answered)) == 3


def test_calls_with_one_id_get_ids_of_their_own(run_in_box: RunInBox) -> None:
    one, two = (ToolCall("same", "execute_bash", json.dumps({"command": f"echo {n}"})) for n in "ab")
    model = Player(says(one, two), says(*FINISH))
    events = play(run_in_box, model)
    first, second = tools(events)[:2]
    assert first.call_id != second.call_id
    assert "a" in first.observation
    assert "b" in second.observation
    assert [message.tool_call_id for message in model.seen[1][3:]] == [first.call_id, second.call_id]


def test_a_call_after_submit_is_not_run(run_in_box: RunInBox) -> None:
    events = play(run_in_box, Player(says(*FINISH, bash("echo 0 > answer.txt"), SUBMIT)))
    assert end(events).answer == "42"
    assert [seen.is_error for seen in tools(events)] == [False, False, True, True]
    assert "Not run" in tools(events)[2].observation


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (
            call("launch", {"x": 1}),
            "there is no tool 'launch'; the tools are: execute_bash, str",
        ),
        (call("execute_bash", '{"command": "ls'), "no JSON object"),
        (call("execute_bash", '{"command": ' + "[" * 10_000), "nested too deep"),
        (call("execute_bash", {"cmd": "ls"}), "`command` is required"),
        (call("execute_bash", {"command": "ls", "cwd": "/"}), "no parameter 'cwd'"),
        (call("execute_bash", {"command": ["ls"]}), "must be a string"),
        (call("submit", {"final": 1}), "no parameter 'final'"),
        (call("", ""), "there is no tool ''"),
    ],
)
def test_a_call_that_cannot_be_done_is_answered_with_how_to_do_it(
    run_in_box: RunInBox, bad: ToolCall, said: str
) -> None:
    model = Player(says(bad), says(*FINISH))
    events = play(run_in_box, model)
    assert end(events).stop_reason == "submitted"
    first = tools(events)[0]
    assert first.is_error
    assert first.observation.startswith("Error: ")
    assert said in first.observation
    assert "such as" in first.observation
    assert model.seen[1][-1].is_error


def test_a_missing_answer_is_told_once(run_in_box: RunInBox) -> None:
    events = play(run_in_box, Player(says(SUBMIT), says(SUBMIT)))
    last = end(events)
    assert (last.stop_reason, last.answer, last.turns) == ("submitted", None, 2)
    assert "answer.txt is missing or empty" in tools(events)[0].observation
    assert "Submitted" in tools(events)[1].observation


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("head -c 2000000 /dev/zero | tr '\\0' x > answer.txt", "larger than the limit"),
        ("mkdir answer.txt", "is a directory"),
    ],
)
def test_an_answer_that_cannot_be_taken_is_told_as_it_is(run_in_box: RunInBox, command: str, told: str) -> None:
    events = play(run_in_box, Player(says(bash(command)), says(SUBMIT), says(SUBMIT)))
    assert told in tools(events)[1].observation
    assert end(events).answer is None


def test_on_the_last_turn_a_missing_answer_ends_it(run_in_box: RunInBox) -> None:
    events = play(run_in_box, Player(says(SUBMIT)), limits=EpisodeLimits(max_turns=1))
    assert (end(events).stop_reason, end(events).answer) == ("submitted", None)


@pytest.mark.parametrize(
    "silent",
    [
        says(text="The answer is 42."),
        says(),
        says(text=" \n "),
        says(reasoning="Let me think."),
        says(text="I cannot help with that.", finish="content_filter"),
        says(text="I think", finish="length"),
    ],
)
def test_turns_without_a_call_are_reminded_then_stalled(run_in_box: RunInBox, silent: "object") -> None:
    model = Player(silent)  # type: ignore[arg-type]
    events = play(run_in_box, model)
    last = end(events)
    assert (last.stop_reason, last.answer, last.turns) == ("stalled", None, 3)
    assert [seen.reason for seen in reminders(events)] == ["no_tool_call", "no_tool_call"]
    assert "Without a tool call in your next reply" in reminders(events)[1].text
    assert model.seen[1][-1] == Message("user", reminders(events)[0].text)
    assert ("length limit" in reminders(events)[0].text) == (silent.message.content == "I think")  # type: ignore[attr-defined]


def test_a_call_between_starts_the_count_again(run_in_box: RunInBox) -> None:
    quiet = says(text="hm")
    events = play(run_in_box, Player(quiet, quiet, says(bash("ls")), quiet, quiet, says(*FINISH)))
    assert (end(events).stop_reason, end(events).turns) == ("submitted", 6)


def test_an_answer_that_stands_there_counts_however_it_ends(run_in_box: RunInBox) -> None:
    events = play(run_in_box, Player(says(bash("printf '\\n 7 \\n' > answer.txt")), says(text="Done: 7")))
    assert (end(events).stop_reason, end(events).answer) == ("stalled", "7")


def test_without_a_submit_tool_a_silent_turn_submits(run_in_box: RunInBox) -> None:
    hints = ModelHints(tools=("execute_bash",), protocol="bash")
    model = Player(says(text="hm"), says(bash("echo 7 > answer.txt")), says(text="Done."), hints=hints)
    events = play(run_in_box, model)
    assert (end(events).stop_reason, end(events).answer, end(events).turns) == ("submitted", "7", 3)


def test_an_answer_as_a_link_or_a_huge_file_is_none(run_in_box: RunInBox) -> None:
    for command in ("ln -s /dev/zero answer.txt", "mkdir answer.txt", "head -c 2M /dev/zero > answer.txt"):
        events = play(run_in_box, Player(says(bash(command)), says(SUBMIT), says(SUBMIT)))
        assert (end(events).stop_reason, end(events).answer) == ("submitted", None)


def test_a_call_that_was_cut_off_is_not_run(run_in_box: RunInBox) -> None:
    cut = says(bash("touch first"), bash("touch second"), finish="length")
    events = play(run_in_box, Player(cut, says(bash("ls")), says(*FINISH)))
    assert "not run" in tools(events)[1].observation
    assert tools(events)[1].is_error
    assert "first" in tools(events)[2].observation
    assert "second" not in tools(events)[2].observation


def test_the_same_failing_call_again_and_again_is_pointed_out(run_in_box: RunInBox) -> None:
    model = Player(*[says(bash("nosuch"))] * 3, says(bash("ls")), says(bash("nosuch")), says(*FINISH))
    events = play(run_in_box, model)
    [seen] = reminders(events)
    assert seen.reason == "repeated_call"
    assert "3 times" in seen.text
    assert model.seen[3][-1].content == seen.text


def test_an_endless_loop_ends_at_the_turn_limit(run_in_box: RunInBox) -> None:
    model = Player(says(bash("nosuch")))
    events = play(run_in_box, model, limits=EpisodeLimits(max_turns=7))
    assert (end(events).stop_reason, end(events).turns) == ("max_turns", 7)
    assert [seen.reason for seen in reminders(events)] == ["repeated_call", "repeated_call", "last_turn"]
    assert model.seen[6][-1].content.startswith("This is your last turn.")
    assert "[5 turns left]" in tools(events)[1].observation
    assert "[0 turns left]" not in tools(events)[5].observation


def test_half_surrogates_and_nul_do_no_harm(run_in_box: RunInBox) -> None:
    odd = says(bash("echo \ud83d"), call("execute_bash\ud800", '{"a": "\udc00"}'), text="a\ud800\0", reasoning="\udfff")
    events = play(run_in_box, Player(odd, says(*FINISH)))
    assert end(events).stop_reason == "submitted"
    [assistant, _] = [event for event in events if isinstance(event, AssistantTurn)]
    assert assistant.content == "a\ufffd\0"
    assert [seen.is_error for seen in tools(events)[:2]] == [True, True]


@pytest.mark.parametrize("error", [AuthError("the key is wrong"), BadRequest("no such model"), Overloaded("down")])
def test_a_failing_provider_ends_it_with_a_sentence(run_in_box: RunInBox, error: Exception) -> None:
    events = play(run_in_box, Player(says(bash("echo 1 > answer.txt")), error))
    last = end(events)
    assert (last.stop_reason, last.answer, last.turns) == ("model_error", "1", 2)
    assert last.error is not None
    assert str(error) in last.error


def test_waiting_for_the_provider_is_told_and_is_no_turn(run_in_box: RunInBox) -> None:
    events = play(run_in_box, Player(RateLimited("slow down", 0.01), Overloaded("busy"), says(*FINISH)))
    waits = [event for event in events if isinstance(event, ModelWaiting)]
    assert [(wait.attempt, wait.error) for wait in waits] == [(1, "slow down"), (2, "busy")]
    assert (end(events).stop_reason, end(events).turns) == ("submitted", 1)


def test_a_sandbox_that_dies_ends_it_and_is_no_observation(backend: str) -> None:
    async def work() -> list[Event]:
        events = []
        async with Sandbox.open(backend, limits=SMALL) as box:
            async for event in Agent(Player(says(bash("ls"))), box).stream("x"):
                events.append(event)
                if event.type == "tool_started":
                    await box.close()
        return events

    events = asyncio.run(work())
    assert end(events).stop_reason == "sandbox_error"
    assert end(events).error
    assert tools(events) == []


def test_a_document_that_is_missing_ends_it(run_in_box: RunInBox, tmp_path: Path) -> None:
    for documents in ({"a": tmp_path / "none"}, {"../../etc/passwd": "x"}):
        events = play(run_in_box, Player(says(SUBMIT)), Task("x", documents=documents))
        assert end(events).stop_reason == "sandbox_error"
        assert end(events).error


def test_a_stop_after_the_current_step(run_in_box: RunInBox) -> None:
    def stop(agent: Agent, event: Event) -> None:
        if event.type == "tool_started":
            agent.request_stop()

    model = Player(says(bash("echo 1 > answer.txt"), bash("echo 2 > answer.txt")))
    events = play(run_in_box, model, on_event=stop)
    assert (end(events).stop_reason, end(events).answer, end(events).turns) == ("interrupted", "1", 1)
    assert [seen.is_error for seen in tools(events)] == [False, True]
    assert "stopped" in tools(events)[1].observation


def test_a_stop_while_waiting_for_the_provider_is_at_once(run_in_box: RunInBox) -> None:
    def stop(agent: Agent, event: Event) -> None:
        if event.type == "model_waiting":
            agent.request_stop()

    began = time.monotonic()
    events = play(run_in_box, Player(RateLimited("slow down", 60)), on_event=stop)
    assert end(events).stop_reason == "interrupted"
    assert time.monotonic() - began < 10


def test_a_stop_before_it_begins(run_in_box: RunInBox) -> None:
    model = Player(says(*FINISH))

    async def work(box: Sandbox) -> list[Event]:
        agent = Agent(model, box)
        agent.request_stop()
        return [event async for event in agent.stream("x")]

    assert end(run_in_box(work)).stop_reason == "interrupted"
    assert model.seen == []


def test_cancelling_ends_what_is_in_flight_and_is_raised(run_in_box: RunInBox) -> None:
    model = Player(says(*FINISH), delay=60)

    async def work(box: Sandbox) -> bool:
        async def consume() -> None:
            async for _ in Agent(model, box).stream("x"):
                pass

        task = asyncio.create_task(consume())
        while not model.seen:  # noqa: ASYNC110 - the model says so by no event
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return task.cancelled()

    assert run_in_box(work)
    assert model.cancelled


def test_leaving_the_iteration_ends_what_is_in_flight(run_in_box: RunInBox) -> None:
    model = Player(RateLimited("slow down", 60))

    async def work(box: Sandbox) -> bool:
        before = asyncio.all_tasks()
        stream = Agent(model, box).stream("x")
        async for event in stream:
            if event.type == "model_waiting":
                break
        await stream.aclose()
        return asyncio.all_tasks() == before

    assert run_in_box(work)


def test_egress_goes_into_the_events(run_in_box: RunInBox) -> None:
    def note(agent: Agent, event: Event) -> None:
        if event.type == "tool":
            agent.note_egress(EgressRecord("example.org", 443, "refused: not listed", 1, 2))

    events = play(run_in_box, Player(says(bash("ls")), says(*FINISH)), on_event=note)
    assert [event.host for event in events if isinstance(event, Egress)] == ["example.org"] * 3


def test_settings_that_cannot_work_are_refused() -> None:
    model = Player(says(SUBMIT))
    with pytest.raises(ConfigError, match="needs a sandbox"):
        Agent(model)
    with pytest.raises(ConfigError, match="what test/player costs"):
        Agent(model, mode="llm", limits=EpisodeLimits(max_cost=1.0))
    with pytest.raises(ConfigError, match="no mode 'x'"):
        Agent(model, mode="x")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="no style 'x'"):
        Agent(model, mode="llm", style="x")  # type: ignore[arg-type]
    for bound in ({"max_turns": 0}, {"max_tokens": -1}, {"max_time": float("nan")}, {"max_cost": float("inf")}):
        with pytest.raises(ConfigError, match="must be a positive number"):
            EpisodeLimits(**bound)


def test_small_models_submit_their_answer(run_in_box: RunInBox) -> None:
    model = Player(says(call("submit", {"answer": "42"})), hints=ModelHints(prompt="compact"))
    events = play(run_in_box, model)
    assert (end(events).stop_reason, end(events).answer) == ("submitted", "42")
    assert "answer" in model.tools[2].parameters["properties"]


def test_what_a_run_leaves(run_in_box: RunInBox, tmp_path: Path) -> None:
    async def work(box: Sandbox) -> None:
        model = Player(says(bash("printf plot > output/p.txt; echo é > answer.txt"), text="\u2028"), says(SUBMIT))
        with RunDirectory.create(tmp_path / "run", {"model": model.name}) as run:
            async for event in Agent(model, box).stream("Draw."):
                run.record(event)
            run.finish(await box.download("/testbed/output", run.files_dir))

    run_in_box(work)
    left = RunDirectory.load(tmp_path / "run")
    assert left.run["status"] == "finished"
    assert left.run["sandbox"]["network"] == "none"
    assert (left.path / "answer.txt").read_text() == "é"
    assert (left.files_dir / "p.txt").read_text() == "plot"
    document = atif.Trajectory.model_validate_json((left.path / "trajectory.json").read_bytes())
    assert [step.source for step in document.steps] == ["system", "user", "agent", "agent"]
    assert len((left.path / "events.jsonl").read_bytes().splitlines()) == len(left.events)


def test_what_is_done_after_turns_is_done_one_turn_after_the_other(run_in_box: RunInBox) -> None:
    """Also where a turn calls no tool, which is what waits for it elsewhere."""
    now, most, turns = 0, 0, []

    async def after(turn: int) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.1)
        turns.append(turn)
        now -= 1

    model = Player(says(bash("true")), says(text="I think."), says(bash("true")), says(*FINISH))
    assert end(play(run_in_box, model, after_turn=after)).stop_reason == "submitted"
    assert (most, turns) == (1, [1, 2, 3])
