"""The bounds of an episode and its account: tokens, cost, time, window (faults F13, F21, F22)."""

import asyncio
import time

import pytest

from tests.agent.helpers import FINISH, Player, bash, call, end, play, reminders, says, tools
from tests.conftest import RunInBox
from workroom.agent import Agent, EpisodeLimits, Pricing
from workroom.agent.accounting import recorded, token_usage
from workroom.agent.context import Context
from workroom.agent.limits import Account
from workroom.errors import ContextOverflow, Overloaded
from workroom.models.base import Completion, Message, Sampling, Usage
from workroom.trajectory import AssistantTurn, ContextTrimmed, Event, TurnStarted

PRICING = Pricing(input=10.0, cached=1.0, output=100.0)
USED = Usage(prompt=1000, completion=10, cached=900)  # 0.0029 USD


def turns(events: list[Event]) -> list[AssistantTurn]:
    return [event for event in events if isinstance(event, AssistantTurn)]


def test_tokens_stop_it_and_the_answer_is_asked_for_before(run_in_box: RunInBox) -> None:
    model = Player(says(bash("true"), usage=Usage(prompt=900, completion=100)))
    events = play(run_in_box, model, limits=EpisodeLimits(max_tokens=10_000))
    assert (end(events).stop_reason, end(events).turns) == ("max_tokens", 10)
    assert end(events).usage.prompt == 9000
    [seen] = reminders(events)
    assert (seen.reason, seen.turn) == ("budget", 9)
    assert "1,000 tokens" in seen.text
    assert "9,000 tokens left]" in tools(events)[0].observation
    [second] = [event for event in events if isinstance(event, TurnStarted) and event.turn == 2]
    assert second.remaining == {"turns": 98, "tokens": 9000, "cost": None, "seconds": None}


def test_a_reply_has_no_more_room_than_the_token_budget(run_in_box: RunInBox) -> None:
    model = Player(says(bash("true"), usage=Usage(prompt=900, completion=100)), says(*FINISH))
    play(run_in_box, model, limits=EpisodeLimits(max_tokens=4000), sampling=Sampling(max_tokens=3000, seed=7))
    first, second = model.sampling
    assert first is not None
    assert second is not None
    assert (first.seed, second.seed) == (7, 7)
    assert first.max_tokens is not None
    assert 2500 < first.max_tokens < 3000
    assert second.max_tokens is not None
    assert 1900 < second.max_tokens < 2000


def test_cost_stops_it(run_in_box: RunInBox) -> None:
    model = Player(says(bash("true"), usage=Usage(prompt=1000, completion=10, cached=900)))
    events = play(run_in_box, model, limits=EpisodeLimits(max_cost=0.01), pricing=PRICING)
    assert end(events).stop_reason == "max_cost"
    assert end(events).turns == 4
    assert end(events).cost == pytest.approx(4 * 0.0029)


def test_cost_without_a_limit_is_told_where_the_prices_are_known(run_in_box: RunInBox) -> None:
    model = Player(says(*FINISH, usage=Usage(prompt=1000, completion=10)))
    assert end(play(run_in_box, model, pricing=PRICING)).cost == pytest.approx(0.011)
    assert end(play(run_in_box, Player(says(*FINISH)))).cost is None


def test_time_ends_a_model_call_in_flight(run_in_box: RunInBox) -> None:
    model = Player(says(bash("true")), delay=60)
    began = time.monotonic()
    events = play(run_in_box, model, limits=EpisodeLimits(max_time=0.5))
    assert (end(events).stop_reason, end(events).turns) == ("max_time", 1)
    assert model.cancelled
    assert time.monotonic() - began < 10


def test_time_ends_a_tool_call_in_flight_and_what_is_there_counts(run_in_box: RunInBox) -> None:
    model = Player(says(bash("echo 7 > answer.txt; sleep 20"), bash("echo 8 > answer.txt")))
    began = time.monotonic()
    events = play(run_in_box, model, limits=EpisodeLimits(max_time=2))
    assert (end(events).stop_reason, end(events).answer) == ("max_time", "7")
    assert time.monotonic() - began < 10
    seen = [tool.observation for tool in tools(events)]
    assert all(tool.is_error for tool in tools(events))
    assert ["for the answer" in text for text in seen] == [True, True, False, False]  # in the second turn, to the end
    assert "time limit" in seen[2]
    assert [reminder.reason for reminder in reminders(events)] == ["budget"]


TIGHT = {
    "tokens": EpisodeLimits(max_tokens=10_000),
    "cost": EpisodeLimits(max_cost=0.03),
    "seconds": EpisodeLimits(max_time=3.0),
}


