"""The Chat Completions adapter against a fake server on loopback."""

import asyncio
import json
import socket
import time
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any

import pytest

from tests.fakes import FakeServer, Reply, Request, openai
from tests.fakes.server import Handler
from tests.models.support import CONVERSATION, KEY, TOOLS, Deltas, ask, golden, texts_of
from workroom.errors import AuthError, BadRequest, ContextOverflow, ModelError, Overloaded, RateLimited
from workroom.models.base import Message, ModelHints, Sampling, ToolCall, Usage
from workroom.models.failures import NotFound, ToolsUnsupported
from workroom.models.openai import OpenAIModel

CALL = ("execute_bash", {"command": "echo 'ü €'"})


def model(server: FakeServer, **options: Any) -> OpenAIModel:
    return OpenAIModel("openai/fake", base_url=server.url, api_key=KEY, **options)


def failure(*replies: Reply | Handler, stream: bool = False, **options: Any) -> ModelError:
    with FakeServer(replies) as server, pytest.raises(ModelError) as caught:
        ask(model(server, **options), on_delta=Deltas() if stream else None)
    assert KEY not in texts_of(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("openai/fake: ")
    return caught.value


def test_request() -> None:
    with FakeServer([openai.assistant("3")]) as server:
        ask(model(server, extra={"cache_prompt": True}), CONVERSATION, sampling=Sampling(0.5, 0.9, 7, 100))
    request = server.requests[0]
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    golden("openai_request.json", json.dumps(request.json, indent=2) + "\n")


def test_hints_fill_what_the_sampling_leaves_open() -> None:
    hints = ModelHints(sampling=Sampling(temperature=0.0, max_tokens=700))
    with FakeServer([openai.assistant("3")]) as server:
        ask(model(server, hints=hints), sampling=Sampling(max_tokens=9))
    assert (server.requests[0].json["temperature"], server.requests[0].json["max_tokens"]) == (0.0, 9)


@pytest.mark.parametrize("stream", [False, True])
def test_answer(stream: bool) -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 64},
        "completion_tokens_details": {"reasoning_tokens": 12},
    }
    deltas = Deltas()
    reply = openai.assistant("Let me see.", calls=[CALL, ("submit", {})], reasoning="Hmm, lines.", usage=usage)
    with FakeServer([reply]) as server:
        completion = ask(model(server), on_delta=deltas if stream else None)
    arguments = json.dumps(CALL[1])
    assert completion.message == Message(
        "assistant",
        "Let me see.",
        reasoning="Hmm, lines.",
        tool_calls=(ToolCall("call_1", "execute_bash", arguments), ToolCall("call_2", "submit", "{}")),
        provider={"api": "openai", "reasoning_key": "reasoning_content"},
    )
    assert completion.finish_reason == "tool_calls"
    assert completion.usage == Usage(prompt=100, completion=20, cached=64, reasoning=12)
    assert completion.model == "fake-1"
    assert completion.duration > 0
    if stream:
        assert deltas.text("content") == "Let me see."
        assert deltas.text("reasoning") == "Hmm, lines."
        assert deltas.text("tool_call") == f"execute_bash{arguments}submit{{}}"
        assert completion.first_token is not None
        assert 0 < completion.first_token <= completion.duration
        assert server.requests[0].json["stream_options"] == {"include_usage": True}
    else:
        assert "stream" not in server.requests[0].json


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
@pytest.mark.parametrize("stream", [False, True])
def test_reasoning_goes_back_under_its_own_key(key: str, stream: bool) -> None:
    replies = [openai.assistant("a", reasoning="because", reasoning_key=key, calls=[CALL]), openai.assistant("b")]
    with FakeServer(replies) as server:
        first = ask(model(server), on_delta=Deltas() if stream else None).message
        ask(model(server), [Message("user", "x"), first, Message("tool", "y", tool_call_id="call_1")])
    assert server.requests[1].json["messages"][1][key] == "because"
    assert not {"reasoning_content", "reasoning"} - {key} & server.requests[1].json["messages"][1].keys()


