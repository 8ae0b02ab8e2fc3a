"""The rows that are being sampled from a transformers model, token by token, each in a slot of its own."""

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from workroom.errors import ConfigError, ModelError
from workroom.train.key_values import ATTENTION, Conversations, Slots, attend, shared_prefix
from workroom.train.scoring import cache_name

if TYPE_CHECKING:
    from workroom.train.sampler import Sampled

_CHUNK = 512  # tokens of a prompt that are read in one pass
_TOLERANCE = 0.02  # by which logits with and without cache may differ, as a share of the largest; more in bfloat16


@dataclass(slots=True, eq=False)
class Row:
    """A request, and how far it has come. `fed`: tokens whose keys lie in its slot; the next one is fed by a step."""

    prompt: tuple[int, ...]
    max_tokens: int
    temperature: float
    generator: Any
    future: "Future[Sampled]" = field(default_factory=Future)
    fed: int = 0
    policy: int = 0
    finish: Literal["stop", "length"] = "length"
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)

    @property
    def next(self) -> int:
        return self.ids[-1] if self.ids else self.prompt[-1]

    @property
    def known(self) -> tuple[int, ...]:
        """The tokens whose keys lie in the slot."""
        return (*self.prompt, *self.ids)[: self.fed]


class Batch:
    """At most `size` rows. One thread works on it, within `ready()`.

    `ends`: ids that end a turn. `half`: passes in bfloat16. `cache_bytes`: for conversations between their turns.
    `policy` counts the changes of the weights; what was computed with other ones is never used.
    """

    def __init__(self, model: Any, ends: frozenset[int], size: int, *, half: bool, cache_bytes: int) -> None:
        import torch

        self.size = size
        self.ends = ends
        self.policy = 0
        self.rows: list[Row] = []
        self._model = model
        self._cache = cache_name(model)
        self._half = half
        self._slots = Slots(size, torch.bfloat16 if half else None)
        self._conversations = Conversations(cache_bytes)
        self._kept_of = 0  # the policy that the conversations are of
        self._checked = False

    @contextlib.contextmanager
    def ready(self) -> Iterator[None]:
        """The model as it must be while it samples, and afterwards as it was.

        Raises ConfigError, the first time, where it cannot be sampled from with keys and values in slots.
        """
        import torch
        from transformers import AttentionInterface

        AttentionInterface.register(ATTENTION, attend)
        training = [module for module in self._model.modules() if module.training]
        self._model.eval()
        cast = torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._half)
        with torch.inference_mode(), cast:
            try:
                if not self._checked:
                    self._check()
                    self._checked = True
                with self._own_attention():
                    yield
            finally:
                for module in training:
                    module.training = True

    def add(self, row: Row) -> None:
        """Takes a row in and brings all tokens of its prompt but the last into its slot; known ones are copied."""
        import torch

        row.policy = self.policy
        if self._kept_of != row.policy:
            self._conversations.clear()
            self._kept_of = row.policy
        slot = len(self.rows)
        self.rows.append(row)
        wanted = row.prompt[:-1]
        tensors, kept = self._conversations.find(wanted)
        source, length = -1, 0
        for number, other in enumerate(self.rows[:slot]):
            if other.policy == row.policy and (shared := shared_prefix(other.known, wanted)) > length:
                source, length = number, shared
        if length and length >= kept:
            self._slots.move(source, slot, length)
        elif kept:
            self._slots.put(slot, tensors, kept)
        row.fed = max(length, kept)
        while row.fed < len(wanted):
            chunk = wanted[row.fed : row.fed + _CHUNK]
            self._forward(slot, torch.tensor([chunk], device=self._device), [row.fed])
            row.fed += len(chunk)

    def step(self) -> list[Row]:
        """One more token for each row. Returns those that ended with it, which are in the batch no more."""
        import torch

        rows = self.rows
        following = torch.tensor([[row.next] for row in rows], device=self._device)
        logits = self._forward(0, following, [row.fed for row in rows])
        ids, logprobs = choose(logits, [row.temperature for row in rows], [row.generator for row in rows])
        places = []
        for place, (row, token, logprob) in enumerate(zip(rows, ids, logprobs, strict=True)):
            row.fed += 1
            row.ids.append(token)
            row.logprobs.append(logprob)
            row.finish = "stop" if token in self.ends else "length"
            if row.finish == "stop" or len(row.ids) == row.max_tokens:
                places.append(place)
        ended = [rows[place] for place in places]
        for place in reversed(places):
            row = rows[place]
            if row.policy == self._kept_of:
                self._conversations.keep(row.known, self._slots.take(place, row.fed))
            self._remove(place)
        return ended

    def drop_cancelled(self) -> None:
        """Takes out the rows for which nobody waits any more."""
        for place in reversed([place for place, row in enumerate(self.rows) if row.future.cancelled()]):
            self._remove(place)

    def clear(self) -> None:
        """Forgets everything, and frees its memory."""
        self.rows.clear()
        self._conversations.clear()
        self._slots.clear()

    @contextlib.contextmanager
    def _own_attention(self) -> Iterator[None]:
        before = self._model.config._attn_implementation  # noqa: SLF001 (transformers has no other way to read it)
        self._model.config._attn_implementation = ATTENTION  # noqa: SLF001
        try:
            yield
        finally:
            self._model.config._attn_implementation = before  # noqa: SLF001

    @property
    def _device(self) -> Any:
        return next(self._model.parameters()).device

    def _check(self) -> None:
        """Whether the model says the same with these slots as without: raises ConfigError where it does not."""
        import torch

        ids = torch.arange(1, 7, device=self._device)[None] % self._model.config.vocab_size
        plain = self._model(input_ids=ids, use_cache=False).logits[0, -1].float()
        try:
            with self._own_attention():
                self._forward(0, ids[:, :4], [0])
                self._forward(0, ids[:, 4:5], [4])
                cached = self._forward(0, ids[:, 5:], [5])[0].float()
            bound = _TOLERANCE * (1 + float(plain.abs().max())) * (5 if self._half else 1)
            same = not float((plain - cached).abs().max()) > bound  # what is no number is told when it is sampled from
        except (TypeError, AttributeError, RuntimeError, IndexError):
            same = False
        self._slots.clear()
        if not same:
            raise ConfigError(
                f"models of the architecture {self._model.config.model_type} cannot be sampled from in this process: "
                "take the engine verl, which samples with vLLM"
            )

    def _remove(self, place: int) -> None:
        """Takes a row out, and moves the last one into its slot."""
        last = self.rows.pop()
        if place < len(self.rows):
            self._slots.move(len(self.rows), place, last.fed)
            self.rows[place] = last

    def _forward(self, first: int, ids: Any, starts: Sequence[int]) -> Any:
        """The logits after the last token, of shape (rows, vocabulary), of rows from the slot `first` on."""
        mask = self._slots.begin(first, starts, ids.shape[1], ids.device)
        result = self._model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=self._slots.places,
            **{self._cache: self._slots},
            use_cache=True,
            logits_to_keep=1,
        )
        return result.logits[:, -1]


