"""What is wrong is told in the error object that OpenAI's clients expect, and nothing is told of the inside."""

import contextlib
import json
import socket
from typing import Any

import openai
import pytest

from tests.serve.support import Server

MODEL = "openai/obedient"
USER = {"role": "user", "content": "SAY x"}


def refused(server: Server, body: Any) -> tuple[int, dict[str, Any]]:
    """The status and the error of a chat completion that is refused."""
    answer = server.post("/v1/chat/completions", json=body)
    error = answer.json()["error"]
    assert sorted(error) == ["code", "message", "param", "type"]
    assert error["message"]
    return answer.status_code, error


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 2),
        ("tools", [{"type": "function", "function": {"name": "f"}}]),
        ("functions", [{"name": "f"}]),
        ("logprobs", True),
        ("response_format", {"type": "json_object"}),
        ("stop", ["\n"]),
        ("modalities", ["text", "audio"]),
        ("modalities", 5),
        ("logit_bias", {"50256": -100}),
    ],
)
def test_a_parameter_that_is_not_supported_is_named(server: Server, name: str, value: Any) -> None:
    status, error = refused(server, {"model": MODEL, "messages": [USER], name: value})
    assert (status, error["type"], error["code"]) == (400, "invalid_request_error", "unsupported_parameter")
    assert error["param"] == name


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999", "1" * 5000])
@pytest.mark.parametrize("route", ["chat/completions", "responses"])
def test_what_is_no_number_is_no_json(server: Server, route: str, number: str) -> None:
    body = f'{{"model": "{MODEL}", "input": "x", "messages": [], "metadata": {{"n": {number}}}}}'
    answer = server.post(f"/v1/{route}", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("the body is no JSON")


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        (None, "messages"),
        ([], "messages"),
        ("SAY x", "messages"),
        (["SAY x"], "messages[0]"),
        ([USER, {"role": "robot", "content": "x"}], "messages[1].role"),
        ([USER, {"role": "tool", "content": "x", "tool_call_id": "1"}], "messages[1].role"),
        ([{"role": "user"}], "messages[0].content"),
        ([{"role": "user", "content": "  "}], "messages[0].content"),
        ([{"role": "user", "content": 7}], "messages[0].content"),
        ([{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0].text"),
        ([{"role": "user", "content": ["x"]}], "messages[0].content[0].type"),
        ([{"role": "user", "content": [{"type": "video"}]}], "messages[0].content[0].type"),
        ([USER, {"role": "assistant", "content": "y"}], "messages"),
        ([{"role": "system", "content": "x"}], "messages"),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]}],
            "messages[0].content[0].image_url.url",
        ),
        (
            [{"role": "user", "content": [{"type": "file", "file": {"file_data": "data:;base64,%%%"}}]}],
            "messages[0].content[0].file.file_data",
        ),
        ([{"role": "user", "content": [{"type": "file", "file": {}}]}], "messages[0].content[0].file.file_data"),
    ],
)
def test_a_malformed_message_is_named(server: Server, messages: Any, param: str) -> None:
    status, error = refused(server, {"model": MODEL, "messages": messages})
    assert (status, error["type"], error["param"]) == (400, "invalid_request_error", param)


def test_a_name_of_a_conversation_is_wrong_where_it_stands(server: Server) -> None:
    for name in (7, "", "../etc"):
        status, error = refused(server, {"model": MODEL, "messages": [USER], "metadata": {"conversation_id": name}})
        assert (status, error["param"]) == (400, "metadata.conversation_id")
    headers = {"X-Conversation-Id": "../etc"}
    answer = server.post("/v1/chat/completions", json={"model": MODEL, "messages": [USER]}, headers=headers)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "X-Conversation-Id")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", "hot"), ("temperature", 3), ("top_p", -1), ("seed", 1.5), ("max_tokens", 0), ("stream", "yes"),
        ("stream_options", 1), ("conversation", 5), ("conversation", "../../etc"),
    ],
)  # fmt: skip
def test_a_value_of_a_wrong_type_is_named(server: Server, name: str, value: Any) -> None:
    status, error = refused(server, {"model": MODEL, "messages": [USER], name: value})
    assert (status, error["param"]) == (400, name)


