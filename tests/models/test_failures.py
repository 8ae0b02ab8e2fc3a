"""How errors of providers are classed, by their real wordings."""

from collections.abc import Mapping
from typing import Any

import pytest

from workroom.errors import AuthError, BadRequest, ContextOverflow, ModelError, Overloaded, RateLimited
from workroom.models.failures import Provider, ToolsUnsupported, classify

PROVIDER = Provider("openai/fake", "example.test", "OPENAI_API_KEY", "secret-key-1234")


def error(status: int, body: Any, headers: Mapping[str, str] | None = None) -> ModelError:
    return classify(PROVIDER, status, body, headers or {})


def wrapped(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


@pytest.mark.parametrize(
    ("status", "body", "window"),
    [
        pytest.param(
            400,
            wrapped(
                "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens. "
                "Please reduce the length of the messages.",
                code="context_length_exceeded",
            ),
            8192,
            id="OpenAI",
        ),
        pytest.param(
            400,
            wrapped(
                "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300000 tokens."
            ),
            272_000,
            id="OpenAI, newer",
        ),
        pytest.param(429, wrapped("Request too large for gpt-x on tokens per min (TPM): Limit 10000"), None, id="TPM"),
        pytest.param(
            400,
            {
                "object": "error",
                "message": "This model's maximum context length is 2048 tokens. However, you requested 2100 tokens "
                "(2000 in the messages, 100 in the completion). Please reduce the length of the messages.",
                "code": 400,
            },
            2048,
            id="vLLM",
        ),
        pytest.param(
            400,
            wrapped("The decoder prompt (length 5000) is longer than the maximum model length of 4096. Make sure that"),
            4096,
            id="vLLM, prompt",
        ),
        pytest.param(
            400,
            {"message": "The input (70000 tokens) is longer than the model's context length (65536 tokens)."},
            65_536,
            id="SGLang",
        ),
        pytest.param(
            400,
            wrapped(
                "the request exceeds the available context size. try increasing the context size",
                type="exceed_context_size_error",
                n_prompt_tokens=9000,
                n_ctx=4096,
            ),
            4096,
            id="llama.cpp",
        ),
        pytest.param(
            400,
            wrapped("request (9000 tokens) exceeds the available context size (4096 tokens), try increasing it"),
            4096,
            id="llama.cpp, newer",
        ),
        pytest.param(
            400,
            wrapped(
                "This endpoint's maximum context length is 131072 tokens. However, you requested about 150000 tokens "
                '(100 of text input). Please reduce the length of either one, or use the "middle-out" transform.'
            ),
            131_072,
            id="OpenRouter",
        ),
        pytest.param(
            400,
            wrapped(
                "Provider returned error",
                metadata={"raw": '{"error":{"message":"maximum context length is 65,536 tokens"}}'},
            ),
            65_536,
            id="OpenRouter, upstream",
        ),
        pytest.param(
            400,
            wrapped("The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."),
            1_048_576,
            id="Gemini",
        ),
        pytest.param(
            422,
            {"message": "Prompt contains 40000 tokens, too large for model with 32768 maximum context length"},
            32_768,
            id="Mistral",
        ),
        pytest.param(
            400, wrapped("Invalid request: Your request exceeded model token limit: 131072"), 131_072, id="Kimi"
        ),
        pytest.param(400, wrapped("invalid params, context window exceeds limit (2013)"), None, id="MiniMax"),
        pytest.param(
            400,
            wrapped("This model's maximum prompt length is 131072 but the request contains 537812 tokens."),
            131_072,
            id="xAI",
        ),
        pytest.param(
            422,
            {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. Given: 9000"},
            8193,
            id="TGI",
        ),
        pytest.param(
            400,
            {"error": "the model is loaded with context length of only 4096 tokens, which is not enough: exceeds it"},
            4096,
            id="LM Studio",
        ),
        pytest.param(413, "<html><title>413 Request Entity Too Large</title></html>", None, id="proxy"),
    ],
)
def test_context_overflow(status: int, body: Any, window: int | None) -> None:
    found = error(status, body)
    assert isinstance(found, ContextOverflow), str(found)
    if "TPM" not in str(found) and "2013" not in str(found):
        assert found.window == window


@pytest.mark.parametrize(
    "body",
    [
        wrapped("max_tokens is too large: 100000. This model supports at most 16384 completion tokens."),
        wrapped("Invalid value for 'temperature'"),
        wrapped("Missing required parameter: 'messages[3].tool_call_id'."),
        {"detail": [{"loc": ["body", "messages"], "msg": "field required"}]},
        "",
        None,
        [1, 2],
    ],
)
def test_other_refusals_are_no_overflow(body: Any) -> None:
    assert type(error(400, body)) is BadRequest


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'),
        (400, "registry.ollama.ai/library/gemma:2b does not support tools"),
        (500, "tools param requires --jinja flag"),
        (404, "No endpoints found that support tool use. To learn more about provider routing, visit"),
        (400, "`tool calling` is not supported with this model"),
        (400, "Unsupported parameter: 'tools' is not supported with this model."),
        (400, "tools is not supported in this model."),
        (400, "deepseek-reasoner does not support Function Calling"),
    ],
)
def test_tools_unsupported(status: int, message: str) -> None:
    assert isinstance(error(status, wrapped(message)), ToolsUnsupported)
    assert isinstance(error(status, {"error": message}), ToolsUnsupported)


@pytest.mark.parametrize(
    "message",
    [
        "tools[0].function.parameters: 'array' schema missing items, which is not supported",
        "Invalid schema for function 'execute_bash'",
        "tool_choice 'required' is not allowed without tools",
    ],
)
def test_other_words_on_tools(message: str) -> None:
    assert type(error(400, wrapped(message))) is BadRequest


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, wrapped("You exceeded your current quota, please check your plan", code="insufficient_quota")),
        (429, wrapped("Your account is not active", type="exceeded_current_quota_error")),
        (402, wrapped("Insufficient Balance")),
        (403, wrapped("Country not supported")),
    ],
)
def test_an_account_that_cannot(status: int, body: Any) -> None:
    assert isinstance(error(status, body), AuthError)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Rate limit reached. Please try again in 1.5s. Visit", 1.5),
        ("Please try again in 20ms.", 0.02),
        ("Please try again in 6m0s.", 360),
        ("Please retry in 1h2m3s", 3723),
        ("try again in a while", None),
    ],
)
def test_a_wait_told_in_words(text: str, seconds: float | None) -> None:
    found = error(429, wrapped(text))
    assert isinstance(found, RateLimited)
    assert found.retry_after == seconds


def test_overload_keeps_the_wait() -> None:
    found = error(503, "busy", {"retry-after": "3"})
    assert isinstance(found, Overloaded)
    assert found.retry_after == 3


def test_words_are_short_and_hold_no_key() -> None:
    text = str(error(400, "secret-key-1234 " + "x " * 5000 + "\n"))
    assert "secret-key" not in text
    assert len(text) < 700
    assert "secret-key" not in repr(PROVIDER)
