"""Model calls that are tried again where that can help: after a rate limit, an overload, a broken connection."""

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from workroom.errors import ModelError, Overloaded, RateLimited
from workroom.models.base import Completion, Delta, Message, Model, Sampling, ToolSpec

OnWait = Callable[[int, float, ModelError], None]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to go on trying. All times in seconds.

    `attempts`: calls in all. `first_wait` doubles with each attempt up to `max_wait`; each wait is spread by a half to
    either side, so that hundreds of episodes do not come back at once. `budget`: waits in all. A server that asks for
    more than `max_retry_after` is not waited for.
    """

    attempts: int = 8
    first_wait: float = 1.0
    max_wait: float = 60.0
    budget: float = 900.0
    max_retry_after: float = 600.0

    def wait(self, attempt: int, asked: float | None) -> float:
        """The wait after the `attempt`-th call failed; `asked` is what the server said, and never undercut."""
        if asked is not None:
            return asked + random.uniform(0.0, min(1.0, 0.1 * asked))
        return min(self.max_wait, self.first_wait * 2.0 ** min(attempt - 1, 30)) * random.uniform(0.5, 1.5)


async def complete(
    model: Model,
    messages: Sequence[Message],
    tools: Sequence[ToolSpec] = (),
    *,
    sampling: Sampling | None = None,
    on_delta: Callable[[Delta], None] | None = None,
    on_wait: OnWait | None = None,
    policy: RetryPolicy | None = None,
) -> Completion:
    """`model.complete`, tried again after RateLimited and Overloaded; every other error passes at once.

    `on_wait(attempt, seconds, error)` is called before each wait. It also says that what `on_delta` was given since the
    call began is void: the next call streams its answer from the start.
    """
    import anyio

    policy = policy or RetryPolicy()
    waited = 0.0
    for attempt in itertools.count(1):
        try:
            return await model.complete(messages, tools, sampling=sampling, on_delta=on_delta)
        except (RateLimited, Overloaded) as error:
            seconds = policy.wait(attempt, error.retry_after)
            if reason := _give_up(policy, attempt, waited + seconds, error.retry_after):
                last = type(error)(f"{error}; {reason}", error.retry_after)
                last.usage = error.usage
                raise last from None
            if on_wait is not None:
                on_wait(attempt, seconds, error)
        await anyio.sleep(seconds)
        waited += seconds
    raise AssertionError("unreachable")


def _give_up(policy: RetryPolicy, attempt: int, waited: float, asked: float | None) -> str | None:
    if asked is not None and asked > policy.max_retry_after:
        return f"the server asks to wait {asked:.0f} s, try again after that"
    if attempt >= policy.attempts:
        return f"gave up after {attempt} tries" if attempt > 1 else "it was tried once"
    if waited > policy.budget:
        return f"gave up after {attempt} tries, as {policy.budget:.0f} s of waiting are used up"
    return None
