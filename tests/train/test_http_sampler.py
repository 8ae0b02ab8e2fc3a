"""Sampling over HTTP, as vLLM speaks it: token ids in, token ids and log-probabilities out."""

import asyncio
import json
from typing import Any

import pytest

from tests.fakes import FakeServer, Handler, Reply, Request, openai
from workroom.errors import ConfigError, ContextOverflow, ModelError, Overloaded, RateLimited
from workroom.train.http_sampler import HttpSampler
from workroom.train.sampler import Sampled

IDS = [5, 6, 7]


def generated(*ids: int, logprobs: Any = None, finish: str = "stop") -> dict[str, Any]:
    told = [-0.5] * len(ids) if logprobs is None else logprobs
    content = [{"token": f"token_id:{token}", "logprob": value} for token, value in zip(ids, told, strict=False)]
    choice = {"index": 0, "token_ids": list(ids), "finish_reason": finish, "logprobs": {"content": content}}
    return {"request_id": "r", "choices": [choice]}


def completed(*ids: int, prompt: list[int] | None = None) -> dict[str, Any]:
    choice = {
        "index": 0,
        "text": "never read",
        "token_ids": list(ids),
        "prompt_token_ids": prompt or IDS,
        "finish_reason": "length",
        "logprobs": {"tokens": ["x"] * len(ids), "token_logprobs": [-1.5] * len(ids)},
    }
    return {"id": "c", "object": "text_completion", "choices": [choice]}


def reply(value: Any) -> Reply:
    return Reply(body=json.dumps(value).encode())


def sample(handler: Handler | list[Reply], *, times: int = 1, **options: Any) -> tuple[list[Sampled], list[Request]]:
    """What `times` calls gave, and the requests."""

    async def calls(url: str) -> list[Sampled]:
        sampler = HttpSampler(url, "policy", stops=[2, 0], timeout=10)
        try:
            return [await sampler.sample(IDS, max_tokens=9, **options) for _ in range(times)]
        finally:
            await sampler.aclose()
            await sampler.aclose()

    with FakeServer(handler) as server:
        return asyncio.run(calls(server.url)), server.requests


def test_ids_go_in_and_come_out_at_the_endpoint_for_tokens() -> None:
    [sampled], [request] = sample([reply(generated(8, 2))], temperature=0.7, seed=3)
    assert sampled == Sampled((8, 2), (-0.5, -0.5), "stop")
    assert request.path == "/inference/v1/generate"
    body = request.json
    assert (body["model"], body["token_ids"]) == ("policy", IDS)
    settings = body["sampling_params"]
    assert (settings["max_tokens"], settings["temperature"], settings["seed"]) == (9, 0.7, 3)
    # What is cut off would bias the ratios, whatever the model's own generation settings say.
    assert (settings["top_p"], settings["top_k"], settings["min_p"], settings["repetition_penalty"]) == (1, -1, 0, 1)
    assert settings["stop_token_ids"] == [0, 2]


def test_a_server_without_it_is_asked_at_completions_from_then_on() -> None:
    def handler(request: Request) -> Reply:
        if request.path == "/inference/v1/generate":
            return openai.error(404, "Not Found")
        assert request.json["prompt"] == IDS
        assert request.json["return_token_ids"] is True
        return reply(completed(8, 9))

    two, requests = sample(handler, times=2)
    assert two == [Sampled((8, 9), (-1.5, -1.5), "length")] * 2
    assert [request.path for request in requests] == ["/inference/v1/generate", "/v1/completions", "/v1/completions"]


@pytest.mark.parametrize(
    "answer",
    [
        {"choices": []},
        {"choices": [7]},
        [],
        generated(),
        generated(1, 2, logprobs=[-1.0]),
        generated(1, logprobs=[None]),
        generated(1, logprobs=[-9999.0]),
        generated(1, logprobs=[float("nan")]),
        generated(1, finish="abort"),
        {"choices": [{"text": "x", "finish_reason": "stop"}]},
    ],
)
def test_an_answer_that_training_cannot_use_is_an_error(answer: Any) -> None:
    with pytest.raises(Overloaded):
        sample([reply(answer)])


def test_a_completion_of_another_prompt_is_an_error() -> None:
    answers = [openai.error(404, "Not Found"), reply(completed(8, prompt=[5, 6]))]
    with pytest.raises(Overloaded, match="another prompt"):
        sample(answers)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (openai.error(429, "slow down"), RateLimited),
        (openai.error(503, "busy"), Overloaded),
        (openai.error(400, "This model's maximum context length is 8 tokens."), ContextOverflow),
    ],
)
def test_errors_are_classed_as_those_of_other_models(answer: Reply, kind: type[ModelError]) -> None:
    with pytest.raises(kind):
        sample([answer])


def test_an_address_that_is_none_is_told_at_once() -> None:
    with pytest.raises(ConfigError, match="address"):
        HttpSampler("localhost:8000", "policy")
