"""What outlasts what: sandboxes that were put to rest, servers that stop or are killed, clients that go away."""

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from tests.serve.support import Server
from workroom.sandbox.ledger import entries


def text_of(answer: Any) -> str:
    return str(answer.choices[0].message.content)


def boxes(server: Server) -> int:
    """How many sandboxes of the server's process are there."""
    return sum(entry.pid == server.process.pid for entry in entries())


@contextmanager
def asking(server: Server, text: str, **options: Any) -> Iterator[list[Any]]:
    """Asks in a thread; what came of it, an answer or an exception, is in the list afterwards."""
    came: list[Any] = []
    client = server.client()

    def ask() -> None:
        try:
            came.append(server.say(text, client=client, **options))
        except openai.APIError as error:
            came.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield came
    finally:
        server.model.go.set()
        thread.join()


def open_sandboxes(server: Server) -> int:
    line = next(line for line in server.get("/metrics").text.splitlines() if line.startswith("workroom_open_sandboxes"))
    return int(float(line.split()[1]))


def test_a_sandbox_is_put_to_rest_and_woken(place: Path) -> None:
    with Server(place, "--idle", "0.5") as server:
        first = server.say("RUN echo mine > /root/mine; echo x > output/x.txt")
        server.wait_for(lambda: open_sandboxes(server) == boxes(server) == 0)
        body = {"conversation": first.conversation["id"]}
        assert text_of(server.say("RUN cat /root/mine", extra_body=body)) == "It said: mine"


def test_files_that_cannot_be_put_back_are_told_or_done_without(place: Path) -> None:
    with Server(place) as server:
        asked: list[Any] = [{"role": "user", "content": "RUN echo mine > /root/mine"}]
        first = server.say("", messages=asked)
        server.stop()
        for part in (server.state / "conversations").glob("*/sandbox/[0-9]*"):
            part.write_bytes(b"x" * part.stat().st_size)  # as another image's would be: no checkpoint of this one
        server.start()
        with pytest.raises(openai.ConflictError) as caught:
            server.say("RUN cat /root/mine", extra_body={"conversation": first.conversation["id"]})
        assert caught.value.code == "conversation_not_restorable"
        asked += [{"role": "assistant", "content": text_of(first)}, {"role": "user", "content": "RUN cat /root/mine"}]
        assert "No such file" in text_of(server.say("", messages=asked))


def test_what_is_left_alone_is_removed_with_all_its_files(place: Path) -> None:
    with Server(place, "--keep", "1") as server:
        answer = server.say("RUN echo x > output/x.txt")
        server.wait_for(lambda: server.get(f"/v1/conversations/{answer.conversation['id']}").status_code == 404)
        assert server.get(answer.choices[0].message.files[0]["url"].removeprefix(server.root)).status_code == 404
        server.wait_for(lambda: boxes(server) == 0)
        assert not list((server.state / "conversations").iterdir())
        assert not list((server.state / "files").iterdir())


def test_conversations_outlast_a_server_that_stops_and_one_that_is_killed(place: Path) -> None:
    with Server(place) as server:
        first = server.say("RUN echo one > /root/mine; echo x > output/x.txt")
        body = {"conversation": first.conversation["id"]}
        link = first.choices[0].message.files[0]["url"].removeprefix(server.root)
        assert server.stop() == 0
        assert boxes(server) == 0
        server.start()
        assert text_of(server.say("RUN cat /root/mine; echo two > /root/mine", extra_body=body)) == "It said: one"
        with asking(server, "WAIT RUN echo three > /root/mine", extra_body=body) as came:
            assert server.model.asked.wait(60)
            server.kill()
        assert isinstance(came[0], openai.APIConnectionError)
        server.start()
        assert text_of(server.say("RUN cat /root/mine", extra_body=body)) == "It said: two"
        assert server.get(link).content == b"x\n"
        runs = next((server.state / "conversations").iterdir()) / "runs"
        states = [json.loads((run / "run.json").read_text())["status"] for run in sorted(runs.iterdir())]
        assert states == ["finished"] * 3  # nothing is left of the one that was killed


def test_the_first_signal_waits_for_the_step_under_way(place: Path) -> None:
    with Server(place) as server:
        first = server.say("RUN echo kept > /root/mine")
        with asking(server, "WAIT RUN touch /root/new", extra_body={"conversation": first.conversation["id"]}) as came:
            assert server.model.asked.wait(60)
            server.process.send_signal(signal.SIGTERM)
            server.wait_for(lambda: server.get("/health").json()["status"] == "closing")
            refused = server.post("/v1/chat/completions", json={"model": "obedient", "messages": []})
            assert refused.status_code in (400, 503)
            with pytest.raises(openai.InternalServerError) as caught:
                server.say("SAY late")
            assert caught.value.code == "shutting_down"
            server.model.go.set()
            assert server.process.wait(60) == 0
        assert came[0].code == "shutting_down"
        assert boxes(server) == 0
        server.join()


