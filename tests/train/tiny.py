"""A tiny random model with a byte-level tokenizer and ChatML: all that tests of the training need of a policy."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workroom.train.template import CHATML

_TEXT = ["the answer of this question lies in a file", "cat documents/one.txt | grep answer", "user system assistant"]


def tiny_tokenizer(*, texts: Sequence[str] = ()) -> Any:
    """About three hundred tokens, of which the first three are those of ChatML."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator([*_TEXT, *texts], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<|im_start|>", eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    tokenizer.chat_template = CHATML.read_text(encoding="utf-8")
    return tokenizer


def tiny_model(tokenizer: Any, *, kind: str = "llama", seed: int = 0, **settings: Any) -> Any:
    """Two layers of width 64, with weights wide enough that what it says next is not all alike."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(seed)
    make, build = {"llama": (LlamaConfig, LlamaForCausalLM), "qwen2": (Qwen2Config, Qwen2ForCausalLM)}[kind]
    config = make(
        **{
            "vocab_size": len(tokenizer),
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 512,
            "initializer_range": 0.15,
            "tie_word_embeddings": True,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            **settings,
        }
    )
    return build(config)


def save_tiny(folder: Path, **settings: Any) -> Path:
    """The model and its tokenizer as a folder in Hugging Face form."""
    tokenizer = tiny_tokenizer()
    tiny_model(tokenizer, **settings).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
