"""Samples from a transformers model in this process: waiting requests share a batch, conversations keep their keys."""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from typing import Any, Literal

from workroom.errors import ConfigError, ContextOverflow, ModelError
from workroom.train.hf_batch import Batch, Row
from workroom.train.hf_model import end_of_turn
from workroom.train.sampler import Sampled


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
        self._vocabulary: int = model.get_input_embeddings().num_embeddings
        self._wait = wait
        self._batch = Batch(
            model, end_of_turn(model, tokenizer), batch, half=dtype == "bfloat16", cache_bytes=cache_bytes
        )
        self._queue: deque[Row] = deque()
        self._turn = threading.Condition()
        self._wanted = 0  # callers that wait for, or hold, the model for themselves
        self._held = False
        self._busy = False
        self._closed = False
        self._thread: threading.Thread | None = None

    @property
    def ends(self) -> frozenset[int]:
        """The ids that end a turn."""
        return self._batch.ends

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
        row = Row(tuple(ids), room, temperature, generator)
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
        """The model for the caller alone: rows that are being sampled are ended first, others wait.

        What is cached is let go, so that its memory is free for the caller.
        """
        with self._turn:
            self._wanted += 1
            try:
                self._turn.wait_for(lambda: not self._busy and not self._held)
                self._held = True
                self._batch.clear()
            except BaseException:
                self._wanted -= 1
                self._turn.notify_all()
                raise
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
            self._batch.policy += 1
            if not self._busy:
                self._batch.clear()

    async def aclose(self) -> None:
        """Ends the thread; requests that wait fail with a ModelError. Safe to call twice."""
        with self._turn:
            self._closed = True
            self._turn.notify_all()
            thread = self._thread
        if thread is not None:
            await asyncio.to_thread(thread.join)
        self._batch.clear()

    def _work(self) -> None:
        while self._wait_for_work():
            ended: list[Row] = []
            try:
                with self._batch.ready():
                    while self._admit():
                        _deliver(ended)
                        ended = self._batch.step()
            except Exception as error:  # noqa: BLE001 (whatever it is, those who wait must hear of it)
                self._fail(error)
            finally:
                _deliver(ended)  # the last ones only now: whoever has them may use the model at once
                with self._turn:
                    self._busy = False
                    self._turn.notify_all()

    def _wait_for_work(self) -> bool:
        """Waits for requests, and marks the model as busy. False when the sampler is closed."""
        with self._turn:
            while True:
                self._turn.wait_for(lambda: self._closed or (self._queue and not self._wanted))
                if not self._closed:
                    self._turn.wait_for(lambda: self._closed or len(self._queue) >= self._batch.size, self._wait)
                if self._closed:
                    _refuse(self._queue, ModelError("the sampler was closed"))
                    return False
                if self._queue and not self._wanted:
                    self._busy = True
                    return True

    def _admit(self) -> bool:
        """Lets requests in while there is room. False when there is nothing to do."""
        batch = self._batch
        batch.drop_cancelled()
        while len(batch.rows) < batch.size:
            with self._turn:
                if self._closed:
                    _refuse(batch.rows, ModelError("the sampler was closed"))
                    batch.rows.clear()
                if not self._queue or self._wanted or self._closed:
                    break
                row = self._queue.popleft()
            if not row.future.cancelled():
                batch.add(row)
        return bool(batch.rows)

    def _fail(self, error: Exception) -> None:
        """Tells an error to those whose rows met it; to all who wait, where the model as such is at fault."""
        if not isinstance(error, ModelError | ConfigError):
            cause, error = error, ModelError(f"the policy could not be sampled from: {type(error).__name__}: {error}")
            error.__cause__ = cause
        with self._turn:
            rows = self._batch.rows or [*self._queue]
            if not self._batch.rows:
                self._queue.clear()
        _refuse(rows, error)
        self._batch.clear()


def _deliver(rows: Sequence[Row]) -> None:
    """Tells those who wait for rows that have ended."""
    for row in rows:
        with contextlib.suppress(InvalidStateError):  # it was cancelled
            row.future.set_result(Sampled(tuple(row.ids), tuple(row.logprobs), row.finish))


def _refuse(rows: Iterable[Row], error: Exception) -> None:
    for row in rows:
        with contextlib.suppress(InvalidStateError):
            row.future.set_exception(error)
