"""The token ids of one conversation, whoever leads it: the agent's loop, or an outside agent over HTTP.

Those who lead it hold messages, and hand all of them in with each call. Where they go on from an earlier call, so do
the ids: what was sampled stays as it was sampled, whatever text it came back as.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workroom.models.base import Message, TokenIds, ToolSpec
from workroom.models.messages import arguments_object
from workroom.models.text_calls import is_invented

if TYPE_CHECKING:
    from workroom.train.chat import ChatTemplate
    from workroom.train.sampler import Sampled


@dataclass(frozen=True, slots=True)
class _Turn:
    """A call and its reply."""

    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...]
    ids: TokenIds
    reply: Message
    text: str


class Conversation:
    """`calls` are the ids of all calls so far, in order."""

    def __init__(self, chat: "ChatTemplate") -> None:
        self._chat = chat
        self._turns: list[_Turn] = []

    @property
    def calls(self) -> tuple[TokenIds, ...]:
        return tuple(turn.ids for turn in self._turns)

    def prompt(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> tuple[int, ...]:
        """The ids to sample after. Those of an earlier call and its reply, gone on with what is new; or, where the
        messages go on from no earlier call, the messages rendered anew. Raises BadRequest where the template fails."""
        before: _Turn | None = None
        for turn in reversed(self._turns):
            longer = before is None or len(turn.messages) > len(before.messages)
            if longer and turn.tools == tuple(tools) and _goes_on(turn, messages):
                before = turn
        if before is None:
            return self._chat.begin(messages, tools)
        if len(messages) == len(before.messages):  # the same once more
            return before.ids.prompt
        sampled = before.ids.completion
        ended = bool(sampled) and sampled[-1] == self._chat.end
        new = messages[len(before.messages) + 1 :]
        return (*before.ids.prompt, *sampled, *self._chat.go_on(new, tools, ended=ended))

    def add(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec],
        prompt: tuple[int, ...],
        sampled: "Sampled",
        reply: Message,
    ) -> TokenIds:
        """Takes up a call: its messages, the prompt that they gave, what was sampled, and the `reply` made of that."""
        ids = TokenIds(prompt, sampled.ids, sampled.logprobs)
        self._turns.append(_Turn(tuple(messages), tuple(tools), ids, reply, self._chat.text(sampled.ids)))
        return ids


def _goes_on(turn: _Turn, messages: Sequence[Message]) -> bool:
    """Whether the messages are those of the turn, alone or with its reply and more behind them."""
    count = len(turn.messages)
    if len(messages) < count or not all(map(same, turn.messages, messages)):
        return False
    return len(messages) == count or came_back(turn.reply, turn.text, messages[count])


def same(one: Message, other: Message) -> bool:
    """Whether they are rendered alike."""
    return one is other or (
        one.role == other.role
        and one.content == other.content
        and one.reasoning == other.reasoning
        and _same_calls(one, other)
        and (one.role != "tool" or one.tool_call_id == other.tool_call_id)
    )


def came_back(reply: Message, text: str, message: Message) -> bool:
    """Whether a message of the history is the `reply` that was made of the sampled `text`.

    Blanks around it do not count, nor that the text protocols cut off an observation that the model has invented after
    its call. Any other change is an edit of the context.
    """
    if message.role != "assistant" or not _same_calls(reply, message):
        return False
    said, whole = message.content.strip(), text.strip()
    return said == reply.content.strip() or (bool(said) and whole.startswith(said) and is_invented(whole[len(said) :]))


def _same_calls(one: Message, other: Message) -> bool:
    return one.tool_calls == other.tool_calls or _calls(one) == _calls(other)


def _calls(message: Message) -> list[tuple[str, object]]:
    """The calls without their ids, which some agents make anew; arguments as values, which some write anew."""
    return [(call.name, arguments_object(call)) for call in message.tool_calls]
