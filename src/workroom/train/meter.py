"""What a batch of episodes waits for: how long each of them was with the model, in its sandbox, or elsewhere.

The share that counts is that of the whole batch: as long as the model has anything to do, no sandbox is waited for.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, Literal

from workroom.models.base import Completion, Delta, Message, Model, Sampling, ToolSpec

What = Literal["model", "sandbox", "other", "queue"]
_RANK: "Final[tuple[What, ...]]" = ("model", "sandbox", "other", "queue")  # the first that anyone is in has the time


class Meter:
    """Seconds of the wall clock, each given to one thing that the batch is held up by.

    `model`: a call was under way. `sandbox`: none was, and an episode was in its sandbox: opening, tools, bringing out,
    closing. `other`: what was left to do was none of both, grading say.
    """

    def __init__(self) -> None:
        self.seconds: dict[What, float] = dict.fromkeys(_RANK, 0.0)
        self._now: Counter[What] = Counter()
        self._since = time.monotonic()

    @property
    def wall(self) -> float:
        """Seconds since the beginning, up to the last change."""
        return sum(self.seconds.values())

    def share(self, what: What) -> float:
        """Of the wall clock, 0 where no time has passed."""
        return self.seconds[what] / self.wall if self.wall else 0.0

    def change(self, old: What | None, new: What | None) -> None:
        """An episode goes from one thing to another, None: begins or ends."""
        now = time.monotonic()
        held_up_by: What = next((what for what in _RANK if self._now[what]), "other")
        self.seconds[held_up_by] += now - self._since
        self._since = now
        if old is not None:
            self._now[old] -= 1
        if new is not None:
            self._now[new] += 1


class Watch:
    """The seconds of one episode. Where there is no sandbox, what is not the model is `other`."""

    def __init__(self, meter: Meter, home: What = "sandbox") -> None:
        self.seconds: dict[What, float] = dict.fromkeys(_RANK, 0.0)
        self.home = home
        self._meter = meter
        self._what: What | None = None
        self._since = 0.0

    def turn_to(self, what: What | None) -> None:
        """From now on the time is this one's; None: it is over."""
        now = time.monotonic()
        if self._what is not None:
            self.seconds[self._what] += now - self._since
        self._meter.change(self._what, what)
        self._what, self._since = what, now


class WatchedModel:
    """`inner`, whose calls are told to a watch."""

    def __init__(self, inner: Model, watch: Watch) -> None:
        self.name = inner.name
        self.window = inner.window
        self.hints = inner.hints
        self._inner = inner
        self._watch = watch

    async def complete(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec] = (),
        *,
        sampling: Sampling | None = None,
        on_delta: Callable[[Delta], None] | None = None,
    ) -> Completion:
        """One model call; see `Model.complete`."""
        self._watch.turn_to("model")
        try:
            return await self._inner.complete(messages, tools, sampling=sampling, on_delta=on_delta)
        finally:
            self._watch.turn_to(self._watch.home)
            self.window = self._inner.window
            self.hints = self._inner.hints

    def for_task(self, task_id: str) -> "WatchedModel":
        return WatchedModel(self._inner.for_task(task_id), self._watch)

    async def aclose(self) -> None:
        """The inner model stays open: it is others' too."""
