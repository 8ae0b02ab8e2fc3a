"""Who wants to know that a model call waits before anything is asked of the provider."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# Called with True when a call of this context begins to wait for a place at its provider, or for what it needs to speak
# to it, with False when it waits no more.
on_queue: ContextVar[Callable[[bool], None] | None] = ContextVar("on_queue", default=None)


@contextmanager
def queueing() -> Iterator[None]:
    """What is done within is a wait. One that fails or is cancelled has no end that would have to be told."""
    tell = on_queue.get()
    if tell is not None:
        tell(True)
    yield
    if tell is not None:
        tell(False)
