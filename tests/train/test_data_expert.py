"""The expert's turns, played in a real sandbox by the loop that runs every episode."""

import json
from pathlib import Path

import pytest

from workroom import run
from workroom.models.base import ModelHints
from workroom.models.scripted import ScriptedModel
from workroom.models.text import TextProtocolModel
from workroom.train.config import DataSection
from workroom.train.data import build, expert_turns


@pytest.mark.parametrize("kind", ["lookup", "readings"])
def test_an_expert_looks_and_submits(kind: str, tmp_path: Path) -> None:
    section = DataSection(source=f"generated:{kind}", train=1, validation=0, test=0, seed=2)
    [task] = build(section, tell=lambda _: None).train
    script = tmp_path / "script.jsonl"
    script.write_text("".join(f"{json.dumps({'role': 'assistant', 'content': t})}\n" for t in expert_turns(task)))
    model = TextProtocolModel(ScriptedModel(script, hints=ModelHints(prompt="compact")), "bash")
    result = run(task, model=model, out=tmp_path / "run", network="none", style="neutral")
    assert (result.stop_reason, result.answer) == ("submitted", task.answer)
    assert task.answer is not None
    events = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    assert not any(task.answer in message["content"] for message in events[0]["messages"])  # the prompt tells it not
    assert [task.answer in event["observation"] for event in events if event["type"] == "tool"] == [True, False]