def test_the_second_signal_does_not(place: Path) -> None:
    with Server(place) as server, asking(server, "WAIT SAY x") as came:
        assert server.model.asked.wait(60)
        server.process.send_signal(signal.SIGINT)
        server.wait_for(lambda: server.get("/health").json()["status"] == "closing")
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(60) == 130
        assert boxes(server) == 0
        server.join()
    assert isinstance(came[0], openai.APIError)


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_away_frees_its_place_after_the_step(place: Path, stream: bool) -> None:
    with Server(place, "--concurrency", "1") as server:
        asked = [{"role": "user", "content": "WAIT RUN touch /root/x"}]
        body = json.dumps({"model": "obedient", "messages": asked, "stream": stream}).encode()
        host, port = server.root.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), 60) as sock:
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
            sock.sendall(head.encode() + body)
            assert server.model.asked.wait(60)
        server.wait_for(lambda: 'requests_total{method="POST"' in server.get("/metrics").text)
        server.model.go.set()
        assert text_of(server.say("SAY next")) == "next"
        assert len(server.model.prompts) == 2  # no step was begun after it
        gone = next(line for line in server.requests if line.get("error") == "client_closed_request")
        # The line has what was used, though that came after the client had gone.
        assert (gone["status"], gone["stop_reason"], gone["prompt_tokens"] > 0) == (
            200 if stream else 499, "interrupted", True
        )  # fmt: skip


def test_what_is_cancelled_is_counted_and_logged_as_it_is_charged(place: Path) -> None:
    with Server(place, "--grace", "0.5") as server:
        hasty, body = server.client().with_options(timeout=1), {"conversation": "warm"}
        server.say("SAY x", extra_body=body)
        with pytest.raises(openai.APITimeoutError):
            server.say("RUN sleep 60", client=hasty, extra_body=body)
        server.wait_for(lambda: len(server.requests) == 2)
        lines = server.requests
        assert (lines[1]["status"], lines[1]["stop_reason"]) == (499, "cancelled")
        used = [sum(line[f"{kind}_tokens"] for line in lines) for kind in ("prompt", "completion")]
        metrics = server.get("/metrics").text
        assert 'workroom_episodes_total{stop_reason="cancelled"} 1.0' in metrics
        assert f'workroom_tokens_total{{kind="prompt"}} {used[0]}.0' in metrics
        assert f'workroom_tokens_total{{kind="completion"}} {used[1]}.0' in metrics
        assert json.loads((server.state / "usage.json").read_text())["local"]["tokens"] == sum(used)


def test_the_line_is_bounded_and_in_order(place: Path) -> None:
    with Server(place, "--concurrency", "1", "--queue", "1") as server:
        with asking(server, "WAIT SAY first") as first:
            assert server.model.asked.wait(60)
            with asking(server, "SAY second", stream=False) as second:
                server.wait_for(lambda: server.get("/health").json()["waiting"] == 1)
                with pytest.raises(openai.RateLimitError) as caught:
                    server.say("SAY third")
                assert caught.value.code == "rate_limit_exceeded"
                assert int(caught.value.response.headers["retry-after"]) > 0
                server.model.go.set()
        assert [text_of(came[0]) for came in (first, second)] == ["first", "second"]
        assert server.get("/health").json()["running"] == 0


def test_one_request_at_a_time_in_a_conversation(place: Path) -> None:
    with Server(place) as server:
        name = {"conversation": "mine"}
        with asking(server, "WAIT SAY x", extra_body=name) as came:
            assert server.model.asked.wait(60)
            with pytest.raises(openai.ConflictError) as caught:
                server.say("SAY y", extra_body=name)
            assert caught.value.code == "conversation_busy"
            assert httpx2.delete(f"{server.url}/conversations/mine", timeout=60).status_code == 409
        assert text_of(came[0]) == "x"
        assert text_of(server.say("SAY y", extra_body=name)) == "y"


def test_a_conversation_whose_sandbox_died_goes_on_from_its_last_save(place: Path) -> None:
    with Server(place) as server:
        body = {"conversation": "mine"}
        server.say("RUN echo one > /root/mine", extra_body=body)
        for task in Path(f"/proc/{server.process.pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                os.kill(int(child), signal.SIGKILL)
        server.wait_for(lambda: boxes(server) == 0)
        assert text_of(server.say("RUN cat /root/mine", extra_body=body)) == "It said: one"
