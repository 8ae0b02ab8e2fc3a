"""From a GGUF to a folder in Hugging Face form, which can be trained, and back to a GGUF, which llama.cpp serves.

Formats: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; the names of tensors are those of the gguf package.
"""

import hashlib
import json
import shutil
import struct
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from workroom.errors import ConfigError
from workroom.models.local.gguf import read_header

ORIGIN = "origin.gguf"  # metadata and vocabulary of the GGUF that a folder was made of, without its weights
ARCHITECTURES = ("llama", "qwen2")
_LAYOUT = 1  # of what is cached; another number makes everything be converted again
_ALIGNMENT = 32
_HALF_MAX = 65504.0
_MOSTLY_F16 = 1  # llama.cpp's number of a file whose matrices are F16
_NORMAL, _CONTROL, _USER, _UNUSED = 1, 3, 4, 5  # llama.cpp's kinds of tokens
# Vocabularies of llama.cpp that take each digit for itself and then split as GPT-2 does.
_SINGLE_DIGITS = ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b")
_QWEN2_DIGITS, _LLAMA3_DIGITS = r"|\p{N}| ?[^", r"|\p{N}{1,3}| ?[^"  # where the patterns of the two differ


def converted(gguf: Path, tell: Callable[[str], None]) -> Path:
    """The folder that a GGUF is turned into, once, in the cache by its content.

    Raises ConfigError where transformers cannot read it.
    """
    from workroom.models.local.paths import cache_dir, locked

    with gguf.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    folder = cache_dir() / "hf" / f"{digest[:32]}-{_LAYOUT}"
    waiting = f"{gguf.name}: another process is converting it; waiting"
    with locked(folder.with_suffix(".lock"), lambda: tell(waiting), lambda: False):
        if not folder.is_dir():
            tell(f"{gguf.name}: turning it into float32 weights, once")
            partial = folder.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            _convert(gguf, partial)
            partial.rename(folder)
    return folder


def _convert(gguf: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    alone = folder / gguf.name  # transformers would mix in what else lies beside the GGUF
    alone.symlink_to(gguf)
    where = {"gguf_file": gguf.name, "local_files_only": True}
    try:
        # Without dequantize the model could not be saved.
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True), **where
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, **where)
    except (OSError, ValueError, RuntimeError, KeyError, ImportError, NotImplementedError) as error:
        raise ConfigError(f"transformers cannot read {gguf}: {first_line(error)}") from error
    alone.unlink()
    _mend_digits(tokenizer, str(read_header(gguf).fields.get("tokenizer.ggml.pre", "")))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _copy_metadata(gguf, folder / ORIGIN)


def _copy_metadata(gguf: Path, target: Path) -> None:
    """Writes a GGUF that has all metadata and the vocabulary of `gguf`, and no weights."""
    header = read_header(gguf)
    with gguf.open("rb") as file:
        data = file.read(header.metadata_end)
    body = data[:4] + struct.pack("<IQ", header.version, 0) + data[16:]
    target.write_bytes(body + b"\0" * (-len(body) % _ALIGNMENT))


def _mend_digits(tokenizer: Any, vocabulary: str) -> None:
    """Makes a tokenizer of a GGUF split digits as its `tokenizer.ggml.pre` says, which transformers leaves out."""
    from tokenizers import pre_tokenizers

    if vocabulary in _SINGLE_DIGITS:
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )


def to_gguf(directory: Path, target: Path) -> Path:
    """Writes the model of a folder as GGUF, matrices in F16, and returns `target`, which is there as a whole or not.

    A folder that began as a GGUF keeps that one's metadata and vocabulary. Raises ConfigError for an architecture or a
    tokenizer that this does not know; its sentence names other ways.
    """
    from gguf import GGUFWriter

    settings = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    architecture = settings.get("model_type")
    rope = {**(settings.get("rope_scaling") or {}), **(settings.get("rope_parameters") or {})}
    kind = rope.get("rope_type", rope.get("type", "default"))
    if architecture not in ARCHITECTURES or kind != "default":
        what = f"architecture {architecture}" if architecture not in ARCHITECTURES else f"rotary positions {kind}"
        raise ConfigError(
            f"no GGUF is written for the {what}: convert {directory} with llama.cpp's convert_hf_to_gguf.py, or serve "
            "the folder as it is with vLLM"
        )
    partial = target.with_name(f".{target.name}.partial")
    writer = GGUFWriter(partial, architecture)
    try:
        if (directory / ORIGIN).is_file():
            _copy_fields(writer, directory / ORIGIN)
        else:
            _model_fields(writer, settings, rope, directory.absolute().name)
            _vocabulary_fields(writer, directory, settings)
        template = directory / "chat_template.jinja"
        if template.is_file():
            writer.add_chat_template(template.read_text(encoding="utf-8"))
        writer.add_file_type(_MOSTLY_F16)
        _write_tensors(writer, directory, settings)
        writer.close()
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def _copy_fields(writer: Any, origin: Path) -> None:
    from gguf import GGUFReader, GGUFValueType

    ours = ("general.architecture", "general.file_type", "general.alignment", "tokenizer.chat_template")
    for name, field in GGUFReader(origin).fields.items():
        if not name.startswith("GGUF.") and name not in ours:
            inner = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
            writer.add_key_value(name, field.contents(), field.types[0], sub_type=inner)


