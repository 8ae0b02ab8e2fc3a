"""The Messages adapter against a fake server on loopback."""

import json
from typing import Any

import pytest

from tests.fakes import FakeServer, Reply, Request, anthropic
from tests.fakes.server import Handler
from tests.models.support import CONVERSATION, KEY, Deltas, ask, golden, texts_of
from workroom.errors import AuthError, BadRequest, ContextOverflow, ModelError, Overloaded, RateLimited
from workroom.models.anthropic import AnthropicModel
from workroom.models.base import Message, Sampling, ToolCall, Usage

ARGUMENTS = {"command": "echo 'ü €'"}
BLOCKS = [anthropic.text("Let me see."), anthropic.tool_use("execute_bash", ARGUMENTS)]


def model(server: FakeServer, **options: Any) -> AnthropicModel:
    return AnthropicModel("anthropic/fake", base_url=server.root, api_key=KEY, **options)


def failure(*replies: Reply | Handler, stream: bool = False, **options: Any) -> ModelError:
    with FakeServer(replies) as server, pytest.raises(ModelError) as caught:
        ask(model(server, **options), on_delta=Deltas() if stream else None)
    assert KEY not in texts_of(caught.value)
    assert str(caught.value).startswith("anthropic/fake: ")
    return caught.value


def test_request() -> None:
    with FakeServer([anthropic.message([anthropic.text("3")])]) as server:
        ask(model(server), CONVERSATION, sampling=Sampling(0.5, None, None, 100))
    request = server.requests[0]
    assert (request.method, request.path) == ("POST", "/v1/messages")
    assert KEY in request.headers["authorization"]
    assert "anthropic-version" in request.headers
    golden("anthropic_request.json", json.dumps(request.json, indent=2) + "\n")


@pytest.mark.parametrize("stream", [False, True])
def test_answer(stream: bool) -> None:
    deltas = Deltas()
    with FakeServer([anthropic.message(BLOCKS)]) as server:
        completion = ask(model(server), on_delta=deltas if stream else None)
    assert completion.message == Message(
        "assistant", "Let me see.", tool_calls=(ToolCall("toolu_1", "execute_bash", json.dumps(ARGUMENTS)),)
    )
    assert completion.finish_reason == "tool_calls"
    assert completion.usage == Usage(prompt=15, completion=7, cached=4, cache_written=2)
    assert completion.model == "fake-1"
    if stream:
        assert deltas.text("content") == "Let me see."
        assert deltas.text("tool_call") == "execute_bash" + json.dumps(ARGUMENTS)
        assert completion.first_token is not None


@pytest.mark.parametrize("stream", [False, True])
def test_thoughts_go_back_unchanged_and_in_their_place(stream: bool) -> None:
    blocks = [
        anthropic.thinking("First, I think."),
        anthropic.redacted_thinking(),
        anthropic.text("I look."),
        anthropic.tool_use("execute_bash", ARGUMENTS, "toolu_a"),
        anthropic.thinking("Then again.", "bW9yZQ=="),
        anthropic.tool_use("submit", {}, "toolu_b"),
    ]
    with FakeServer([anthropic.message(blocks), anthropic.message([anthropic.text("ok")])]) as server:
        first = ask(model(server), on_delta=Deltas() if stream else None).message
        results = [Message("tool", "y", tool_call_id=call.id) for call in first.tool_calls]
        ask(model(server), [Message("user", "x"), first, *results])
    assert first.reasoning == "First, I think.Then again."
    assert server.requests[1].json["messages"][1] == {"role": "assistant", "content": blocks}
    json.dumps(first.provider)  # a trajectory keeps it