def test_extras_of_calls_and_reasoning_details_go_back() -> None:
    extra = {"google": {"thought_signature": "c2ln"}}
    pieces = [
        openai.chunk({"reasoning_details": [{"type": "reasoning.text", "index": 0, "text": "Be"}]}),
        openai.chunk(
            {"reasoning_details": [{"type": "reasoning.text", "index": 0, "text": "cause", "signature": "s"}]}
        ),
        openai.chunk({"reasoning_details": [{"type": "reasoning.encrypted", "index": 1, "data": "eA=="}]}),
        openai.chunk({"tool_calls": [{"index": 0, "id": "a", "extra_content": extra, "function": {"name": "submit"}}]}),
        openai.chunk({}, "tool_calls"),
    ]
    with FakeServer([openai.stream(pieces), openai.assistant("b")]) as server:
        first = ask(model(server), on_delta=Deltas()).message
        ask(model(server), [Message("user", "x"), first, Message("tool", "y", tool_call_id="a")])
    sent = server.requests[1].json["messages"][1]
    assert sent["tool_calls"][0]["extra_content"] == extra
    assert sent["reasoning_details"] == [
        {"type": "reasoning.text", "index": 0, "text": "Because", "signature": "s"},
        {"type": "reasoning.encrypted", "index": 1, "data": "eA=="},
    ]


def piece(call: Mapping[str, Any]) -> dict[str, Any]:
    return openai.chunk({"tool_calls": [call]})


@pytest.mark.parametrize(
    ("pieces", "calls"),
    [
        pytest.param(
            [
                piece({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}),
                piece({"index": 0, "id": "b", "function": {"name": "g", "arguments": "[]"}}),
            ],
            [("a", "f", "{}"), ("b", "g", "[]")],
            id="every index 0",
        ),
        pytest.param(
            [
                piece({"id": "a", "function": {"name": "f", "arguments": "{"}}),
                piece({"function": {"arguments": "}"}}),
                piece({"id": "b", "function": {"name": "g", "arguments": "{}"}}),
            ],
            [("a", "f", "{}"), ("b", "g", "{}")],
            id="no index",
        ),
        pytest.param(
            [
                piece({"index": 0, "function": {"name": "f", "arguments": {"x": 1}}}),
                piece({"index": 1, "id": None, "function": {"name": "g", "arguments": None}}),
            ],
            [("call_1_0", "f", '{"x": 1}'), ("call_1_1", "g", "")],
            id="no id, arguments as object",
        ),
        pytest.param(
            [
                piece({"index": 1, "id": "a", "function": {"name": "g", "arguments": "1"}}),
                piece({"index": 0, "id": "a", "function": {"name": "f", "arguments": "0"}}),
                piece({"index": 1, "id": "a", "function": {"name": "g", "arguments": "2"}}),
            ],
            [("a", "g", "12"), ("call_1_1", "f", "0")],
            id="mixed, one id for all",
        ),
    ],
)
def test_odd_tool_call_chunks(pieces: list[dict[str, Any]], calls: list[tuple[str, str, str]]) -> None:
    with FakeServer([openai.stream([*pieces, openai.chunk({}, "stop")])]) as server:
        completion = ask(model(server), on_delta=Deltas())
    assert [(call.id, call.name, call.arguments) for call in completion.message.tool_calls] == calls
    assert completion.finish_reason == "tool_calls"


def test_a_message_of_null_in_a_chunk_is_no_matter() -> None:
    first = {"choices": [{"index": 0, "message": None, "delta": {"content": "a"}}]}
    with FakeServer([openai.stream([first, openai.chunk({}, "stop")])]) as server:
        assert ask(model(server), on_delta=Deltas()).message.content == "a"