def test_what_is_not_there_is_404(server: Server) -> None:
    status, error = refused(server, {"model": "gpt-9", "messages": [USER]})
    assert (status, error["code"], error["param"]) == (404, "model_not_found", "model")
    with pytest.raises(openai.NotFoundError):
        server.client().models.retrieve("gpt-9")
    part = {"type": "file", "file": {"file_id": "file-none"}}
    status, error = refused(server, {"model": MODEL, "messages": [{"role": "user", "content": [part]}]})
    assert (status, error["code"]) == (404, "file_not_found")
    status, error = refused(server, {"model": MODEL, "messages": [USER], "conversation": "conv_none"})
    assert (status, error["code"]) == (404, "conversation_not_found")
    for path in ("/", "/v1/nothing", "/v1/files/file-none", "/v1/files/file-none/content", "/files/a/b/c"):
        answer = server.get(path)
        assert (answer.status_code, answer.json()["error"]["type"]) == (404, "invalid_request_error")
    answer = server.get("/v1/chat/completions")
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b'{"model": ' + b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_400(server: Server, body: bytes) -> None:
    answer = server.post("/v1/chat/completions", content=body)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_413_and_never_held(server: Server, chunked: bool) -> None:
    size = (64 << 20) + 1
    pieces = (b" " * (1 << 20) for _ in range(65))
    answer = server.post("/v1/chat/completions", content=pieces if chunked else b" " * size)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")


def test_a_model_that_fails_is_502_without_a_word_of_the_inside(server: Server) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        server.say("FAIL")
    assert (caught.value.status_code, caught.value.code) == (502, "model_error")
    assert "/secret/place" not in str(caught.value)
    server.wait_for(lambda: "/secret/place" in server.log)  # the operator is told
    with pytest.raises(openai.APIError, match="model behind this server failed"):
        list(server.say("FAIL", stream=True))
    assert server.say("SAY on").choices[0].message.content == "on"


def test_a_limit_that_is_reached_ends_with_length(server: Server) -> None:
    answer = server.say("RUN true", max_tokens=1)  # of a model call: the fake model does not heed it
    assert answer.choices[0].finish_reason == "stop"


def test_a_stream_that_fails_tells_the_error_object_as_an_event(server: Server) -> None:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "FAIL"}], "stream": True}
    lines = server.post("/v1/chat/completions", json=body).text.split("\n\n")
    assert lines[-2].startswith("event: error\ndata: ")
    assert json.loads(lines[-2].split("data: ")[1])["error"]["code"] == "model_error"
    assert "[DONE]" not in lines[-1]


def test_what_is_no_http_does_no_harm(server: Server) -> None:
    host, port = server.root.removeprefix("http://").split(":")
    for data in (
        b"\x00" * 100,
        b"GET /" + b"a" * 100_000,
        b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    ):
        with socket.create_connection((host, int(port)), 10) as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            sock.settimeout(10)
            with contextlib.suppress(ConnectionResetError):
                assert sock.recv(100)[:10] in (b"HTTP/1.1 4", b"")
    assert server.get("/health").json()["status"] == "ready"


def test_web_pages_may_not_use_a_server_without_keys(server: Server) -> None:
    body = json.dumps({"model": MODEL, "messages": [USER]})
    rebound = server.get("/v1/models", headers={"Host": "evil.example"})
    assert (rebound.status_code, rebound.json()["error"]["code"]) == (403, "invalid_host")
    headers = {"Origin": "https://evil.example", "Content-Type": "text/plain"}
    sent = server.post("/v1/chat/completions", content=body, headers=headers)
    assert (sent.status_code, sent.json()["error"]["code"]) == (403, "invalid_origin")
    assert "access-control-allow-origin" not in sent.headers
    own = server.post("/v1/chat/completions", content=body, headers={"Origin": server.root})
    assert own.status_code == 200


def test_health_and_metrics(server: Server) -> None:
    server.say("RUN true")
    assert server.get("/health").json() == {"status": "ready", "sandbox": "ok", "running": 0, "waiting": 0}
    server.get("/metrics")  # which has a row of its own from now on
    text = server.get("/metrics").text
    for name in ("running", "waiting", "open_sandboxes", "conversations", "turns_total", "request_seconds_bucket"):
        assert f"workroom_{name}" in text
    assert 'workroom_episodes_total{stop_reason="submitted"}' in text
    assert 'workroom_tokens_total{kind="prompt"}' in text
    assert 'route="/v1/chat/completions",status="200"' in text
    before = text.count("workroom_requests_total")
    for number in range(5):
        server.get(f"/no/{number}")
    assert server.get("/metrics").text.count("workroom_requests_total") <= before + 1  # no label of a client's making
