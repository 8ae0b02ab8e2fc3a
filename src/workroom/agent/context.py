"""The conversation, its size, and how it is made to fit the model's window.

Only old observations are shortened: the first messages and the newest turns stay, and the trajectory keeps all.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from workroom.agent.prompts import render
from workroom.models.base import Message, ToolSpec, Usage

CHARACTERS_PER_TOKEN = 4
_REPLY = 4096  # tokens kept free for the reply where no other figure is known
_KEEP_OLD = 200  # characters of an old observation that stay
_KEEP_NEW = 2000  # characters of an observation of the newest turn that stay, once nothing old is left to shorten


@dataclass
class Context:
    """The messages of an episode. `window`: tokens that fit, None where unknown."""

    messages: list[Message]
    tools: Sequence[ToolSpec] = ()
    window: int | None = None
    _known: int = 0  # tokens of the first `_measured` messages, as the server counted them
    _measured: int = 0
    _shortened: set[int] = field(default_factory=set)
    _estimates: list[int] = field(default_factory=list)  # of the first so many messages

    def add(self, message: Message) -> None:
        self.messages.append(message)

    def measured(self, usage: Usage) -> None:
        """Takes over what the server says of the prompt and the reply that was just added."""
        self._known = usage.prompt + usage.completion
        self._measured = len(self.messages)

    def size(self) -> int:
        """Tokens of the next prompt: what the server told of the last one, and an estimate of what came after."""
        tokens = self._known
        if not self._measured:
            tokens = sum(len(json.dumps(dict(tool.parameters))) + len(tool.description) for tool in self.tools)
            tokens //= CHARACTERS_PER_TOKEN
        for message in self.messages[len(self._estimates) :]:
            self._estimates.append(estimate(message))
        return tokens + sum(self._estimates[self._measured :])

    def fit(self, reply: int | None) -> int:
        """Shortens old observations where the next prompt would leave no room for a reply; returns how many."""
        if self.window is None:
            return 0
        room = self.window - min(reply or _REPLY, self.window // 4)
        count = 0
        if self.size() > room:
            while self.size() > 0.6 * room:  # far below, so that this is rare and the server's cache stays useful
                shortened = self._shorten(self._old()[:1])
                if not shortened:
                    break
                count += shortened
        return count

    def cut(self) -> int:
        """Shortens the older half of the observations that are still whole; returns how many.

        Then those of the newest turn; 0 once nothing is left to shorten.
        """
        old = self._old()
        if old:
            return self._shorten(old[: (len(old) + 1) // 2])
        newest = range(self._newest(), len(self.messages))
        return self._shorten([i for i in newest if self._can(i, _KEEP_NEW)], _KEEP_NEW)

    def _old(self) -> list[int]:
        return [i for i in range(self._newest()) if self._can(i, 2 * _KEEP_OLD)]

    def _can(self, index: int, least: int) -> bool:
        message = self.messages[index]
        return message.role == "tool" and index not in self._shortened and len(message.content) > least

    def _newest(self) -> int:
        """Where the newest turn begins: at the last assistant message."""
        indices = (i for i in range(len(self.messages) - 1, -1, -1) if self.messages[i].role == "assistant")
        return next(indices, 0)

    def _shorten(self, indices: list[int], keep: int = _KEEP_OLD) -> int:
        for index in indices:
            message = self.messages[index]
            text = render("trimmed", head=message.content[:keep], size=len(message.content) - keep)
            if index < self._measured:
                self._known -= (len(message.content) - len(text)) // CHARACTERS_PER_TOKEN
            self.messages[index] = replace(message, content=text)
            del self._estimates[index:]
            self._shortened.add(index)
        return len(indices)


def estimate(message: Message) -> int:
    """Tokens of a message, from its characters."""
    size = len(message.content) + len(message.reasoning or "")
    size += sum(len(call.name) + len(call.arguments) for call in message.tool_calls)
    return size // CHARACTERS_PER_TOKEN + 4
