"""One model call of an episode: its tries, what it waits for between and before them, and what ends it."""

import asyncio
import time
from typing import TYPE_CHECKING

from workroom.models.retry import complete
from workroom.models.waiting import on_queue
from workroom.trajectory.events import ModelDelta, ModelWaiting
from workroom.trajectory.reader import whole_text

if TYPE_CHECKING:
    from workroom.agent.base import BaseEpisode
    from workroom.agent.calls import Pending
    from workroom.errors import ModelError
    from workroom.models.base import Completion, Delta


class Asking:
    """`call` is what a `Pending` is to await, once.

    `streamed`: characters of the answer under way. `failure`: why the provider has to be tried again, until it begins
    to answer. `seconds`: once the call was ended, how long its last try was under way.
    """

    def __init__(self, episode: "BaseEpisode") -> None:
        self.streamed = 0
        self.failure: ModelError | None = None
        self.seconds = 0.0
        self._episode = episode
        self._turn = episode.account.turns
        self._pending: Pending[Completion]
        self._began = 0.0  # the last try; in the future while the provider's failure is waited out
        self._queued: float | None = None  # since when it waits for a place
        self._waiting = False  # for a place, or before another try
        self._stopper: asyncio.Task[None] | None = None

    async def call(self, pending: "Pending[Completion]") -> "Completion":
        """The model's answer. Events go to `pending`, which this ends where the episode is stopped while it waits."""
        self._pending = pending
        self._began = time.monotonic()
        on_queue.set(self._on_queue)
        episode = self._episode
        try:
            return await complete(
                episode.model,
                episode.context.messages,
                episode.context.tools,
                sampling=episode.bounded_sampling(),
                on_delta=self._on_delta,
                on_wait=self._on_wait,
                policy=episode.agent.retry,
            )
        finally:
            if self._stopper is not None:
                self._stopper.cancel()
            if self._queued is not None:
                self._leave_queue()
            else:
                self.seconds = max(time.monotonic() - self._began, 0.0)

    def _on_queue(self, waits: bool) -> None:
        """The clock stands still meanwhile: how many others ask the model says nothing about this episode."""
        self._set_waiting(waits)
        if waits and self._queued is None:
            self._queued = time.monotonic()
            self._pending.hold()
        elif not waits:
            self._began = time.monotonic()
            if self._queued is not None:
                self._leave_queue()
                self._pending.go_on()

    def _leave_queue(self) -> None:
        assert self._queued is not None
        self._episode.account.queued += time.monotonic() - self._queued
        self._queued = None

    def _on_delta(self, delta: "Delta") -> None:
        self.streamed += len(delta.text)
        self.failure = None
        self._set_waiting(False)
        self._pending.emit(ModelDelta(turn=self._turn, kind=delta.kind, text=whole_text(delta.text)))

    def _on_wait(self, attempt: int, seconds: float, error: "ModelError") -> None:
        self._set_waiting(True)
        self.failure = error
        self._began = time.monotonic() + seconds
        self.streamed = 0
        used = self._episode.books.failed(error.usage)
        text = whole_text(str(error))
        self._pending.emit(ModelWaiting(turn=self._turn, attempt=attempt, seconds=seconds, error=text, usage=used))
        if spent := self._episode.account.spent():
            self._pending.end(spent)

    def _set_waiting(self, now: bool) -> None:
        """A wait is ended by a stop at once, a call under way is not."""
        self._waiting = now
        if now and self._episode.wake.is_set():
            self._pending.end("interrupted")
        elif now and self._stopper is None:
            self._stopper = asyncio.create_task(self._stop_waiting())

    async def _stop_waiting(self) -> None:
        await self._episode.wake.wait()
        if self._waiting:
            self._pending.end("interrupted")
