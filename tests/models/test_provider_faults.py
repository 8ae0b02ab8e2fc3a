"""What a provider can do wrong, at the level of whole episodes (faults F5, F6, F11 to F17)."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

import workroom
from tests.fakes import FakeServer, Reply, openai
from tests.models.fault_support import BASH, DONE, KINDS, QUICK, Kind, Played, Wire, play, run
from tests.models.support import KEY
from workroom.errors import ConfigError
from workroom.models.base import Usage
from workroom.models.retry import RetryPolicy
from workroom.trajectory import Event

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=KINDS)
def wire(request: pytest.FixtureRequest) -> Wire:
    return Wire(request.param)


# F5: the server is killed in the middle of its answer

_HALF = """
import sys, time
from tests.fakes import FakeServer
from tests.models.fault_support import Wire
wire = Wire(sys.argv[1])
events = wire.events("half an answer that goes on", ("execute_bash", {"command": "touch half"}))
with FakeServer([wire.stream(events[:-3], done=False, end="hang")]) as server:
    print(server.port, flush=True)
    time.sleep(60)
"""


@contextmanager
def half_a_server(kind: Kind) -> Iterator["tuple[subprocess.Popen[str], int]"]:
    process = subprocess.Popen([sys.executable, "-c", _HALF, kind], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def test_a_server_killed_in_its_answer_and_started_again(wire: Wire) -> None:
    seen: list[Event] = []
    with half_a_server(wire.kind) as (process, port), ExitStack() as stack:

        def on_event(event: Event) -> None:
            seen.append(event)
            if event.type == "model_delta" and event.kind == "tool_call" and process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
            if event.type == "model_waiting" and event.attempt == 2:  # it was away for one try
                stack.enter_context(FakeServer([wire.says("", *DONE)], port=port))

        policy = RetryPolicy(attempts=6, first_wait=0.1, max_wait=0.2)
        model = wire.model(f"http://127.0.0.1:{port}")
        played = Played(asyncio.run(run(model, mode="sandbox", on_event=on_event, retry=policy)), [])
    first, second = played.waits[:2]
    assert "broke" in first.error
    assert "is the server running" in second.error
    assert {wait.turn for wait in played.waits} == {1}
    [turn] = played.turns  # no half message
    assert (turn.turn, turn.content, len(turn.calls)) == (1, "", 2)
    assert (played.end.stop_reason, played.end.answer, played.end.turns) == ("submitted", "42", 1)
    # Both requests are counted: what was cut, and the whole answer.
    assert first.usage is not None
    assert first.usage.completion > 0
    assert first.usage.prompt > 0
    assert first.usage.estimated
    assert second.usage is None
    assert played.end.usage.prompt == first.usage.prompt + turn.usage.prompt
    assert played.end.usage.completion == first.usage.completion + turn.usage.completion
    assert played.end.usage.estimated


def test_what_cut_answers_used_ends_the_tries(wire: Wire) -> None:
    cut = wire.stream(wire.events("word " * 400)[:-4], done=False, end="cut")
    played = play(wire, lambda _: cut, limits=workroom.agent.EpisodeLimits(max_tokens=1000))
    assert played.end.stop_reason == "max_tokens"
    assert len(played.requests) == 2
    assert played.end.usage.completion == pytest.approx(2 * 500, rel=0.05)


def test_the_last_failing_call_is_counted_too(wire: Wire) -> None:
    cut = wire.stream(wire.events("word " * 40)[:-4], done=False, end="cut")
    played = play(wire, lambda _: cut)
    assert (played.end.stop_reason, len(played.requests)) == ("model_error", QUICK.attempts)
    assert played.end.usage.completion == pytest.approx(QUICK.attempts * 50, rel=0.1)


def test_a_call_that_the_deadline_ends_is_counted(wire: Wire) -> None:
    hanging = wire.stream(wire.events("word " * 40)[:-4], done=False, end="hang")
    played = play(wire, [hanging], limits=workroom.agent.EpisodeLimits(max_time=3))
    assert played.end.stop_reason == "max_time"
    assert played.end.usage.completion == pytest.approx(50, rel=0.1)


# F6: the server hangs


def test_a_server_that_hangs_is_tried_again_and_given_up(wire: Wire) -> None:
    hanging = Reply(pieces=[], content_type="text/event-stream", end="hang")
    trickling = wire.stream([": still here"] * 1000, done=False, delay=0.05)
    policy = RetryPolicy(attempts=2, first_wait=0.01)
    played = play(wire, [hanging, trickling], options={"first": 0.4, "timeout": 1.5}, retry=policy)
    assert "silent for 0.4 s" in played.waits[0].error
    assert played.end.stop_reason == "model_error"
    assert "no complete answer within 1.5 s; gave up after 2 tries" in str(played.end.error)


# F11: rate limits


@pytest.mark.parametrize("told", ["seconds", "date", "nothing"])
def test_a_rate_limit_is_waited_out_and_is_no_turn(told: str, wire: Wire) -> None:
    wait = 2.0 if told == "date" else 0.3
    headers = {"seconds": {"Retry-After": "0.3"}, "date": {}, "nothing": {}}[told]

    def refuse(_: Any) -> Reply:
        date = {"Retry-After": formatdate(time.time() + wait, usegmt=True)} if told == "date" else headers
        return wire.error(429, "slow down", headers=date)

    played = play(wire, [refuse, wire.says("done")])
    assert (played.end.stop_reason, played.end.answer, played.end.turns) == ("submitted", "done", 1)
    first, second = played.requests
    least = {"seconds": 0.3, "date": 0.9, "nothing": 0.2}[told]  # a date has whole seconds
    assert second.time - first.time >= least
    assert played.waits[0].usage is None
    assert played.turns[0].duration < 5
    assert played.end.usage.prompt == played.turns[0].usage.prompt


# F12: bursts of failures


def test_a_burst_of_failures_is_waited_out(wire: Wire) -> None:
    replies = [wire.error(status, "oops") for status in (500, 502, 503, 529)]
    played = play(wire, [*replies, wire.says("done")], retry=RetryPolicy(attempts=8, first_wait=0.01, max_wait=0.02))
    assert (played.end.stop_reason, played.end.turns, len(played.waits)) == ("submitted", 1, 4)


@pytest.mark.parametrize("status", [500, 502, 503, 529])
def test_a_server_that_goes_on_failing_is_given_up(status: int, wire: Wire) -> None:
    played = play(wire, lambda _: wire.error(status, "oops"))
    assert (played.end.stop_reason, played.end.answer) == ("model_error", None)
    assert len(played.requests) == QUICK.attempts
    assert f"HTTP {status}: oops" in str(played.end.error)


# F13: the context overflows: old observations are cut, and where nothing is left to cut it ends


def test_an_overflow_that_nothing_helps_against_ends_it(wire: Wire) -> None:
    words = "prompt is too long: 9000 tokens > 8000 maximum"
    work = wire.says("", (BASH, {"command": "seq -s, 1 2000"}))
    played = play(wire, [work, *[wire.error(400, words)] * 20], mode="sandbox")
    assert (played.end.stop_reason, played.end.turns) == ("context_overflow", 2)
    assert 3 <= len(played.requests) <= 6  # once as it was, then with ever less of what may be left out
    assert "output: " not in str(played.end.error)


# F14: the key is refused in the middle


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_ends_it_at_once_and_what_is_there_is_kept(status: int, wire: Wire) -> None:
    work = wire.says("", (BASH, {"command": "echo so far > answer.txt"}))
    played = play(wire, [work, wire.error(status, f"invalid x-api-key {KEY}")], mode="sandbox")
    assert (played.end.stop_reason, played.end.answer, played.end.turns) == ("model_error", "so far", 2)
    assert len(played.requests) == 2
    assert not played.waits
    assert f"check {wire.kind.upper()}_API_KEY" in str(played.end.error)


# F15: the network


@contextmanager
def resetting() -> Iterator[str]:
    with FakeServer(lambda _: Reply(pieces=[b"x"], end="reset")) as server:
        yield server.root


@contextmanager
def not_tls() -> Iterator[str]:
    with FakeServer([]) as server:
        yield server.root.replace("http:", "https:")


@contextmanager
def closed() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize("broken", [resetting, not_tls, closed])
def test_a_broken_connection_is_tried_again_and_given_up(broken: Any, wire: Wire) -> None:
    with broken() as root:
        played = Played(asyncio.run(run(wire.model(root))), [])
    assert played.end.stop_reason == "model_error"
    assert len(played.waits) == QUICK.attempts - 1
    assert f"gave up after {QUICK.attempts} tries" in str(played.end.error)


def test_a_name_that_does_not_resolve(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    played = Played(asyncio.run(run(wire.model("http://model.invalid"))), [])
    assert len(played.waits) == QUICK.attempts - 1
    assert "no connection to model.invalid" in str(played.end.error)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_wants_a_login(scheme: str, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """To try again cannot help: it ends at once, and says what is missing."""
    with FakeServer(lambda _: Reply(407, b"who are you?")) as proxy:
        for name in (f"{scheme}_proxy", f"{scheme.upper()}_PROXY"):
            monkeypatch.setenv(name, proxy.root)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        played = Played(asyncio.run(run(wire.model(f"{scheme}://model.invalid"))), [])
    assert played.end.stop_reason == "model_error"
    assert "the proxy on the way to model.invalid wants a login" in str(played.end.error)
    assert not played.waits


# F16: 200, and no answer


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(body=b'{"choices": ['), id="malformed"),
        pytest.param(Reply(body=b"<html><title>Log in</title></html>", content_type="text/html"), id="HTML"),
        pytest.param(Reply(body=b""), id="empty"),
        pytest.param(Reply(body=b"[" * 100_000), id="nested"),
        pytest.param(Reply(body=b'{"a": 1}', headers={"Content-Length": "100"}, end="cut"), id="too long"),
        pytest.param(
            Reply(body=b'{"choices": [{"message": 1}]}', headers={"Content-Length": "9"}, end="cut"), id="cut"
        ),
    ],
)
def test_nonsense_is_tried_again_and_given_up(reply: Reply, wire: Wire) -> None:
    played = play(wire, [reply, wire.says("done")])
    assert (played.end.stop_reason, len(played.waits)) == ("submitted", 1)
    played = play(wire, lambda _: reply)
    assert (played.end.stop_reason, len(played.requests)) == ("model_error", QUICK.attempts)


# F17: a stream that is cut


@pytest.mark.parametrize("end", ["close", "cut", "reset"])
def test_a_call_that_was_cut_off_is_never_run(end: str, wire: Wire) -> None:
    """Before, inside and after the call: all is void until the server says how its answer ended."""
    events = wire.events("I go.", (BASH, {"command": "touch ran"}))
    last = next(
        number
        for number, event in enumerate(events)
        if event.get("type") == "message_delta" or any(c["finish_reason"] for c in event.get("choices", ()))
    )
    cuts = [wire.stream(events[:count], done=False, end=end) for count in range(last + 1)]
    look = (BASH, {"command": "ls /testbed"})
    policy = RetryPolicy(attempts=50, first_wait=0.001, max_wait=0.001)
    played = play(wire, [*cuts, wire.says("", look, *DONE)], mode="sandbox", retry=policy)
    assert len(played.waits) == len(cuts)
    assert played.end.stop_reason == "submitted"
    assert "ran" not in played.tools[0].observation.split()
    assert len(played.turns) == 1


@pytest.mark.parametrize("end", ["close", "cut", "reset"])
def test_an_answer_without_its_end_mark_is_run_once(end: str, wire: Wire) -> None:
    """No `[DONE]`, no `message_stop`: the server had said how it ended."""
    events = wire.events("", (BASH, {"command": "echo x >> log; cat log"}))
    events = events[:-1] if wire.kind == "anthropic" else events
    cut = wire.stream([*events, ": bye"], done=False, end=end, delay=0.01)
    played = play(wire, [cut, wire.says("", *DONE)], mode="sandbox")
    assert played.tools[0].observation.count("x\n") == 1
    assert (played.end.stop_reason, played.waits) == ("submitted", [])


def test_a_stream_of_comments_alone_is_no_answer(wire: Wire) -> None:
    comments = wire.stream([": keep-alive"] * 5, done=False)
    played = play(wire, [comments, wire.says("done")])
    assert (played.end.answer, len(played.waits)) == ("done", 1)
    assert "ends before it is complete" in played.waits[0].error


# The command's view


def test_a_run_that_its_provider_failed_is_recorded_as_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with FakeServer(lambda _: openai.error(401, f"Incorrect API key provided: {KEY}")) as server:
        result = workroom.run("x", model="openai/fake", base_url=server.url, mode="llm", out=tmp_path / "out")
    assert result.stop_reason == "model_error"
    kept = b"".join(path.read_bytes() for path in (tmp_path / "out").iterdir())
    assert b'"status": "failed"' in kept
    assert KEY.encode() not in kept
    assert Usage() == Usage(result.usage.prompt, result.usage.completion)


def test_the_time_of_an_answer_is_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(ConfigError, match="model_timeout must be a number above 0"):
        workroom.run("x", model_timeout=0)
    hanging = Reply(pieces=[], end="hang")
    with FakeServer(lambda _: hanging) as server:
        result = workroom.run(
            "x",
            model="openai/fake",
            base_url=server.url,
            mode="llm",
            out=tmp_path / "out",
            model_timeout=0.3,
            max_time=8.0,
        )
    waits = [event for event in result.trajectory if event.type == "model_waiting"]
    assert "no complete answer within 0.3 s" in waits[0].error
    assert result.stop_reason == "model_error"  # it was still being tried again when the time was over
