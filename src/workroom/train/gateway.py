"""A gateway to the policy for agents that are not ours: Chat Completions outside, token ids inside.

Each rollout has an address of its own. An unmodified agent talks to it as to any OpenAI endpoint, and what it is
answered is recorded as it was sampled.

    async with Gateway(sampler, ChatTemplate(tokenizer, protocol="native"), window=16_384, max_tokens=2_048) as gateway:
        await work(task, base_url=gateway.url("task-7.1"), api_key=gateway.key)
        rows = gateway.rows("task-7.1")
"""

import hmac
import logging
import re
import secrets
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from workroom.errors import AuthError, BadRequest, ContextOverflow, ModelError, RateLimited
from workroom.http_server import HOST, HttpServer, Request, Response
from workroom.train.conversation import Conversation
from workroom.train.openai_requests import (
    ChatRequest,
    Refused,
    Said,
    dump,
    messages_of,
    read_request,
    stream,
    tools_of,
    whole,
)
from workroom.train.policy import room, spoken
from workroom.train.rows import train_rows

if TYPE_CHECKING:
    from workroom.models.base import TokenIds
    from workroom.train.chat import ChatTemplate
    from workroom.train.records import TrainRow
    from workroom.train.sampler import Sampler

_logger = logging.getLogger("workroom.train")
_PATH = re.compile(r"(?:/rollout/(?P<rollout>[\w.-]{1,128}))?/v1/(?P<what>models|chat/completions)")


class Gateway:
    """Serves `sampler` as `model` on loopback, on a `port` that the system chooses unless one is given.

    `key` is the bearer key that requests need, a random one unless given. `window` and `max_tokens` (of one reply) in
    tokens. How to sample belongs to the algorithm: what a request asks of temperature, top_p and penalties is passed
    over. Stop words cut the text of a reply, not what was sampled. Streams are told after the reply is sampled.

    Use as a context manager. Records of rollouts are kept until `forget`.
    """

    def __init__(
        self,
        sampler: "Sampler",
        chat: "ChatTemplate",
        *,
        window: int,
        max_tokens: int,
        model: str = "policy",
        temperature: float = 1.0,
        key: str | None = None,
        port: int = 0,
    ) -> None:
        self.key = key or secrets.token_urlsafe(32)
        self.model = model
        self._sampler = sampler
        self._chat = chat
        self._window = window
        self._max_tokens = max_tokens
        self._temperature = temperature
        self._server = HttpServer(self._answer, port=port)
        self._rollouts: dict[str, Conversation] = {}

    async def __aenter__(self) -> Self:
        """Raises OSError where the port is taken."""
        await self._server.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.__aexit__(kind, error, trace)

    def url(self, rollout: str) -> str:
        """The base URL of a rollout: letters, digits, `_`, `.` and `-`. Raises ValueError for another name."""
        if not re.fullmatch(r"[\w.-]{1,128}", rollout, re.ASCII):
            raise ValueError(f"{rollout!r} cannot be part of an address")
        return f"http://{HOST}:{self._server.port}/rollout/{rollout}/v1"

    def calls(self, rollout: str) -> "tuple[TokenIds, ...]":
        """The ids of every call that was answered, in order; none for a rollout that has not called."""
        conversation = self._rollouts.get(rollout)
        return conversation.calls if conversation is not None else ()

    def rows(self, rollout: str) -> "tuple[TrainRow, ...]":
        """What the rollout sampled, as rows; several where its prompts do not go on from one another."""
        return train_rows(self.calls(rollout), interleaved=True)

    def forget(self, rollout: str) -> None:
        """Drops what is recorded of a rollout."""
        self._rollouts.pop(rollout, None)

    async def _answer(self, request: Request) -> Response:
        try:
            return await self._routed(request)
        except Refused as error:
            refused = error
        except ModelError as error:
            refused = _refused(error)
        except Exception:
            _logger.exception("the gateway failed on a request to %s", request.path)
            refused = Refused(500, "the gateway failed; its log tells why")
        return Response(refused.status, refused.body)

    async def _routed(self, request: Request) -> Response:
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, f"Bearer {self.key}".encode()):
            raise Refused(401, "the key is missing or wrong", code="invalid_api_key", kind="authentication_error")
        found = _PATH.fullmatch(request.path)
        if found is None or (found["rollout"] is None and found["what"] != "models"):
            raise Refused(404, f"there is nothing at {request.path}; a rollout is served at /rollout/ID/v1")
        wanted = "GET" if found["what"] == "models" else "POST"
        if request.method != wanted:
            raise Refused(405, f"{request.path} takes {wanted} only")
        if found["what"] == "models":
            entry = {"id": self.model, "object": "model", "created": 0, "owned_by": "workroom"}
            return Response(200, dump({"object": "list", "data": [entry | {"max_model_len": self._window}]}))
        asked = read_request(request.body)
        said = await self._say(found["rollout"], asked)
        return (
            Response(200, stream(asked, said), "text/event-stream")
            if asked.stream
            else Response(200, whole(asked, said))
        )

    async def _say(self, rollout: str, asked: ChatRequest) -> Said:
        messages, tools = messages_of(asked), tools_of(asked)
        conversation = self._rollouts.setdefault(rollout, Conversation(self._chat))
        prompt = conversation.prompt(messages, tools)
        bound = room(self.model, prompt, self._window, min(asked.bound or self._max_tokens, self._max_tokens))
        sampled = await self._sampler.sample(prompt, max_tokens=bound, temperature=self._temperature, seed=asked.seed)
        text, stopped = _cut(self._chat.text(sampled.ids), asked.stops)
        offered = () if asked.tool_choice == "none" else tools
        message, finish = spoken(text, offered, len(messages), cut=sampled.finish == "length" and not stopped)
        conversation.add(messages, tools, prompt, sampled, message)
        pieces = [self._chat.text([token]) for token in sampled.ids] if asked.logprobs else []
        return Said(message, finish, prompt, sampled.ids, sampled.logprobs, pieces)


def _cut(text: str, stops: list[str]) -> tuple[str, bool]:
    """The text before the first of the stop words, and whether there was one."""
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    return (text[: min(places)], True) if places else (text, False)


_STATUS: Mapping[type[ModelError], int] = {RateLimited: 429, AuthError: 502, BadRequest: 400}


def _refused(error: ModelError) -> Refused:
    if isinstance(error, ContextOverflow):
        return Refused(400, str(error), code="context_length_exceeded", param="messages")
    status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 503)
    return Refused(status, str(error))
