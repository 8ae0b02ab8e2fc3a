"""The policy as transformers has it: what a training needs of a model is checked first, and then it is loaded."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workroom.errors import ConfigError
from workroom.train.config import ModelSection
from workroom.train.gguf import converted, first_line
from workroom.train.template import CHATML, CHATML_TOKENS, fault_of, read_template

Tell = Callable[[str], None]

BYTES_A_PARAMETER = 16  # float32: the weight, its gradient, and the two moments of Adam
# What a token's way through the network leaves for the backward pass, for each number of its hidden states: 103 to 128
# with SmolLM2 in float32, by benchmarks/update_memory.py on 2 to 8 rows of 400 to 1,024 tokens.
BYTES_AN_ACTIVATION = 110
_PADS = ("<|endoftext|>", "<pad>", "<|pad|>", "[PAD]", "<|finetune_right_pad_id|>", "<unk>")


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a model before it is loaded. `memory` and `free` are bytes, `free` None where nobody tells.

    `template`: the chat template that will be used, None where the tokenizer keeps the model's own. `context`: tokens.
    `hidden`: numbers in a token's hidden states over all layers, None where the model does not tell.
    """

    location: Path
    architecture: str
    parameters: int
    memory: int
    free: int | None
    template: str | None
    context: int | None
    hidden: int | None

    def update_memory(self, tokens: int) -> int | None:
        """About how many bytes an update on that many tokens at a time takes beside `memory`, None where unknown."""
        return None if self.hidden is None else tokens * self.hidden * BYTES_AN_ACTIVATION

    @property
    def is_gguf(self) -> bool:
        return self.location.is_file()


def check(section: ModelSection, *, tell: Tell = lambda _: None) -> Facts:
    """What the model is and needs, by its configuration or GGUF header alone; weights of the catalog are fetched first.

    Raises ConfigError where the path, the weights or a chat template is missing, or memory does not suffice; ModelError
    where a download fails.
    """
    location = _locate(section.path, tell)
    facts = _gguf_facts(location, section) if location.is_file() else _folder_facts(location, section)
    if facts.free is not None and facts.memory > facts.free:
        raise ConfigError(
            f"training {section.path} ({facts.parameters / 1e6:.0f} million parameters) needs {_gib(facts.memory)} of "
            f"memory for weights, gradients and the optimiser, and {_gib(facts.free)} are free: take a smaller model, "
            "or the engine verl on more devices"
        )
    return facts


def fitting(section: ModelSection, *, tell: Tell) -> ModelSection:
    """The section as this machine can do it best: in float32 where bfloat16 is emulated, which takes several times as
    long (measured on AVX2: 6 times)."""
    if section.dtype == "float32" or _computes_bfloat16():
        return section
    tell("this processor has no instructions for bfloat16: the passes are in float32, which is faster here")
    return section.model_copy(update={"dtype": "float32"})


def load(section: ModelSection, *, tell: Tell) -> tuple[Any, Any]:
    """The model in float32 on the processor, in training mode, and its tokenizer with chat template and pad token.

    A GGUF is turned into a folder once, in the cache. Raises what `check` raises, which it calls first, and ConfigError
    where the weights cannot be read.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # the terminal is the session's
    facts = check(section, tell=tell)
    folder = converted(facts.location, tell) if facts.is_gguf else facts.location
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
        raise ConfigError(f"the model {section.path} cannot be loaded: {first_line(error)}") from error
    if facts.template is not None:
        tokenizer.chat_template = facts.template
    _separate_pad(model, tokenizer)
    neutralise(model, tokenizer)
    return model.train(), tokenizer


def end_of_turn(model: Any, tokenizer: Any) -> frozenset[int]:
    """The ids that end a turn: those that model and tokenizer are set up with, and the chat template's own."""
    configured = model.generation_config.eos_token_id
    ids = {tokenizer.eos_token_id, _turn_end(tokenizer)}
    ids.update(configured if isinstance(configured, list | tuple) else [configured])
    return frozenset(ids - {None})


def _turn_end(tokenizer: Any) -> int | None:
    """The special token that the chat template puts after the words of the assistant."""
    turn = [{"role": "user", "content": "A"}, {"role": "assistant", "content": "B"}]
    rendered = tokenizer.apply_chat_template(turn, tokenize=False)
    tail = tokenizer(rendered[rendered.rindex("B") + 1 :], add_special_tokens=False)["input_ids"]
    return next((token for token in tail if token in tokenizer.added_tokens_decoder), None)


def neutralise(model: Any, tokenizer: Any) -> None:
    """Takes from the model's generation settings all that would cut off or bias what is sampled."""
    from transformers import GenerationConfig

    ends = model.generation_config.eos_token_id
    model.generation_config = GenerationConfig(
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        repetition_penalty=1.0,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id if ends is None else ends,
        pad_token_id=tokenizer.pad_token_id,
    )