def test_two_whole_calls_with_one_id_stay_two() -> None:
    with FakeServer([openai.assistant(calls=[CALL, CALL], ids=["same", "same"])]) as server:
        calls = ask(model(server)).message.tool_calls
    assert [call.id for call in calls] == ["same", "call_1_1"]


def test_a_surrogate_pair_cut_in_two_is_one_character() -> None:
    halves = [openai.chunk({"content": "\ud83d"}), openai.chunk({"content": "\ude00"})]
    with FakeServer([openai.stream([*halves, openai.chunk({}, "stop")])]) as server:
        assert ask(model(server), on_delta=Deltas()).message.content == "😀"


def test_text_that_cannot_be_encoded_is_sent_all_the_same() -> None:
    with FakeServer([openai.assistant("ok")]) as server:
        ask(model(server), [Message("user", "a\udcffb")])
    assert server.requests[0].json["messages"][0]["content"] == "a\ufffdb"


@pytest.mark.parametrize(
    ("finish", "calls", "reason"),
    [("length", [], "length"), ("length", [CALL], "length"), ("content_filter", [], "content_filter"),
     ("stop", [CALL], "tool_calls"), ("tool_calls", [], "stop"), ("eos_token", [], "stop"), ("odd", [], "other")],
)  # fmt: skip
def test_finish_reasons(finish: str, calls: list[Any], reason: str) -> None:
    with FakeServer([openai.assistant("a", calls=calls, finish_reason=finish)]) as server:
        assert ask(model(server)).finish_reason == reason


def test_parts_as_content() -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "yes"}]
    body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": parts}, "finish_reason": "stop"}]}
    with FakeServer([Reply(body=json.dumps(body).encode())]) as server:
        message = ask(model(server)).message
    assert (message.reasoning, message.content) == ("hm", "yes")


# Streams that end in odd ways


def cut(count: int, end: str, **answer: Any) -> Reply:
    """The first `count` chunks of an answer with a tool call, then what `end` says."""
    events = openai.chunks("words", calls=[CALL], **answer)
    return openai.stream(events[:count], done=False, end=end)


@pytest.mark.parametrize("end", ["close", "cut", "reset"])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 6])
def test_a_cut_stream_is_no_answer(count: int, end: str) -> None:
    events = openai.chunks("words", calls=[CALL])
    assert events[count]["choices"][0]["finish_reason"] is None
    assert isinstance(failure(cut(count, end), stream=True), Overloaded)


@pytest.mark.parametrize("end", ["close", "cut", "reset"])
def test_a_stream_cut_after_its_end_is_an_answer(end: str) -> None:
    events = openai.chunks("words", calls=[CALL], usage=None)
    with FakeServer([openai.stream(events, done=False, end=end, delay=0.01)]) as server:
        completion = ask(model(server), on_delta=Deltas())
    assert completion.message.tool_calls[0].arguments == json.dumps(CALL[1])
    assert completion.usage is None


def test_a_missing_done_is_no_matter() -> None:
    with FakeServer([openai.assistant("words", done=False)]) as server:
        assert ask(model(server), on_delta=Deltas()).usage == Usage(11, 7)


def test_comments_between_chunks_are_no_matter() -> None:
    events: list[dict[str, Any] | str] = [": keep-alive", *openai.chunks("words"), ": bye"]
    with FakeServer([openai.stream(events)]) as server:
        assert ask(model(server), on_delta=Deltas()).message.content == "words"


def test_a_whole_answer_to_a_streaming_request() -> None:
    deltas = Deltas()
    with FakeServer([Reply(body=json.dumps(openai.completion("whole")).encode())]) as server:
        assert ask(model(server), on_delta=deltas).message.content == "whole"
    assert deltas.text("content") == "whole"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"message": "boom", "code": 502}, Overloaded),
        ({"message": "boom", "type": "server_error"}, Overloaded),
        ({"message": "slow down", "code": 429}, RateLimited),
        ({"message": "too long", "code": "context_length_exceeded"}, ContextOverflow),
        ({"message": "bad", "code": 400}, BadRequest),
    ],
)
def test_an_error_within_a_stream(error: dict[str, Any], expected: type[ModelError]) -> None:
    reply = openai.stream([*openai.chunks("words")[:2], {"error": error}])
    assert type(failure(reply, stream=True)) is expected


