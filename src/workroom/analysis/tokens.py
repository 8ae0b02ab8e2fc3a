"""What an episode used: tokens, time and money."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from workroom.trajectory.reader import kept

if TYPE_CHECKING:
    from workroom.trajectory.events import Event


@dataclass(frozen=True, slots=True)
class Consumption:
    """Sums over one episode, or several.

    `prompt` (with `cached`) and `completion`: tokens of all model calls, as they are paid for. `initial`, `generated`,
    `environment`: the tokens that the trajectory itself is made of, each counted once: the first prompt, what the
    model wrote, and the observations; this is what the paper counts. `estimated`: episodes in which the server
    reported nothing. Times in seconds; `cost` in US dollars, of the episodes whose cost is known.
    """

    episodes: int = 0
    prompt: int = 0
    completion: int = 0
    cached: int = 0
    initial: int = 0
    generated: int = 0
    environment: int = 0
    estimated: int = 0
    seconds: float = 0.0
    model_seconds: float = 0.0
    tool_seconds: float = 0.0
    cost: float = 0.0

    @property
    def total(self) -> int:
        """Tokens of the trajectory: prompt, model and environment, each once."""
        return self.initial + self.generated + self.environment

    @property
    def environment_share(self) -> float | None:
        """Of the trajectory's tokens, those that came from the environment; None without tokens."""
        return self.environment / self.total if self.total else None

    @property
    def tool_share(self) -> float | None:
        """Of the time, that in tools; None without time."""
        return self.tool_seconds / self.seconds if self.seconds else None


def consumption(events: "Iterable[Event]") -> Consumption:
    """What an episode used. One that was cut off counts with what its turns tell."""
    every = list(events)
    history = kept(every)
    answered = [event for event in history if event.type == "assistant"]
    end = next((event for event in reversed(history) if event.type == "episode_finished"), None)
    # A failed call and a turn that was put aside were paid for, too.
    told = [event.usage for event in every if event.type in ("assistant", "model_waiting") and event.usage is not None]
    spent = [end.usage] if end is not None else told
    tools = sum(event.duration for event in history if event.type == "tool")
    return Consumption(
        episodes=1,
        prompt=sum(usage.prompt for usage in spent),
        completion=sum(usage.completion for usage in spent),
        cached=sum(usage.cached for usage in spent),
        initial=answered[0].usage.prompt if answered else 0,
        generated=sum(event.usage.completion for event in answered),
        environment=sum(event.usage.environment for event in answered),
        estimated=int(any(usage.estimated for usage in spent)),
        seconds=end.duration if end is not None else max((event.elapsed for event in every), default=0.0),
        model_seconds=end.model_seconds if end is not None else sum(event.duration for event in answered),
        tool_seconds=end.tool_seconds if end is not None else tools,
        cost=(end.cost or 0.0) if end is not None else 0.0,
    )


def consumed_together(some: Iterable[Consumption]) -> Consumption:
    """The sums of several."""
    found = list(some)
    return Consumption(*(sum(getattr(one, entry.name) for one in found) for entry in fields(Consumption)))
