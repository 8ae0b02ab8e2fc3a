"""What a training needs of a model is told before it is loaded, and what is loaded is fit to be trained."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.train.tiny import save_tiny, tiny_model, tiny_tokenizer
from workroom.errors import ConfigError
from workroom.train import hf_model
from workroom.train.config import ModelSection
from workroom.train.hf_model import check, end_of_turn, fitting, load
from workroom.train.template import CHATML, fault_of, render

PREFIX_BREAKING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and not loop.last %}...{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def ignore(_: str) -> None:
    pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model") / "tiny")


def copy(folder: Path, target: Path, *, without: str = "", **tokenizer: Any) -> Path:
    """The folder once more, without a file and with other settings of the tokenizer; None takes one away."""
    target.mkdir()
    for file in folder.iterdir():
        if file.name != without:
            (target / file.name).write_bytes(file.read_bytes())
    settings = target / "tokenizer_config.json"
    values = {**json.loads(settings.read_text()), **tokenizer}
    settings.write_text(json.dumps({key: value for key, value in values.items() if value is not None}))
    return target


def test_facts_are_read_without_the_weights(folder: Path) -> None:
    facts = check(ModelSection(path=str(folder)))
    assert facts.parameters == sum(weights.numel() for weights in tiny_model(tiny_tokenizer()).parameters())
    assert facts.memory == 16 * facts.parameters
    assert (facts.architecture, facts.context, facts.template) == ("llama", 512, None)
    settings = json.loads((folder / "config.json").read_text())
    hidden = settings["num_hidden_layers"] * settings["hidden_size"]
    assert (facts.hidden, facts.update_memory(10)) == (hidden, 1100 * hidden)


def test_what_is_loaded_can_be_trained(folder: Path) -> None:
    import torch

    model, tokenizer = load(ModelSection(path=str(folder)), tell=ignore)
    assert model.training
    assert {weights.dtype for weights in model.parameters()} == {torch.float32}
    assert tokenizer.pad_token_id == model.config.pad_token_id == 0
    assert end_of_turn(model, tokenizer) == {2}
    assert tokenizer.apply_chat_template([{"role": "user", "content": "a"}], tokenize=False).startswith("<|im_start|>u")


def test_nothing_of_the_generation_settings_leaks_into_sampling(folder: Path, tmp_path: Path) -> None:
    changed = copy(folder, tmp_path / "model")
    (changed / "generation_config.json").write_text(
        json.dumps({"top_k": 20, "top_p": 0.8, "temperature": 0.7, "repetition_penalty": 1.1, "eos_token_id": [2, 7]})
    )
    model, tokenizer = load(ModelSection(path=str(changed)), tell=ignore)
    settings = model.generation_config
    assert (settings.top_k, settings.top_p, settings.temperature, settings.repetition_penalty) == (0, 1.0, 1.0, 1.0)
    assert end_of_turn(model, tokenizer) == {2, 7}


def test_the_pad_token_is_never_the_one_that_ends_a_turn(folder: Path, tmp_path: Path) -> None:
    changed = copy(folder, tmp_path / "model", pad_token="<|im_end|>")
    model, tokenizer = load(ModelSection(path=str(changed)), tell=ignore)
    assert (tokenizer.pad_token_id, model.config.pad_token_id, tokenizer.eos_token_id) == (0, 0, 2)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("nowhere", r"no model 'nowhere': .*local/smollm2-135m"),
        ("local/nothing", r"no model 'local/nothing'"),
        ("empty", r"neither config.json nor model.gguf"),
        ("weightless", r"has no weights: there is no .safetensors"),
        ("broken", r"no whole safetensors file"),
        ("text.gguf", r"no GGUF file"),
        ("cut.gguf", r"no whole GGUF file"),
        ("bare.gguf", r"has no weights"),
    ],
)
def test_a_path_that_is_no_model_is_told(
    path: str, reason: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    copy(folder, Path("weightless"), without="model.safetensors")
    copy(folder, Path("broken"))
    Path("broken/model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    Path("text.gguf").write_text("this is no model")
    Path("cut.gguf").write_bytes(b"GGUF\3\0\0\0" + b"\1" + b"\0" * 7 + b"\5" + b"\0" * 7)
    Path("bare.gguf").write_bytes(b"GGUF\3\0\0\0" + b"\0" * 16)
    with pytest.raises(ConfigError, match=reason):
        check(ModelSection(path=path))


def test_too_little_memory_is_told_before_loading(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hf_model, "_free_memory", lambda: 1 << 20)
    with pytest.raises(ConfigError, match=r"\(0 million parameters\) needs .* GiB .* are free"):
        load(ModelSection(path=str(folder)), tell=ignore)


@pytest.mark.parametrize("able", [True, False])
def test_bfloat16_is_for_processors_that_have_it(able: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hf_model, "_computes_bfloat16", lambda: able)
    told: list[str] = []
    section = ModelSection(path="x", dtype="bfloat16")
    assert fitting(section, tell=told.append).dtype == ("bfloat16" if able else "float32")
    assert len(told) == (0 if able else 1)
    assert fitting(ModelSection(path="x"), tell=told.append).dtype == "float32"


def test_a_model_without_a_suiting_template_gets_the_projects_own(folder: Path, tmp_path: Path) -> None:
    bare = copy(folder, tmp_path / "bare", without="chat_template.jinja", chat_template=None)
    assert check(ModelSection(path=str(bare))).template == CHATML.read_text(encoding="utf-8")
    breaking = copy(folder, tmp_path / "breaking", without="chat_template.jinja", chat_template=PREFIX_BREAKING)
    _, tokenizer = load(ModelSection(path=str(breaking)), tell=ignore)
    assert tokenizer.chat_template == CHATML.read_text(encoding="utf-8")
    text = (bare / "tokenizer.json").read_text(encoding="utf-8")
    (bare / "tokenizer.json").write_text(text.replace("<|im_start|>", "<s>"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"it has none\).*name a Jinja file as chat_template"):
        check(ModelSection(path=str(bare)))


def test_the_template_of_the_section_goes_first_and_must_suit(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "own.jinja"
    file.write_text(CHATML.read_text(encoding="utf-8").replace("<tools>", "<functions>"), encoding="utf-8")
    assert "<functions>" in (check(ModelSection(path=str(folder), chat_template=file)).template or "")
    for text, reason in [
        (PREFIX_BREAKING, "leaves out messages|earlier turns otherwise"),
        ("{% for %}", "cannot be rendered"),
        ("{{ messages[0].content }}", "leaves out messages"),
    ]:
        file.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match=reason):
            check(ModelSection(path=str(folder), chat_template=file))
    with pytest.raises(ConfigError, match="cannot be read"):
        check(ModelSection(path=str(folder), chat_template=tmp_path / "none.jinja"))


def test_native_tools_need_a_template_that_tells_of_them() -> None:
    plain = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    plain += "{% if add_generation_prompt %}{% generation %}<|im_start|>assistant\n{% endgeneration %}{% endif %}"
    assert fault_of(plain) == ""
    assert "no place for tools" in fault_of(plain, tools=True)
    assert fault_of(CHATML.read_text(encoding="utf-8"), tools=True) == ""


def test_chatml_writes_calls_and_results_in_the_hermes_form() -> None:
    tokenizer = tiny_tokenizer()
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": {"where": "<über>"}}}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "Ask."},
        {"role": "assistant", "content": "Well.", "tool_calls": [call, {"function": {"name": "b", "arguments": "{}"}}]},
        {"role": "tool", "content": "one"},
        {"role": "tool", "content": "two"},
    ]
    rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert rendered == (
        "<|im_start|>user\nAsk.<|im_end|>\n"
        '<|im_start|>assistant\nWell.\n<tool_call>\n{"name": "look", "arguments": {"where": "<über>"}}\n</tool_call>\n'
        '<tool_call>\n{"name": "b", "arguments": {}}\n</tool_call><|im_end|>\n'
        "<|im_start|>user\n<tool_response>\none\n</tool_response>\n<tool_response>\ntwo\n</tool_response><|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert rendered == render(tokenizer.chat_template, messages, generation=True)
