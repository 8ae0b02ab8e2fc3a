"""Rollouts as tensors: rows padded on the right, with what was sampled where."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from workroom.train.records import Rollout


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows in the order of their rollouts, and in the order in which an episode came to them.

    All of shape (rows, tokens): `ids`, `real` (1 where there is a token, 0 where padding), `mask` (1 where the policy
    sampled it), `logprobs` (the sampler's; 0 elsewhere). `rollouts`, of shape (rows,), numbers the rollout of each row.
    """

    ids: "Tensor"
    real: "Tensor"
    mask: "Tensor"
    logprobs: "Tensor"
    rollouts: "Tensor"

    def trimmed(self, rows: "Tensor") -> "Batch":
        """Some of the rows, without the columns that are padding in all of them."""
        columns = int(self.real[rows].sum(1).max())
        ids, real, mask, logprobs = (
            tensor[rows, :columns] for tensor in (self.ids, self.real, self.mask, self.logprobs)
        )
        return Batch(ids, real, mask, logprobs, self.rollouts[rows])

    def grid(self, flat: "Tensor") -> "Tensor":
        """Values of the sampled tokens, row by row, as (rows, tokens) with 0 elsewhere; gradients flow through."""
        return self.mask.masked_scatter(self.mask.bool(), flat.to(self.mask))

    def in_line(self, values: "Tensor") -> "Tensor":
        """The `values` (rows, tokens) of sampled tokens as (rollouts, sampled tokens): each rollout's in one line, over
        all of its rows, padded with 0 on the right. `line_mask` is their mask."""
        line = self.line_mask()
        result = values.new_zeros(line.shape)
        result[line.bool()] = values[self.mask.bool()]
        return result

    def from_line(self, lines: "Tensor") -> "Tensor":
        """The way back from `in_line`."""
        result = lines.new_zeros(self.mask.shape)
        result[self.mask.bool()] = lines[self.line_mask().bool()]
        return result

    def line_mask(self) -> "Tensor":
        """1 where `in_line` has a token: (rollouts, sampled tokens)."""
        import torch

        counts = torch.zeros(int(self.rollouts.max()) + 1).index_add(0, self.rollouts, self.mask.sum(1))
        return (torch.arange(int(counts.max())) < counts.unsqueeze(1)).float()


def make_batch(rollouts: "Sequence[Rollout]", padding: int) -> Batch:
    """The rows of `rollouts` that have a sampled token; `rollouts` of the batch are places in the sequence given.

    Every rollout must have such a row. Raises ValueError for a row whose first token is a sampled one: nothing
    predicts it.
    """
    import torch
    from torch.nn.utils.rnn import pad_sequence

    ids, masks, logprobs, owners = [], [], [], []
    for place, rollout in enumerate(rollouts):
        for row in rollout.rows:
            if not any(row.mask):
                continue
            before = [0] * len(row.prompt_ids)
            if not before:
                raise ValueError("a row needs a prompt: nothing predicts its first token")
            ids.append(torch.tensor(row.prompt_ids + row.response_ids))
            masks.append(torch.tensor([*before, *row.mask], dtype=torch.float32))
            logprobs.append(torch.tensor([*before, *row.logprobs], dtype=torch.float32))
            owners.append(place)
    mask = pad_sequence(masks, batch_first=True)
    return Batch(
        ids=pad_sequence(ids, batch_first=True, padding_value=padding),
        real=pad_sequence([torch.ones_like(row) for row in ids], batch_first=True),
        mask=mask,
        logprobs=pad_sequence(logprobs, batch_first=True) * mask,
        rollouts=torch.tensor(owners),
    )
