"""A policy for tests: plays texts by task in the bash protocol, and tells the ids of what it "samples"."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from workroom.models.base import Completion, Delta, Message, Model, ModelHints, Sampling, TokenIds, ToolSpec
from workroom.models.text import TextProtocolModel

Script = Sequence[str | Exception]


def ids_of(text: str) -> tuple[int, ...]:
    """A made-up tokenisation: a token a word."""
    return tuple(sum(word.encode()) for word in text.split())


class Policy:
    """Plays `scripts[task]`, a text a turn, the last one for ever. A text that is an exception is raised.

    `seconds`: how long a call takes; of the `calls` under way at a time, `most` were the most.
    """

    def __init__(self, scripts: Mapping[str, Script], *, seconds: float = 0.0, tokens: bool = True) -> None:
        self.name = "test/policy"
        self.window: int | None = None
        self.hints = ModelHints(prompt="compact")
        self.samplings: list[Sampling | None] = []
        self.seconds = seconds
        self.tokens = tokens
        self.calls = self.most = 0
        self._changed = asyncio.Condition()
        self._scripts = scripts

    def for_task(self, task_id: str) -> "Policy":
        own = _Own(self._scripts[task_id], tokens=self.tokens)
        own.policy = self
        return own

    async def reached(self, calls: int) -> None:
        """Waits until so many calls are under way."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.calls >= calls)

    async def free(self) -> None:
        """What a call waits for."""
        await asyncio.sleep(self.seconds)

    async def begin(self) -> None:
        """A call begins."""
        async with self._changed:
            self.calls += 1
            self.most = max(self.most, self.calls)
            self._changed.notify_all()

    async def complete(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec] = (),
        *,
        sampling: Sampling | None = None,
        on_delta: Callable[[Delta], None] | None = None,
    ) -> Completion:
        raise NotImplementedError("ask for a task's own")

    async def aclose(self) -> None:
        raise AssertionError("it is not ours to close")


class _Own(Policy):
    policy: Policy

    def __init__(self, script: Script, *, tokens: bool) -> None:
        super().__init__({}, tokens=tokens)
        self._script = script
        self._ids: tuple[int, ...] = ()

    async def complete(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec] = (),
        *,
        sampling: Sampling | None = None,
        on_delta: Callable[[Delta], None] | None = None,
    ) -> Completion:
        whole = self.policy
        whole.samplings.append(sampling)
        await whole.begin()
        try:
            await whole.free()
        finally:
            whole.calls -= 1
        turn = sum(message.role == "assistant" for message in messages)
        said = self._script[min(turn, len(self._script) - 1)]
        if isinstance(said, Exception):
            raise said
        new = messages if not self._ids else messages[-1:]
        prompt = self._ids + ids_of(" ".join(message.content for message in new))
        sampled = (*ids_of(said), 2)
        self._ids = prompt + sampled
        told = TokenIds(prompt, sampled, tuple(-0.5 for _ in sampled)) if self.tokens else None
        return Completion(Message("assistant", said), "stop", tokens=told)


def policy(scripts: Mapping[str, Script], *, seconds: float = 0.0, tokens: bool = True) -> tuple[Model, Policy]:
    """The policy as a model of the bash protocol, and what is inside."""
    inner = Policy(scripts, seconds=seconds, tokens=tokens)
    return TextProtocolModel(inner, "bash"), inner


def block(script: str) -> str:
    """The text of a turn that runs a script."""
    return f"```bash\n{script}\n```"
