"""A trained policy comes out as it was trained, in both forms, and with what others need to speak to it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train.tiny import save_tiny, tiny_model, tiny_tokenizer
from workroom.errors import ConfigError
from workroom.models.base import Sampling
from workroom.models.local.catalog import find
from workroom.models.local.gguf import read_header
from workroom.train.config import ModelSection
from workroom.train.gguf import ORIGIN, to_gguf
from workroom.train.hf_model import check, load
from workroom.train.save import save, save_hints

IDS = torch.arange(5, 45)[None]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def ignore(_: str) -> None:
    pass


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        result: torch.Tensor = model.eval()(IDS).logits
    return result


def test_what_is_saved_is_loaded_again_and_replaces_what_was_there(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    target = tmp_path / "out" / "model"
    for seed in (0, 1):
        model = tiny_model(tokenizer, seed=seed)
        if seed:
            (target / "left-over.txt").touch()
        assert save(model, tokenizer, target) == target
    again, tokens = load(ModelSection(path=str(target)), tell=ignore)
    assert torch.equal(logits(again), logits(model))
    assert tokens.chat_template == tokenizer.chat_template
    assert not (target / "left-over.txt").exists()
    assert [path.name for path in target.parent.iterdir()] == ["model"]


def test_a_save_that_fails_leaves_the_last_one(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    target = save(tiny_model(tokenizer), tokenizer, tmp_path / "model")
    broken = tiny_model(tokenizer)
    broken.save_pretrained = lambda _: (_ for _ in ()).throw(OSError("no space left"))
    with pytest.raises(OSError, match="no space"):
        save(broken, tokenizer, target)
    assert check(ModelSection(path=str(target))).parameters
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("kind", "settings"),
    [("llama", {}), ("llama", {"tie_word_embeddings": False, "attention_bias": True}), ("qwen2", {})],
)
def test_a_gguf_holds_the_same_model(kind: str, settings: dict[str, Any], tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "model", kind=kind, **settings)
    told: list[str] = []
    section = ModelSection(path=str(to_gguf(folder, tmp_path / "model.gguf")))
    header = read_header(tmp_path / "model.gguf")
    assert (header.architecture, header.context, header.tensors) == (kind, 512, header.tensors)
    shape = json.loads((folder / "config.json").read_text())
    assert header.hidden == shape["num_hidden_layers"] * shape["hidden_size"]
    assert header.chat_template == tiny_tokenizer().chat_template
    assert header.fields["tokenizer.ggml.eos_token_id"] == 2
    model, tokenizer = load(section, tell=told.append)
    original, _ = load(ModelSection(path=str(folder)), tell=ignore)
    torch.testing.assert_close(logits(model), logits(original), atol=0.02, rtol=0.02)
    text = "<|im_start|>user\nWhat is 12345 + über?<|im_end|>\n"
    assert tokenizer(text)["input_ids"] == tiny_tokenizer()(text)["input_ids"]
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id) == (0, 2)
    assert len(told) == 1
    load(section, tell=told.append)
    assert len(told) == 1  # it was converted once


def test_what_began_as_a_gguf_keeps_its_metadata(tmp_path: Path) -> None:
    first = to_gguf(save_tiny(tmp_path / "model"), tmp_path / "first.gguf")
    model, tokenizer = load(ModelSection(path=str(first)), tell=ignore)
    with torch.no_grad():
        model.model.layers[0].self_attn.q_proj.weight.mul_(2.0)
    saved = save(model, tokenizer, tmp_path / "trained")
    assert (saved / ORIGIN).stat().st_size < first.stat().st_size / 2
    second = to_gguf(saved, saved / "model.gguf")
    before, after = read_header(first).fields, read_header(second).fields
    assert after == before
    again, _ = load(ModelSection(path=str(second)), tell=ignore)
    torch.testing.assert_close(logits(again), logits(model), atol=0.02, rtol=0.02)


def test_single_digits_stay_single_on_the_way_through_a_gguf(tmp_path: Path) -> None:
    from tokenizers import pre_tokenizers

    tokenizer = tiny_tokenizer(texts=["1234 1234 1234 1234"] * 9)
    assert len(tokenizer("1234")["input_ids"]) == 1
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    folder = save(tiny_model(tokenizer), tokenizer, tmp_path / "model")
    _, again = load(ModelSection(path=str(to_gguf(folder, tmp_path / "m.gguf"))), tell=ignore)
    assert again("a 1234")["input_ids"] == tokenizer("a 1234")["input_ids"]
    assert len(again("1234")["input_ids"]) == 4


def test_what_cannot_be_a_gguf_is_told_with_other_ways(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "model")
    settings = json.loads((folder / "config.json").read_text())
    changes: list[tuple[dict[str, Any], str]] = [
        ({"model_type": "mamba"}, "architecture mamba: convert .* vLLM"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "rotary positions yarn"),
    ]
    for change, reason in changes:
        (folder / "config.json").write_text(json.dumps({**settings, **change}))
        with pytest.raises(ConfigError, match=reason):
            to_gguf(folder, tmp_path / "model.gguf")
    (folder / "config.json").write_text(json.dumps(settings))
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps({**tokenizer, "pre_tokenizer": {"type": "Whitespace"}}))
    with pytest.raises(ConfigError, match=r"the tokenizer of .* is of a kind that is not known"):
        to_gguf(folder, tmp_path / "model.gguf")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []


def test_a_trained_model_is_spoken_to_as_it_was_trained(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "model")
    to_gguf(folder, folder / "model.gguf")
    section = ModelSection(path="x", tool_protocol="bash", prompt="standard")
    save_hints(section, {"temperature": 0.5, "max_tokens": 9}, folder)
    entry = find(str(folder))
    assert (entry.hints.protocol, entry.hints.prompt) == ("bash", "standard")
    assert entry.hints.sampling == Sampling(temperature=0.5, max_tokens=9)
    assert (entry.context, entry.template, entry.grammar) == (512, "", False)