def test_an_error_of_the_listener_is_not_taken_for_the_servers() -> None:
    def broken(delta: Any) -> None:
        raise ValueError("mine")

    with FakeServer([openai.assistant("words")]) as server, pytest.raises(ValueError, match="mine"):
        ask(model(server), on_delta=broken)


# Replies that are no answers

HTML = Reply(body=b"<html><head><title>Log in</title></head></html>", content_type="text/html")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(body=b'{"choices": ['), id="malformed JSON"),
        pytest.param(HTML, id="HTML"),
        pytest.param(Reply(body=b""), id="empty"),
        pytest.param(Reply(body=b"null"), id="null"),
        pytest.param(Reply(body=b"[1]"), id="list"),
        pytest.param(Reply(body=b'"words"'), id="text"),
        pytest.param(Reply(body=b"{}"), id="no choices"),
        pytest.param(Reply(body=b'{"choices": []}'), id="empty choices"),
        pytest.param(Reply(body=b'{"choices": [1]}'), id="choices of another form"),
        pytest.param(Reply(body=b'{"choices": [{"message": {"content": {"a": 1}}}]}'), id="content of another form"),
        pytest.param(Reply(body=b'{"choices": [{"message": {"content": "a"}, "finish_reason": "error"}]}'), id="error"),
        pytest.param(Reply(body=b'{"error": {"message": "upstream", "code": 502}}'), id="error with status 200"),
        pytest.param(Reply(pieces=[b"data: {nonsense\n\n"], content_type="text/event-stream"), id="malformed chunk"),
        pytest.param(Reply(pieces=[b"data: \xff\xfe\n\n"], content_type="text/event-stream"), id="no UTF-8"),
        pytest.param(Reply(pieces=[b'{"cho'], end="cut"), id="cut body"),
        pytest.param(Reply(pieces=[b'{"cho'], end="reset"), id="reset"),
        pytest.param(Reply(500, b"oh"), id="500"),
        pytest.param(openai.error(503, "loading model"), id="503"),
        pytest.param(Reply(502, b"<html><title>502 Bad Gateway</title></html>", content_type="text/html"), id="502"),
        pytest.param(Reply(529, b""), id="529"),
        pytest.param(openai.error(408, "timeout"), id="408"),
        pytest.param(openai.error(409, "conflict"), id="409"),
    ],
)
def test_overloaded(reply: Reply, stream: bool) -> None:
    assert type(failure(reply, stream=stream)) is Overloaded


def test_html_is_told_in_few_words() -> None:
    reply = Reply(502, b"<html>\n<title>502 Bad\n Gateway</title>" + b"x" * 5000, content_type="text/html")
    assert str(failure(reply)).endswith("failed (HTTP 502: 502 Bad Gateway)")


def test_no_server() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Overloaded, match="is the server running") as caught:
        ask(OpenAIModel("openai/fake", base_url=f"http://127.0.0.1:{port}/v1", api_key=KEY))
    assert KEY not in texts_of(caught.value)


def test_a_silent_server() -> None:
    hanging = openai.stream(openai.chunks("words")[:2], done=False, end="hang")
    started = time.monotonic()
    assert "silent" in str(failure(hanging, stream=True, idle=0.2))
    assert "within 0.2 s" in str(failure(hanging, stream=True, timeout=0.2))
    assert isinstance(failure(Reply(pieces=[], end="hang"), timeout=0.2), Overloaded)
    assert time.monotonic() - started < 10