@pytest.mark.parametrize("obeys", [True, False])
@pytest.mark.parametrize("name", TIGHT)
def test_every_budget_leaves_a_last_turn_for_the_answer(name: str, obeys: bool, run_in_box: RunInBox) -> None:
    class Busy(Player):
        """Works on until it is asked for its answer, and then gives one if it obeys."""

        async def complete(self, messages, tools=(), *, sampling=None, on_delta=None):  # type: ignore[no-untyped-def]
            asked = messages[-1].role == "user" and "nearly used up" in messages[-1].content
            self.replies = [says(*FINISH, usage=USED)] if asked and obeys else [work]
            return await super().complete(messages, tools, sampling=sampling, on_delta=on_delta)

    command = "echo so far > answer.txt" + ("; sleep 60" if name == "seconds" else "")
    work = says(bash(command), usage=USED)
    events = play(run_in_box, Busy(work), limits=TIGHT[name], pricing=PRICING)
    last = end(events)
    [reminder] = reminders(events)
    assert reminder.reason == "budget"
    if obeys:
        assert (last.stop_reason, last.answer) == ("submitted", "42")
    else:
        assert last.stop_reason == {"tokens": "max_tokens", "cost": "max_cost", "seconds": "max_time"}[name]
        assert last.answer == "so far"
    assert last.cost is not None
    assert last.cost <= 0.03 + PRICING.cost(USED)


def test_a_turn_that_took_more_than_is_left_is_followed_by_the_last_one(run_in_box: RunInBox) -> None:
    model = Player(says(bash("true"), usage=Usage(prompt=600)), says(*FINISH, usage=Usage(prompt=300)))
    events = play(run_in_box, model, limits=EpisodeLimits(max_tokens=1000))
    assert [(seen.reason, seen.turn) for seen in reminders(events)] == [("budget", 1)]
    assert end(events).stop_reason == "submitted"


@pytest.mark.parametrize(("limits", "reason"), [("tokens", "max_tokens"), ("cost", "max_cost")])
@pytest.mark.parametrize("kind", ["malformed", "unknown tool", "refused", "empty"])
def test_a_budget_stops_turns_of_nothing_too(limits: str, reason: str, kind: str, run_in_box: RunInBox) -> None:
    turn = {
        "malformed": says(call("execute_bash", '{"command": '), usage=USED),
        "unknown tool": says(call("fly", "{}"), usage=USED),
        "refused": says(text="No.", finish="content_filter", usage=USED),
        "empty": says(usage=USED),
    }[kind]
    silent = kind in ("refused", "empty")
    other = says(bash("true"), usage=USED)
    events = play(run_in_box, Player(*[turn, other] * 30), limits=TIGHT[limits], pricing=PRICING)
    assert end(events).stop_reason == reason
    counted = end(events).turns * USED.total
    assert end(events).usage.prompt + end(events).usage.completion == counted
    assert any(seen.reason == "no_tool_call" for seen in reminders(events)) is silent


def test_time_is_monotonic(monkeypatch: pytest.MonkeyPatch, run_in_box: RunInBox) -> None:
    clock = iter(range(10**9, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(clock)))
    events = play(run_in_box, Player(says(bash("true")), says(*FINISH)), limits=EpisodeLimits(max_time=60))
    assert end(events).stop_reason == "submitted"
    assert [event.elapsed for event in events] == sorted(event.elapsed for event in events)


def test_one_turn_is_the_last_one_at_once(run_in_box: RunInBox) -> None:
    model = Player(says(*FINISH))
    events = play(run_in_box, model, limits=EpisodeLimits(max_turns=1))
    assert end(events).stop_reason == "submitted"
    assert reminders(events)[0].reason == "last_turn"
    assert model.seen[0][-1].content == reminders(events)[0].text


def test_usage_is_accounted_turn_by_turn(run_in_box: RunInBox) -> None:
    usages = [
        Usage(prompt=100, completion=20, cached=0),
        Usage(prompt=150, completion=30, cached=100, reasoning=10),
        Usage(prompt=200, completion=5, cached=150),
    ]
    commands = [(bash("echo a"),), (bash("seq 1 40"),), FINISH]
    replies = [says(*calls, usage=usage) for calls, usage in zip(commands, usages, strict=True)]
    events = play(run_in_box, Player(*replies))
    assert [turn.usage.environment for turn in turns(events)] == [0, 30, 30]
    total = end(events).usage
    assert (total.prompt, total.completion, total.cached, total.reasoning, total.environment) == (450, 55, 250, 10, 60)
    assert not total.estimated


def test_where_the_server_reports_nothing_it_is_estimated(run_in_box: RunInBox) -> None:
    events = play(run_in_box, Player(says(bash("seq 1 400"), text="x" * 400), says(*FINISH)))
    first, second = turns(events)
    assert first.usage.estimated
    assert 100 < first.usage.completion < 130
    assert first.usage.prompt > 500
    assert 250 < second.usage.environment < 500
    assert end(events).usage.estimated


