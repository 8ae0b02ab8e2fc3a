"""The conversation, its size, and how it is made to fit the model's window.

What can be had again goes first, in each step from the oldest turn on:

1. the pictures of old turns;
2. the observations of old turns, of which the beginning stays. The whole text is put into a file of the sandbox first,
   which what stays names, so that the model can search it;
3. the reasoning of old turns;
4. long texts and arguments that the model wrote in old turns;
5. the older half of the old turns, calls and answers together;
6. the newest turn: its observations, its pictures, its reasoning, its texts and arguments.

`fit` takes the first four steps ahead of need, `cut` all of them once the server has refused the prompt. The messages
before the first turn stay, every call keeps its one answer, and the trajectory keeps everything.
"""

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from workroom.agent.prompts import render
from workroom.agent.shorten import (
    estimate,
    without_long_texts,
    without_pictures,
    without_reasoning,
)
from workroom.errors import TransferError
from workroom.models.base import CHARACTERS_PER_TOKEN, Message, ToolSpec, Usage
from workroom.sandbox.base import STATE_DIR

OBSERVATIONS_DIR = f"{STATE_DIR}/observations"
_REPLY = 4096  # tokens kept free for the reply where no other figure is known
_TARGET = 0.6  # of the room: far below it, so that this is rare and the server's cache stays useful
_KEEP_OLD = 200  # characters of an old observation that stay
_KEEP_NEW = 2000  # characters of an observation of the newest turn that stay, once nothing old is left to shorten
_LIKELY = 8  # times the estimate may be above the server's count; some gateways count only what was not cached
_WORTH = 400  # characters that an observation must lose to be shortened at all, the sentence in their place included


@dataclass
class Trimmed:
    """What was shortened: messages in all, observations among them, and the files with the observations' full texts."""

    messages: int = 0
    observations: int = 0
    files: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return self.messages > 0


@dataclass
class _Shortened:
    """An observation of which `keep` of its `size` characters are left."""

    keep: int
    size: int
    path: str | None
    error: str | None


Step = Callable[[int, Trimmed], Awaitable[None]]


