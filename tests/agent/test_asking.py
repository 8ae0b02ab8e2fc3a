"""What of a model call counts as the episode's time, and as the model's: failures and queues are neither."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.agent.helpers import Player, bash, end, says
from tests.agent.helpers import play as play_in_box
from tests.conftest import RunInBox
from workroom.agent import Agent, EpisodeLimits
from workroom.agent.limits import Account
from workroom.agent.resuming import count_used
from workroom.bench.calls import BoundedModel
from workroom.errors import Overloaded
from workroom.models.base import Completion, Delta, Message, Model
from workroom.models.retry import RetryPolicy
from workroom.models.throttle import Throttle
from workroom.trajectory import EpisodeFinished, Event
from workroom.trajectory.history import whole_turns

LONG = RetryPolicy(first_wait=60)


def play(model: Model, *, seconds: float, retry: RetryPolicy | None = None) -> list[Event]:
    async def work() -> list[Event]:
        agent = Agent(model, mode="llm", limits=EpisodeLimits(max_time=seconds), retry=retry)
        return [event async for event in agent.stream("x")]

    return asyncio.run(work())


def test_a_provider_that_fails_until_the_time_is_over_has_failed() -> None:
    last = end(play(Player(Overloaded("it is down")), seconds=0.3, retry=LONG))
    assert (last.stop_reason, last.answer) == ("model_error", None)
    assert last.error == "it is down; the time limit of 0.3 s was over before another try succeeded"
    assert last.model_seconds == 0  # it was waited for, not asked


def test_so_has_one_that_is_silent_when_it_is_tried_again() -> None:
    class Silent(Player):
        async def complete(self, *arguments: Any, **options: Any) -> Completion:
            self.delay = 60 * len(self.seen)
            return await super().complete(*arguments, **options)

    model = Silent(Overloaded("it is down"))
    last = end(play(model, seconds=0.5, retry=RetryPolicy(first_wait=0.01)))
    assert (last.stop_reason, len(model.seen)) == ("model_error", 2)


def test_an_answer_that_is_there_is_told_all_the_same(run_in_box: RunInBox) -> None:
    failing = Overloaded("it is down", retry_after=60)
    model = Player(says(bash("echo 7 > answer.txt")), failing)
    last = end(play_in_box(run_in_box, model, limits=EpisodeLimits(max_time=4)))
    assert (last.stop_reason, last.answer) == ("model_error", "7")


class Slow(Player):
    """Fails once, then answers and does not come to an end."""

    async def complete(
        self, messages: Sequence[Message], *_: Any, on_delta: Callable[[Delta], None] | None = None, **__: Any
    ) -> Completion:
        self.seen.append(tuple(messages))
        if len(self.seen) == 1:
            raise Overloaded("busy")
        assert on_delta is not None
        on_delta(Delta("content", "Let me see"))
        await asyncio.sleep(60)
        raise AssertionError


def test_a_model_that_answers_after_a_failure_and_is_slow_runs_out_of_time() -> None:
    last = end(play(Slow(), seconds=0.5, retry=RetryPolicy(first_wait=0.01)))
    assert (last.stop_reason, last.error) == ("max_time", None)
    assert 0 < last.model_seconds < last.duration


class Throttled(Player):
    """Waits for a place as the calls of one provider do."""

    throttle: Throttle

    async def complete(self, *arguments: Any, **options: Any) -> Completion:
        async with self.throttle.place():
            return await super().complete(*arguments, **options)


@pytest.mark.parametrize("kind", ["max calls", "provider's places"])
def test_waiting_for_a_place_is_no_time_of_the_episode_nor_of_the_model(kind: str) -> None:
    answer = replace(says(text="7"), duration=0.4)

    async def work() -> list[EpisodeFinished]:
        model: Model
        if kind == "max calls":
            model = BoundedModel(Player(answer, delay=0.4), 1)
        else:
            model = Throttled(answer, delay=0.4)
            model.throttle = Throttle(1)
        return await asyncio.gather(*(one(model) for _ in range(6)))

    async def one(model: Model) -> EpisodeFinished:
        agent = Agent(model, mode="llm", limits=EpisodeLimits(max_time=1.6))
        return end([event async for event in agent.stream("x")])

    ends = asyncio.run(work())
    assert [last.stop_reason for last in ends] == ["submitted"] * 6
    assert [last.model_seconds for last in ends] == [0.4] * 6
    assert max(last.duration for last in ends) > 1.6  # on the wall


def test_the_clock_goes_on_where_the_queue_ends() -> None:
    async def work() -> EpisodeFinished:
        places = asyncio.Semaphore(1)
        await places.acquire()
        asyncio.get_running_loop().call_later(1.0, places.release)
        agent = Agent(
            BoundedModel(Player(says(text="7"), delay=60), places), mode="llm", limits=EpisodeLimits(max_time=0.5)
        )
        return end([event async for event in agent.stream("x")])

    last = asyncio.run(work())
    assert last.stop_reason == "max_time"
    assert last.duration >= 1.5
    assert 0 < last.model_seconds <= last.duration - 1.0


def test_a_stop_ends_a_wait_for_a_place_at_once() -> None:
    async def work() -> EpisodeFinished:
        places = asyncio.Semaphore(1)
        await places.acquire()
        agent = Agent(BoundedModel(Player(says(text="7")), places), mode="llm", limits=EpisodeLimits(max_time=60))
        asyncio.get_running_loop().call_later(0.2, agent.request_stop)
        return end([event async for event in agent.stream("x")])

    last = asyncio.run(work())
    assert (last.stop_reason, last.model_seconds) == ("interrupted", 0)


def test_a_run_that_goes_on_counts_the_models_seconds_as_before() -> None:
    for model, least in ((Player(replace(says(text="7"), duration=5.0)), 5.0), (Player(says(), delay=60), 0.2)):
        events = play(model, seconds=0.4)
        history = whole_turns(event for event in events if not event.live_only)
        assert history is not None
        account = Account(EpisodeLimits())
        count_used(account, history)
        assert account.model_seconds == end(events).model_seconds >= least
