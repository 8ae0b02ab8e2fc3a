"""A Chat Completions server that answers at once, in a process of its own: its CPU is not the harness's.

It plays `script.py`: the model's name tells how many turns an episode has, and the number of assistant messages in a
request which turn it is, so that any number of episodes are served at a time. `GET /first` tells when the first request
came since it was asked the last time.
"""

import asyncio
import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from benchmarks.script import tool_call

_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_ANSWERED = re.compile(rb'"role": ?"assistant"')
_MODEL = re.compile(rb'"instant-(\d+)"')
_USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


def model_name(turns: int) -> str:
    """The model whose episodes have so many turns."""
    return f"instant-{turns}"


@cache
def answer(turn: int, turns: int) -> bytes:
    """The whole HTTP response of a turn: an event stream of two chunks."""
    name, arguments = tool_call(turn, turns)
    call = {"index": 0, "id": f"c{turn}", "type": "function", "function": {"name": name, "arguments": arguments}}
    envelope = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "instant"}
    delta = {"role": "assistant", "content": "", "tool_calls": [call]}
    chunks = [
        {**envelope, "choices": [{"index": 0, "delta": delta, "finish_reason": "tool_calls"}]},
        {**envelope, "choices": [], "usage": _USAGE},
    ]
    body = "".join(f"data: {text}\n\n" for text in (*map(json.dumps, chunks), "[DONE]")).encode()
    return _response(body, "text/event-stream")


def _response(body: bytes, kind: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


class _Connection(asyncio.Protocol):
    first: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = bytearray()

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(_HEAD_END)) >= 0:
            head = bytes(self._received[:end])
            found = _LENGTH.search(head)
            whole = end + len(_HEAD_END) + (int(found[1]) if found else 0)
            if len(self._received) < whole:
                return
            body = bytes(self._received[end:whole])
            del self._received[:whole]
            self._transport.write(self._reply(head, body))

    def _reply(self, head: bytes, body: bytes) -> bytes:
        if head.startswith(b"GET"):
            first, _Connection.first = _Connection.first, None
            return _response(json.dumps(first).encode(), "application/json")
        if _Connection.first is None:
            _Connection.first = time.monotonic()
        asked_for = _MODEL.search(body)
        return answer(len(_ANSWERED.findall(body)), int(asked_for[1]) if asked_for else 1)


@contextmanager
def instant_server() -> Iterator[str]:
    """Starts the server and yields its root URL."""
    command = [sys.executable, "-m", "benchmarks.instant_server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def first_request(root: str) -> float | None:
    """When the first request came since this was asked the last time, by `time.monotonic`."""
    with urllib.request.urlopen(f"{root}/first") as response:
        told: float | None = json.load(response)
    return told


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
