"""A server that is killed (SIGKILL) at bad moments leaves nothing behind once the next one has started, and what a
conversation had is there again.
"""

import contextlib
import socket
import threading
import time
from pathlib import Path
from typing import Any

import openai

from benchmarks.serve_process import descendants
from tests.serve.support import KEY, Server
from workroom.sandbox.cgroup import hierarchy
from workroom.sandbox.ledger import start_time, state_dir

ROUNDS = 3


def text_of(answer: Any) -> str:
    return str(answer.choices[0].message.content)


class Family:
    """What belongs to the server's process: processes, and what on the host bears its name."""

    def __init__(self, server: Server) -> None:
        pid = server.process.pid
        self._name = f"{pid}-{start_time(pid)}"
        self._started = {child: start_time(child) for child in descendants(pid)}

    @property
    def alive(self) -> list[int]:
        """Those of its processes that are still there, told apart from others that have their numbers by now."""
        return [pid for pid, started in self._started.items() if started and start_time(pid) == started]

    @property
    def traces(self) -> list[Path]:
        """Files, sockets and control groups of its sandboxes."""
        groups = hierarchy()
        roots = {state_dir(), *(groups.parents.values() if groups else ())}
        return [path for root in roots for path in root.rglob(f"*{self._name}*")]


def sleeping(server: Server) -> set[str]:
    """For how long each `sleep` below the server sleeps."""
    found = set()
    for pid in descendants(server.process.pid):
        with contextlib.suppress(OSError):
            name, _, rest = Path(f"/proc/{pid}/cmdline").read_text().partition("\0")
            found |= {rest.rstrip("\0")} if name.endswith("sleep") else set()
    return found


def ask(server: Server, text: str, came: list[Any], **options: Any) -> threading.Thread:
    client = server.client()

    def work() -> None:
        try:
            came.append(server.say(text, client=client, **options))
        except openai.APIError as error:
            came.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_kill_in_the_middle_of_a_command_leaves_no_process_no_sandbox_and_no_directory(place: Path) -> None:
    with Server(place) as server:
        kept = server.say("RUN echo one > /root/mine; echo x > output/x.txt")
        body = {"conversation": kept.conversation["id"]}
        came: list[Any] = []
        begun = [
            ask(server, "RUN echo two > /root/mine; sleep 400", came, extra_body=body),
            ask(server, "RUN (sleep 500 &); sleep 600", came, extra_body={"conversation": "never-finished"}),
        ]
        server.wait_for(lambda: {"400", "500", "600"} <= sleeping(server))
        family = Family(server)
        assert family.traces
        server.kill()
        for thread in begun:
            thread.join()
        assert all(isinstance(error, openai.APIConnectionError) for error in came)
        server.start()
        server.wait_for(lambda: not family.alive)
        assert family.traces == []
        folders = list((server.state / "conversations").iterdir())
        assert len(folders) == 1  # that of the request that never was answered is gone
        assert [run.name for run in (folders[0] / "runs").iterdir()] == ["0001"]
        assert not list(server.state.rglob("*.tmp.*"))
        assert text_of(server.say("RUN cat /root/mine", extra_body=body)) == "It said: one"
        assert server.get("/v1/conversations/never-finished").status_code == 404


def test_kills_at_any_moment_of_a_request_leave_it_done_or_not_begun(place: Path) -> None:
    with Server(place) as server:
        body = {"conversation": "counting"}
        assert text_of(server.say("RUN echo 0 | tee /root/count", extra_body=body)) == "It said: 0"
        low = high = 0  # what the file may hold: a request that was not answered may have been saved
        for number in range(ROUNDS):
            came: list[Any] = []
            count = "RUN n=$(cat /root/count); echo $((n + 1)) > /root/count; cat /root/count"
            thread = ask(server, count, came, extra_body=body)
            time.sleep(0.08 * number)
            server.kill()
            thread.join()
            server.start()
            low, high = low + (not isinstance(came[0], openai.APIError)), high + 1
            found = int(text_of(server.say("RUN cat /root/count", extra_body=body)).removeprefix("It said: "))
            assert low <= found <= high
            low = high = found


def test_a_kill_while_a_file_comes_in_leaves_nothing_of_it(place: Path) -> None:
    with Server(place) as server:
        host, port = server.root.removeprefix("http://").split(":")
        head = (
            f"POST /v1/files HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {KEY}\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 5000000\r\n\r\n"
            '--x\r\nContent-Disposition: form-data; name="file"; filename="large"\r\n\r\n'
        )
        with socket.create_connection((host, int(port))) as sock:
            sock.sendall(head.encode() + b"x" * 3_000_000)
            server.wait_for(lambda: server.get("/health").status_code == 200)
            server.kill()
        server.start()
        assert not list((server.state / "uploads").iterdir())
        assert not list((server.state / "files").iterdir())
        assert list(server.client().files.list()) == []