def test_a_stream_that_trickles_is_not_idle() -> None:
    reply = openai.stream(openai.chunks("abcdefghijklmnopqrst"), delay=0.05)
    with FakeServer([reply]) as server:
        assert ask(model(server, idle=2.0), on_delta=Deltas()).message.content == "abcdefghijklmnopqrst"


def test_cancelling_a_call() -> None:
    async def go(server: FakeServer) -> None:
        fake = model(server)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(fake.complete([Message("user", "x")], on_delta=Deltas()), 0.3)
        await fake.aclose()

    with FakeServer([openai.stream(openai.chunks("words")[:2], done=False, end="hang")]) as server:
        asyncio.run(go(server))


# Refusals


@pytest.mark.parametrize(
    ("headers", "low", "high"),
    [
        ({"Retry-After": "7"}, 7, 7),
        ({"Retry-After": "0.5"}, 0.5, 0.5),
        ({"Retry-After": formatdate(time.time() + 7200, usegmt=True)}, 1, 7200),
        ({"Retry-After": formatdate(time.time() - 60, usegmt=True)}, 0, 0),
        ({"retry-after-ms": "1500", "Retry-After": "2"}, 1.5, 1.5),
    ],
)
def test_rate_limit(headers: dict[str, str], low: float, high: float) -> None:
    error = failure(openai.error(429, "slow down", headers=headers))
    assert isinstance(error, RateLimited)
    assert error.retry_after is not None
    assert low <= error.retry_after <= high
    assert "slow down" in str(error)


def test_rate_limit_without_a_time() -> None:
    error = failure(openai.error(429, "slow down", headers={"Retry-After": "soon"}))
    assert isinstance(error, RateLimited)
    assert error.retry_after is None


def test_the_key_is_never_told() -> None:
    error = failure(openai.error(401, f"Incorrect API key provided: {KEY}. Or sk-proj-****ab1c, Bearer {KEY}"))
    assert isinstance(error, AuthError)
    assert "OPENAI_API_KEY" in str(error)
    assert "sk-" not in str(error)
    assert "Incorrect API key provided: ***" in str(error)


def test_no_model_of_that_name() -> None:
    error = failure(openai.error(404, "The model `fake` does not exist", code="model_not_found"))
    assert type(error) is NotFound
    assert "--base-url" in str(error)


def test_window_is_learned_from_an_overflow() -> None:
    text = "request (9000 tokens) exceeds the available context size (4096 tokens), try increasing it"
    with FakeServer([openai.error(400, text, n_ctx=4096, type="exceed_context_size_error")]) as server:
        fake = model(server)
        with pytest.raises(ContextOverflow) as caught:
            ask(fake)
    assert caught.value.window == fake.window == 4096


def test_an_answer_bound_that_is_too_large_is_lowered() -> None:
    text = (
        "'max_tokens' or 'max_completion_tokens' is too large: 5000. This model's maximum context length is 4096 "
        "tokens and your request has 96 input tokens (5000 > 4096 - 96)."
    )
    with FakeServer([openai.error(400, text), openai.assistant("ok")]) as server:
        ask(model(server), sampling=Sampling(max_tokens=5000))
    assert server.requests[1].json["max_tokens"] == 4000


# What servers do not take


