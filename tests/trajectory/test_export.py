"""Runs in the formats of others: pairs of call and answer, sides in turn, rows of token ids."""

import io
import json
from pathlib import Path
from typing import Any

import atif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trajectory.helpers import episode
from workroom.errors import ConfigError
from workroom.trajectory import AssistantTurn, Call, EpisodeResumed, Event, Reminder, RunDirectory, ToolFinished
from workroom.trajectory.events import Picture, Tokens
from workroom.trajectory.export import NAMES, export_runs, find_runs
from workroom.trajectory.export.messages import conversation
from workroom.trajectory.export.sharegpt import to_sharegpt
from workroom.trajectory.export.tokens import to_rows


def written(path: Path, events: list[Event]) -> RunDirectory:
    run = RunDirectory.create(path, {})
    for number, event in enumerate(events):
        event.seq = number
        run.record(event)
    run.close()
    return RunDirectory.load(path)


def exported(path: Path, form: str) -> tuple[list[Any], list[str]]:
    stream = io.StringIO()
    told: list[str] = []
    export_runs(find_runs(path), form, stream, told.append)
    return [json.loads(line) for line in stream.getvalue().splitlines()], told


def check_pairs(messages: list[dict[str, Any]]) -> None:
    """Each call has its answer right after its turn, in order; each answer has its call; arguments are text."""
    waiting: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            assert message["tool_call_id"] == waiting.pop(0)
            continue
        assert not waiting
        waiting = [call["id"] for call in message.get("tool_calls", ())]
        assert len(set(waiting)) == len(waiting)
        assert all(isinstance(call["function"]["arguments"], str) for call in message.get("tool_calls", ()))
    assert not waiting


def test_openai_messages_are_the_conversation_as_the_model_saw_it(tmp_path: Path) -> None:
    written(tmp_path, episode())
    [record], told = exported(tmp_path, "openai-jsonl")
    assert told == []
    messages = record["messages"]
    assert [message["role"] for message in messages] == [
        "system", "user", "assistant", "tool", "tool", "user", "assistant", "tool",
    ]  # fmt: skip
    assert messages[2]["content"] == "Two calls.\n"
    assert messages[2]["reasoning_content"] == "hm"
    assert messages[2]["tool_calls"][0]["function"]["arguments"] == '{"command": "ls", "timeout": null}'
    assert messages[3]["content"] == "a\nb\x1b"
    assert messages[5]["content"] == "This is your last turn."
    assert record["tools"][0]["function"]["name"] == "submit"
    check_pairs(messages)


def test_a_run_that_was_killed_at_any_moment_has_whole_pairs() -> None:
    for count in range(len(episode()) + 1):
        check_pairs(conversation(episode()[:count]))


CALL_IDS = st.lists(st.sampled_from(["a", "b", "c"]), unique=True, max_size=3)
TURNS = st.lists(st.tuples(CALL_IDS, st.integers(0, 3), st.booleans(), st.text(max_size=5)), max_size=5)


@settings(deadline=None)
@given(turns=TURNS, resumed_after=st.integers(0, 30))
def test_every_history_has_whole_pairs_and_sides_in_turn(
    turns: list[tuple[list[str], int, bool, str]], resumed_after: int
) -> None:
    """Ids that come again, calls without an answer, turns without words, a run that was resumed anywhere."""
    events = episode()[:1]
    for number, (ids, answered, reminded, words) in enumerate(turns, 1):
        calls = [Call(id=name, name="execute_bash", arguments="{}") for name in ids]
        events.append(AssistantTurn(turn=number, content=words, calls=calls))
        events += [
            ToolFinished(turn=number, call_id=call.id, name=call.name, observation=words) for call in calls[:answered]
        ]
        events += [Reminder(turn=number, reason="budget", text="soon")] if reminded else []
    for number, event in enumerate(events):
        event.seq = number
    if 0 < resumed_after < len(events):
        events.append(EpisodeResumed(seq=len(events), turn=0, after=resumed_after))
        events.append(AssistantTurn(seq=len(events), turn=9, content="again"))
    check_pairs(conversation(events))
    run = RunDirectory(Path(), {}, events)
    [record] = to_sharegpt(run)
    sides = [line["from"] for line in record["conversations"]]
    if sides:
        assert sides[0] == "system"
        assert all(side in ("human", "observation") for side in sides[1::2])
        assert all(side in ("gpt", "function_call") for side in sides[2::2])
        assert len(sides) % 2 == 1
    for line in record["conversations"]:
        if line["from"] == "function_call":
            json.loads(line["value"].rpartition("</think>\n\n")[2])


def test_sharegpt_has_calls_as_json_and_thoughts_beside_them(tmp_path: Path) -> None:
    written(tmp_path, episode())
    [record], _ = exported(tmp_path, "sharegpt")
    lines = record["conversations"]
    assert [line["from"] for line in lines] == ["system", "human", "function_call", "observation", "function_call"]
    thought, _, calls = lines[2]["value"].partition("\n</think>\n\n")
    assert thought == "<think>\nhm\n\nTwo calls.\n"
    assert json.loads(calls) == [
        {"name": "execute_bash", "arguments": {"command": "ls", "timeout": None}},
        {"name": "execute_bash", "arguments": '{"command": '},
    ]
    assert lines[3]["value"] == "a\nb\x1b\n\nError: no JSON\n\nThis is your last turn."
    assert json.loads(lines[4]["value"]) == {"name": "submit", "arguments": {}}
    assert json.loads(record["tools"]) == [{"name": "submit", "description": "d", "parameters": {}}]