def choose(logits: Any, temperatures: Sequence[float], generators: Sequence[Any]) -> tuple[list[int], list[float]]:
    """A token for each row of logits (rows, vocabulary), and its log-probability at the row's temperature.

    Each row draws one number of its own generator and takes the token at which the cumulated probabilities pass it, so
    that what it draws does not depend on its neighbours. Temperature 0 takes the likeliest, and tells at 1. Raises
    ModelError where the logits are no numbers.
    """
    import torch

    divisors = torch.tensor([value or 1.0 for value in temperatures], device=logits.device)
    logprobs = torch.log_softmax(logits.float() / divisors[:, None], dim=-1)
    if bool(logprobs.isnan().any()):
        raise ModelError("the policy gives no numbers any more: the training went wrong, take a smaller lr")
    drawn = torch.tensor([torch.rand((), generator=each, dtype=torch.float64).item() for each in generators])
    sums = logprobs.exp().cumsum(dim=-1, dtype=torch.float64)
    marks = drawn.to(logits.device)[:, None] * sums[:, -1:]
    ids = torch.searchsorted(sums, marks, right=True).clamp(max=logits.shape[-1] - 1)[:, 0]
    greedy = torch.tensor([value == 0 for value in temperatures], device=logits.device)
    ids = torch.where(greedy, logprobs.argmax(dim=-1), ids)
    return ids.tolist(), logprobs.gather(1, ids[:, None])[:, 0].tolist()
