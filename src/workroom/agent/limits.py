"""The bounds of an episode, and the account of what it has used."""

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from workroom.errors import ConfigError
from workroom.models.base import Usage

if TYPE_CHECKING:
    from workroom.trajectory.events import StopReason

Spent = Literal["tokens", "cost", "seconds"]
_REASONS: "dict[Spent, StopReason]" = {"tokens": "max_tokens", "cost": "max_cost", "seconds": "max_time"}


@dataclass(frozen=True, slots=True)
class EpisodeLimits:
    """Bounds of one episode; None for no bound.

    `max_turns`: model calls. `max_tokens`: prompt and completion tokens of all model calls together, as billed.
    `max_cost`: USD. `max_time`: seconds by a monotonic clock, which stands still while a model call waits for a place
    among others; it also ends a model call or tool call in flight.
    Raises ConfigError for a bound that is not positive.
    """

    max_turns: int = 100
    max_tokens: int | None = None
    max_cost: float | None = None
    max_time: float | None = None

    def __post_init__(self) -> None:
        for name in ("max_turns", "max_tokens", "max_cost", "max_time"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"{name} must be a positive number, not {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pricing:
    """What tokens cost, in USD per million: prompt tokens, those of them read from the provider's cache, those put into
    it (None: as much as the others), completion tokens."""

    input: float
    cached: float
    output: float
    written: float | None = None

    def cost(self, usage: Usage) -> float:
        """USD of a call."""
        fresh = max(usage.prompt - usage.cached - usage.cache_written, 0)
        prompt = fresh * self.input + usage.cached * self.cached
        prompt += usage.cache_written * (self.input if self.written is None else self.written)
        return (prompt + usage.completion * self.output) / 1e6


class Prices(Protocol):
    """Something that knows what a call costs: `Pricing`, or a list of prices."""

    def cost(self, usage: Usage) -> float | None:
        """USD of one call, None where the price is not known."""
        ...


@dataclass
class Account:
    """What an episode has used so far. Times are in seconds.

    `model_seconds`: in calls of the model, without what they waited for. `queued`: what they waited for a place, which
    no bound counts.
    """

    limits: EpisodeLimits
    pricing: Prices | None = None
    turns: int = 0
    usage: Usage = field(default_factory=Usage)
    environment: int = 0
    estimated: bool = False
    model_seconds: float = 0.0
    tool_seconds: float = 0.0
    queued: float = 0.0
    started: float = field(default_factory=time.monotonic)
    _cost: float | None = 0.0
    _largest: "dict[Spent, float]" = field(default_factory=dict)
    _before: "dict[Spent, float]" = field(default_factory=dict)

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.started

    @property
    def cost(self) -> float | None:
        """USD so far, None where the prices are not known."""
        return self._cost if self.pricing else None

    @property
    def seconds_left(self) -> float | None:
        """None where there is no bound."""
        return None if self.limits.max_time is None else self.limits.max_time - self._used()["seconds"]

    def begin_turn(self) -> None:
        """Counts a turn, and remembers what the costliest one so far took."""
        now = self._used()
        if self.turns:
            for name, value in now.items():
                self._largest[name] = max(self._largest.get(name, 0.0), value - self._before[name])
        self._before = now
        self.turns += 1

    def go_on(self, turns: int, elapsed: float) -> None:
        """Sets what an earlier part of the episode has used of turns and time."""
        self.turns, self.started = turns, time.monotonic() - elapsed
        self._before = self._used()

    def restart(self) -> None:
        """Forgets all tokens and costs."""
        self.usage, self.environment, self.estimated, self._cost = Usage(), 0, False, 0.0

    def add(self, usage: Usage, *, environment: int = 0, estimated: bool = False, cost: float | None = None) -> None:
        """Counts one model call, be it that it failed; `cost` where that is known already."""
        self.usage += usage
        self.environment += environment
        self.estimated = self.estimated or estimated
        if cost is None and self.pricing:
            cost = self.pricing.cost(usage)
        self._cost = None if cost is None or self._cost is None else self._cost + cost

    def exceeded(self) -> "StopReason | None":
        """The limit that is reached, if one is."""
        return "max_turns" if self.turns >= self.limits.max_turns else self.spent()

    def spent(self) -> "StopReason | None":
        """The bound on tokens, cost or time that is reached, if one is."""
        return next((_REASONS[name] for name, (left, _) in self._left().items() if left <= 0), None)

    def nearly_used(self) -> bool:
        """Whether a bound but that of turns leaves less than a tenth, or less than the two costliest turns took."""
        now = self._used()
        for name, (left, bound) in self._left().items():
            largest = max(self._largest.get(name, 0.0), now[name] - self._before.get(name, now[name]))
            if left < max(0.1 * bound, 2 * largest):
                return True
        return self.limits.max_time is not None and (self.tool_time() or 0.0) <= 0

    def tool_time(self, *, last: bool = False) -> float | None:
        """Seconds that tools may still take, None for no bound. But in the `last` turn, time for one more is kept."""
        left, bound = self.seconds_left, self.limits.max_time
        if left is None or bound is None or last:
            return left
        return left - max(0.1 * bound, 2 * self.model_seconds / max(self.turns, 1))

    def remaining(self) -> dict[str, float | None]:
        """What is left of each bound, None where there is none."""
        left: dict[str, float | None] = {"turns": self.limits.max_turns - self.turns}
        bounded = self._left()
        for name in _REASONS:
            left[name] = max(bounded[name][0], 0.0) if name in bounded else None
        return left

    def for_prompt(self, *, with_current: bool = False) -> dict[str, float | int | None]:
        """What is left as the templates show it. `with_current` counts the turn under way as left."""
        left = self.remaining()
        seconds, tokens = left["seconds"], left["tokens"]
        return {
            "turns": self.limits.max_turns - self.turns + with_current,
            "tokens": None if tokens is None else int(tokens),
            "cost": left["cost"],
            "seconds": None if seconds is None else int(seconds),
        }

    def _used(self) -> "dict[Spent, float]":
        return {"tokens": self.usage.total, "cost": self.cost or 0.0, "seconds": self.elapsed - self.queued}

    def _left(self) -> "dict[Spent, tuple[float, float]]":
        """What is left and what there was, for each bound but that of turns."""
        used = self._used()
        bounds: dict[Spent, float | None] = {
            "tokens": self.limits.max_tokens,
            "cost": self.limits.max_cost,
            "seconds": self.limits.max_time,
        }
        return {name: (bound - used[name], bound) for name, bound in bounds.items() if bound is not None}