def rejecting(key: str, message: str) -> Handler:
    def reply(request: Request) -> Reply:
        return openai.error(400, message) if key in request.json else openai.assistant("ok")(request)

    return reply


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("stream_options", "Unrecognized request argument supplied: stream_options"),
        ("stream", "Your organization must be verified to stream this model."),
        ("temperature", "Unsupported value: 'temperature' does not support 0.5 with this model. Only the default (1)"),
        ("top_p", "Unsupported parameter: 'top_p' is not supported with this model."),
        ("seed", "body.seed: Extra inputs are not permitted"),
        ("max_tokens", "Unsupported parameter: 'max_tokens' is not supported, use 'max_completion_tokens' instead."),
    ],
)
def test_a_refused_parameter_is_left_out_and_remembered(
    key: str, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    deltas = Deltas()
    with FakeServer(rejecting(key, message)) as server:
        ask(model(server), sampling=Sampling(0.5, 0.9, 7, 100), on_delta=deltas, times=2)
    assert [key in request.json for request in server.requests] == [True, False, False]
    assert deltas.text("content") == "okok"
    rest = {"stream_options", "stream", "temperature", "top_p", "seed"} - {key, "stream_options"}
    assert rest <= server.requests[-1].json.keys()
    if key == "max_tokens":
        assert server.requests[-1].json["max_completion_tokens"] == 100
    else:
        assert [record.getMessage() for record in caplog.records].count(
            f"openai/fake does not take {key}; it is left out from now on"
        ) == 1


def test_refused_reasoning_is_left_out() -> None:
    def reply(request: Request) -> Reply:
        if any("reasoning_content" in message for message in request.json["messages"]):
            return openai.error(400, "messages.1: property 'reasoning_content' is unsupported")
        return openai.assistant("ok")(request)

    said = Message("assistant", "a", reasoning="b", provider={"api": "openai", "reasoning_key": "reasoning_content"})
    with FakeServer(reply) as server:
        assert ask(model(server), [Message("user", "x"), said, Message("user", "y")]).message.content == "ok"


def test_a_server_that_refuses_both_names_of_the_bound() -> None:
    text = "unknown parameter: max_tokens, max_completion_tokens"
    with FakeServer(lambda _: openai.error(400, text)) as server, pytest.raises(BadRequest):
        ask(model(server), sampling=Sampling(max_tokens=5))
    assert len(server.requests) == 2


def test_other_refusals_are_not_tried_again() -> None:
    with FakeServer([openai.error(400, "temperature must be at most 2")]) as server, pytest.raises(BadRequest):
        ask(model(server), sampling=Sampling(temperature=3.0))
    assert len(server.requests) == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("detail", "reason"), [("missing closing quote", "length"), ("invalid literal", "other")])
def test_a_call_that_the_server_cannot_parse_is_an_empty_turn(detail: str, reason: str, stream: bool) -> None:
    text = f"Failed to parse tool call arguments as JSON: [json.exception.parse_error.101] {detail}"
    with FakeServer([openai.error(500, text, code=500, type="server_error")]) as server:
        completion = ask(model(server), on_delta=Deltas() if stream else None)
    assert completion.message == Message("assistant")
    assert completion.finish_reason == reason


def test_a_call_that_fails_to_parse_within_a_stream_keeps_the_words() -> None:
    events = [
        *openai.chunks("I look. ", calls=[CALL])[:5],
        {"error": {"code": 500, "message": "Failed to parse input at pos 9"}},
    ]
    with FakeServer([openai.stream(events)]) as server:
        message = ask(model(server), on_delta=Deltas()).message
    assert message == Message("assistant", "I look. ")


def test_tools_unsupported() -> None:
    error = failure(openai.error(400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser'))
    assert isinstance(error, ToolsUnsupported)
    assert "--tool-protocol json" in str(error)


def test_one_model_in_several_event_loops() -> None:
    async def one(fake: OpenAIModel) -> str:
        return (await fake.complete([Message("user", "x")], TOOLS)).message.content

    with FakeServer([openai.assistant("a"), openai.assistant("b"), openai.assistant("c")]) as server:
        fake = model(server)

        async def both() -> list[str]:
            answers = await asyncio.gather(one(fake), one(fake))
            await fake.aclose()
            return list(answers)

        assert sorted(asyncio.run(both())) == ["a", "b"]
        assert ask(fake).message.content == "c"


def test_proxies_are_not_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with FakeServer([openai.assistant("direct")]) as server:
        assert ask(model(server)).message.content == "direct"
