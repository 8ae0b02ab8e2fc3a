"""The seam to language models: messages, tool calls, usage, and the `Model` protocol."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

CHARACTERS_PER_TOKEN = 4  # where nobody counts
Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "tool_calls", "length", "content_filter", "other"]


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as the model is told of it. `parameters` is a JSON schema of type object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call as the model wrote it. `arguments` is the raw text, which may be no valid JSON."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Image:
    """A picture that a tool message shows. `media_type` is `image/png` or `image/jpeg`."""

    media_type: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenIds:
    """The token ids of one call, where the server tells them: what was sent, what was sampled, its log-probabilities.

    `logprobs` is as long as `completion`, or empty where the server tells none.
    """

    prompt: tuple[int, ...]
    completion: tuple[int, ...]
    logprobs: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the conversation.

    `is_error`: a tool message that answers a call which could not be done. `provider` holds what a provider wants to
    see again unchanged (for example signed thinking blocks); only the adapter that wrote it reads it. `images`: what a
    tool message shows besides its text. `prior`: it was said before the episode began, in the same conversation.
    """

    role: Role
    content: str = ""
    reasoning: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    provider: Mapping[str, Any] | None = None
    is_error: bool = False
    images: tuple[Image, ...] = ()
    prior: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one or more model calls, as the server reported them.

    `prompt` includes `cached` (read from the provider's cache) and `cache_written` (put into it); `completion` includes
    `reasoning`.
    """

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    reasoning: int = 0
    cache_written: int = 0

    @property
    def total(self) -> int:
        return self.prompt + self.completion

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt + other.prompt,
            self.completion + other.completion,
            self.cached + other.cached,
            self.reasoning + other.reasoning,
            self.cache_written + other.cache_written,
        )


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to sample. None leaves a setting to the server. `max_tokens` bounds one completion."""

    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a completion as it streams in, for a live view only."""

    kind: Literal["content", "reasoning", "tool_call"]
    text: str


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer of the model. Durations in seconds; `usage` is None where the server reports none.

    `tokens` is None unless they were asked for and the server tells them.
    """

    message: Message
    finish_reason: FinishReason = "stop"
    usage: Usage | None = None
    model: str = ""
    duration: float = 0.0
    first_token: float | None = None
    tokens: TokenIds | None = None


@dataclass(frozen=True, slots=True)
class ModelHints:
    """What is known of a model and changes how it is spoken to.

    `protocol`: how tools are called: `native` (the provider's own tool calls), `json` (one fenced JSON object) or
    `bash` (one fenced bash block). `tools`: names of the tools to offer, None for all. `prompt`: which system prompt.
    `vision`: whether the model can be shown pictures.
    """

    protocol: Literal["native", "json", "bash"] = "native"
    tools: tuple[str, ...] | None = None
    prompt: Literal["standard", "compact"] = "standard"
    sampling: Sampling = field(default_factory=Sampling)
    vision: bool = False


class Model(Protocol):
    """Something that completes a message list with tool specs.

    `name` is the full name (`openai/gpt-5`). `window` is the context size in tokens, None where unknown.
    """

    name: str
    window: int | None
    hints: ModelHints

    async def complete(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec] = (),
        *,
        sampling: Sampling | None = None,
        on_delta: Callable[[Delta], None] | None = None,
    ) -> Completion:
        """One model call, tried once. Raises a `ModelError` of the right class; never retries by itself."""
        ...

    def for_task(self, task_id: str) -> "Model":
        """The model to use for this task: itself, but for models whose answers depend on the task (scripts)."""
        ...

    async def aclose(self) -> None:
        """Frees connections; safe to call twice."""
        ...
