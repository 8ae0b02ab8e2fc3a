"""The forward pass of a trainer: log-probabilities, entropies and hidden states of the tokens that were sampled."""

from typing import TYPE_CHECKING, Any, NamedTuple

from workroom.train.losses import entropies

if TYPE_CHECKING:
    from torch import Tensor

    from workroom.train.batch import Batch

_CHUNK = 512  # tokens whose logits are held at a time: at 49,000 words 100 MB, and as much again for their gradient


class Scored(NamedTuple):
    """Of the sampled tokens of a batch, row by row: (sampled tokens,), and `hidden` (sampled tokens, width), the state
    from which each was predicted."""

    logprobs: "Tensor"
    entropies: "Tensor"
    hidden: "Tensor"


def score(model: Any, batch: "Batch", *, temperature: float = 1.0, entropy_gradient: bool = False) -> Scored:
    """Runs the model over the batch, on the device it is on.

    The head is applied to the positions before sampled tokens alone: the logits of prompts and observations, at a
    vocabulary of tens of thousands most of the work of a small model, are never made. Log-probabilities are those at
    `temperature`, in float32 whatever autocast does.
    """
    device = next(model.parameters()).device
    ids, real = batch.ids.to(device), batch.real.to(device)
    sampled = batch.mask.to(device).bool()[:, 1:]
    hidden = model.base_model(input_ids=ids, attention_mask=real, use_cache=False).last_hidden_state[:, :-1][sampled]
    targets = ids[:, 1:][sampled]
    head = model.get_output_embeddings()
    parts = [
        _chunk(head, states, wanted, temperature, entropy_gradient, keep=len(targets) <= _CHUNK)
        for states, wanted in zip(hidden.split(_CHUNK), targets.split(_CHUNK), strict=True)
    ]
    logprobs, entropy = (_joined(part) for part in zip(*parts, strict=True))
    return Scored(logprobs, entropy, hidden)


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
        logits = head(states).float() / temperature
        logprobs = logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1) - logits.logsumexp(-1)
        with torch.set_grad_enabled(entropy_gradient and torch.is_grad_enabled()):
            return logprobs, entropies(logits if entropy_gradient else logits.detach())

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