def _locate(path: str, tell: Tell) -> Path:
    """The folder or GGUF file that a `path` names."""
    from workroom.models.local.catalog import CATALOG, PREFIX
    from workroom.models.local.weights import ensure_weights

    if (entry := CATALOG.get(path.removeprefix(PREFIX))) and path.startswith(PREFIX):
        return ensure_weights(entry, tell, lambda: False)
    location = Path(path).expanduser()
    if not location.exists():
        raise ConfigError(
            f"there is no model {path!r}: give a folder in Hugging Face form, a GGUF file or one of "
            + ", ".join(PREFIX + name for name in CATALOG)
        )
    if location.is_dir() and not (location / "config.json").is_file():
        if (location / "model.gguf").is_file():
            return (location / "model.gguf").resolve()
        raise ConfigError(f"{path} is no model: the folder has neither config.json nor model.gguf")
    return location.resolve()


def _gguf_facts(location: Path, section: ModelSection) -> Facts:
    from workroom.models.local.gguf import read_header

    header = read_header(location)
    if not header.tensors or not header.architecture:
        raise ConfigError(f"{section.path} has no weights: it is a GGUF of something else than a model")
    with location.open("rb") as file:
        vocabulary = file.read(header.metadata_end)
    return Facts(
        location,
        header.architecture,
        header.parameters,
        header.parameters * BYTES_A_PARAMETER,
        _free_memory(),
        _template(section, header.chat_template, lambda token: token.encode() in vocabulary, {}),
        header.context,
        header.hidden,
    )


def _folder_facts(location: Path, section: ModelSection) -> Facts:
    settings = _json(location / "config.json")
    parameters = _parameters(location, section.path)
    own_settings = _json(location / "tokenizer_config.json") if (location / "tokenizer_config.json").is_file() else {}
    file = location / "chat_template.jinja"
    own = file.read_text(encoding="utf-8") if file.is_file() else own_settings.get("chat_template")
    if isinstance(own, list):  # several under names, the older form
        own = {entry["name"]: entry["template"] for entry in own}.get("default")
    tokens: dict[str, str] = {}
    for name, value in own_settings.items():
        if name.endswith("_token") and value:
            tokens[name] = str(value.get("content") if isinstance(value, dict) else value)
    vocabulary = location / "tokenizer.json"
    text = vocabulary.read_text(encoding="utf-8") if vocabulary.is_file() else ""
    return Facts(
        location,
        str(settings.get("model_type", "")),
        parameters,
        parameters * BYTES_A_PARAMETER,
        _free_memory(),
        _template(section, own, lambda token: json.dumps(token) in text, tokens),
        settings.get("max_position_embeddings"),
        settings.get("num_hidden_layers", 0) * settings.get("hidden_size", 0) or None,
    )


def _template(
    section: ModelSection, own: str | None, has_token: Callable[[str], bool], tokens: dict[str, str]
) -> str | None:
    """The template to set, None for the model's own: the section's, else the model's where it suits, else ChatML."""
    if section.chat_template is not None:
        return read_template(section.chat_template)
    fault = fault_of(own, tools=section.tool_protocol == "native", tokens=tokens) if own else "it has none"
    if not fault:
        return None
    if all(has_token(token) for token in CHATML_TOKENS):
        return CHATML.read_text(encoding="utf-8")
    raise ConfigError(
        f"the chat template of {section.path} cannot be trained with ({fault}), and its vocabulary has no ChatML "
        "tokens for the project's own: name a Jinja file as chat_template in [model]"
    )


def _parameters(location: Path, shown: str) -> int:
    """Numbers in all safetensors files of a folder, by their headers."""
    files = sorted(location.glob("*.safetensors"))
    if not files:
        raise ConfigError(f"{shown} has no weights: there is no .safetensors file in the folder")
    total = 0
    for file in files:
        with file.open("rb") as data:
            try:
                header = json.loads(data.read(int.from_bytes(data.read(8), "little")))
            except (ValueError, OverflowError, MemoryError) as error:
                raise ConfigError(f"{file} is no whole safetensors file; copy the model again") from error
        for name, tensor in header.items():
            if name != "__metadata__":
                count = 1
                for size in tensor["shape"]:
                    count *= size
                total += count
    return total


def _free_memory() -> int | None:
    """Bytes free where the training will be: on the first graphics processor, else in the machine's memory."""
    from workroom.bench.memory import free_memory

    if Path("/dev/nvidiactl").exists():
        import torch

        if torch.cuda.is_available():
            free: int = torch.cuda.mem_get_info()[0]
            return free
    return free_memory()


def _computes_bfloat16() -> bool:
    """Whether there are instructions for it, or a graphics processor, which has them."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return True
    return bool(re.search(r"\b(avx512_bf16|amx_bf16|bf16)\b", flags)) or Path("/dev/nvidiactl").exists()


def _separate_pad(model: Any, tokenizer: Any) -> None:
    """Gives padding a token of its own: where it is the one that ends a turn, losses mask that end away."""
    taken = {tokenizer.eos_token_id, tokenizer.bos_token_id, _turn_end(tokenizer)}
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id in taken:
        known = tokenizer.get_vocab()
        token = next((name for name in _PADS if name in known and known[name] not in taken), None)
        if token is None:
            raise ConfigError(
                f"the tokenizer of {tokenizer.name_or_path} has no token to pad with besides the one that ends a turn: "
                "add one to its tokenizer_config.json as pad_token"
            )
        tokenizer.pad_token = token
    model.config.pad_token_id = tokenizer.pad_token_id


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path} holds no JSON object")
    return value


def _gib(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB"
