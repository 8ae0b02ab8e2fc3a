"""A real server process, and a model that does what the prompt says."""

import json
import re
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx2
import openai

from tests.cli.command import start
from tests.fakes import FakeServer
from tests.fakes import openai as replies
from tests.fakes.server import Reply, Request

if TYPE_CHECKING:
    import subprocess

KEY = "sk-test-0123456789"


class Obedient:
    """A model: `RUN command` in a prompt makes it run that and say what came out; `SAY text` makes it say that.

    `WAIT` makes it hold its first answer back until `go` is set. `FAIL` at the end is refused by the provider, `BREAK`
    once the command has run. `CUT` has it end in the middle of each answer (`CUT THEN SUBMIT`:
    of the first), `FILTER` has the provider's filter do so. `prompts` are the message lists that it was sent.
    """

    def __init__(self) -> None:
        self.go = threading.Event()
        self.asked = threading.Event()
        self.prompts: list[list[dict[str, Any]]] = []
        self.bodies: list[dict[str, Any]] = []

    def __call__(self, request: Request) -> Reply:
        messages = request.json["messages"]
        self.prompts.append(messages)
        self.bodies.append(request.json)
        last = messages[-1]
        text = last["content"] if isinstance(last["content"], str) else json.dumps(last["content"])
        refusal = b'{"error": {"message": "no such thing in /secret/place", "type": "invalid_request_error"}}'
        if last["role"] == "tool":
            if "BREAK" in next(str(one["content"]) for one in reversed(messages) if one["role"] == "user"):
                return Reply(400, refusal)
            said = next((line for line in text.splitlines() if line.strip() and line[0] != "["), "nothing")
            return replies.assistant(f"It said: {said.strip()}")(request)
        if text.rstrip().endswith("FAIL"):
            return Reply(400, refusal)
        if any("CUT" in str(message["content"]) for message in messages):
            if "was cut off" in text and "THEN SUBMIT" in str(messages):
                return replies.assistant("", calls=[("submit", {})])(request)
            return replies.assistant("Half of", finish_reason="length")(request)
        if "FILTER" in text:
            return replies.assistant("I was going to", finish_reason="content_filter")(request)
        if "WAIT" in text:
            self.asked.set()
            self.go.wait(30)
        if found := re.search(r"RUN (.*)", text):
            return replies.assistant("I look.", reasoning="Hm.", calls=[("execute_bash", {"command": found[1]})])(
                request
            )
        found = re.search(r"SAY (.*)", text)
        return replies.assistant(found[1] if found else "Hello.")(request)


class Server:
    """`workroom serve` in the directory `place`; `flags` and `env` as on the command line. Without a model among the
    flags it has an obedient one."""

    def __init__(self, place: Path, *flags: str | Path, env: Mapping[str, str] | None = None) -> None:
        self.model = Obedient()
        self.place = place
        self.state = place / "state"
        self.lines: list[str] = []
        self._flags = flags
        self._env = env or {}
        self._fake = FakeServer(self.model)
        self._clients: list[openai.OpenAI] = []
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self.url = ""

    def __enter__(self) -> Self:
        self._fake.__enter__()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.model.go.set()
        try:
            if self.process.poll() is None:
                self.stop()
            self.join()
        finally:
            for client in self._clients:
                client.close()
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self._fake.close()
        assert "Traceback" not in self.log

    @property
    def process(self) -> "subprocess.Popen[str]":
        assert self._process is not None
        return self._process

    @property
    def log(self) -> str:
        return "".join(self.lines)

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The log's lines about requests."""
        return [line for line in map(json.loads, (line for line in self.lines if line[0] == "{")) if "request" in line]

    @property
    def root(self) -> str:
        return self.url.removesuffix("/v1")

    def start(self) -> None:
        """Starts it, and waits until it takes requests."""
        model = () if "-m" in self._flags else ("-m", "openai/obedient", "--base-url", self._fake.url)
        self._process = start(
            self.place, "serve", *model, "--port", "0", "--state", self.state, "--network", "none", *self._flags,
            env={"OPENAI_API_KEY": "sk-of-the-provider", **self._env},
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, args=(len(self.lines),))
        self._reader.start()
        self.wait_for(lambda: self.url or self.process.poll() is not None)
        assert self.url, self.log

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ends it and gives its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(60)
        self.join()
        return code

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.join()

    def join(self) -> None:
        assert self._reader is not None
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.url = ""

    def client(self, key: str = KEY, **options: Any) -> openai.OpenAI:
        client = openai.OpenAI(base_url=self.url, api_key=key, max_retries=0, timeout=60, **options)
        self._clients.append(client)
        return client

    def get(self, path: str, **options: Any) -> httpx2.Response:
        return httpx2.get(self.root + path, timeout=60, **options)

    def post(self, path: str, **options: Any) -> httpx2.Response:
        return httpx2.post(self.root + path, timeout=60, **options)

    def say(self, text: str, *, client: openai.OpenAI | None = None, **options: Any) -> Any:
        """One chat completion with that prompt."""
        asked = [{"role": "user", "content": text}]
        return (client or self.client()).chat.completions.create(
            **{"model": "openai/obedient", "messages": asked, **options}
        )

    @staticmethod
    def wait_for(happened: Any, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < end, "it did not happen in time"
            time.sleep(0.02)

    def _read(self, _begin: int) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if found := re.match(r"workroom serve: (http\S+/v1)", line):
                self.url = found[1]
