"""Trying again."""

import asyncio
import time

import pytest

from tests.fakes import FakeServer, openai
from tests.models.support import Deltas
from workroom.errors import AuthError, BadRequest, ModelError, Overloaded, RateLimited
from workroom.models.base import Completion, Message
from workroom.models.openai import OpenAIModel
from workroom.models.retry import RetryPolicy, complete

FAST = RetryPolicy(first_wait=0.01, max_wait=0.02)
Waits = list[tuple[int, float, Exception]]


def call(server: FakeServer, policy: RetryPolicy, waits: Waits, deltas: Deltas | None = None) -> Completion:
    async def go() -> Completion:
        model = OpenAIModel("openai/fake", base_url=server.url, api_key="k")

        def on_wait(attempt: int, seconds: float, error: Exception) -> None:
            waits.append((attempt, seconds, error))
            if deltas is not None:
                deltas.clear()

        try:
            return await complete(model, [Message("user", "x")], on_wait=on_wait, on_delta=deltas, policy=policy)
        finally:
            await model.aclose()

    return asyncio.run(go())


def test_overload_and_rate_limit_are_tried_again() -> None:
    waits: Waits = []
    with FakeServer([openai.error(503, "a"), openai.error(429, "b"), openai.assistant("ok")]) as server:
        assert call(server, FAST, waits).message.content == "ok"
    assert [(attempt, type(error)) for attempt, _, error in waits] == [(1, Overloaded), (2, RateLimited)]
    assert len(server.requests) == 3


def test_what_was_streamed_before_a_wait_is_void() -> None:
    waits: Waits = []
    deltas = Deltas()
    cut = openai.stream(openai.chunks("a broken ans")[:3], done=False, end="cut")
    with FakeServer([cut, openai.assistant("whole")]) as server:
        assert call(server, FAST, waits, deltas).message.content == "whole"
    assert deltas.text("content") == "whole"
    assert len(waits) == 1


def test_the_server_says_how_long() -> None:
    waits: Waits = []
    with FakeServer([openai.error(429, "b", headers={"Retry-After": "0.3"}), openai.assistant("ok")]) as server:
        started = time.monotonic()
        call(server, FAST, waits)
    assert time.monotonic() - started >= 0.3
    assert 0.3 <= waits[0][1] <= 0.34
    assert server.requests[1].time - server.requests[0].time >= 0.3


@pytest.mark.parametrize(("status", "expected"), [(400, BadRequest), (401, AuthError)])
def test_other_errors_pass_at_once(status: int, expected: type[ModelError]) -> None:
    waits: Waits = []
    with FakeServer([openai.error(status, "no")]) as server, pytest.raises(expected):
        call(server, FAST, waits)
    assert (waits, len(server.requests)) == ([], 1)


def test_gives_up_after_the_last_attempt() -> None:
    waits: Waits = []
    policy = RetryPolicy(attempts=3, first_wait=0.01)
    with (
        FakeServer(lambda _: openai.error(503, "busy")) as server,
        pytest.raises(Overloaded, match=r"busy\); gave up after 3 tries"),
    ):
        call(server, policy, waits)
    assert len(server.requests) == 3
    assert [attempt for attempt, _, _ in waits] == [1, 2]


def test_does_not_wait_for_hours() -> None:
    waits: Waits = []
    with (
        FakeServer([openai.error(429, "b", headers={"Retry-After": "7200"})]) as server,
        pytest.raises(RateLimited, match="asks to wait 7200 s") as caught,
    ):
        call(server, FAST, waits)
    assert caught.value.retry_after == 7200
    assert waits == []


def test_waits_are_bounded_in_all() -> None:
    waits: Waits = []
    policy = RetryPolicy(attempts=1000, first_wait=0.05, max_wait=0.05, budget=0.2)
    with (
        FakeServer(lambda _: openai.error(503, "busy")) as server,
        pytest.raises(Overloaded, match="of waiting are used up"),
    ):
        call(server, policy, waits)
    assert sum(seconds for _, seconds, _ in waits) <= 0.2


def test_waits_grow_and_differ() -> None:
    policy = RetryPolicy(first_wait=1.0, max_wait=8.0)
    for attempt, base in ((1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (9, 8.0), (5000, 8.0)):
        waits = {policy.wait(attempt, None) for _ in range(50)}
        assert all(0.5 * base <= wait <= 1.5 * base for wait in waits)
        assert len(waits) > 1
