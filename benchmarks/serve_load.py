"""Conversations with a server, as its clients have them: a file in, several requests, files out, and an end.

The script's commands depend on the file alone, so that every answer can be checked: what a conversation gets must be of
its own file and of no other's.
"""

import asyncio
import base64
import hashlib
import json
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai

from workroom._run import Run
from workroom.agent.chat import Chat
from workroom.config import from_arguments
from workroom.models.base import Message
from workroom.sandbox import Limits, Sandbox
from workroom.task import Task

REQUESTS = 6  # of a conversation
_NAME = "notes.txt"
# Every request plays all of them.
_TURNS: tuple[str | None, ...] = (
    f"wc -c documents/{_NAME}; tr a-z A-Z < documents/{_NAME} > output/upper.txt",
    f"sha256sum < documents/{_NAME} | cut -c 1-64 | tee output/sum.txt",
    None,
)
_MADE = {"upper.txt", "sum.txt"}
_PROMPT = "What is in my file? Make what is useful of it."
_ANSWER = "That is what is in your file."


def write_script(path: Path) -> Path:
    """The model's turns: a command, or the answer where there is None."""
    lines = []
    for command in _TURNS:
        line: dict[str, Any] = {
            "content": _ANSWER if command is None else "I look.",
            "reasoning_content": "Let me see.",
        }
        if command is not None:
            arguments = json.dumps({"command": command})
            line["tool_calls"] = [{"type": "function", "function": {"name": "execute_bash", "arguments": arguments}}]
        line["usage"] = {"prompt_tokens": 900, "completion_tokens": 40}
        lines.append(json.dumps(line) + "\n")
    path.write_text("".join(lines))
    return path


@dataclass
class Tally:
    """What came of it, in seconds. `requests`: from sending to the end of the answer, as the client sees it.
    `episodes`: of these, what the episode itself took, as its run tells."""

    requests: list[float] = field(default_factory=list)
    episodes: list[float] = field(default_factory=list)
    conversations: int = 0
    errors: list[str] = field(default_factory=list)

    @property
    def overheads(self) -> list[float]:
        """What serving added to each episode."""
        return [request - episode for request, episode in zip(self.requests, self.episodes, strict=True)]


async def keep_up(
    level: int, seconds: float, pause: float, tally: Tally, one: Callable[[int, float], Awaitable[None]]
) -> None:
    """`level` conversations at a time for that long, each followed by a new one; what fails is counted.

    They begin one after the other within one pause, and none is begun when the time is up.
    """
    end, number = time.monotonic() + seconds, iter(range(1 << 30))

    async def line(place: int) -> None:
        await asyncio.sleep(pause * place / level)
        while time.monotonic() < end:
            try:
                await one(next(number), end)
                tally.conversations += 1
            except Exception as error:  # noqa: BLE001 - whatever it was, it is an error of the thing under load
                tally.errors.append(f"{type(error).__name__}: {error}")

    await asyncio.gather(*(line(place) for place in range(level)))


class Client:
    """Conversations through HTTP with the official client; every other request is streamed."""

    def __init__(self, url: str, model: str, pause: float, tally: Tally) -> None:
        self._client = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0, timeout=600)
        self._model = model
        self._pause = pause
        self._tally = tally

    async def aclose(self) -> None:
        await self._client.close()

    async def conversation(self, number: int, end: float) -> None:
        """One conversation from its first request to its removal; shorter where the time is up."""
        text = notes(number)
        part, uploaded = await self._attached(text, number)
        name = f"load-{number}"
        for request in range(REQUESTS):
            content: Any = [{"type": "text", "text": _PROMPT}, part] if request == 0 else _PROMPT
            answer = await self._ask(content, name, stream=(number + request) % 2 == 0)
            made = {file["filename"]: file["id"] for file in answer.get("files") or ()}
            _check(set(made) == _MADE, f"request {request} made {sorted(made)}")
            _check(answer["content"].startswith(_ANSWER), f"request {request} was answered {answer['content']!r}")
            if request == 0:
                came = (await self._client.files.content(made["sum.txt"])).content.decode().strip()
                _check(came == hashlib.sha256(text.encode()).hexdigest(), "the file is of another conversation")
            if time.monotonic() > end:
                break
            await asyncio.sleep(self._pause * random.uniform(0.5, 1.5))
        await self._client.delete(f"/conversations/{name}", cast_to=object)
        if uploaded is not None:
            await self._client.files.delete(uploaded)

    async def _attached(self, text: str, number: int) -> tuple[dict[str, Any], str | None]:
        """The file as a part of a message, uploaded before in every other conversation."""
        if number % 2:
            file = await self._client.files.create(file=(_NAME, text.encode()), purpose="user_data")
            return {"type": "file", "file": {"file_id": file.id}}, file.id
        data = "data:text/plain;base64," + base64.b64encode(text.encode()).decode()
        return {"type": "file", "file": {"filename": _NAME, "file_data": data}}, None

    async def _ask(self, content: Any, name: str, *, stream: bool) -> dict[str, Any]:
        """One request; the message that is the answer."""
        asked: Any = {"model": self._model, "messages": [{"role": "user", "content": content}]}
        asked["extra_body"] = {"conversation": name}
        message: dict[str, Any] = {}
        facts: dict[str, Any] = {}
        began = time.perf_counter()
        if stream:
            said = ""
            async for chunk in await self._client.chat.completions.create(stream=True, **asked):
                delta = chunk.choices[0].delta
                said += delta.content or ""
                message |= delta.model_extra or {}
                facts |= (chunk.model_extra or {}).get("workroom", {})
            message["content"] = said
        else:
            answer = await self._client.chat.completions.create(**asked)
            message = answer.choices[0].message.model_dump()
            facts |= (answer.model_extra or {})["workroom"]
        self._tally.requests.append(time.perf_counter() - began)
        self._tally.episodes.append(facts["duration"])
        return message


class Direct:
    """The same episodes in this process, without a server: a sandbox for each conversation, and nothing saved."""

    def __init__(self, model: str, pause: float, tally: Tally, folder: Path) -> None:
        self._settings = from_arguments({"model": model, "network": "none"})
        self._pause = pause
        self._tally = tally
        self._folder = folder

    async def conversation(self, number: int, end: float) -> None:
        """One conversation; shorter where the time is up."""
        prior: list[Message] = []
        async with Sandbox.open(network="none", limits=Limits(memory="256m", disk="64m", pids=64)) as box:
            for request in range(REQUESTS):
                documents = {_NAME: notes(number)} if request == 0 else {}
                run = Run(
                    Task(_PROMPT, documents=documents),
                    self._settings,
                    out=self._folder / f"{number}-{request}",
                    durable=False,
                    sandbox=box,
                    chat=Chat(tuple(prior)),
                )
                began = time.perf_counter()
                await asyncio.to_thread(run.prepare)
                result = await run.episode()
                self._tally.requests.append(time.perf_counter() - began)
                self._tally.episodes.append(result.duration)
                _check(result.answer == _ANSWER, f"request {request} ended {result.stop_reason}: {result.error}")
                prior += [Message("user", _PROMPT), Message("assistant", _ANSWER)]
                if time.monotonic() > end:
                    break
                await asyncio.sleep(self._pause * random.uniform(0.5, 1.5))


def notes(number: int) -> str:
    """The file of a conversation, a few kilobytes that no other one has."""
    return "".join(f"note {line} of conversation {number}\n" for line in range(100))


def _check(true: bool, what: str) -> None:
    if not true:
        raise ValueError(what)