def test_results_come_first_and_in_one_message() -> None:
    calls = (ToolCall("a", "submit", "{}"), ToolCall("b", "submit", "{}"))
    messages = [
        Message("user", "x"),
        Message("assistant", tool_calls=calls),
        Message("tool", "1", tool_call_id="a"),
        Message("user", "a reminder between"),
        Message("tool", "2", tool_call_id="b"),
    ]
    with FakeServer([anthropic.message([anthropic.text("ok")])]) as server:
        ask(model(server), messages)
    sent = server.requests[0].json["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "user"]
    assert [block["type"] for block in sent[2]["content"]] == ["tool_result", "tool_result", "text"]


@pytest.mark.parametrize(
    ("stop_reason", "reason"),
    [
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
        ("pause_turn", "other"),
    ],
)
def test_finish_reasons(stop_reason: str, reason: str) -> None:
    with FakeServer([anthropic.message([anthropic.text("a")], stop_reason=stop_reason)]) as server:
        assert ask(model(server)).finish_reason == reason


@pytest.mark.parametrize("end", ["close", "cut", "reset"])
@pytest.mark.parametrize("count", [0, 1, 3, 5, 7, 9])
def test_a_cut_stream_is_no_answer(count: int, end: str) -> None:
    events = anthropic.events(BLOCKS)
    assert "message_delta" not in [event["type"] for event in events[:count]]
    assert isinstance(failure(anthropic.stream(events[:count], end=end), stream=True), Overloaded)


@pytest.mark.parametrize("end", ["close", "cut", "reset"])
def test_a_stream_cut_after_its_end_is_an_answer(end: str) -> None:
    events = anthropic.events(BLOCKS)[:-1]
    with FakeServer([anthropic.stream(events, end=end, delay=0.01)]) as server:
        completion = ask(model(server), on_delta=Deltas())
    assert completion.message.tool_calls[0].arguments == json.dumps(ARGUMENTS)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("overloaded_error", Overloaded),
        ("api_error", Overloaded),
        ("rate_limit_error", RateLimited),
        ("invalid_request_error", BadRequest),
        ("authentication_error", AuthError),
    ],
)
def test_an_error_within_a_stream(kind: str, expected: type[ModelError]) -> None:
    event = {"type": "error", "error": {"type": kind, "message": "boom"}}
    error = failure(anthropic.stream([*anthropic.events(BLOCKS)[:4], event]), stream=True)
    assert type(error) is expected
    assert "boom" in str(error)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(body=b'{"content": ['), id="malformed JSON"),
        pytest.param(Reply(body=b"<html></html>", content_type="text/html"), id="HTML"),
        pytest.param(Reply(body=b""), id="empty"),
        pytest.param(Reply(body=b"{}"), id="no message"),
        pytest.param(Reply(body=b'{"type": "message", "content": [1]}'), id="content of another form"),
        pytest.param(
            Reply(pieces=[b"event: message_start\ndata: {no\n\n"], content_type="text/event-stream"), id="bad event"
        ),
        pytest.param(anthropic.error(529, "Overloaded", type="overloaded_error"), id="529"),
        pytest.param(anthropic.error(500, "Internal", type="api_error"), id="500"),
        pytest.param(Reply(503, b"no"), id="503"),
    ],
)
def test_overloaded(reply: Reply, stream: bool) -> None:
    assert type(failure(reply, stream=stream)) is Overloaded


def test_rate_limit() -> None:
    error = failure(anthropic.error(429, "slow down", type="rate_limit_error", headers={"Retry-After": "12"}))
    assert isinstance(error, RateLimited)
    assert error.retry_after == 12


def test_a_silent_server() -> None:
    hanging = anthropic.stream(anthropic.events(BLOCKS)[:4], end="hang")
    assert "silent" in str(failure(hanging, stream=True, idle=0.2))
    assert "within 0.2 s" in str(failure(Reply(pieces=[], end="hang"), timeout=0.2))


def test_the_key_is_never_told() -> None:
    error = failure(anthropic.error(401, f"invalid x-api-key {KEY}", type="authentication_error"))
    assert isinstance(error, AuthError)
    assert "ANTHROPIC_API_KEY" in str(error)


@pytest.mark.parametrize(
    ("reply", "window"),
    [
        (anthropic.error(400, "prompt is too long: 210000 tokens > 200000 maximum"), 200_000),
        (anthropic.error(413, "Request exceeds the maximum size", type="request_too_large"), None),
    ],
)
def test_context_overflow(reply: Reply, window: int | None) -> None:
    error = failure(reply)
    assert isinstance(error, ContextOverflow)
    assert error.window == window


def test_an_answer_bound_that_does_not_fit_beside_the_prompt_is_lowered() -> None:
    text = "input length and `max_tokens` exceed context limit: 190000 + 16384 > 200000, decrease input length"
    with FakeServer([anthropic.error(400, text), anthropic.message([anthropic.text("ok")])]) as server:
        ask(model(server))
    assert [request.json["max_tokens"] for request in server.requests] == [16_384, 10_000]


def test_a_model_that_allows_less_output_is_given_that_from_then_on() -> None:
    text = "max_tokens: 16384 > 8192, which is the maximum allowed number of output tokens for fake"

    def reply(request: Request) -> Reply:
        fits = request.json["max_tokens"] <= 8192
        return anthropic.message([anthropic.text("ok")])(request) if fits else anthropic.error(400, text)

    with FakeServer(reply) as server:
        ask(model(server), times=2)
    assert [request.json["max_tokens"] for request in server.requests] == [16_384, 8192, 8192]


@pytest.mark.parametrize(
    ("message", "left"),
    [
        ("`temperature` and `top_p` cannot both be specified for this model.", {"temperature"}),
        ("`temperature` is deprecated for this model.", {"top_p"}),
    ],
)
def test_refused_sampling_is_left_out_and_remembered(message: str, left: set[str]) -> None:
    def reply(request: Request) -> Reply:
        given = {"temperature", "top_p"} & request.json.keys()
        return anthropic.message([anthropic.text("ok")])(request) if given == left else anthropic.error(400, message)

    with FakeServer(reply) as server:
        ask(model(server), sampling=Sampling(0.5, 0.9, seed=1), times=2)
    assert len(server.requests) == 3


def test_other_refusals_are_not_tried_again() -> None:
    assert type(failure(anthropic.error(400, "messages: at least one message is required"))) is BadRequest
    assert "--base-url" in str(failure(anthropic.error(404, "model: fake", type="not_found_error")))
