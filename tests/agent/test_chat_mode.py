"""Episodes that are the newest message of a conversation."""

import asyncio
from pathlib import Path

import pytest

from tests.agent.helpers import SUBMIT, Player, bash, end, play, reminders, says, tools
from tests.conftest import SMALL, RunInBox
from workroom._outcome import RunResult
from workroom._run import Run
from workroom.agent import Agent, EpisodeLimits
from workroom.agent.chat import Chat
from workroom.agent.context import Context
from workroom.config import from_arguments
from workroom.errors import ConfigError
from workroom.models.base import Message
from workroom.models.scripted import ScriptedModel
from workroom.sandbox import Sandbox
from workroom.task import Task

PRIOR = (Message("user", "I am Ada."), Message("assistant", "Hello, Ada."))


def test_plain_text_is_the_reply(run_in_box: RunInBox) -> None:
    model = Player(says(bash("echo 6 > n"), text="I count first."), says(text=" There are 6. \n"))
    finished = end(play(run_in_box, model, chat=Chat(PRIOR)))
    assert (finished.stop_reason, finished.answer, finished.turns) == ("submitted", "There are 6.", 2)
    assert [message.role for message in model.seen[0]] == ["system", "user", "assistant", "user"]
    assert [message.content for message in model.seen[0][1:3]] == [message.content for message in PRIOR]


def test_a_submitted_answer_file_counts_and_an_old_one_does_not(run_in_box: RunInBox) -> None:
    async def old(box: Sandbox) -> None:
        await box.write("answer.txt", b"old")

    submitted = play(
        run_in_box, Player(says(bash("cat answer.txt; echo new > answer.txt"), SUBMIT)), chat=Chat(), prepare=old
    )
    assert "No such file" in tools(submitted)[0].observation
    assert end(submitted).answer == "new"
    said = end(play(run_in_box, Player(says(SUBMIT, text="All done.")), chat=Chat(), prepare=old))
    assert (said.stop_reason, said.answer) == ("submitted", "All done.")


def test_an_empty_or_cut_reply_is_none(run_in_box: RunInBox) -> None:
    model = Player(says(), says(text="It is", finish="length"), says(text="It is 4."))
    events = play(run_in_box, model, chat=Chat())
    assert end(events).answer == "It is 4."
    empty, cut = (reminder.text for reminder in reminders(events))
    assert "was empty" in empty
    assert "cut off" in cut
    assert "the whole reply again" in cut  # only the last one goes to the user
    assert "go on" not in cut


def test_a_submit_without_any_reply_is_told_once(run_in_box: RunInBox) -> None:
    events = play(run_in_box, Player(says(SUBMIT), says(text="Here.")), chat=Chat())
    assert "no reply to the user" in tools(events)[0].observation
    assert end(events).answer == "Here."


def test_at_a_limit_what_was_said_last_is_the_reply(run_in_box: RunInBox) -> None:
    model = Player(says(bash("true"), text="One down."), says(bash("echo"), text="Two down."))
    finished = end(play(run_in_box, model, chat=Chat(), limits=EpisodeLimits(max_turns=2)))
    assert (finished.stop_reason, finished.answer) == ("max_turns", "Two down.")


def test_a_conversation_needs_all_of_the_sandbox() -> None:
    for arm in ({"mode": "llm"}, {"read_only": True}, {"execution": False}, {"documents": "prompt"}):
        with pytest.raises(ConfigError, match="a conversation needs mode sandbox"):
            Agent(Player(says()), None, chat=Chat(), **arm)


def test_old_messages_of_the_conversation_are_left_out_before_turns_are() -> None:
    prior = [Message(role, f"{role} {n} " + "x" * 400) for n in range(4) for role in ("user", "assistant")]
    context = Context([Message("system", "s"), *prior, Message("user", "now")], prior=len(prior))
    for turn in range(3):
        context.add(Message("assistant", f"turn {turn}"))
        context.add(Message("tool", "fine", tool_call_id="1"))
    while asyncio.run(context.cut(None)):
        assert context.messages[0].content == "s"
        assert [message for message in context.messages if message.content == "now"]
        if context.prior > 1:
            assert any(message.content == "turn 0" for message in context.messages)
    texts = [message.content for message in context.messages]
    assert texts[1] == "[8 earlier messages of this conversation are left out here to save room.]"
    assert texts[-2:] == ["turn 2", "fine"]
    assert not any(text.startswith(("user", "assistant")) for text in texts)


def test_a_script_is_played_from_its_first_line_in_every_episode(run_in_box: RunInBox, tmp_path: Path) -> None:
    script = tmp_path / "script.jsonl"
    script.write_text('{"content": "One."}\n{"content": "Two."}\n')
    assert end(play(run_in_box, ScriptedModel(script), chat=Chat(PRIOR))).answer == "One."


def test_runs_in_one_sandbox_bring_out_what_is_new_or_changed(run_in_box: RunInBox, tmp_path: Path) -> None:
    async def work(box: Sandbox) -> list[RunResult]:
        results = []
        for number, command in enumerate(
            (
                "cat documents/a.txt; echo 1 > output/one; echo 2 > output/two; sleep 99 &",
                "cat output/one; echo 3 > output/two; mkdir output/d; echo > output/d/x; pgrep sleep",
            )
        ):
            model = Player(says(bash(command)), says(text="Done."))
            resolved = from_arguments({"model": "test/player", "checkpoints": False})
            task = Task("Go on.", documents={"a.txt": "hello"} if number == 0 else {})
            run = Run(task, resolved, model=model, out=tmp_path / str(number), sandbox=box, chat=Chat())
            await asyncio.to_thread(run.prepare)
            results.append(await run.episode())
            assert box.alive
        return results

    first, second = run_in_box(work, limits=SMALL)
    assert [path.relative_to(tmp_path).as_posix() for path in first.files] == ["0/files/one", "0/files/two"]
    assert [path.relative_to(tmp_path).as_posix() for path in second.files] == ["1/files/d/x", "1/files/two"]
    assert second.files[1].read_text() == "3\n"
    assert "hello" in tools(list(first.trajectory))[0].observation
    observation = tools(list(second.trajectory))[0].observation
    assert observation.startswith("[exit code: 1]")  # the job of the first run was ended
    assert "1\n" in observation