@dataclass
class Context:
    """The messages of an episode. `window`: tokens that fit, None where unknown.

    `write` puts a file into the sandbox; without one, what is shortened is lost to the model. `most_pictures`: how many
    the server takes, None for any number. `execution`: whether the model can search such a file with a program.
    """

    messages: list[Message]
    tools: Sequence[ToolSpec] = ()
    window: int | None = None
    write: Callable[[str, bytes], Awaitable[None]] | None = None
    most_pictures: int | None = None
    execution: bool = True
    prior: int = 0  # messages of an earlier conversation, after the system prompt
    _known: int = 0  # tokens of the first `_measured` messages, as the server counted them
    _measured: int = 0
    _refused: int | None = None  # tokens of the smallest prompt that did not fit, as `size` counts
    _left_out: int = 0  # turns
    _prior_left_out: int = 0  # messages
    _shortened: dict[int, _Shortened] = field(default_factory=dict)

    def add(self, message: Message) -> None:
        self.messages.append(message)

    def measured(self, usage: Usage) -> None:
        """Takes over what the server says of the prompt and the reply that was just added, where that can be true."""
        told = usage.prompt + usage.completion
        if _LIKELY * told < sum(estimate(message) for message in self.messages):
            self._known = self._measured = 0
        else:
            self._known, self._measured = told, len(self.messages)

    def size(self) -> int:
        """Tokens of the next prompt: what the server told of the last one, and an estimate of what came after."""
        tokens = self._known
        if not self._measured:
            tokens = sum(len(json.dumps(dict(tool.parameters))) + len(tool.description) for tool in self.tools)
            tokens //= CHARACTERS_PER_TOKEN
        return tokens + sum(estimate(message) for message in self.messages[self._measured :])

    async def fit(self, reply: int | None) -> Trimmed:
        """Shortens what is old where the next prompt would leave no room for a reply of so many tokens.

        What is still too long then is for the server to judge. Raises SandboxGone where the sandbox has died.
        """
        trimmed = Trimmed()
        if self.most_pictures is not None:
            self._limit_pictures(self.most_pictures, trimmed)
        room = self._room(reply)
        if room is None or self.size() <= room:
            return trimmed
        await self._take((self._drop_pictures, self._shorten_old), _TARGET * room, trimmed)
        if self.size() > room:
            await self._take((self._drop_reasoning, self._shorten_texts), _TARGET * room, trimmed)
        return trimmed

    async def cut(self, reply: int | None) -> Trimmed:
        """Shortens to half of what was refused, or as far below the window as `fit` does; nothing once nothing is left.

        Each call goes one step further at least, so that a few of them come to an end with any server.
        """
        size, trimmed = self.size(), Trimmed()
        self._refused = min(size, self._refused or size)
        target = min(size / 2, _TARGET * (self._room(reply) or size))
        gentle = (self._drop_pictures, self._shorten_old, self._drop_reasoning, self._shorten_texts)
        await self._take(gentle, target, trimmed)
        if not trimmed:
            self._leave_prior_out(trimmed)
        if not trimmed:
            self._leave_turns_out(trimmed)
        newest = range(self._newest(), len(self.messages))
        for step in (self._shorten_new, *gentle):
            if not trimmed:
                await self._each(newest, step, 0, trimmed)
        return trimmed

    def limit_pictures(self, most: int | None) -> Trimmed:
        """Leaves out all but the last pictures, now and from now on; None: all that are there, but no later ones."""
        trimmed = Trimmed()
        self.most_pictures = self.most_pictures if most is None else most
        self._limit_pictures(most or 0, trimmed)
        return trimmed

    def _room(self, reply: int | None) -> int | None:
        """Tokens that a prompt may have, None where nothing is known of that."""
        rooms = [] if self.window is None else [self.window - min(reply or _REPLY, self.window // 4)]
        if self._refused is not None:
            rooms.append(int(0.9 * self._refused))
        return min(rooms, default=None)

    async def _take(self, steps: Iterable[Step], target: float, trimmed: Trimmed) -> None:
        for step in steps:
            await self._each(range(self._newest()), step, target, trimmed)

    async def _each(self, indices: Iterable[int], step: Step, target: float, trimmed: Trimmed) -> None:
        for index in indices:
            if self.size() <= target:
                return
            await step(index, trimmed)

    def _newest(self) -> int:
        """Where the newest turn begins: at the last assistant message."""
        indices = (i for i in range(len(self.messages) - 1, -1, -1) if self.messages[i].role == "assistant")
        return next(indices, 0)

    async def _drop_pictures(self, index: int, trimmed: Trimmed) -> None:
        if self.messages[index].images:
            self._replace(index, without_pictures(self.messages[index], "room", execution=self.execution), trimmed)

    async def _drop_reasoning(self, index: int, trimmed: Trimmed) -> None:
        message = self.messages[index]
        if message.reasoning or "reasoning_details" in (message.provider or {}):
            self._replace(index, without_reasoning(message), trimmed)

    async def _shorten_texts(self, index: int, trimmed: Trimmed) -> None:
        message = self.messages[index]
        if message.role == "assistant" and (shorter := without_long_texts(message)) is not message:
            self._replace(index, shorter, trimmed)

    async def _shorten_old(self, index: int, trimmed: Trimmed) -> None:
        await self._shorten(index, _KEEP_OLD, trimmed)

    async def _shorten_new(self, index: int, trimmed: Trimmed) -> None:
        await self._shorten(index, _KEEP_NEW, trimmed)

    async def _shorten(self, index: int, keep: int, trimmed: Trimmed) -> None:
        message = self.messages[index]
        before = self._shortened.get(index)
        if message.role != "tool" or len(message.content) <= keep + _WORTH or (before and before.keep <= keep):
            return
        if before is None:
            path, error = await self._keep(index)
            before = _Shortened(keep, len(message.content), path, error)
            trimmed.files += [path] if path else []
        now = replace(before, keep=keep)
        head = message.content[:keep]
        told = {"path": now.path, "error": now.error, "execution": self.execution}
        text = render("trimmed", head=head, size=now.size - keep, **told)
        self._shortened[index] = now
        self._replace(index, replace(message, content=text), trimmed)
        trimmed.observations += 1

    async def _keep(self, index: int) -> tuple[str | None, str | None]:
        """Puts the whole observation into a file; its path, or why there is none."""
        if self.write is None:
            return None, "nothing can be written"
        began = max(i for i in range(index) if self.messages[i].role == "assistant")
        turn = self._left_out + sum(message.role == "assistant" for message in self.messages[:index])
        number = sum(message.role == "tool" for message in self.messages[began : index + 1])
        path = f"{OBSERVATIONS_DIR}/turn-{turn}-{number}.txt"
        try:
            await self.write(path, self.messages[index].content.encode("utf-8", "replace"))
        except OSError as error:
            return None, (error.strerror or str(error)).lower()
        except TransferError as error:
            return None, str(error)
        return path, None

    def _leave_turns_out(self, trimmed: Trimmed) -> None:
        """Puts a note in the place of the older half of the old turns, and of the note that stood there before."""
        starts = [i for i, message in enumerate(self.messages) if message.role == "assistant" and i > self.prior]
        old = starts[:-1]
        if not old:
            return
        count = (len(old) + 1) // 2
        first, end = old[0] - (self._left_out > 0), starts[count]
        self._left_out += count
        told = {"directory": OBSERVATIONS_DIR if self.write else None, "execution": self.execution}
        self._put_note(render("turns_left_out", count=self._left_out, **told), first, end, trimmed)

    def _leave_prior_out(self, trimmed: Trimmed) -> None:
        """Puts a note in the place of the older half of the conversation so far."""
        noted = int(self._prior_left_out > 0)
        count = (self.prior - noted + 1) // 2
        if not count:
            return
        self._prior_left_out += count
        self._put_note(render("prior_left_out", count=self._prior_left_out), 1, 1 + noted + count, trimmed)
        self.prior += 1 - noted - count

    def _put_note(self, text: str, first: int, end: int, trimmed: Trimmed) -> None:
        """Puts a note in the place of some messages."""
        note = Message("user", text)
        gone = self.messages[first:end]
        shift = len(gone) - 1
        self.messages[first:end] = [note]
        self._shortened = {index - shift: entry for index, entry in self._shortened.items() if index >= end}
        if self._measured >= end:
            self._known += estimate(note) - sum(estimate(message) for message in gone)
            self._measured -= shift
        else:
            self._known = self._measured = 0
        trimmed.messages += len(gone)

    def _limit_pictures(self, most: int, trimmed: Trimmed) -> None:
        for index in range(len(self.messages) - 1, -1, -1):
            message = self.messages[index]
            most -= len(message.images)
            if message.images and most < 0:
                self._replace(index, without_pictures(message, "refused", execution=self.execution), trimmed)

    def _replace(self, index: int, message: Message, trimmed: Trimmed) -> None:
        if index < self._measured:
            self._known += estimate(message) - estimate(self.messages[index])
        self.messages[index] = message
        trimmed.messages += 1
