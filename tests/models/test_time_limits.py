"""How long a call may take: connection, first piece, silence within, in all (fault F6)."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.fakes import FakeServer, Reply, anthropic, openai
from tests.models.support import KEY, Deltas, ask
from workroom.errors import Overloaded
from workroom.models import endpoint
from workroom.models.anthropic import AnthropicModel
from workroom.models.base import Completion, Usage
from workroom.models.openai import OpenAIModel

KINDS = ["openai", "anthropic"]
COMMENT = ": keep-alive"


def call(kind: str, reply: Reply, *, stream: bool = True, **limits: Any) -> Completion:
    with FakeServer([reply]) as server:
        if kind == "openai":
            return ask(
                OpenAIModel("openai/fake", base_url=server.url, api_key=KEY, **limits),
                on_delta=Deltas() if stream else None,
            )
        return ask(
            AnthropicModel("anthropic/fake", base_url=server.root, api_key=KEY, **limits),
            on_delta=Deltas() if stream else None,
        )


def parts(kind: str, text: str) -> list[Any]:
    return openai.chunks(text) if kind == "openai" else anthropic.events([anthropic.text(text)])


def streamed(kind: str, events: list[Any], **options: Any) -> Reply:
    if kind == "openai":
        return openai.stream(events, done="end" not in options, **options)
    return anthropic.stream([f"{event}\n\n" if isinstance(event, str) else event for event in events], **options)


def begun(kind: str) -> int:
    """How many events of `parts` there are up to the first piece of text."""
    return 2 if kind == "openai" else 4


@contextmanager
def deaf() -> Iterator[int]:
    """A port that takes no connection, and refuses none."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
        yield port
        for sock in waiting:
            sock.close()


def test_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "CONNECT_TIMEOUT", 0.3)
    with deaf() as port, pytest.raises(Overloaded, match=r"no connection to .* within 0\.3 s"):
        ask(OpenAIModel("openai/fake", base_url=f"http://127.0.0.1:{port}/v1", api_key=KEY))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [0, 1])
def test_no_first_piece(kind: str, count: int) -> None:
    reply = streamed(kind, parts(kind, "words")[:count], end="hang")
    with pytest.raises(Overloaded, match=r"silent for 0\.2 s before its answer") as caught:
        call(kind, reply, first=0.2, idle=0.01)
    assert caught.value.usage == (Usage(15, 1, 4, cache_written=2) if kind == "anthropic" and count else None)


@pytest.mark.parametrize("kind", KINDS)
def test_silence_within_an_answer(kind: str) -> None:
    reply = streamed(kind, parts(kind, "a long answer")[: begun(kind)], end="hang")
    with pytest.raises(Overloaded, match=r"fell silent for 0\.2 s in the middle") as caught:
        call(kind, reply, idle=0.2)
    assert caught.value.usage is not None
    assert caught.value.usage.completion == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stream", [False, True])
def test_in_all(kind: str, stream: bool) -> None:
    hanging = Reply(pieces=[], end="hang")
    trickling = streamed(kind, [COMMENT] * 1000, delay=0.05)  # a byte now and then, for ever
    for reply in (hanging, trickling):
        started = time.monotonic()
        with pytest.raises(Overloaded, match=r"no complete answer within 0\.4 s"):
            call(kind, reply, stream=stream, timeout=0.4)
        assert 0.4 <= time.monotonic() - started < 30  # the first call loads the SDK


@pytest.mark.parametrize("kind", KINDS)
def test_one_who_thinks_in_silence_is_waited_for(kind: str) -> None:
    """Silence before the answer counts against the whole time alone; a comment ends a silence anywhere."""
    events = parts(kind, "words and more")
    before, after = events[: begun(kind)], events[begun(kind) :]
    silent = streamed(kind, [events[0], COMMENT, *events[1:]], delay=0.15)
    assert call(kind, silent, idle=1.0, timeout=20).message.content == "words and more"
    commented = streamed(kind, [*[COMMENT] * 8, *before, *[COMMENT] * 8, *after], delay=0.08)
    assert call(kind, commented, first=0.5, idle=0.5).message.content == "words and more"


def test_the_defaults_leave_half_an_hour_to_think() -> None:
    model = OpenAIModel("openai/fake", base_url="http://127.0.0.1:9/v1", api_key=KEY)
    assert model._endpoint._first == model._endpoint._timeout == 3600
