"""`llm` mode: one plain completion, documents in the prompt."""

import asyncio
from pathlib import Path
from typing import Any

from tests.agent.helpers import QUICK, Player, end, says
from workroom.agent import Agent
from workroom.errors import BadRequest, ContextOverflow
from workroom.task import Task
from workroom.trajectory import Event


def play(model: Player, task: Task | str = "How many?", **options: Any) -> list[Event]:
    async def work() -> list[Event]:
        return [event async for event in Agent(model, mode="llm", retry=QUICK, **options).stream(task)]

    return asyncio.run(work())


def test_the_text_is_the_answer(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes("zwei\xe9".encode("latin-1"))
    model = Player(says(text="\n 7 \n", reasoning="hm"))
    events = play(model, Task("How {many}?", documents={"a.txt": "eins", "b.txt": tmp_path / "b"}))
    last = end(events)
    assert (last.stop_reason, last.answer, last.turns) == ("submitted", "7", 1)
    [[message]] = model.seen
    assert message.role == "user"
    assert "BEGIN DOCUMENT 1: a.txt\neins\nEND DOCUMENT 1" in message.content
    assert "zwei\ufffd" in message.content
    assert message.content.endswith("\n\nHow {many}?")
    assert list(model.tools) == []
    assert [event.type for event in events if not event.live_only] == [
        "episode_started",
        "turn_started",
        "assistant",
        "episode_finished",
    ]


def test_without_documents_the_prompt_is_the_tasks() -> None:
    model = Player(says(text="7"))
    play(model, "  How many?\n")
    assert model.seen[0][0].content == "  How many?"


def test_other_ends(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"\0")
    cases = [
        (Player(says(text="The ans", finish="length")), "max_tokens", "The ans"),
        (Player(says(reasoning="hm")), "stalled", None),
        (Player(BadRequest("no")), "model_error", None),
        (Player(ContextOverflow("too long", 10)), "context_overflow", None),
    ]
    for model, reason, answer in cases:
        assert (end(play(model)).stop_reason, end(play(model)).answer) == (reason, answer)
    failed = end(play(Player(says(text="7")), Task("x", documents={"b": tmp_path / "b"})))
    assert failed.stop_reason == "model_error"
    assert failed.error is not None
    assert "binary" in failed.error
