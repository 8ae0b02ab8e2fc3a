"""Models behind Anthropic's Messages API."""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from workroom.errors import BadRequest, ContextOverflow, ImagesRefused
from workroom.models.anthropic_wire import Answer, wire_request
from workroom.models.base import Completion, Delta, Message, ModelHints, Sampling, ToolSpec
from workroom.models.endpoint import IDLE_TIMEOUT, Endpoint, Timing
from workroom.models.failures import room
from workroom.models.messages import merged

_logger = logging.getLogger("workroom.models")
_DEFAULT_MAX_TOKENS = 16_384  # the API wants a bound; models that allow less say so, and are then given that
_LEAST_ROOM = 256
_ALLOWED_OUTPUT = re.compile(r"max_tokens: \d+ > (\d+)")


class AnthropicModel:
    """A model behind the Messages API. `timeout`, `first`, `idle`: as of `Endpoint`, in seconds."""

    def __init__(
        self,
        name: str,
        *,
        base_url: str,
        api_key: str,
        timeout: float = 3600.0,
        first: float | None = None,
        idle: float = IDLE_TIMEOUT,
        hints: ModelHints | None = None,
    ) -> None:
        self.name = name
        self.window: int | None = None
        self.hints = hints or ModelHints()
        self._served_name = name.partition("/")[2]
        self._endpoint = Endpoint(
            "anthropic", name, base_url=base_url, api_key=api_key, timeout=timeout, first=first, idle=idle
        )
        self._allowed_output: int | None = None
        self._refused: set[str] = set()

    async def complete(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec] = (),
        *,
        sampling: Sampling | None = None,
        on_delta: Callable[[Delta], None] | None = None,
    ) -> Completion:
        """One model call; see `Model.complete`. A request is repeated only where the server refuses a parameter."""
        sampling = merged(sampling, self.hints.sampling)
        clipped = False
        await self._endpoint.prepare()
        while True:
            body = self._body(messages, tools, sampling, stream=on_delta is not None)
            try:
                return await self._call(body, len(messages), on_delta)
            except ContextOverflow as error:
                self.window = error.window or self.window
                left = room(error)
                if clipped or left is None or left < _LEAST_ROOM:
                    raise
                clipped = True  # the prompt does fit: it was the bound on the answer that was too large
                sampling = merged(Sampling(max_tokens=min(left, body["max_tokens"])), sampling)
            except BadRequest as error:
                if isinstance(error, ImagesRefused) and any(message.images for message in messages):
                    self.hints = replace(self.hints, vision=error.most != 0)
                    raise
                if not self._learn(body, str(error)):
                    raise

    def for_task(self, task_id: str) -> "AnthropicModel":  # noqa: ARG002
        return self

    async def aclose(self) -> None:
        await self._endpoint.aclose()

    async def _call(self, body: Mapping[str, Any], turn: int, on_delta: Callable[[Delta], None] | None) -> Completion:
        answer, timing = Answer(), Timing()
        await self._endpoint.ask("/v1/messages", body, answer, on_delta, timing)
        return Completion(
            message=answer.message(turn),
            finish_reason=answer.finish_reason,
            usage=answer.usage,
            model=answer.model or self._served_name,
            duration=timing.duration,
            first_token=timing.first,
        )

    def _body(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], sampling: Sampling, *, stream: bool
    ) -> dict[str, Any]:
        bound = sampling.max_tokens or _DEFAULT_MAX_TOKENS
        body: dict[str, Any] = {
            "model": self._served_name,
            "max_tokens": min(bound, self._allowed_output or bound),
            **wire_request(messages, tools),
        }
        settings = {"temperature": sampling.temperature, "top_p": sampling.top_p}
        body |= {key: value for key, value in settings.items() if value is not None and key not in self._refused}
        if sampling.seed is not None and "seed" not in self._refused:
            self._refuse("seed")  # the API has none
        if stream:
            body["stream"] = True
        return body

    def _learn(self, body: Mapping[str, Any], words: str) -> bool:
        """Notes what the server's refusal is about; False where the request cannot be put in another way."""
        if (told := _ALLOWED_OUTPUT.search(words)) and int(told[1]) < body["max_tokens"]:
            self._allowed_output = int(told[1])
            return True
        if re.search(r"deprecated|n't support|not support|unsupported|cannot both|not allowed", words):
            # `top_p` first: of the two, the temperature is what a user sets on purpose.
            for key in ("top_p", "temperature"):
                if key in body and re.search(rf"\b{key}\b", words):
                    self._refuse(key)
                    return True
        return False

    def _refuse(self, key: str) -> None:
        _logger.warning("%s does not take %s; it is left out from now on", self.name, key)
        self._refused.add(key)