def test_pictures_stand_beside_the_text(tmp_path: Path) -> None:
    events = episode()
    assert events[5].type == "tool"
    events[5].images = [Picture(media_type="image/png", data="AAAA")]
    written(tmp_path, events)
    [record], _ = exported(tmp_path, "openai-jsonl")
    assert record["messages"][3]["content"][1] == {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64,AAAA"},
    }
    [document], _ = exported(tmp_path, "atif")
    assert atif.Trajectory.model_validate(document).has_multimodal_content()


def sampled(prompt: list[int], completion: list[int], logprobs: list[float] | None = None) -> AssistantTurn:
    told = [-1.0] * len(completion) if logprobs is None else logprobs
    return AssistantTurn(turn=1, content="x", tokens=Tokens(prompt=prompt, completion=completion, logprobs=told))


def test_token_rows_are_contiguous_and_split_where_the_prompt_does_not_go_on(tmp_path: Path) -> None:
    turns = [sampled([1, 2], [3, 4]), sampled([1, 2, 3, 4, 5], [6]), sampled([1, 9], [7], [-0.5])]
    run = written(tmp_path, [*episode()[:1], *turns, *episode()[-1:]])
    first, second = to_rows(run)
    assert (first["prompt_ids"], first["response_ids"], first["mask"]) == ([1, 2], [3, 4, 5, 6], [1, 1, 0, 1])
    assert first["logprobs"] == [-1.0, -1.0, 0.0, -1.0]
    assert (first["task"], first["rollout"], first["row"], first["rows"]) == ("t1", "e1", 0, 2)
    assert (first["reward"], first["stop_reason"]) == (None, "submitted")
    assert (second["prompt_ids"], second["response_ids"], second["logprobs"]) == ([1, 9], [7], [-0.5])


def test_log_probabilities_that_are_not_all_known_are_none_at_all(tmp_path: Path) -> None:
    run = written(tmp_path, [*episode()[:1], sampled([1], [2]), sampled([1, 2], [3], [])])
    [row] = to_rows(run)
    assert (row["mask"], row["logprobs"]) == ([1, 1], None)


PAIR = st.lists(st.integers(0, 3), min_size=1, max_size=4)


@settings(deadline=None)
@given(calls=st.lists(st.tuples(st.booleans(), PAIR, PAIR), min_size=1, max_size=6))
def test_token_rows_hold_every_call_as_it_was(calls: list[tuple[bool, list[int], list[int]]]) -> None:
    """Each prompt and completion is a prefix of its row, and every sampled token is counted once."""
    turns: list[Tokens] = []
    for goes_on, prompt, completion in calls:
        before = [*turns[-1].prompt, *turns[-1].completion] if turns and goes_on else []
        turns.append(Tokens(prompt=[*before, *prompt], completion=completion))
    events: list[Event] = [*episode()[:1], *(AssistantTurn(turn=1, content="", tokens=told) for told in turns)]
    rows = list(to_rows(RunDirectory(Path(), {}, events)))
    assert sum(sum(row["mask"]) for row in rows) == sum(len(told.completion) for told in turns)
    wholes = [row["prompt_ids"] + row["response_ids"] for row in rows]
    for told in turns:
        seen = [*told.prompt, *told.completion]
        assert any(whole[: len(seen)] == seen for whole in wholes)
    assert all(len(row["mask"]) == len(row["response_ids"]) for row in rows)


def test_a_run_without_token_ids_says_how_to_record_them(tmp_path: Path) -> None:
    written(tmp_path / "one", episode())
    with pytest.raises(ConfigError, match="--token-ids"):
        exported(tmp_path / "one", "tokens")
    written(tmp_path / "two", [*episode()[:1], sampled([1], [2])])
    records, told = exported(tmp_path, "tokens")
    assert (len(records), len(told)) == (1, 1)
    assert "one has no token ids" in told[0]


def test_all_runs_below_a_directory_are_one_line_each(tmp_path: Path) -> None:
    for name in ("b/run", "a/run", "c"):
        written(tmp_path / name, episode())
    (tmp_path / "c/files").mkdir()
    (tmp_path / "c/files/events.jsonl").write_text("the model's own")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    written(tmp_path / "d", [])
    assert [str(path.relative_to(tmp_path)) for path in find_runs(tmp_path)] == ["a/run", "b/run", "c", "d"]
    records, told = exported(tmp_path, "atif")
    assert [record["schema_version"] for record in records] == ["ATIF-v1.8"] * 3
    assert told == [f"left out: the run in {tmp_path / 'd'} ended before its episode began"]


def test_what_cannot_be_exported_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no run in or below"):
        find_runs(tmp_path)
    with pytest.raises(ConfigError, match="there is no directory"):
        find_runs(tmp_path / "missing")
    written(tmp_path, [])
    with pytest.raises(ConfigError, match="nothing to export"):
        exported(tmp_path, "atif")
    with pytest.raises(ConfigError, match=f"the formats are: {', '.join(NAMES)}"):
        exported(tmp_path, "yaml")


def test_a_resumed_run_is_exported_without_what_was_put_aside(tmp_path: Path) -> None:
    events = episode()
    first = events[:6]
    again = [EpisodeResumed(turn=0, after=1, replayed=0), *episode()[4:]]
    run = written(tmp_path, [*first, *again])
    assert conversation(run.events) == conversation(episode())
    [document], _ = exported(tmp_path, "atif")
    assert document["extra"]["resumed"] == [{"turn": 0, "replayed": 0}]
    assert len(document["steps"]) == 5
