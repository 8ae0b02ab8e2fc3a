"""What each model call used, into the account: also of calls that failed or were ended, as far as that is known."""

from typing import TYPE_CHECKING

from workroom.agent.limits import Account, EpisodeLimits
from workroom.agent.shorten import estimate
from workroom.models.base import CHARACTERS_PER_TOKEN, Usage
from workroom.trajectory.events import TokenUsage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workroom.agent.context import Context
    from workroom.agent.limits import Prices
    from workroom.models.base import Completion, Message
    from workroom.trajectory.events import Event


class Bookkeeper:
    """Counts the calls of one episode. Where the server tells nothing, it estimates from the conversation."""

    def __init__(self, account: Account, context: "Context") -> None:
        self._account = account
        self._context = context
        self._previous: Usage | None = None

    def answered(self, completion: "Completion", message: "Message") -> TokenUsage:
        """A call that gave `message`, which is not in the conversation yet."""
        usage = completion.usage
        if usage is None:
            usage = Usage(prompt=self._context.size(), completion=estimate(message))
        environment = self._environment(usage)
        self._previous = usage
        return self._add(usage, environment, estimated=completion.usage is None)

    def failed(self, usage: Usage | None) -> TokenUsage | None:
        """A call that failed after the server had begun to work, see `ModelError.usage`; what it used is estimated,
        since no server tells the whole of it."""
        if usage is None:
            return None
        prompt = usage.prompt or self._context.size()
        return self._add(Usage(prompt, usage.completion, usage.cached, usage.reasoning, usage.cache_written))

    def ended(self, characters: int) -> None:
        """A call that was ended after so many characters had come."""
        if characters:
            self._add(Usage(self._context.size(), characters // CHARACTERS_PER_TOKEN))

    def take_up(self, told: TokenUsage) -> None:
        """Takes note of an earlier call, which is in the account already."""
        self._previous = _usage(told)

    def _add(self, usage: Usage, environment: int = 0, *, estimated: bool = True) -> TokenUsage:
        self._account.add(usage, environment=environment, estimated=estimated)
        return token_usage(usage, environment, estimated=estimated)

    def _environment(self, usage: Usage) -> int:
        """Tokens that observations added since the last call: what the prompt grew by beyond the model's own reply.

        Servers differ in whether earlier reasoning is part of the next prompt; of the two results the one nearer to
        the size of the observations is right.
        """
        if self._previous is None:
            return 0
        added = 0
        for message in reversed(self._context.messages):
            if message.role == "assistant":
                break
            added += estimate(message)
        growth = usage.prompt - self._previous.prompt - self._previous.completion
        nearest = min((growth, growth + self._previous.reasoning), key=lambda tokens: abs(tokens - added))
        return max(nearest, 0)


def recorded(events: "Iterable[Event]", prices: "Prices | None") -> Account:
    """The account of an episode as its events tell it."""
    account = Account(EpisodeLimits(), prices)
    charge(account, events)
    return account


def charge(account: Account, events: "Iterable[Event]") -> None:
    """Charges the account with the tokens of all model calls that the events tell of."""
    for event in events:
        if event.type in ("assistant", "model_waiting") and (told := event.usage):
            account.add(_usage(told), environment=told.environment, estimated=told.estimated)
        elif event.type == "episode_finished":  # it has also what no other event tells: calls that failed or were ended
            told = event.usage
            account.restart()
            account.add(_usage(told), environment=told.environment, estimated=told.estimated, cost=event.cost)


def _usage(told: TokenUsage) -> Usage:
    return Usage(told.prompt, told.completion, told.cached, told.reasoning, told.cache_written)


def token_usage(usage: Usage, environment: int, *, estimated: bool) -> TokenUsage:
    """The usage as an event tells it."""
    return TokenUsage(
        prompt=usage.prompt,
        completion=usage.completion,
        cached=usage.cached,
        cache_written=usage.cache_written,
        reasoning=usage.reasoning,
        environment=environment,
        estimated=estimated,
    )
