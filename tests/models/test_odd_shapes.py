"""Replies of an odd shape, and settings of the machine that no connection can be made with: a sentence, no crash."""

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import workroom
from tests.fakes import FakeServer, Reply, openai
from tests.models.fault_support import DONE, QUICK, Wire
from workroom.agent import Agent
from workroom.agent.accounting import recorded
from workroom.agent.limits import Pricing
from workroom.models.retry import RetryPolicy
from workroom.trajectory import AssistantTurn, EpisodeFinished, Event, TokenUsage


def whole(message: Mapping[str, Any]) -> Reply:
    made = openai.completion("")
    made["choices"][0]["message"] = message
    return Reply(body=json.dumps(made).encode())


def answers(wire: Wire, reply: Reply) -> EpisodeFinished:
    """The end of an episode without a sandbox whose every call gets this reply."""

    async def work() -> EpisodeFinished:
        with FakeServer([reply] * 9) as server:
            model = wire.model(server.root)
            events: list[Event] = [event async for event in Agent(model, mode="llm", retry=QUICK).stream("x")]
            await model.aclose()
        assert isinstance(events[-1], EpisodeFinished)
        return events[-1]

    return asyncio.run(work())


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"name": ["x"]}}]},
        {"role": "assistant", "content": {"no": "text"}},
        {"role": "assistant", "content": "", "tool_calls": "none"},
    ],
    ids=["a name that is no text", "content that is no text", "calls that are no list"],
)
def test_a_message_of_a_wrong_form_is_nonsense(message: dict[str, Any]) -> None:
    end = answers(Wire("openai"), whole(message))
    assert end.stop_reason == "model_error"
    assert "wrong form" in str(end.error)


@pytest.mark.parametrize(
    "block", [{"type": "text", "text": None}, {"type": "tool_use", "name": 7, "input": {}}, {"type": "thinking"}]
)
def test_a_block_of_a_wrong_form_is_nonsense(block: dict[str, Any]) -> None:
    body = {"type": "message", "model": "m", "content": [block], "stop_reason": "end_turn", "usage": {}}
    end = answers(Wire("anthropic"), Reply(body=json.dumps(body).encode()))
    assert end.stop_reason == "model_error"
    assert "wrong form" in str(end.error)


def test_an_id_that_is_a_number_is_taken_as_text() -> None:
    call = {"id": 7, "type": "function", "function": {"name": "submit", "arguments": "{}"}}

    async def work() -> str:
        with FakeServer([whole({"role": "assistant", "content": "", "tool_calls": [call]})]) as server:
            model = Wire("openai").model(server.root)
            completion = await model.complete([])
            await model.aclose()
        return completion.message.tool_calls[0].id

    assert asyncio.run(work()) == "7"


@pytest.mark.parametrize(
    ("url", "environment", "code", "said"),
    [
        ("http://api..example.com/v1", {}, 2, "no host name"),
        ("https://example.com/v1", {"HTTPS_PROXY": "http://127.0.0.1:9", "ALL_PROXY": "socks9://x"}, 4, "ALL_PROXY"),
        (
            "https://example.com/v1",
            {"HTTPS_PROXY": "http://127.0.0.1:9", "SSL_CERT_FILE": "/no.pem"},
            4,
            "SSL_CERT_FILE",
        ),
    ],
)
def test_what_no_connection_can_be_made_with_is_one_sentence(
    tmp_path: Path, url: str, environment: dict[str, str], code: int, said: str
) -> None:
    done = workroom(
        tmp_path, "x", "-m", "openai/f", "--base-url", url, "--mode", "llm", "-o", "out", "--quiet", env=environment
    )
    assert (done.returncode, done.stderr.count("\n")) == (code, 1), done.stderr
    assert said in done.stderr


def test_what_waits_for_its_turn_at_the_provider_is_ended_by_a_stop() -> None:
    """Two episodes: the first is told to wait, the second waits at the door for the same reason."""
    wire = Wire("openai")

    async def one(agent: Agent, after: float) -> EpisodeFinished:
        await asyncio.sleep(after)
        events = [event async for event in agent.stream("x")]
        assert isinstance(events[-1], EpisodeFinished)
        return events[-1]

    async def work() -> None:
        slow = wire.error(429, "slow down", headers={"retry-after": "30"})
        with FakeServer([slow, *[wire.says("", *DONE)] * 3]) as server:
            model = wire.model(server.root)
            agents = [Agent(model, mode="llm", retry=RetryPolicy()) for _ in range(2)]
            both = [asyncio.create_task(one(agent, 0.7 * number)) for number, agent in enumerate(agents)]
            await asyncio.sleep(1.5)
            began = time.monotonic()
            for agent in agents:
                agent.request_stop()
            ends = await asyncio.gather(*both)
            assert time.monotonic() - began < 5
            assert [end.stop_reason for end in ends] == ["interrupted"] * 2
            assert len(server.requests) == 1
            await model.aclose()

    asyncio.run(work())


def test_an_account_goes_by_the_end_of_the_part_before() -> None:
    """Only the end tells what calls have used that failed for good or were ended."""
    part = AssistantTurn(turn=1, content="", usage=TokenUsage(prompt=10, completion=5))
    end = EpisodeFinished(
        stop_reason="max_time", usage=TokenUsage(prompt=1000, completion=500, estimated=True), cost=0.5
    )
    account = recorded([part, end, part], Pricing(input=1e6, cached=1e6, output=1e6))
    assert (account.usage.prompt, account.usage.completion, account.estimated) == (1010, 505, True)
    assert account.cost == pytest.approx(15.5)
