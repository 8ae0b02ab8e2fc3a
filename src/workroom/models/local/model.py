"""A local model as a `Model`: it gets what is missing and starts its server when it is first called."""

import asyncio
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

from workroom.errors import ConfigError
from workroom.models.base import Completion, Delta, Message, Model, Sampling, ToolSpec
from workroom.models.local.build import ensure_server
from workroom.models.local.catalog import TEMPLATES, LocalEntry, find
from workroom.models.local.paths import Progress
from workroom.models.local.server import Lease, Settings, attach, command_of, start, state_folder
from workroom.models.local.weights import ensure_weights

Kind = Literal["native", "json", "bash"]
_KINDS = ("native", "json", "bash")
_CONTROL_TOKEN = re.compile(r"<(?=\|\w+\|>)")


def open_local(
    name: str, *, protocol: str = "auto", token_ids: bool = False, on_progress: Progress | None = None
) -> Model:
    """The local model of that name or path, with or without `local/`. Nothing is downloaded, built or started before
    its first call, which tells `on_progress` in words what it waits for.

    `protocol`: how tools are called; `auto` takes what the model does best. `token_ids`: completions tell them. Raises
    ConfigError for an unknown name, a path that leads to no model or a `WORKROOM_LOCAL_…` setting that is none.
    """
    entry = find(name)
    kind: Kind = entry.hints.protocol
    if protocol != "auto":
        if protocol not in _KINDS:
            raise ConfigError(f"There is no protocol {protocol!r}; there are: auto, {', '.join(_KINDS)}.")
        kind = cast("Kind", protocol)
    return LocalModel(entry, kind, Settings.of_environment(), on_progress or (lambda _: None), token_ids=token_ids)


class LocalModel:
    """Speaks to the llama-server of this model, which all processes of this user share.

    The server may stop between calls, for idleness or at the user's wish: every call attaches anew.
    """

    def __init__(
        self, entry: LocalEntry, kind: Kind, settings: Settings, progress: Progress, *, token_ids: bool = False
    ) -> None:
        self.name = entry.full_name
        self.window: int | None = entry.context
        self.hints = replace(entry.hints, protocol=kind)
        self._entry = entry
        self._settings = settings
        self._progress = progress
        self._token_ids = token_ids
        self._command: list[str] | None = None
        self._speakers: dict[bool, Model] = {}
        self._address = ("", "")

    async def complete(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec] = (),
        *,
        sampling: Sampling | None = None,
        on_delta: Callable[[Delta], None] | None = None,
    ) -> Completion:
        """One model call; see `Model.complete`. The first one may download, build and start what is needed.

        Raises ConfigError where a tool for the build is missing, ModelError where one of these steps fails.
        """
        lease = await self._attach()
        try:
            speaker = await self._speaker(lease, with_tools=bool(tools))
            plain = without_control_tokens(messages)
            return await speaker.complete(plain, tools, sampling=sampling, on_delta=on_delta)
        finally:
            lease.release()

    def for_task(self, task_id: str) -> "LocalModel":  # noqa: ARG002
        return self

    async def aclose(self) -> None:
        """Closes the connections. The server goes on until it has been idle for a while."""
        speakers, self._speakers = self._speakers, {}
        for speaker in speakers.values():
            await speaker.aclose()

    async def _attach(self) -> Lease:
        if self._command is not None and (lease := attach(state_folder(self._entry, self._command))):
            return lease
        given_up = threading.Event()
        work = asyncio.create_task(asyncio.to_thread(self._start, given_up.is_set))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            given_up.set()  # ends what the thread has started, within a moment
            work.add_done_callback(_release)
            raise

    def _start(self, cancelled: Callable[[], bool]) -> Lease:
        binary = ensure_server(self._progress, cancelled)
        weights = ensure_weights(self._entry, self._progress, cancelled)
        self._command = command_of(self._entry, self._settings, binary, weights)
        return attach(state_folder(self._entry, self._command)) or start(
            self._entry, self._settings, self._command, self._progress, cancelled
        )

    async def _speaker(self, lease: Lease, *, with_tools: bool) -> Model:
        """The adapter for the server's present address, which asks for tool calls in this model's way."""
        if self._address != (lease.url, lease.key):
            await self.aclose()
            self._address = (lease.url, lease.key)
        if with_tools not in self._speakers:
            self._speakers[with_tools] = self._new_speaker(lease, with_tools=with_tools)
        return self._speakers[with_tools]

    def _new_speaker(self, lease: Lease, *, with_tools: bool) -> Model:
        from workroom.models.openai import OpenAIModel
        from workroom.models.text import TextProtocolModel

        kind = self.hints.protocol
        extra: dict[str, Any] = {}
        if with_tools and kind == "native":
            # A small model that makes several calls at once makes up what the first of them gives.
            extra["parallel_tool_calls"] = False
        if with_tools and kind == "bash" and self._entry.grammar:
            extra["grammar"] = (TEMPLATES / "bash-block.gbnf").read_text(encoding="utf-8")
        plain = OpenAIModel(
            self.name,
            base_url=lease.url,
            api_key=lease.key,
            served_name=self.name,
            hints=self.hints,
            window=self.window,
            extra=extra,
            token_ids=self._token_ids,
        )
        return plain if kind == "native" or not with_tools else TextProtocolModel(plain, kind)


def without_control_tokens(messages: Sequence[Message]) -> list[Message]:
    """The messages with a blank in each text that the server would read as a control token: `<|im_end|>` in a file that
    the model looks at would end the message, and what follows would pass for the system's or the user's words."""

    def plain(value: Any) -> Any:
        return _CONTROL_TOKEN.sub("< ", value) if isinstance(value, str) else value

    return [
        replace(
            message,
            content=plain(message.content),
            tool_calls=tuple(replace(call, arguments=plain(call.arguments)) for call in message.tool_calls),
            provider=message.provider and {key: plain(value) for key, value in message.provider.items()},
        )
        for message in messages
    ]


def _release(work: "asyncio.Task[Lease]") -> None:
    """Lets go of a server that came up after the caller had given up."""
    if not work.cancelled() and not isinstance(work.exception(), BaseException):
        work.result().release()
