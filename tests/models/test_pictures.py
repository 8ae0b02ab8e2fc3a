"""Pictures on the wire of each protocol, who can be shown them, and what servers say that take none."""

import json
from typing import Any

import pytest

from tests.fakes import FakeServer, anthropic, openai
from tests.models.support import ask, golden
from workroom.errors import ConfigError, ImagesRefused, Overloaded
from workroom.models import open_model
from workroom.models.base import Image, Message, Sampling, ToolCall
from workroom.models.failures import Provider, classify
from workroom.models.vision import can_see

PNG, JPEG = Image("image/png", b"\x89PNG one"), Image("image/jpeg", b"\xff\xd8 two")
SEEN = (
    Message("user", "Draw."),
    Message(
        "assistant",
        tool_calls=(
            ToolCall("call_1", "execute_bash", '{"command": "./draw"}'),
            ToolCall("call_2", "execute_bash", '{"command": "./look"}'),
        ),
    ),
    Message("tool", "a picture", tool_call_id="call_1", images=(PNG, JPEG)),
    Message("tool", "a text", tool_call_id="call_2"),
    Message("user", "Two turns are left."),
    Message("assistant", "Again.", tool_calls=(ToolCall("call_3", "execute_bash", '{"command": "./look"}'),)),
    Message("tool", "the other", tool_call_id="call_3", images=(JPEG,)),
)


@pytest.mark.parametrize("protocol", ["native", "json", "bash"])
def test_chat_completions_get_them_in_a_user_message_behind_the_answers(protocol: Any) -> None:
    with FakeServer([openai.assistant("ok")]) as server:
        ask(open_model("openai/fake", base_url=server.url, protocol=protocol, vision="on"), SEEN)
    golden(f"pictures_openai_{protocol}.json", json.dumps(server.requests[0].json["messages"], indent=2) + "\n")


def test_the_messages_api_gets_them_within_the_results() -> None:
    with FakeServer([anthropic.message([anthropic.text("ok")])]) as server:
        ask(open_model("anthropic/fake", base_url=server.root, api_key="key"), SEEN)
    golden("pictures_anthropic.json", json.dumps(server.requests[0].json["messages"], indent=2) + "\n")


@pytest.mark.parametrize(
    "name",
    "gpt-5 gpt-5.2-codex gpt-4o-mini gpt-4.1 gpt-4-turbo o1 o3-pro o4-mini openai/o3 anthropic/claude-sonnet-4.5 "
    "google/gemini-3-pro gemma-3-27b-it google/gemma-4-31b pixtral-12b Qwen/Qwen2.5-VL-7B-Instruct qwen3-vl:8b "
    "Qwen/Qwen3-Omni-30B llava:13b OpenGVLab/InternVL3-8B openbmb/MiniCPM-V-4_5 zai-org/GLM-4.5V glm-4.6v "
    "moonshot-v1-8k-vision-preview Kimi-VL-A3B moonshotai/kimi-k2.5 meta-llama/Llama-4-Scout llama3.2-vision "
    "mistral-small-3.2-24b deepseek-vl2 SmolVLM2-2.2B".split(),
)
def test_names_of_models_that_see(name: str) -> None:
    assert can_see(f"openai/{name}")
    assert not can_see(f"openai/{name}", "off")


@pytest.mark.parametrize(
    "name",
    "fake gpt-3.5-turbo gpt-oss-120b o1-mini o3-mini deepseek-v3.2 deepseek-reasoner qwen3-8b Qwen/Qwen3-Coder-480B "
    "kimi-k2-instruct glm-4.6 minimax-m2 llama-3.3-70b mistral-large-2411 gemma-3-1b-it grok-code-fast-1 x "
    "vllm-model".split(),
)
def test_names_of_models_that_do_not(name: str) -> None:
    assert not can_see(f"openai/{name}")
    assert can_see(f"openai/{name}", "on")


