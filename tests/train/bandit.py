"""A tiny random Llama with a tokenizer of its own, and rollouts sampled from it."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from workroom.train.records import Rollout, TrainRow

PROMPT = (1, 2, 3)
END = 0


def tiny_model(seed: int = 0, vocabulary: int = 24) -> Any:
    """Two layers of width 64."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        bos_token_id=1,
        eos_token_id=END,
        pad_token_id=END,
    )
    return LlamaForCausalLM(config).eval()


def tiny_tokenizer() -> Any:
    """A word for each id."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    words = WordLevel({f"w{number}": number for number in range(24)}, unk_token="w0")
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(words), pad_token="w0", eos_token="w0")


def sample(
    model: Any,
    reward: Callable[[TrainRow], float],
    *,
    groups: int = 4,
    group: int = 8,
    turns: Sequence[int] = (2, 1),
    observation: Sequence[int] = (9, 10),
) -> list[Rollout]:
    """Rollouts of one row each: so many tokens a turn, each turn but the last followed by the observation.

    The log-probabilities are from the forward pass that sampled, as of a sampler.
    """
    prompts = [(*PROMPT, 4 + name) for name in range(groups) for _ in range(group)]
    ids = torch.tensor(prompts)
    mask: list[int] = []
    logprobs: list[torch.Tensor] = []
    for turn, count in enumerate(turns):
        for _ in range(count):
            with torch.no_grad():
                scores = model(ids).logits[:, -1].log_softmax(-1)
            tokens = torch.multinomial(scores.exp(), 1)
            ids = torch.cat([ids, tokens], 1)
            logprobs.append(scores.gather(1, tokens))
            mask.append(1)
        if turn < len(turns) - 1:
            ids = torch.cat([ids, torch.tensor([observation]).expand(len(ids), -1)], 1)
            logprobs.append(torch.zeros(len(ids), len(observation)))
            mask += [0] * len(observation)
    table = torch.cat(logprobs, 1).tolist()
    rollouts = []
    for place, (prompt, row) in enumerate(zip(prompts, ids.tolist(), strict=True)):
        made = TrainRow(prompt, tuple(row[len(prompt) :]), tuple(mask), tuple(table[place]))
        rollouts.append(Rollout(str(place // group), place % group, (made,), reward(made), "submitted"))
    return rollouts
