"""Samples from a transformers model in this process: waiting requests share a batch, conversations keep their keys."""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import Any, Literal

from workroom.errors import ConfigError, ContextOverflow, ModelError
from workroom.train.hf_model import end_of_turn
from workroom.train.key_values import ATTENTION, Conversations, Slots, attend, shared_prefix
from workroom.train.sampler import Sampled

_CHUNK = 512  # tokens of a prompt that are read in one pass
_TOLERANCE = 0.02  # by which logits with and without cache may differ, as a share of their spread


@dataclass(slots=True, eq=False)
class _Row:
    """A request, and how far it has come. `fed`: tokens whose keys lie in its slot; the next one is fed by a step."""

    tokens: tuple[int, ...]
    max_tokens: int
    temperature: float
    generator: Any
    future: "Future[Sampled]"
    fed: int = 0
    version: int = 0
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)

    @property
    def next(self) -> int:
        return self.ids[-1] if self.ids else self.tokens[-1]

    @property
    def known(self) -> tuple[int, ...]:
        """The tokens whose keys lie in the slot."""
        return (*self.tokens, *self.ids)[: self.fed]


class HfSampler:
    """A `Sampler` of the policy as it is now, wherever its weights lie.

    `batch`: rows sampled at a time; a request joins as soon as one is free. `wait`: seconds in which a first request
    waits for company. `dtype`: of the passes, the weights stay as they are. `cache_bytes`: for conversations between
    their turns. One thread samples; the model is in evaluation mode only while it does.

    The trainer holds `exclusive()` while it changes the weights and calls `policy_changed()` after it did.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        batch: int = 16,
        wait: float = 0.02,
        dtype: Literal["float32", "bfloat16"] = "float32",
        cache_bytes: int = 1 << 30,
    ) -> None:
        self.window: int | None = getattr(model.config, "max_position_embeddings", None)
        self.ends = end_of_turn(model, tokenizer)
        self._model = model
        self._vocabulary: int = model.get_input_embeddings().num_embeddings
        self._batch = batch
        self._wait = wait
        self._half = dtype == "bfloat16"
        self._slots = Slots(batch)
        self._conversations = Conversations(cache_bytes)
        self._rows: list[_Row] = []
        self._ended: list[_Row] = []
        self._queue: deque[_Row] = deque()
        self._turn = threading.Condition()
        self._wanted = 0  # callers that wait for, or hold, the model for themselves
        self._held = False
        self._busy = False
        self._closed = False
        self._version = 0
        self._checked = False
        self._thread: threading.Thread | None = None

    async def sample(
        self, ids: Sequence[int], *, max_tokens: int, temperature: float = 1.0, seed: int | None = None
    ) -> Sampled:
        """See `Sampler.sample`. Raises ContextOverflow for a prompt that fills the window, ConfigError for a model that
        cannot be sampled from here, ModelError where the model fails."""
        return await asyncio.wrap_future(self.submit(ids, max_tokens=max_tokens, temperature=temperature, seed=seed))

    def submit(
        self, ids: Sequence[int], *, max_tokens: int, temperature: float = 1.0, seed: int | None = None
    ) -> "Future[Sampled]":
        """`sample` for callers without an event loop. Cancelling the future takes its row out of the batch."""
        import torch

        if not ids or max_tokens < 1:
            raise ModelError("there is nothing to sample: the prompt is empty, or no token may follow")
        if self.window is not None and len(ids) >= self.window:
            raise ContextOverflow(f"the prompt of {len(ids)} tokens fills the window of {self.window}", self.window)
        if not 0 <= min(ids) <= max(ids) < self._vocabulary:
            raise ModelError(f"the prompt holds ids that are none of the {self._vocabulary} of the model")
        generator = torch.Generator()
        if seed is None:
            generator.seed()
        else:
            generator.manual_seed(seed)
        room = max_tokens if self.window is None else min(max_tokens, self.window - len(ids))
        row = _Row(tuple(ids), room, temperature, generator, Future())
        with self._turn:
            if self._closed:
                raise ModelError("the sampler is closed")
            self._queue.append(row)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="sampler", daemon=True)
                self._thread.start()
            self._turn.notify_all()
        return row.future

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """The model for the caller alone: rows that are being sampled are ended first, others wait."""
        with self._turn:
            self._wanted += 1
            self._turn.wait_for(lambda: not self._busy and not self._held)
            self._held = True
        try:
            yield
        finally:
            with self._turn:
                self._held = False
                self._wanted -= 1
                self._turn.notify_all()

    def policy_changed(self) -> None:
        """Forgets what was computed with the weights of before."""
        with self._turn:
            self._version += 1
            self._conversations.clear()
            if not self._busy:
                self._slots.clear()

    async def aclose(self) -> None:
        """Ends the thread; requests that wait fail with a ModelError. Safe to call twice."""
        with self._turn:
            self._closed = True
            self._turn.notify_all()
            thread = self._thread
        if thread is not None:
            await asyncio.to_thread(thread.join)
        self._conversations.clear()
        self._slots.clear()

    def _work(self) -> None:
        while True:
            with self._turn:
                self._turn.wait_for(lambda: self._closed or (self._queue and not self._wanted))
                if not self._closed:
                    self._turn.wait_for(lambda: self._closed or len(self._queue) >= self._batch, self._wait)
                if self._closed:
                    self._fail([*self._queue], ModelError("the sampler was closed"))
                    return
                if self._wanted:
                    continue
                self._busy = True
            try:
                with self._ready():
                    while self._admit():
                        self._step()
                        if self._rows:
                            self._deliver()
            except Exception as error:  # noqa: BLE001 (whatever it is, those who wait must hear of it)
                with self._turn:
                    if not self._rows:  # the model as such is at fault
                        self._rows.extend(self._queue)
                        self._queue.clear()
                self._fail(self._rows, _told(error))
            finally:
                self._deliver()  # the last ones only now: whoever has them may use the model at once
                self._rows.clear()
                with self._turn:
                    self._busy = False
                    self._turn.notify_all()

    @contextlib.contextmanager
    def _ready(self) -> Iterator[None]:
        """The model as it must be while it samples, and afterwards as it was."""
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
        """Whether the model gives the same with these slots as without: raises ConfigError where it does not."""
        import torch

        ids = torch.arange(1, 7, device=self._device)[None] % self._model.config.vocab_size
        plain = self._model(input_ids=ids, use_cache=False).logits[0, -1].float()
        try:
            with self._own_attention():
                self._forward(0, ids[:, :4], [0])
                self._forward(0, ids[:, 4:5], [4])
                cached = self._forward(0, ids[:, 5:], [5])[0].float()
            same = bool((plain - cached).abs().max() <= _TOLERANCE * (1 + plain.abs().max()) * (5 if self._half else 1))
        except (TypeError, AttributeError, RuntimeError, IndexError):
            same = False
        self._slots.clear()
        if not same:
            raise ConfigError(
                f"models of the architecture {self._model.config.model_type} cannot be sampled from in this process: "
                "take the engine verl, which samples with vLLM"
            )

    def _admit(self) -> bool:
        """Lets requests in while there is room, and reads their prompts. False when there is nothing to do."""
        for place in reversed([number for number, row in enumerate(self._rows) if row.future.cancelled()]):
            self._remove(place)
        while len(self._rows) < self._batch:
            with self._turn:
                if not self._queue or self._wanted or self._closed:
                    break
                row = self._queue.popleft()
                row.version = self._version
            if not row.future.cancelled():
                self._rows.append(row)
                self._read(row, len(self._rows) - 1)
        return bool(self._rows)

    def _read(self, row: _Row, slot: int) -> None:
        """Brings all tokens of the prompt but the last into the slot; what others have computed is copied."""
        import torch

        wanted = row.tokens[:-1]
        with self._turn:
            tensors, kept = self._conversations.find(wanted) if row.version == self._version else ([], 0)
        source, length = -1, 0
        for number, other in enumerate(self._rows[:slot]):
            if other.version == row.version and (shared := shared_prefix(other.known, wanted)) > length:
                source, length = number, shared
        if length >= kept and length:
            self._slots.move(source, slot, length)
            row.fed = length
        elif kept:
            self._slots.put(slot, tensors, kept)
            row.fed = kept
        while row.fed < len(wanted):
            chunk = wanted[row.fed : row.fed + _CHUNK]
            self._forward(slot, torch.tensor([chunk], device=self._device), [row.fed])
            row.fed += len(chunk)

    def _step(self) -> None:
        """One more token for each row."""
        import torch

        rows = self._rows
        following = torch.tensor([[row.next] for row in rows], device=self._device)
        logits = self._forward(0, following, [row.fed for row in rows])
        ids, logprobs = choose(logits, [row.temperature for row in rows], [row.generator for row in rows])
        ended = []
        for number, (row, token, logprob) in enumerate(zip(rows, ids, logprobs, strict=True)):
            row.fed += 1
            row.ids.append(token)
            row.logprobs.append(logprob)
            if token in self.ends or len(row.ids) == row.max_tokens:
                ended.append(number)
        for number in reversed(ended):
            row = rows[number]
            if row.version == self._version:
                self._conversations.keep(row.known, self._slots.take(number, row.fed))
            self._remove(number)
            self._ended.append(row)

    def _deliver(self) -> None:
        """Tells those who wait for the rows that have ended."""
        for row in self._ended:
            finish: Literal["stop", "length"] = "stop" if row.ids[-1] in self.ends else "length"
            with contextlib.suppress(InvalidStateError):  # it was cancelled
                row.future.set_result(Sampled(tuple(row.ids), tuple(row.logprobs), finish))
        self._ended.clear()

    def _remove(self, number: int) -> None:
        """Takes a row out, and moves the last one into its slot."""
        last = self._rows.pop()
        if number < len(self._rows):
            self._slots.move(len(self._rows), number, last.fed)
            self._rows[number] = last

    def _forward(self, first: int, ids: Any, starts: Sequence[int]) -> Any:
        """The logits after the last token, of shape (rows, vocabulary), of rows from the slot `first` on."""
        mask = self._slots.begin(first, starts, ids.shape[1], ids.device)
        result = self._model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=self._slots.places,
            past_key_values=self._slots,
            use_cache=True,
            logits_to_keep=1,
        )
        return result.logits[:, -1]

    def _fail(self, rows: Sequence[_Row], error: Exception) -> None:
        for row in rows:
            with contextlib.suppress(InvalidStateError):
                row.future.set_exception(error)


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
    sums = logprobs.double().exp().cumsum(dim=-1)
    marks = drawn.to(logits.device)[:, None] * sums[:, -1:]
    ids = torch.searchsorted(sums, marks, right=True).clamp(max=logits.shape[-1] - 1)[:, 0]
    greedy = torch.tensor([value == 0 for value in temperatures], device=logits.device)
    ids = torch.where(greedy, logprobs.argmax(dim=-1), ids)
    return ids.tolist(), logprobs.gather(1, ids[:, None])[:, 0].tolist()


def _told(error: Exception) -> Exception:
    """The error as those see it who wait for a sample."""
    if isinstance(error, ModelError | ConfigError):
        return error
    told = ModelError(f"the policy could not be sampled from: {type(error).__name__}: {error}")
    told.__cause__ = error
    return told
