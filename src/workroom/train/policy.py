"""The policy as a model for the agent's loop: messages in, sampled token ids kept as they are."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from workroom.errors import ContextOverflow
from workroom.models.base import Completion, Delta, FinishReason, Message, Model, ModelHints, Sampling, ToolSpec, Usage
from workroom.models.text import TextProtocolModel, with_calls
from workroom.models.text_calls import Found, find_certain_json, find_json
from workroom.train.conversation import Conversation

if TYPE_CHECKING:
    from workroom.train.chat import ChatTemplate, ToolProtocol
    from workroom.train.sampler import Sampler

LEAST = 16  # tokens that a turn must have room for


def policy_model(
    name: str,
    sampler: "Sampler",
    chat: "ChatTemplate",
    *,
    window: int,
    max_tokens: int,
    temperature: float = 1.0,
    protocol: "ToolProtocol" = "bash",
    prompt: Literal["standard", "compact"] = "compact",
    shorten: bool = False,
) -> Model:
    """The model for `Agent` or `Run`: a `PolicyModel`, behind the text protocol where that is wanted."""
    model = PolicyModel(
        name,
        sampler,
        chat,
        window=window,
        max_tokens=max_tokens,
        temperature=temperature,
        hints=ModelHints(prompt=prompt),
        shorten=shorten,
    )
    return model if protocol == "native" else TextProtocolModel(model, protocol)


class PolicyModel:
    """Samples the turns of one episode with `sampler`; `for_task` gives a fresh one for the next.

    `window` and `max_tokens` (of one turn) in tokens. A reply that the window leaves no room for is bounded to less,
    down to 16 tokens; then the episode ends with `context_overflow`, as one row. With `shorten` the agent is told of
    the window, and shortens its context as it does with other models: what follows is a row of its own then.

    `temperature` is the sampler's, whatever a call asks for: it belongs to the algorithm. A seed that a call asks for
    is another one in each turn. Tools that a call offers go into the template, and calls are read from the text in
    Hermes' form (`<tool_call>` with a JSON object); without tools the reply is plain text. The sampler is not closed
    with this.
    """

    def __init__(
        self,
        name: str,
        sampler: "Sampler",
        chat: "ChatTemplate",
        *,
        window: int,
        max_tokens: int,
        temperature: float = 1.0,
        hints: ModelHints | None = None,
        shorten: bool = False,
    ) -> None:
        self.name = name
        self.window: int | None = window if shorten else None
        hints = hints or ModelHints(prompt="compact")
        self.hints = replace(hints, sampling=replace(hints.sampling, temperature=temperature, max_tokens=max_tokens))
        self._sampler = sampler
        self._chat = chat
        self._window = window
        self._max_tokens = max_tokens
        self._temperature = temperature
        self._shorten = shorten
        self._conversation = Conversation(chat)

    async def complete(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec] = (),
        *,
        sampling: Sampling | None = None,
        on_delta: Callable[[Delta], None] | None = None,
    ) -> Completion:
        """One call; see `Model.complete`. Raises ContextOverflow before anything is sampled."""
        prompt = self._conversation.prompt(messages, tools)
        asked = sampling.max_tokens if sampling is not None else None
        wanted = min(asked or self._max_tokens, self._max_tokens)
        bound = room(self.name, prompt, self._window, wanted, final=not self._shorten)
        started = time.monotonic()
        sampled = await self._sampler.sample(
            prompt,
            max_tokens=bound,
            temperature=self._temperature,
            seed=_seed(sampling, messages),
        )
        duration = time.monotonic() - started
        text = self._chat.text(sampled.ids)
        if on_delta is not None:
            on_delta(Delta("content", text))
        message, finish = spoken(text, tools, len(messages), cut=sampled.finish == "length")
        return Completion(
            message=message,
            finish_reason=finish,
            usage=Usage(prompt=len(prompt), completion=len(sampled.ids)),
            model=self.name,
            duration=duration,
            tokens=self._conversation.add(messages, tools, prompt, sampled, message),
        )

    def for_task(self, task_id: str) -> "PolicyModel":  # noqa: ARG002
        return PolicyModel(
            self.name,
            self._sampler,
            self._chat,
            window=self._window,
            max_tokens=self._max_tokens,
            temperature=self._temperature,
            hints=self.hints,
            shorten=self._shorten,
        )

    async def aclose(self) -> None:
        """Nothing to free: the sampler serves other episodes."""


def room(name: str, prompt: Sequence[int], window: int, wanted: int, *, final: bool = False) -> int:
    """How many tokens a reply may have: what is wanted, or what the window leaves. Raises ContextOverflow."""
    left = window - len(prompt)
    if left < min(LEAST, wanted):
        raise ContextOverflow(
            f"{name}: a prompt of {len(prompt)} tokens leaves no room for a reply in a window of {window}",
            window,
            final=final,
        )
    return min(wanted, left)


def _seed(sampling: Sampling | None, messages: Sequence[Message]) -> int | None:
    """Another one for each turn: with the same one all turns of an episode would draw the same numbers, and a policy is
    not learnt from draws that depend on each other."""
    if sampling is None or sampling.seed is None:
        return None
    return sampling.seed + sum(message.role == "assistant" for message in messages)


def spoken(text: str, tools: Sequence[ToolSpec], turn: int, *, cut: bool) -> tuple[Message, FinishReason]:
    """A sampled text as a message, with its calls where tools were offered. `turn` goes into the calls' ids."""
    message, found = Message("assistant", text), _found(text, tools)
    if found:
        message = with_calls(message, text, found, turn)
    return message, "length" if cut else "tool_calls" if found else "stop"


def _found(text: str, tools: Sequence[ToolSpec]) -> list[Found]:
    """What stands in the tags was meant as a call, however it is written; elsewhere it must be one for certain."""
    if not tools:
        return []
    return find_json(text, tools) if "<tool_call>" in text else find_certain_json(text, tools)
