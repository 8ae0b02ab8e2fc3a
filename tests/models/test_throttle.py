"""What a rate limit allows is found out, and shared by all calls to one server (fault F11)."""

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from tests.fakes import FakeServer, Reply, Request, openai
from tests.models.support import Deltas
from workroom.errors import ModelError, RateLimited
from workroom.models.base import Completion, Message
from workroom.models.openai import OpenAIModel
from workroom.models.retry import RetryPolicy, complete
from workroom.models.throttle import _KNOWN, FEW, MANY, Throttle, throttle_of

QUICK = RetryPolicy(first_wait=0.05, max_wait=0.5)


class Limited:
    """A server that takes `most` requests at once, each for `seconds`, and answers 429 to more."""

    def __init__(self, most: int, seconds: float = 0.1) -> None:
        self.most, self.seconds = most, seconds
        self.active = self.refused = self.peak = 0
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Reply:
        with self._lock:
            if self.active >= self.most:
                self.refused += 1
                return openai.error(429, "too many at once", headers={"Retry-After": "0.05"})
            self.active += 1
            self.peak = max(self.peak, self.active)
        time.sleep(self.seconds)
        with self._lock:
            self.active -= 1
        return openai.assistant("ok")(request)


def at_once(server: FakeServer, count: int, before: Callable[[Throttle], None] | None = None) -> list[Completion]:
    """`count` episodes of one call each, in one event loop; `before` sees their throttle first."""

    async def go() -> list[Completion]:
        model = OpenAIModel("openai/fake", base_url=server.url, api_key="k")
        throttle = throttle_of(server.root.removeprefix("http://"), "k", MANY)
        if before is not None:
            before(throttle)
        try:
            calls = (complete(model, [Message("user", "x")], on_delta=Deltas(), policy=QUICK) for _ in range(count))
            return await asyncio.gather(*calls)
        finally:
            await model.aclose()

    return asyncio.run(go())


def test_a_hundred_episodes_at_a_server_that_takes_ten() -> None:
    limited = Limited(10)
    with FakeServer(limited) as server:
        done = at_once(server, 100)
    assert [completion.message.content for completion in done] == ["ok"] * 100
    assert limited.peak <= 10
    assert limited.refused < 120  # up to 54 of the first 64: nobody could know


def test_the_number_of_refusals_stays_small_once_the_limit_is_known() -> None:
    limited = Limited(10)

    def known(throttle: Throttle) -> None:
        throttle.limit = throttle._threshold = 8.0

    with FakeServer(limited) as server:
        at_once(server, 100, known)
    assert limited.refused < 30


def test_what_a_server_asks_for_is_waited_for_by_all() -> None:
    refused = threading.Event()
    early: list[float] = []

    def reply(request: Request) -> Reply:
        if not refused.is_set():
            refused.set()
            return openai.error(429, "slow down", headers={"Retry-After": "0.6"})
        early.append(request.time)
        return openai.assistant("ok")(request)

    def few(throttle: Throttle) -> None:
        throttle.limit = 1.0

    with FakeServer(reply) as server:
        done = at_once(server, 20, few)
        first = server.requests[0].time
    assert len(early) == 20
    assert min(early) - first >= 0.6
    # The queue is no part of what the model took.
    assert max(completion.duration for completion in done) < 0.6


def test_a_pause_grows_where_the_server_does_not_say_how_long() -> None:
    async def go() -> list[float]:
        throttle = Throttle(1)
        pauses = []
        for _ in range(4):
            with pytest.raises(RateLimited):
                async with throttle.place():
                    raise RateLimited("slow down")
            pauses.append(throttle._open_at - time.monotonic())
            throttle._open_at = 0.0
        return pauses

    pauses = asyncio.run(go())
    for pause, most in zip(pauses, (0.5, 1.0, 2.0, 4.0), strict=True):
        assert most / 2 - 0.1 <= pause <= most


def test_a_wait_of_hours_is_left_to_each_call() -> None:
    async def go() -> float:
        throttle = Throttle(1)
        with pytest.raises(RateLimited):
            async with throttle.place():
                raise RateLimited("tomorrow", 40_000)
        return throttle._open_at

    assert asyncio.run(go()) < time.monotonic()


def test_a_burst_of_500_does_not_lower_the_limit() -> None:
    seen: list[Throttle] = []
    broken = iter(range(20))

    def reply(request: Request) -> Reply:
        return openai.error(500, "oops") if next(broken, None) is not None else openai.assistant("ok")(request)

    with FakeServer(reply) as server:
        done = at_once(server, 20, seen.append)
    assert len(done) == 20
    assert seen[0].limit >= MANY
    assert seen[0].refused == 0


def test_the_first_round_of_refusals_counts_once() -> None:
    async def go() -> Throttle:
        throttle = Throttle(64)

        async def refused() -> None:
            async with throttle.place():
                await asyncio.sleep(0.01)
                raise RateLimited("slow down", 0.0)

        await asyncio.gather(*(refused() for _ in range(64)), return_exceptions=True)
        return throttle

    throttle = asyncio.run(go())
    assert (throttle.limit, throttle.refused) == (32, 64)


def test_places_double_with_each_round_that_uses_them() -> None:
    async def go() -> list[float]:
        throttle = Throttle(FEW)
        limits = []
        for _ in range(3):

            async def call() -> None:
                async with throttle.place() as taken:
                    await asyncio.sleep(0.001)
                    taken()

            await asyncio.gather(*(call() for _ in range(int(throttle.limit))))
            limits.append(throttle.limit)
        for _ in range(100):
            await call()  # one after the other: nothing is learned from that
        return [*limits, throttle.limit]

    limits = asyncio.run(go())
    assert limits[0] > FEW
    assert limits[2] > 1.5 * limits[0]
    assert limits[3] == limits[2]


def test_servers_and_keys_are_apart_and_a_cancelled_call_leaves_its_place() -> None:
    async def go() -> None:
        throttle = throttle_of("a", "k", 1)
        assert throttle_of("a", "k", 1) is throttle
        assert throttle_of("a", "other", 1) is not throttle
        assert throttle_of("b", "k", 1) is not throttle
        async with throttle.place():
            waiting = asyncio.create_task(throttle.place().__aenter__())
            await asyncio.sleep(0.01)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        async with asyncio.timeout(1), throttle.place():
            pass

    asyncio.run(go())


def test_other_errors_pass_through() -> None:
    async def go() -> Throttle:
        throttle = Throttle(4)
        with pytest.raises(ModelError, match="no"):
            async with throttle.place():
                raise ModelError("no")
        return throttle

    assert asyncio.run(go()).limit == 4


def test_throttles_that_nobody_uses_are_not_kept_for_ever() -> None:
    async def work() -> None:
        used = throttle_of("127.0.0.1:1", "used", MANY)
        async with used.place():
            throttles = [throttle_of("127.0.0.1:1", f"of episode {number}", MANY) for number in range(_KNOWN)]
            assert throttle_of("127.0.0.1:1", "used", MANY) is used
            assert throttle_of("127.0.0.1:1", "of episode 0", MANY) is not throttles[0]
            assert throttle_of("127.0.0.1:1", f"of episode {_KNOWN - 1}", MANY) is throttles[-1]

    asyncio.run(work())