def _model_fields(writer: Any, settings: dict[str, Any], rope: dict[str, Any], name: str) -> None:
    heads = settings["num_attention_heads"]
    width = settings.get("head_dim") or settings["hidden_size"] // heads
    writer.add_name(name)
    writer.add_context_length(settings["max_position_embeddings"])
    writer.add_embedding_length(settings["hidden_size"])
    writer.add_block_count(settings["num_hidden_layers"])
    writer.add_feed_forward_length(settings["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(settings.get("num_key_value_heads") or heads)
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_rope_dimension_count(width)
    writer.add_rope_freq_base(rope.get("rope_theta") or settings.get("rope_theta") or 10_000.0)
    writer.add_layer_norm_rms_eps(settings["rms_norm_eps"])
    writer.add_vocab_size(settings["vocab_size"])


def _vocabulary_fields(writer: Any, directory: Path, settings: dict[str, Any]) -> None:
    """The tokenizer, from `tokenizer.json`: byte-level BPE whose way of splitting llama.cpp has a name for."""
    tokenizer = json.loads((directory / "tokenizer.json").read_text(encoding="utf-8"))
    inner, size = tokenizer["model"], settings["vocab_size"]
    split = _name_of_split(tokenizer.get("pre_tokenizer") or {})
    if inner.get("type") != "BPE" or not split:
        raise ConfigError(
            f"no GGUF is written, as the tokenizer of {directory} is of a kind that is not known here: convert it "
            "with llama.cpp's convert_hf_to_gguf.py, or serve it as it is with vLLM"
        )
    tokens = [f"[PAD{number}]" for number in range(size)]
    kinds = [_UNUSED] * size
    for token, number in inner["vocab"].items():
        tokens[number], kinds[number] = token, _NORMAL
    for added in tokenizer.get("added_tokens", []):
        tokens[added["id"]], kinds[added["id"]] = added["content"], _CONTROL if added["special"] else _USER
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(split)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in inner["merges"]])
    writer.add_add_bos_token(False)  # chat templates write it themselves
    names = json.loads((directory / "tokenizer_config.json").read_text(encoding="utf-8"))
    for key, add in (
        ("bos_token", writer.add_bos_token_id),
        ("eos_token", writer.add_eos_token_id),
        ("unk_token", writer.add_unk_token_id),
        ("pad_token", writer.add_pad_token_id),
    ):
        value = names.get(key)
        token = value.get("content") if isinstance(value, dict) else value
        if token in tokens:
            add(tokens.index(token))


def _name_of_split(pre_tokenizer: dict[str, Any]) -> str:
    """llama.cpp's name for a way of splitting text, empty where it is none of these."""
    steps = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    kinds = [step.get("type") for step in steps]
    if kinds == ["ByteLevel"]:
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and steps[0].get("individual_digits"):
        return "smollm"
    if kinds == ["Split", "ByteLevel"]:
        pattern = steps[0].get("pattern", {}).get("Regex", "")
        return "qwen2" if _QWEN2_DIGITS in pattern else "llama-bpe" if _LLAMA3_DIGITS in pattern else ""
    return ""


def _write_tensors(writer: Any, directory: Path, settings: dict[str, Any]) -> None:
    """Writes everything, one tensor in memory at a time."""
    import numpy as np
    from gguf import MODEL_ARCH, get_tensor_name_map
    from safetensors import safe_open

    architecture = {"llama": MODEL_ARCH.LLAMA, "qwen2": MODEL_ARCH.QWEN2}[settings["model_type"]]
    names = get_tensor_name_map(architecture, settings["num_hidden_layers"])
    with ExitStack() as stack:
        files = [stack.enter_context(safe_open(file, "pt")) for file in sorted(directory.glob("*.safetensors"))]
        tensors = [(name, file) for file in files for name in file.keys() if not _is_tied(name, settings)]  # noqa: SIM118
        for name, file in tensors:
            told = names.get_name(name, try_suffixes=(".weight", ".bias"))
            if told is None:
                raise ConfigError(f"{directory} holds weights that a {settings['model_type']} has not: {name}")
            shape = file.get_slice(name).get_shape()
            form = np.dtype(np.float16 if len(shape) > 1 else np.float32)
            writer.add_tensor_info(told, shape, form, int(np.prod(shape)) * form.itemsize)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for name, file in tensors:
            tensor = _as_llama_cpp_has_it(name, file.get_tensor(name).float(), settings)
            half = tensor.ndim > 1
            if half and not float(tensor.abs().max()) <= _HALF_MAX:
                raise ConfigError(f"the weights {name} of {directory} are no numbers or too large for a GGUF in F16")
            writer.write_tensor_data(tensor.contiguous().numpy().astype(np.float16 if half else np.float32))


def _is_tied(name: str, settings: dict[str, Any]) -> bool:
    return name == "lm_head.weight" and bool(settings.get("tie_word_embeddings"))


def _as_llama_cpp_has_it(name: str, tensor: Any, settings: dict[str, Any]) -> Any:
    """Query and key of a llama with the two halves of each head's rotary pairs side by side, everything else as it is.

    transformers rotates number i with number i + width/2 of a head, llama.cpp's llama with its neighbour.
    """
    if settings["model_type"] != "llama" or ".self_attn." not in name:
        return tensor
    heads = settings["num_attention_heads"]
    if ".k_proj." in name:
        heads = settings.get("num_key_value_heads") or heads
    elif ".q_proj." not in name:
        return tensor
    halves = tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:])
    return halves.transpose(1, 2).reshape(tensor.shape)


def first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
