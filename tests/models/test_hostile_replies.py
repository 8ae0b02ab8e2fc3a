"""Replies that no honest server sends: each is a classed error or is put right, and never a fault of ours."""

import asyncio
import gzip
import json
from typing import Any

import pytest

from tests.fakes import FakeServer, Reply, anthropic, openai
from tests.models.fault_support import QUICK, Wire, play
from tests.models.support import ask
from workroom.errors import BadRequest, ContextOverflow, ModelError, Overloaded, RateLimited
from workroom.models import transport
from workroom.models.anthropic_wire import Answer as AnthropicAnswer
from workroom.models.base import Message
from workroom.models.failures import Provider, classify
from workroom.models.messages import sendable
from workroom.models.openai_wire import Answer

OPENAI = Wire("openai")
PROVIDER = Provider("openai/fake", "example.test", "OPENAI_API_KEY")


def chunk(delta: dict[str, Any], finish: Any = None) -> dict[str, Any]:
    return openai.chunk(delta, finish)


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("words", "wait"),
    [("try again in 1.2.3s", None), ("retry in ... seconds", None), ("try again in 1m2.5s", 62.5)],
)
def test_a_wait_in_words_of_any_form(words: str, wait: float | None) -> None:
    error = classify(PROVIDER, 429, {"error": {"message": words}}, {})
    assert isinstance(error, RateLimited)
    assert error.retry_after == wait


@pytest.mark.parametrize("told", ["Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "soon, please", "inf"])
def test_a_retry_after_that_is_none(told: str) -> None:
    error = classify(PROVIDER, 429, {}, {"retry-after": told})
    assert isinstance(error, RateLimited)
    assert error.retry_after is None


def test_a_retry_after_of_three_hundred_digits_is_cut() -> None:
    error = classify(PROVIDER, 429, {}, {"retry-after": "1e308"})
    assert isinstance(error, RateLimited)
    assert error.retry_after is not None
    assert error.retry_after <= 365 * 86400


def test_numbers_that_python_does_not_read() -> None:
    words = f"maximum context length is {'9' * 5000} tokens"
    error = classify(PROVIDER, 400, {"error": {"message": words}}, {})
    assert isinstance(error, ContextOverflow)
    assert error.window is None
    assert isinstance(classify(PROVIDER, 200, {"error": {"message": "x", "code": "²"}}, {}), Overloaded)


@pytest.mark.parametrize("reason", [{"a": 1}, ["stop"], 7])
def test_a_reason_to_end_that_is_no_text(reason: Any) -> None:
    with pytest.raises(TypeError):
        Answer().feed(chunk({}, reason))
    with pytest.raises(TypeError):
        AnthropicAnswer().feed({"type": "message_delta", "delta": {"stop_reason": reason}})


@pytest.mark.parametrize("index", ["b", None])
def test_an_index_of_a_block_that_is_no_number(index: Any) -> None:
    event = {"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": "x"}}
    with pytest.raises(TypeError):
        AnthropicAnswer().feed(event)


def test_an_endless_count_is_nonsense_and_no_fault_of_ours() -> None:
    usage = b'{"choices":[],"usage":{"prompt_tokens":1e999,"completion_tokens":1}}'
    reply = Reply(pieces=[b"data: " + usage + b"\n\n"], content_type="text/event-stream")
    played = play(OPENAI, [reply] * 9)
    assert played.end.stop_reason == "model_error"
    assert "wrong form" in str(played.end.error)


def test_an_error_that_cannot_be_read_is_nonsense(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> ModelError:
        raise OverflowError

    monkeypatch.setattr(transport, "classify", fails)
    with FakeServer([OPENAI.error(400, "x")]) as server, pytest.raises(Overloaded, match="wrong form"):
        ask(OPENAI.model(server.root))


@pytest.mark.parametrize("count", [-5000, True])
def test_counts_that_cannot_be_meant_are_not_reported(count: Any) -> None:
    answer = Answer()
    answer.feed({"choices": [], "usage": {"prompt_tokens": count, "completion_tokens": 3}})
    assert answer.usage is None
    other = AnthropicAnswer()
    other.feed({"type": "message_start", "message": {"usage": {"input_tokens": 7, "output_tokens": count}}})
    assert other.usage is None


def test_negative_counts_do_not_defeat_a_limit() -> None:
    usage = {"prompt_tokens": -5000, "completion_tokens": -1}
    handler = openai.assistant("word " * 100, calls=[("no_such_tool", {})], usage=usage)
    played = play(OPENAI, handler, options={}, retry=QUICK)
    assert played.end.usage is not None
    assert played.end.usage.estimated
    assert played.end.usage.prompt > 0


def test_what_is_kept_for_a_provider_can_be_sent_again() -> None:
    answer = Answer()
    details = [{"type": "x", "index": 0, "text": half} for half in ("\ud83d", "\ude00")]
    for detail in details:
        answer.feed(chunk({"reasoning_details": [detail]}))
    answer.feed(chunk({"reasoning_details": [{"type": "y", "text": float("nan"), "deep": deep(900)}]}))
    call = {"index": 0, "id": "c\ud800", "extra_content": {"sig": "\ud800"}, "function": {"name": "a\ud800"}}
    answer.feed(chunk({"tool_calls": [call]}, "tool_calls"))
    message = answer.message(1)
    assert transport.can_be_sent({"provider": message.provider, "ids": [call.id for call in message.tool_calls]})
    assert message.provider is not None
    joined, odd = message.provider["reasoning_details"]
    assert joined["text"] == "\U0001f600"
    assert odd["text"] is None


def test_blocks_that_are_kept_can_be_sent_again() -> None:
    answer = AnthropicAnswer()
    blocks = [{"type": "thinking", "thinking": "\ud800"}, {"type": "odd", "x": float("inf"), "deep": deep(900)}]
    for index, block in enumerate([*blocks, anthropic.text("x")]):
        answer.feed({"type": "content_block_start", "index": index, "content_block": block})
    assert transport.can_be_sent({"provider": answer.message(1).provider})


def test_what_is_sendable_stays_as_it_is() -> None:
    value = {"a": [1, 2.5, None, True, "ü"], "b": {"c": deep(20)}}
    assert sendable(value) == value


def test_a_request_of_ours_that_is_no_json_is_not_blamed_on_the_server() -> None:
    provider = {"api": "openai", "reasoning_details": [{"text": float("nan")}]}
    history = (Message("user", "x"), Message("assistant", "y", provider=provider), Message("user", "z"))
    with FakeServer([]) as server, pytest.raises(BadRequest, match="the request holds"):
        ask(OPENAI.model(server.root), history)


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("streamed", [True, False])
def test_a_reply_that_unpacks_without_end(status: int, streamed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_LARGEST_BODY", 2**20)
    body = gzip.compress(json.dumps({"error": {"message": " " * 2**23}}).encode())
    reply = Reply(status, body, headers={"Content-Encoding": "gzip"})

    async def work() -> None:
        with FakeServer([reply]) as server:
            model = OPENAI.model(server.root)
            try:
                await model.complete([], on_delta=(lambda _: None) if streamed else None)
            finally:
                await model.aclose()

    with pytest.raises(Overloaded, match="larger than 1 MiB"):
        asyncio.run(work())
