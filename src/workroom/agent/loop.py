"""The agent: a model, a sandbox, and the loop between them."""

import asyncio
from collections import deque
from contextlib import aclosing
from typing import TYPE_CHECKING, Literal

from workroom.agent.limits import EpisodeLimits
from workroom.errors import ConfigError
from workroom.task import Task

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from workroom.agent.chat import Chat
    from workroom.agent.limits import Prices
    from workroom.models.base import Model, Sampling
    from workroom.models.retry import RetryPolicy
    from workroom.sandbox import Sandbox
    from workroom.sandbox.egress import EgressRecord
    from workroom.tools.base import Tool
    from workroom.trajectory.events import Event
    from workroom.trajectory.history import History

Mode = Literal["sandbox", "llm"]
Style = Literal["compute", "neutral"]
Documents = Literal["files", "prompt"]


class Agent:
    """Works on tasks. One agent runs one episode at a time.

    `mode`: `sandbox`, the loop with tools, or `llm`, one plain completion with the documents in the prompt (needs no
    sandbox). `style`: `compute` asks the model to derive its answer by running programs, `neutral` leaves that to it.
    `documents`: `files`, into the sandbox, or `prompt`, into the first message and nowhere else. Without `execution`
    nothing is run in the sandbox: the model edits files and submits. `read_only` seals the sandbox before the first
    turn, see `Sandbox.seal`. `chat`: the task is the newest message of a conversation, see `Chat`. `tools`: None for
    those of this package. `sampling`: what it leaves open is the model's
    own. `pricing`: needed for `max_cost`. `after_turn` is awaited with the number of each whole turn while the next
    model call is under way, and before the next tool call. Raises ConfigError for a combination that cannot work.
    """

    def __init__(
        self,
        model: "Model",
        sandbox: "Sandbox | None" = None,
        *,
        mode: Mode = "sandbox",
        limits: EpisodeLimits | None = None,
        style: Style = "compute",
        documents: Documents = "files",
        execution: bool = True,
        read_only: bool = False,
        chat: "Chat | None" = None,
        tools: "Sequence[Tool] | None" = None,
        sampling: "Sampling | None" = None,
        retry: "RetryPolicy | None" = None,
        pricing: "Prices | None" = None,
        after_turn: "Callable[[int], Awaitable[None]] | None" = None,
    ) -> None:
        if mode not in ("sandbox", "llm"):
            raise ConfigError(f"there is no mode {mode!r}; the modes are: sandbox, llm")
        if style not in ("compute", "neutral"):
            raise ConfigError(f"there is no style {style!r}; the styles are: compute, neutral")
        if documents not in ("files", "prompt"):
            raise ConfigError(f"documents cannot go into {documents!r}; they can go into: files, prompt")
        if mode == "sandbox" and not execution and model.hints.protocol == "bash":
            raise ConfigError(
                f"{model.name} can only give bash scripts, of which nothing is run: use another tool protocol (json)"
            )
        if chat is not None and (mode != "sandbox" or read_only or not execution or documents != "files"):
            raise ConfigError(
                "a conversation needs mode sandbox with files and execution, and a sandbox it can write to"
            )
        if mode == "sandbox" and sandbox is None:
            raise ConfigError("sandbox mode needs a sandbox; open one, or use mode llm")
        self.model = model
        self.sandbox = sandbox
        self.mode: Mode = mode
        self.limits = limits or EpisodeLimits()
        self.style: Style = style
        self.documents: Documents = documents
        self.execution = execution
        self.read_only = read_only
        self.chat = chat
        self.tools = tools
        self.sampling = sampling
        self.retry = retry
        self.pricing = pricing
        self.after_turn = after_turn
        if self.limits.max_cost is not None and pricing is None:
            raise ConfigError(f"max_cost needs to know what {model.name} costs; give its prices, or leave max_cost out")
        self.stop_requested = False
        self.egress: deque[EgressRecord] = deque()
        self._wake: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    async def stream(
        self, task: Task | str, *, history: "History | None" = None, saved: int = 0
    ) -> "AsyncGenerator[Event, None]":
        """Works on the task, yielding what happens as it happens; the last event is EpisodeFinished.

        With a `history` the episode goes on after its last whole turn. The sandbox must hold the files as they were
        after turn `saved` (0: none, also no documents); the tool calls of later turns are run again.

        What goes wrong with the model or the sandbox is told in that event, not raised. The loop goes on when the next
        event is asked for; leaving the iteration, or being cancelled, ends what is in flight.
        """
        from workroom.agent.completion import CompletionEpisode
        from workroom.agent.episode import Episode

        task = Task(prompt=task) if isinstance(task, str) else task
        wake = asyncio.Event()
        self._wake = (asyncio.get_running_loop(), wake)
        if self.stop_requested:
            wake.set()
        kind = Episode if self.mode == "sandbox" else CompletionEpisode
        async with aclosing(kind(self, task, wake, history, saved).run()) as events:
            async for event in events:
                yield event

    def request_stop(self) -> None:
        """Asks to stop after the current step (model call or tool call); may be called from any thread."""
        self.stop_requested = True
        if self._wake is not None:
            loop, wake = self._wake
            if not loop.is_closed():
                loop.call_soon_threadsafe(wake.set)

    def note_egress(self, record: "EgressRecord") -> None:
        """Takes a record of the egress proxy, for the trajectory; may be called from any thread."""
        self.egress.append(record)
