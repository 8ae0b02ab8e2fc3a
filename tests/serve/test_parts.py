"""The parts of the server that need no server: names, the line, progress, streams, fingerprints, the ledger."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from workroom.errors import ConfigError
from workroom.serve import forgotten, server, wire
from workroom.serve.ask import Said, fingerprint, without_links
from workroom.serve.errors import ApiError
from workroom.serve.forgotten import Forgotten
from workroom.serve.ledger import Ledger
from workroom.serve.line import Line
from workroom.serve.names import FreeNames, is_name, safe_name
from workroom.serve.parts import from_data
from workroom.serve.progress import Progress
from workroom.serve.settings import Key
from workroom.serve.wire import Sender
from workroom.trajectory.events import AssistantTurn, Call, ModelDelta, ToolFinished


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("a.txt", "a.txt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\x\\a b.csv", "a b.csv"),
        ("dir/", "dir"),
        ("..", "file"),
        ("", "file"),
        (" . ", "file"),
        (".bashrc", "bashrc"),
        ("a\x00b\nc\u202ed", "abcd"),
        ("\ud800x", "x"),
        ("é" * 300 + ".pdf", "é" * 58 + ".pdf"),
        ("a." + "b" * 300, "a." + "b" * 19),
        ("a" * 4_000_000, "a" * 120),
    ],
)
def test_names_are_made_safe(given: str, name: str) -> None:
    assert safe_name(given) == name


def test_names_that_are_taken_get_a_number() -> None:
    assert FreeNames({"a.tar.gz", "a.tar-2.gz"}).take("a.tar.gz") == "a.tar-3.gz"
    many = FreeNames(())
    assert [many.take("a.txt") for _ in range(30_000)][-1] == "a-30000.txt"
    assert is_name("chat-1:x@y+z.w_")
    assert not any(map(is_name, ("", "-x", "a/b", "a b", "é", "a\n", "x" * 129)))


def test_the_line_lets_nobody_of_another_key_wait_for_a_key_that_is_busy() -> None:
    async def work() -> None:
        one, other = Key("one", concurrency=1), Key("other")
        line = Line(2, 2)
        first, second = line.join(one), line.join(one)
        assert (first.ready.done(), second.ready.done()) == (True, False)
        third = line.join(other)
        assert third.ready.done()
        fourth = line.join(other)
        assert line.ahead(fourth) == 1
        with pytest.raises(ApiError) as caught:
            line.join(other)
        assert (caught.value.status, line.waiting) == (429, 2)
        line.leave(first)
        assert second.ready.done()
        line.leave(fourth)
        line.leave(fourth)
        for place in (second, third):
            line.leave(place)
        assert (line.working, line.waiting) == (0, 0)

    asyncio.run(work())


def test_progress_cannot_break_out_of_its_blocks() -> None:
    progress = Progress()
    call = Call(id="1", name="execute_bash", arguments='{"command": "echo ```; printf \\"\\\\u001b[2J\\""}')
    told = progress.tell(AssistantTurn(turn=1, content="I look.", reasoning="Hm.", calls=[call]))
    assert told.startswith("Hm.\n\nI look.\n\n````\n$ echo ```;")
    out = progress.tell(ToolFinished(turn=1, call_id="1", name="x", observation="\x1b[2J`````\n" + "line\n" * 1000))
    assert out.startswith("``````\n\ufffd[2J`````\n")
    assert "more lines" in out
    assert len(out) < 300
    assert progress.tell(AssistantTurn(turn=2, content="The answer.")) == ""


def test_reasoning_is_told_once_as_it_streams() -> None:
    progress = Progress()
    pieces = [progress.tell(ModelDelta(turn=1, kind="reasoning", text=text)) for text in ("I ", "think")]
    pieces.append(progress.tell(ModelDelta(turn=1, kind="content", text="The answer")))
    pieces.append(progress.tell(AssistantTurn(turn=1, content="The answer", reasoning="I think")))
    assert "".join(pieces) == "I think"
    assert progress.tell(AssistantTurn(turn=2, content="", reasoning="More.")) == "\n\nMore.\n\n"


def test_broken_arguments_of_a_call_are_told_too() -> None:
    for arguments in ("{", "[]", "null", ""):
        call = Call(id="1", name="execute_bash", arguments=arguments)
        assert "$ " in Progress().tell(AssistantTurn(turn=1, content="", calls=[call]))


def test_a_silent_stream_says_that_it_is_still_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "KEEP_ALIVE", 0.05)
    sent: list[bytes] = []

    async def work() -> None:
        enough = asyncio.Event()

        async def send(message: Any) -> None:
            sent.append(message["body"])
            if len(sent) == 3:
                enough.set()

        sender = Sender(send)
        ticker = asyncio.create_task(sender.keep_alive())
        await sender.event({"a": "é\n"})
        await enough.wait()
        ticker.cancel()

    asyncio.run(work())
    assert sent[0] == b'data: {"a": "\\u00e9\\n"}\n\n'
    assert sent[1].startswith(b": ")


def test_fingerprints_are_of_what_was_said() -> None:
    link = "[x.txt](http://h/files/file-0123456789abcdef01234567/" + "a" * 40 + "/x.txt)"
    said = [Said("user", "a  b"), Said("assistant", f"c\n\n{link}\n!{link}")]
    assert fingerprint(said) == fingerprint([Said("user", "a b\n"), Said("assistant", "c")])
    assert fingerprint(said) != fingerprint(said, "somebody")
    assert fingerprint(said) != fingerprint([Said("assistant", "a b"), Said("user", "c")])
    assert without_links(f"see {link}") == f"see {link}"  # what the model wrote itself stays
    hostile = "[" + "](" * 200_000 + "/files/file-"  # no time that grows with the square of its length
    assert without_links(hostile) == hostile


@pytest.mark.parametrize("data", ["YWI\n=", "YW\r\nI", " YWI= ", "data:text/plain;base64,YW%0AI"])
def test_base64_is_taken_as_browsers_take_it(data: str) -> None:
    assert from_data(data, "x", "file").content == b"ab"
    with pytest.raises(ApiError, match="broken"):
        from_data("YWI!", "x", "file")


def test_what_is_forgotten_stays_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgotten, "_MOST", 10)
    gone = Forgotten(tmp_path / "forgotten")
    gone.add("a", ["1" * 64, "2" * 64])
    assert gone.has("a", "1" * 64)
    assert not gone.has("b", "1" * 64)
    gone.add("a", [str(number) * 64 for number in range(3, 10)] + ["x" * 64, "y" * 64])
    again = Forgotten(tmp_path / "forgotten")
    assert again.has("a", "y" * 64)
    assert not again.has("a", "1" * 64)  # the oldest go


def test_a_connection_without_a_request_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_SILENT", 0.2)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(1)  # longer than silence may be: it is not silent
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def work() -> list[bytes]:
        sock = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(app, http=server._Patient, ws="none", lifespan="off", log_config=None, loop="asyncio")
        running = server._Uvicorn(config)
        task = asyncio.create_task(running.serve([sock]))
        came = []
        for sent in (b"", b"GET / HTTP/1.1\r\nHo", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"):
            reader, writer = await asyncio.open_connection(*sock.getsockname())
            writer.write(sent)
            came.append(await asyncio.wait_for(reader.read(), 30))  # to its end
            writer.close()
        running.should_exit = True
        await task
        return came

    nothing, half, whole = asyncio.run(work())
    assert nothing == half == b""
    assert whole.endswith(b"\r\n\r\nok")


def test_the_ledger_counts_what_is_under_way(tmp_path: Path) -> None:
    key = Key("k", budget_tokens=100, budget_usd=1.0)
    ledger = Ledger(tmp_path / "usage.json")
    assert ledger.left(key) == {"max_tokens": 100, "max_cost": 1.0}
    for tokens, dollars, bound in ((100, 0.0, "max_tokens"), (0, 1.0, "max_cost")):
        ledger.running(key, tokens, dollars)
        assert ledger.spent(key) == bound
        ledger.running(key, -tokens, -dollars)
    assert ledger.spent(key) is None
    ledger.charge(key, 60, 0.25)
    ledger.save()
    again = Ledger(tmp_path / "usage.json")
    assert again.left(key) == {"max_tokens": 40, "max_cost": 0.75}
    again.charge(key, 0, 0.75)
    with pytest.raises(ApiError) as caught:
        again.left(key)
    assert caught.value.code == "insufficient_quota"
    (tmp_path / "usage.json").write_text("[1")
    with pytest.raises(ConfigError, match="budgets"):  # not as if nothing had been used
        Ledger(tmp_path / "usage.json")