class Narrow(Player):
    """Refuses prompts of more than `room` characters."""

    def __init__(self, *replies: Completion, room: int, told: int | None = None) -> None:
        super().__init__(*replies)
        self.room = room
        self.told = told

    async def complete(self, messages, tools=(), *, sampling=None, on_delta=None):  # type: ignore[no-untyped-def]
        if sum(len(message.content) for message in messages) > self.room:
            raise ContextOverflow("the prompt does not fit", self.told)
        return await super().complete(messages, tools, sampling=sampling, on_delta=on_delta)


BIG = says(bash("seq -s, 1 1000"))  # about 3,900 characters


def test_an_overflow_is_met_by_shortening_old_observations(run_in_box: RunInBox) -> None:
    model = Narrow(*[BIG] * 6, says(*FINISH), room=18_000)
    events = play(run_in_box, model)
    assert end(events).stop_reason == "submitted"
    trimmed = [event for event in events if isinstance(event, ContextTrimmed)]
    assert trimmed
    assert sum(event.observations for event in trimmed) >= 2
    last = model.seen[-1]
    observed = [message.content for message in last if message.role == "tool"]
    assert "left out to save room" in observed[0]
    assert observed[0].startswith("[exit code: 0]\n[stdout]\n1,2,")
    assert observed[-1].endswith("999,1000\n\n[94 turns left]")
    assert last[:2] == model.seen[0][:2]
    assert all("999,1000\n" in seen.observation for seen in tools(events)[:6])


def test_an_overflow_of_the_newest_turn_alone_is_met_too(run_in_box: RunInBox) -> None:
    model = Narrow(says(bash("seq -s, 1 1000"), bash("seq -s, 1 1000")), says(*FINISH), room=10_000)
    assert end(play(run_in_box, model)).stop_reason == "submitted"


def test_an_overflow_with_nothing_left_to_shorten_ends_it(run_in_box: RunInBox) -> None:
    first = Player(says(*FINISH))
    play(run_in_box, first)
    room = sum(len(message.content) for message in first.seen[0]) + 100
    model = Narrow(says(bash("echo 1 > answer.txt; seq -s, 1 1000")), room=room)
    events = play(run_in_box, model)
    assert (end(events).stop_reason, end(events).answer) == ("context_overflow", "1")
    assert end(events).error == "the prompt does not fit"


def test_a_prompt_that_never_fits_ends_at_once(run_in_box: RunInBox) -> None:
    events = play(run_in_box, Narrow(BIG, room=10))
    assert (end(events).stop_reason, end(events).turns) == ("context_overflow", 1)


def test_a_known_window_is_kept_without_an_error(run_in_box: RunInBox) -> None:
    model = Player(*[BIG] * 8, says(*FINISH), window=6000)
    events = play(run_in_box, model)
    assert end(events).stop_reason == "submitted"
    assert any(isinstance(event, ContextTrimmed) for event in events)
    assert all(sum(len(message.content) for message in seen) // 4 < 6000 for seen in model.seen)


def test_the_servers_count_goes_before_the_estimate() -> None:
    context = Context([Message("user", "x" * 400)], window=1000)
    assert 100 <= context.size() < 110
    context.add(Message("assistant", "y"))
    context.measured(Usage(prompt=700, completion=50))
    context.add(Message("tool", "z" * 800, tool_call_id="1"))
    assert 950 <= context.size() < 960
    assert not asyncio.run(context.fit(100))  # only old turns are shortened ahead of need
    context.add(Message("assistant", "y"))
    assert asyncio.run(context.fit(100)).observations == 1
    assert context.size() < 860


def test_account_of_the_costliest_turn() -> None:
    account = Account(EpisodeLimits(max_tokens=1000))
    account.begin_turn()
    account.usage += Usage(prompt=300)
    account.begin_turn()
    assert not account.nearly_used()
    account.usage += Usage(prompt=101)
    assert account.nearly_used() is (599 < 2 * 300)
    assert account.exceeded() is None
    account.usage += Usage(prompt=600)
    assert account.exceeded() == "max_tokens"


def test_many_episodes_run_in_one_loop(backend: str) -> None:
    async def one() -> str | None:
        agent = Agent(Player(says(text="7"), delay=0.2), mode="llm")
        return end([event async for event in agent.stream("x")]).answer

    async def work() -> list[str | None]:
        return await asyncio.gather(*(one() for _ in range(100)))

    began = time.monotonic()
    assert asyncio.run(work()) == ["7"] * 100
    assert time.monotonic() - began < 8


def test_an_account_is_told_by_the_events(run_in_box: RunInBox) -> None:
    failing = Overloaded("cut")
    failing.usage = Usage(prompt=0, completion=20)
    last_call = says(*FINISH, usage=Usage(1200, 5, 900, cache_written=90))
    model = Player(says(bash("seq 1 40"), usage=USED), failing, last_call)
    events = play(run_in_box, model, pricing=PRICING)
    account = recorded(events, PRICING)
    last = end(events)
    assert token_usage(account.usage, account.environment, estimated=account.estimated) == last.usage
    assert account.cost == last.cost
    assert (last.usage.completion, last.usage.cache_written, last.usage.estimated) == (35, 90, True)
