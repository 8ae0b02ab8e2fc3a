"""Who wants to know that a model call waits for its turn."""

from collections.abc import Callable
from contextvars import ContextVar

# Called with True when a call of this context begins to wait for a place at its provider, with False when it has one.
on_queue: ContextVar[Callable[[bool], None] | None] = ContextVar("on_queue", default=None)
