"""Token ids of model calls, as vLLM, SGLang and llama.cpp tell them, and servers that do not."""

import json
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from tests.fakes import FakeServer, Reply, Request, openai
from tests.models.support import KEY, TOOLS, Deltas, ask
from workroom.models import open_model
from workroom.models.base import TokenIds
from workroom.models.openai import OpenAIModel

CALL = ("execute_bash", {"command": "ls"})


def reply(choice: Mapping[str, Any] | None = None, **more: Any) -> Reply:
    whole = openai.completion(calls=[CALL])
    whole["choices"][0] |= choice or {}
    return Reply(body=json.dumps({**whole, **more}).encode())


def entries(*logprobs: Any, ids: tuple[int, ...] = ()) -> dict[str, Any]:
    made = [{"token": "x", "logprob": value} for value in logprobs]
    return {"content": [entry | {"id": id_} for entry, id_ in zip(made, ids, strict=True)] if ids else made}


def model(server: FakeServer) -> OpenAIModel:
    return OpenAIModel("openai/fake", base_url=server.url, api_key=KEY, token_ids=True)


@pytest.mark.parametrize("place", ["vllm", "sglang"])
def test_vllm_and_sglang_tell_them_in_an_answer_that_is_not_streamed(place: str) -> None:
    prompt = {"prompt_token_ids": [1, 2]}
    choice = {"token_ids": [3, 4], "logprobs": entries(-0.5, -2)}
    answer = reply(choice, **prompt) if place == "vllm" else reply(choice | prompt)
    deltas = Deltas()
    with FakeServer([answer]) as server:
        completion = ask(model(server), tools=TOOLS, on_delta=deltas)
    body = server.requests[0].json
    assert (body["return_token_ids"], body["logprobs"], body["top_logprobs"], "stream" in body) == (
        True,
        True,
        1,
        False,
    )
    assert completion.tokens == TokenIds((1, 2), (3, 4), (-0.5, -2.0))
    assert completion.message.tool_calls[0].name == "execute_bash"
    assert deltas


@pytest.mark.parametrize(
    "logprobs",
    [None, entries(-1), entries(-1, None), entries(-1, float("-inf")), {"content": 7}, [], entries("a", "b")],
)
def test_log_probabilities_that_do_not_fit_are_left_out(logprobs: Any) -> None:
    answer = reply({"token_ids": [3, 4], "logprobs": logprobs}, prompt_token_ids=[1])
    with FakeServer([answer]) as server:
        assert ask(model(server)).tokens == TokenIds((1,), (3, 4), ())


def llama(request: Request) -> Reply:
    """A llama.cpp server: ids stand in the log-probabilities, and the prompt's are made by two further endpoints."""
    if request.path == "/apply-template":
        assert request.json["messages"][0]["content"]
        return Reply(body=b'{"prompt": "<|im_start|>..."}')
    if request.path == "/tokenize":
        assert request.json == {"content": "<|im_start|>...", "add_special": True, "parse_special": True}
        return Reply(body=b'{"tokens": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]}')
    return reply({"logprobs": entries(-0.5, -2, ids=(7, 2))})


def test_llama_cpp_tells_them_in_its_own_way() -> None:
    with FakeServer(llama) as server:
        completion = ask(model(server))
        assert [request.path for request in server.requests] == ["/v1/chat/completions", "/apply-template", "/tokenize"]
        assert all(request.headers["authorization"] == f"Bearer {KEY}" for request in server.requests)
    assert completion.tokens == TokenIds(tuple(range(1, 12)), (7, 2), (-0.5, -2.0))


def other_prompt(request: Request) -> Reply:
    return Reply(body=b'{"tokens": [1]}') if request.path == "/tokenize" else llama(request)


def not_llama(request: Request) -> Reply:
    return Reply(404, b"{}") if "chat" not in request.path else llama(request)


def plain(request: Request) -> Reply:
    return openai.assistant("4")(request)


@pytest.mark.parametrize("handler", [plain, other_prompt, not_llama])
def test_a_server_that_tells_none_is_told_of_once_and_streams_again(handler: Any, caplog: Any) -> None:
    with FakeServer(handler) as server, caplog.at_level(logging.WARNING):
        one = model(server)
        assert ask(one, on_delta=Deltas()).tokens is None
        ask(one, on_delta=Deltas())
    last = server.requests[-1].json
    assert (last.get("stream"), "return_token_ids" in last, "logprobs" in last) == (True, False, False)
    assert [record.message for record in caplog.records] == [
        "openai/fake tells no token ids; the run goes on without them"
    ]


def test_a_server_that_refuses_to_be_asked_is_asked_without(caplog: Any) -> None:
    refusals = [
        openai.error(400, "Unrecognized request argument supplied: return_token_ids"),
        openai.error(400, "logprobs are not supported with reasoning models"),
    ]
    for refusal in refusals:
        told = reply({"token_ids": [3]}, prompt_token_ids=[1])
        with FakeServer([refusal, told]) as server, caplog.at_level(logging.WARNING):
            completion = ask(model(server))
        body = server.requests[1].json
        assert "logprobs" not in body
        assert ("return_token_ids" in body) == (completion.tokens is not None) == (refusal is refusals[1])
    assert len(caplog.records) == 2


def test_models_of_other_providers_say_that_they_tell_none(caplog: Any) -> None:
    with caplog.at_level(logging.WARNING):
        open_model("anthropic/claude", api_key="x", token_ids=True)
    assert "anthropic/claude tells no token ids" in caplog.text
