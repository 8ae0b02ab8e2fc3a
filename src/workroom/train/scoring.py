"""The forward pass of a trainer: log-probabilities, entropies and hidden states of the tokens that were sampled."""

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple

from workroom.train.losses import entropies

if TYPE_CHECKING:
    from torch import Tensor

    from workroom.train.batch import Batch

_LEAST = 32  # tokens that are worth being shared
_CHUNK = 512  # tokens whose logits are held at a time: at 49,000 words 100 MB, and as much again for their gradient


class Scored(NamedTuple):
    """Of the sampled tokens of a batch, row by row: (sampled tokens,), and `hidden` (sampled tokens, width), the state
    from which each was predicted."""

    logprobs: "Tensor"
    entropies: "Tensor"
    hidden: "Tensor"


def score(model: Any, batch: "Batch", *, temperature: float = 1.0, entropy_gradient: bool = False) -> Scored:
    """Runs the model over the batch, on the device it is on.

    The head is applied to the positions before sampled tokens alone: the logits of prompts and observations are never
    made, which are large where the vocabulary is. What all rows begin with (the system prompt, or all of a task's
    prompt) is computed once. Log-probabilities are those at `temperature`, in float32 whatever autocast does.
    """
    device = next(model.parameters()).device
    ids, real = batch.ids.to(device), batch.real.to(device)
    mask = batch.mask.to(device).bool()
    sampled = mask[:, 1:]
    hidden = _hidden(model, ids, real, _shared(ids, mask))[:, :-1][sampled]
    targets = ids[:, 1:][sampled]
    head = model.get_output_embeddings()
    parts = [
        _chunk(head, states, wanted, temperature, entropy_gradient, keep=len(targets) <= _CHUNK)
        for states, wanted in zip(hidden.split(_CHUNK), targets.split(_CHUNK), strict=True)
    ]
    logprobs, entropy = (_joined(part) for part in zip(*parts, strict=True))
    return Scored(logprobs, entropy, hidden)


def _hidden(model: Any, ids: "Tensor", real: "Tensor", shared: int) -> "Tensor":
    """The last hidden states, of shape (rows, tokens, width), of which those of the first `shared` tokens are computed
    once for all rows; gradients flow through their keys and values. Nothing is shared where activations are made
    anew for the gradient, as a cache would be filled twice."""
    import torch

    body = model.base_model
    if shared < _LEAST or len(ids) == 1 or getattr(body, "gradient_checkpointing", False):
        states: Tensor = body(input_ids=ids, attention_mask=real, use_cache=False).last_hidden_state
        return states
    from transformers import DynamicCache

    cache = DynamicCache(config=model.config)
    name = cache_name(body)
    first = body(input_ids=ids[:1, :shared], use_cache=True, **{name: cache}).last_hidden_state
    cache.batch_repeat_interleave(len(ids))
    rest = body(input_ids=ids[:, shared:], attention_mask=real, use_cache=True, **{name: cache}).last_hidden_state
    return torch.cat([first.expand(len(ids), -1, -1), rest], 1)


def _shared(ids: "Tensor", mask: "Tensor") -> int:
    """How many tokens all rows begin with; nothing of it was sampled, and some token follows."""
    same = (ids == ids[:1]).all(0) & ~mask.any(0)
    count: int = same.long().cumprod(0).sum().item()
    return min(count, int(ids.shape[1]) - 1)


def cache_name(body: Any) -> str:
    """What a model calls its cache of keys and values: transformers before 5.24 had another name for it."""
    return "cache" if "cache" in inspect.signature(type(body).forward).parameters else "past_key_values"


def _joined(parts: "tuple[Tensor, ...]") -> "Tensor":
    import torch

    return torch.cat(parts)


def _chunk(
    head: Any, hidden: "Tensor", targets: "Tensor", temperature: float, entropy_gradient: bool, *, keep: bool
) -> "tuple[Tensor, Tensor]":
    """Log-probabilities and entropies of some tokens. Without `keep` the logits are made again for the gradient."""
    import torch
    from torch.utils.checkpoint import checkpoint

    def compute(states: "Tensor") -> "tuple[Tensor, Tensor]":
        words = (head(states).float() / temperature).log_softmax(-1)
        logprobs = words.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
        return logprobs, entropies(words if entropy_gradient else words.detach())

    if keep or not torch.is_grad_enabled():
        return compute(hidden)
    pair: tuple[Tensor, Tensor] = checkpoint(compute, hidden, use_reentrant=False)
    return pair


def head_is_all(model: Any) -> bool:
    """Whether the head on the last hidden states gives the model's logits: some scale or bound them afterwards."""
    import torch

    ids = torch.arange(4, device=next(model.parameters()).device).unsqueeze(0)
    with torch.no_grad():
        whole = model(input_ids=ids, use_cache=False).logits
        hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        return bool(torch.allclose(model.get_output_embeddings()(hidden), whole, rtol=1e-3, atol=1e-3))
