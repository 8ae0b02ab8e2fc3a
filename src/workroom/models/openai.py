"""Models behind a Chat Completions server: OpenAI, vLLM, SGLang, llama.cpp, DeepSeek, OpenRouter and their like."""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from workroom.errors import BadRequest, ContextOverflow, ImagesRefused, ModelError
from workroom.models.base import Completion, Delta, FinishReason, Message, ModelHints, Sampling, TokenIds, ToolSpec
from workroom.models.endpoint import IDLE_TIMEOUT, Endpoint, Timing
from workroom.models.failures import ToolsUnsupported, room
from workroom.models.messages import merged
from workroom.models.openai_wire import Answer, wire_messages, wire_tools
from workroom.models.token_ids import REQUEST, Reply, whole

_logger = logging.getLogger("workroom.models")
_LEAST_ROOM = 256
_UNSUPPORTED = re.compile(
    r"unsupported|not supported|n't support|not support|deprecated|unrecognized|unknown|unexpected|not permitted"
    r"|not allowed|extra (?:inputs|fields)|must be verified|cannot both|only the default|use '",
    re.IGNORECASE,
)
_CUT_CALL = re.compile(r"end of input|missing closing", re.IGNORECASE)
_BROKEN_CALL = re.compile(r"failed to parse (?:tool call arguments|input at pos)", re.IGNORECASE)


class OpenAIModel:
    """A model behind a Chat Completions server.

    `timeout`, `first`, `idle`: as of `Endpoint`, in seconds. `extra`: further keys of every request. What the server
    turns out not to take (a parameter, streaming) is left out from then on. `token_ids`: ask for them, in answers that
    are not streamed, until the server turns out to tell none.
    """

    def __init__(
        self,
        name: str,
        *,
        base_url: str,
        api_key: str,
        served_name: str | None = None,
        timeout: float = 3600.0,
        first: float | None = None,
        idle: float = IDLE_TIMEOUT,
        hints: ModelHints | None = None,
        window: int | None = None,
        extra: Mapping[str, Any] | None = None,
        token_ids: bool = False,
    ) -> None:
        self.name = name
        self.window = window
        self.hints = hints or ModelHints()
        self._served_name = served_name if served_name is not None else name.partition("/")[2]
        self._endpoint = Endpoint(
            "openai", name, base_url=base_url, api_key=api_key, timeout=timeout, first=first, idle=idle
        )
        self._root = base_url.rstrip("/").removesuffix("/v1")
        self._extra = dict(extra or {})
        self._token_ids = token_ids
        self._refused: set[str] = set()
        # OpenAI's newer models know only the newer name; other servers may know only the older one.
        newer = "api.openai.com" in self._endpoint.provider.host
        self._max_tokens_key = "max_completion_tokens" if newer else "max_tokens"

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
                if clipped or self._max_tokens_key not in body or left is None or left < _LEAST_ROOM:
                    raise
                clipped = True  # the prompt does fit: it was the bound on the answer that was too large
                sampling = merged(Sampling(max_tokens=min(left, body[self._max_tokens_key])), sampling)
            except ToolsUnsupported:
                raise
            except BadRequest as error:
                if isinstance(error, ImagesRefused) and any(message.images for message in messages):
                    self.hints = replace(self.hints, vision=error.most != 0)
                    raise
                if not self._learn(body, str(error)):
                    raise

    def for_task(self, task_id: str) -> "OpenAIModel":  # noqa: ARG002
        return self

    async def aclose(self) -> None:
        await self._endpoint.aclose()

    async def _call(self, body: Mapping[str, Any], turn: int, on_delta: Callable[[Delta], None] | None) -> Completion:
        answer, timing = Answer(), Timing()
        finish: FinishReason | None = None
        try:
            await self._endpoint.ask("/chat/completions", body, answer, on_delta, timing)
        except ModelError as error:
            if not _BROKEN_CALL.search(str(error)):
                raise
            # llama.cpp's parser fails on a call that max_tokens cut off, or that the model wrote wrong. To try again
            # gives the same at temperature 0: it is a bad turn of the model, and no fault of the server.
            answer.drop_calls()
            finish = "length" if _CUT_CALL.search(str(error)) else "other"
        return Completion(
            message=answer.message(turn),
            finish_reason=finish or answer.finish_reason,
            usage=answer.usage,
            model=answer.model or self._served_name,
            duration=timing.duration,
            first_token=timing.first,
            tokens=await self._tokens(body, answer),
        )

    async def _tokens(self, body: Mapping[str, Any], answer: Answer) -> TokenIds | None:
        if not self._token_ids or answer.told is None:
            return None
        tokens = await whole(answer.told, self._root, body, answer.usage, self._post)
        if tokens is None:
            self._token_ids = False
            _logger.warning("%s tells no token ids; the run goes on without them", self.name)
        return tokens

    async def _post(self, url: str, body: Mapping[str, Any]) -> Any:
        reply = Reply()
        await self._endpoint.ask(url, body, reply, None, Timing())
        return reply.value

    def _body(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], sampling: Sampling, *, stream: bool
    ) -> dict[str, Any]:
        wire = wire_messages(messages, reasoning="reasoning" not in self._refused)
        body: dict[str, Any] = {"model": self._served_name, "messages": wire}
        if tools:
            body["tools"] = wire_tools(tools)
        settings = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed,
            self._max_tokens_key: sampling.max_tokens,
        }
        body |= {key: value for key, value in settings.items() if value is not None and key not in self._refused}
        if self._token_ids:  # servers tell them wrong, or not at all, in streams with tool calls
            body |= {key: value for key, value in REQUEST.items() if key not in self._refused}
        elif stream and "stream" not in self._refused:
            body["stream"] = True
            if "stream_options" not in self._refused:
                body["stream_options"] = {"include_usage": True}
        return body | self._extra

    def _learn(self, body: Mapping[str, Any], words: str) -> bool:
        """Notes what the server's refusal is about; False where the request cannot be put in another way."""
        if not _UNSUPPORTED.search(words):
            return False
        if "stream_options" in body and re.search("stream_options|include_usage", words):
            return self._refuse("stream_options")
        for key, other in (("max_tokens", "max_completion_tokens"), ("max_completion_tokens", "max_tokens")):
            if key in body and re.search(rf"\b{key}\b", words):
                if key == self._max_tokens_key and "max_tokens" in self._refused:  # both names were tried
                    return False
                self._max_tokens_key = other
                return self._refuse("max_tokens", quietly=True)
        for key in ("temperature", "top_p", "seed"):
            if key in body and re.search(rf"\b{key}\b", words):
                return self._refuse(key)
        if "return_token_ids" in body and "return_token_ids" in words:
            self._token_ids = False
            return self._refuse("return_token_ids")
        if "logprobs" in body and "logprobs" in words:
            return self._refuse("top_logprobs", quietly=True) and self._refuse("logprobs")
        if "reasoning" in words and any(key.startswith("reasoning") for m in body["messages"] for key in m):
            return self._refuse("reasoning")
        if body.get("stream") and re.search(r"\bstream", words):
            return self._refuse("stream")
        return False

    def _refuse(self, key: str, *, quietly: bool = False) -> bool:
        if not quietly:
            _logger.warning("%s does not take %s; it is left out from now on", self.name, key)
        self._refused.add(key)
        return True
