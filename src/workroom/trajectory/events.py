"""The typed events of an episode, in the order they happen. `events.jsonl` holds one a line.

Every event has `seq` (0, 1, 2, ... within the episode), `time` (seconds since the epoch) and `elapsed` (seconds since
the episode began, monotonic). Live-only events (`ModelDelta`, `ToolStarted`) are yielded but never written.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

StopReason = Literal[
    "submitted",
    "max_turns",
    "max_tokens",
    "max_cost",
    "max_time",
    "context_overflow",
    "stalled",
    "model_error",
    "sandbox_error",
    "interrupted",
]


def _with_role(message: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(message.get("role"), str) or not isinstance(message.get("content"), str | list | None):
        raise ValueError("a message has a role and a content")  # noqa: TRY004 - what pydantic takes for a wrong value
    return message


class TokenUsage(BaseModel):
    """Tokens of one model call, or the sum of an episode.

    `prompt` (includes `cached`, read from the provider's cache, and `cache_written`, put into it) and `completion`
    (includes `reasoning`), as reported by the server. `environment`: tokens that tool observations added to the
    context, estimated as the growth of the prompt between calls that the model's own completions do not explain.
    `estimated` is True where the server reported nothing.
    """

    model_config = ConfigDict(extra="forbid")
    prompt: int = 0
    completion: int = 0
    cached: int = 0
    cache_written: int = 0
    reasoning: int = 0
    environment: int = 0
    estimated: bool = False


class _Event(BaseModel):
    model_config = ConfigDict(extra="forbid")
    live_only: ClassVar[bool] = False
    seq: int = 0
    time: float = 0.0
    elapsed: float = 0.0


class Call(BaseModel):
    """A tool call as the model wrote it."""

    model_config = ConfigDict(extra="forbid")
    id: str
    name: str
    arguments: str


class Picture(BaseModel):
    """A picture as the model saw it. `data` is base64."""

    model_config = ConfigDict(extra="forbid")
    media_type: str
    data: str


class Tokens(BaseModel):
    """The token ids of a model call, see `workroom.models.base.TokenIds`."""

    model_config = ConfigDict(extra="forbid")
    prompt: list[int]
    completion: list[int]
    logprobs: list[float] = []


class EpisodeStarted(_Event):
    """The task, the prompts as rendered, the tools as offered."""

    type: Literal["episode_started"] = "episode_started"
    episode: str
    task: str
    mode: Literal["sandbox", "llm"]
    model: str
    protocol: str
    messages: list[Annotated[dict[str, Any], AfterValidator(_with_role)]]
    tools: list[dict[str, Any]]
    documents: list[str] = []
    sandbox: dict[str, Any] | None = None


class TurnStarted(_Event):
    """A model call begins. `remaining` is the budget that is left, by name; None where there is no limit."""

    type: Literal["turn_started"] = "turn_started"
    turn: int
    remaining: dict[str, float | None] = {}


class ModelDelta(_Event):
    """A piece of the answer as it streams in."""

    type: Literal["model_delta"] = "model_delta"
    live_only: ClassVar[bool] = True
    turn: int
    kind: Literal["content", "reasoning", "tool_call"]
    text: str


class ModelWaiting(_Event):
    """The provider failed for now; the call is tried again after `seconds`.

    `usage`: what the failed call used all the same, where that is known; the episode's account has it.
    """

    type: Literal["model_waiting"] = "model_waiting"
    turn: int
    attempt: int
    seconds: float
    error: str
    usage: TokenUsage | None = None


class AssistantTurn(_Event):
    """The model's answer of this turn. Durations in seconds."""

    type: Literal["assistant"] = "assistant"
    turn: int
    content: str
    reasoning: str | None = None
    calls: list[Call] = []
    provider: dict[str, Any] | None = None
    finish_reason: str = "stop"
    usage: TokenUsage = TokenUsage()
    duration: float = 0.0
    first_token: float | None = None
    tokens: Tokens | None = None


class ToolStarted(_Event):
    """A tool call begins."""

    type: Literal["tool_started"] = "tool_started"
    live_only: ClassVar[bool] = True
    turn: int
    call: Call


class ToolFinished(_Event):
    """A tool call was answered. `observation` is exactly what the model sees; `duration` in seconds."""

    type: Literal["tool"] = "tool"
    turn: int
    call_id: str
    name: str
    observation: str
    is_error: bool = False
    duration: float = 0.0
    facts: dict[str, Any] = {}
    images: list[Picture] = []


class Reminder(_Event):
    """A user message that the harness put in: a missing tool call, the budget, the last turn, a missing answer.

    `user`: in an imported run, a message in the middle of it that another harness or a person wrote.
    """

    type: Literal["reminder"] = "reminder"
    turn: int
    reason: Literal["no_tool_call", "budget", "last_turn", "missing_answer", "repeated_call", "resumed", "user"]
    text: str


class ContextTrimmed(_Event):
    """Old observations were shortened to fit the window. `observations` counts them; the trajectory keeps all.

    `files`: where in the sandbox their full texts are.
    """

    type: Literal["context_trimmed"] = "context_trimmed"
    turn: int
    observations: int
    window: int | None = None
    files: list[str] = []


class Egress(_Event):
    """A request that left the sandbox through the egress proxy, or was refused by it."""

    type: Literal["egress"] = "egress"
    host: str
    port: int
    verdict: str
    sent: int = 0
    received: int = 0


class EpisodeResumed(_Event):
    """The run goes on in a new process after `turn`, its last whole turn.

    Events after the one numbered `after` and before this one are void: what they tell of was not kept, but what they
    used is counted. `replayed`: tool calls that were run again, since no checkpoint was as new as that turn.
    """

    type: Literal["episode_resumed"] = "episode_resumed"
    turn: int
    after: int
    replayed: int = 0
    sandbox: dict[str, Any] | None = None


class EpisodeFinished(_Event):
    """How it ended. `error` is one sentence where the plant failed; `answer` is None where there is none."""

    type: Literal["episode_finished"] = "episode_finished"
    stop_reason: StopReason
    answer: str | None = None
    error: str | None = None
    turns: int = 0
    usage: TokenUsage = TokenUsage()
    cost: float | None = None
    duration: float = 0.0
    model_seconds: float = 0.0
    tool_seconds: float = 0.0


Event = Annotated[
    EpisodeStarted
    | TurnStarted
    | ModelDelta
    | ModelWaiting
    | AssistantTurn
    | ToolStarted
    | ToolFinished
    | Reminder
    | ContextTrimmed
    | Egress
    | EpisodeResumed
    | EpisodeFinished,
    Field(discriminator="type"),
]

event_adapter: TypeAdapter[Event] = TypeAdapter(Event)