def test_the_setting_and_the_kinds_of_model(tmp_path: Any) -> None:
    script = tmp_path / "gpt-5.jsonl"
    script.write_text('{"content": "a"}\n')
    url = "http://127.0.0.1:1/v1"
    assert open_model("anthropic/any", api_key="k").hints.vision
    assert not open_model("anthropic/any", api_key="k", vision="off").hints.vision
    assert open_model("openai/gpt-5", base_url=url).hints.vision
    assert open_model("openai/x", base_url=url, vision="on", protocol="json").hints.vision
    assert not open_model(f"scripted/{script}").hints.vision
    assert open_model(f"scripted/{tmp_path}", vision="on").for_task("gpt-5").hints.vision
    assert not open_model("local/qwen2.5-coder-1.5b").hints.vision
    with pytest.raises(ConfigError, match="cannot be shown pictures"):
        open_model("local/qwen2.5-coder-1.5b", vision="on")
    with pytest.raises(ConfigError, match="none of auto, on, off"):
        open_model("openai/x", base_url=url, vision="yes")  # type: ignore[arg-type]


REFUSALS: dict[str, tuple[int, str, int | None]] = {
    "OpenAI": (400, "Invalid content type. image_url is only supported by certain models.", 0),
    "vLLM": (400, "At most 0 image(s) may be provided in one request.", 0),
    "vLLM, text model": (400, "some/model is not a multimodal model", 0),
    "vLLM, one": (400, "At most 1 image(s) may be provided in one prompt.", 1),
    "llama.cpp": (
        500,
        "image input is not supported - hint: you may need to provide the mmproj",
        0,
    ),
    "Ollama": (500, "Failed to create new sequence: this model is missing data required for image input", 0),
    "OpenRouter": (404, "No endpoints found that support image input", 0),
    "DeepSeek": (400, "messages[3]: unknown variant `image_url`, expected `text` at line 1 column 9", 0),
    "Groq": (400, "('messages.3.content' : value must be a string)", 0),
    "Mistral": (400, "Image content is not enabled for this model", 0),
    "pydantic": (422, "Input should be a valid string", 0),
    "Anthropic": (400, "messages.2.content.0.tool_result.content.1.image: Could not process image", None),
    "Qwen": (400, "height:10 and width:10 must be larger than factor:28", None),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_servers_say(name: str) -> None:
    status, words, most = REFUSALS[name]
    error = classify(Provider("openai/x", "host", "KEY"), status, {"error": {"message": words}}, {})
    assert isinstance(error, ImagesRefused)
    assert error.most == most


@pytest.mark.parametrize(
    ("status", "words"),
    [(500, "failed to load the image processor"), (500, "CUDA out of memory"), (503, "image pull is not supported")],
)
def test_other_failures_are_tried_again(status: int, words: str) -> None:
    assert isinstance(classify(Provider("openai/x", "host", "KEY"), status, words, {}), Overloaded)


@pytest.mark.parametrize(("words", "sees"), [("image_url is not supported", False), ("Could not process image", True)])
@pytest.mark.parametrize("protocol", ["auto", "native", "json"])
def test_a_refusal_is_learnt_and_not_tried_again(protocol: Any, words: str, sees: bool) -> None:
    with FakeServer([openai.error(400, words)]) as server:
        model = open_model("openai/gpt-5", base_url=server.url, protocol=protocol)
        with pytest.raises(ImagesRefused, match="--vision off"):
            ask(model, SEEN)
    assert model.hints.vision is sees
    assert len(server.requests) == 1


def test_without_pictures_such_words_mean_nothing() -> None:
    with FakeServer([openai.error(400, "temperature and image_url: not supported"), openai.assistant("ok")]) as server:
        model = open_model("openai/gpt-5", base_url=server.url, protocol="native")
        ask(model, sampling=Sampling(temperature=0.5))
    assert model.hints.vision
    assert "temperature" not in server.requests[1].json
