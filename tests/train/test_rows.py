"""Calls as rows for the trainer."""

import pytest

from workroom.errors import ConfigError
from workroom.models.base import TokenIds
from workroom.train.records import TrainRow
from workroom.train.rows import rows_of, train_rows
from workroom.trajectory import AssistantTurn, EpisodeResumed, Event
from workroom.trajectory.events import Tokens


def turn(seq: int, prompt: list[int], completion: list[int], logprobs: list[float] | None = None) -> AssistantTurn:
    told = [-float(token) for token in completion] if logprobs is None else logprobs
    tokens = Tokens(prompt=prompt, completion=completion, logprobs=told)
    return AssistantTurn(seq=seq, turn=1, content="x", tokens=tokens)


def test_what_is_between_two_turns_is_masked_and_an_edited_context_begins_a_row() -> None:
    events = [turn(0, [1, 2], [3]), turn(1, [1, 2, 3, 4, 5], [6, 7]), turn(2, [1, 5], [8])]
    assert rows_of(events) == (
        TrainRow((1, 2), (3, 4, 5, 6, 7), (1, 0, 0, 1, 1), (-3.0, 0.0, 0.0, -6.0, -7.0)),
        TrainRow((1, 5), (8,), (1,), (-8.0,)),
    )


def test_turns_that_a_resumed_run_has_put_aside_are_in_no_row() -> None:
    events: list[Event] = [turn(0, [1], [2]), turn(1, [1, 2, 3], [4]), EpisodeResumed(seq=2, turn=1, after=0)]
    [row] = rows_of([*events, turn(3, [1, 2, 9], [5])])
    assert row.response_ids == (2, 9, 5)


def test_an_episode_without_a_call_has_no_rows() -> None:
    assert rows_of([]) == ()


def test_log_probabilities_that_nobody_told_cannot_be_trained_on() -> None:
    with pytest.raises(ConfigError, match="log-probabilities"):
        rows_of([turn(0, [1], [2], [])])


def test_calls_of_two_conversations_may_take_turns() -> None:
    calls = [
        TokenIds((1,), (2,), (-1.0,)),
        TokenIds((7,), (8,), (-1.0,)),
        TokenIds((1, 2, 3), (4,), (-1.0,)),
        TokenIds((7, 8), (9,), (-1.0,)),
    ]
    assert [row.response_ids for row in train_rows(calls, interleaved=True)] == [(2, 3, 4), (8, 9)]
    assert len(train_rows(calls)) == 4


def test_lists_of_a_row_are_of_one_length() -> None:
    with pytest.raises(ValueError, match="one length"):
        TrainRow((1,), (2, 3), (1,), (0.0, 0.0))
