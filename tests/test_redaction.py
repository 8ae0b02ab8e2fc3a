"""A provider's key is in nothing that a run leaves or a sandbox is given (fault F36)."""

import asyncio
import hashlib
import json
from pathlib import Path

import pytest

from tests.cli.command import workroom
from tests.fakes import FakeServer, Handler, Reply, Request, anthropic, openai
from workroom import redaction
from workroom.models.base import Completion, Delta, Message, Model, ModelHints, Sampling, ToolCall
from workroom.models.redacting import RedactingModel
from workroom.redaction import Redactor
from workroom.sandbox.base import FileEntry
from workroom.task import Task

# One with what JSON and URLs escape, one that begins like it, one for another provider, a password.
KEY = 'sk-C4n4ry/+="\\&1'
OTHER = "sk-C4n4ry-other-provider"
SERVER_KEY = "a1b2c3d4e5"
PASSWORD = "pass-w0rd-0f-the-gateway"
KEYS = {"OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": OTHER, "WORKROOM_API_KEY": f"{SERVER_KEY},second-server-key-2"}
SOURCE = Path(redaction.__file__).parents[1]
SECRETS = [KEY, OTHER, SERVER_KEY, PASSWORD]


@pytest.fixture
def redactor(monkeypatch: pytest.MonkeyPatch) -> Redactor:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(
        "OPENAI_BASE_URL", f"https://me:{PASSWORD}@example.org/v1?api-key=in-the-query-1&version=2024-05-01"
    )
    return Redactor()


@pytest.mark.parametrize("key", [*SECRETS, "second-server-key-2", "in-the-query-1"])
def test_texts_and_bytes_however_they_are_escaped(redactor: Redactor, key: str) -> None:
    escaped = json.dumps(key)[1:-1]
    for form in (key, escaped, escaped.replace("/", "\\/")):
        assert redactor.text(f"a{form}b{form}") == "a{0}b{0}".format("*" * len(form))
        assert redactor.data(b"\0" + form.encode()) == b"\0" + b"*" * len(form)
    value = redactor.value({"x": [{key: f"<{key}>"}], "n": 1})
    assert value == {"x": [{"*" * len(key): f"<{'*' * len(key)}>"}], "n": 1}


def test_what_is_no_key_stays(redactor: Redactor, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "version 2024-05-01 of sk-C4n4ry and a second server-key"
    assert redactor.text(text) == text
    for placeholder in ("", "none", "EMPTY", "not-needed"):
        monkeypatch.setenv("OPENAI_API_KEY", placeholder)
        assert Redactor().text(f"there is none, EMPTY or not-needed: {placeholder}.") == (
            f"there is none, EMPTY or not-needed: {placeholder}."
        )


def test_a_key_given_in_a_call_counts_from_then_on() -> None:
    redactor = Redactor()
    assert redactor.text("k-given-in-a-call-7") == "k-given-in-a-call-7"
    redaction.remember("k-given-in-a-call-7")
    assert redactor.text("k-given-in-a-call-7") == "*" * 19


def test_a_key_that_is_forgotten_is_looked_for_no_more() -> None:
    redactor = Redactor()
    for key in ("the-key-of-episode-1", "the-key-of-episode-2"):
        redaction.remember(key)
        assert redactor.text(f"<{key}>") == f"<{'*' * len(key)}>"
        redaction.forget(key)
    assert redactor.text("the-key-of-episode-1, the-key-of-episode-2") == "the-key-of-episode-1, the-key-of-episode-2"


def test_escapes_in_arguments(redactor: Redactor) -> None:
    hidden = '{"command": "echo \\u0073' + json.dumps(OTHER)[2:-1] + '"}'
    assert json.loads(hidden) == {"command": f"echo {OTHER}"}
    assert json.loads(redactor.arguments(hidden)) == {"command": f"echo {'*' * len(OTHER)}"}
    for broken in ('{"command": "\\u00', "[" * 10_000 + "\\u0041"):
        assert redactor.arguments(broken) == broken


def test_files_and_documents(redactor: Redactor, tmp_path: Path) -> None:
    data = b"\0" * 5 + OTHER.encode() + b"tail" + OTHER.encode()
    good = tmp_path / "good.bin"
    good.write_bytes(b"nothing here")
    (tmp_path / "empty").write_bytes(b"")
    bad = tmp_path / f"{OTHER}.bin"
    bad.write_bytes(data)
    task = Task(f"use {OTHER}", documents={"good": good, "bad": bad, "text": f"key={OTHER}", "gone": tmp_path / "gone"})
    clean, names = redactor.task(task)
    expected = data.replace(OTHER.encode(), b"*" * len(OTHER))
    assert clean.prompt == f"use {'*' * len(OTHER)}"
    assert dict(clean.documents) == {
        "good": good,
        "bad": expected,
        "text": f"key={'*' * len(OTHER)}",
        "gone": tmp_path / "gone",
    }
    assert names == ["the prompt", "the document bad", "the document text"]
    paths = [good, tmp_path / "empty", bad]
    entries = [FileEntry(p.name, p.stat().st_size, hashlib.sha256(p.read_bytes()).hexdigest()) for p in paths]
    after, changed = redactor.files(tmp_path, entries)
    name = f"{'*' * len(OTHER)}.bin"
    assert changed == [name]
    assert after[:2] == entries[:2]
    assert after[2] == FileEntry(name, len(data), hashlib.sha256(expected).hexdigest())
    assert (tmp_path / name).read_bytes() == expected
    assert not bad.exists()


class Echo:
    """A model that streams its text in pieces of `size` characters."""

    def __init__(self, text: str, size: int) -> None:
        self.name = "test/echo"
        self.window: int | None = None
        self.hints = ModelHints()
        self.text, self.size = text, size
        self.seen: tuple[Message, ...] = ()

    async def complete(self, messages, tools=(), *, sampling: Sampling | None = None, on_delta=None) -> Completion:  # type: ignore[no-untyped-def]
        self.seen = tuple(messages)
        for start in range(0, len(self.text), self.size):
            on_delta(Delta("content", self.text[start : start + self.size]))
        call = ToolCall("id", "execute_bash", json.dumps({"command": self.text}))
        return Completion(Message("assistant", self.text, self.text, (call,), provider={"text": [self.text]}))

    def for_task(self, task_id: str) -> "Echo":
        return self

    async def aclose(self) -> None:
        pass


def said(model: Model, message: Message) -> tuple[str, Message]:
    told: list[str] = []
    completion = asyncio.run(model.complete([message], on_delta=lambda delta: told.append(delta.text)))
    return "".join(told), completion.message


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("text", [f"<{KEY}|{OTHER}>", f"{KEY}{KEY[:-1]}", f"sk-sk-C4n4{OTHER} sk-C4n4ry", "sk-C4n4ry/"])
def test_a_model_neither_tells_nor_is_told_a_key(text: str, size: int, redactor: Redactor) -> None:
    inner = Echo(text, size)
    streamed, message = said(RedactingModel(inner, redactor), Message("tool", text, tool_call_id="x"))
    clean = redactor.text(text)
    assert streamed == message.content == message.reasoning == clean
    assert message.provider == {"text": [clean]}
    assert message.tool_calls[0].arguments == redactor.text(json.dumps({"command": text}))
    assert inner.seen[0].content == clean


# The whole command line


def leaks(place: Path, *outputs: str) -> list[str]:
    """Where a secret, or most of one, stands in what a run left and said."""
    texts = {str(path): path.read_bytes() for path in place.rglob("*") if path.is_file()}
    texts |= {f"output {number}": output.encode() for number, output in enumerate(outputs)}
    texts |= {f"name {path}": str(path).encode() for path in place.rglob("*")}
    forms = {form for key in SECRETS for form in (key, json.dumps(key)[1:-1], json.dumps(json.dumps(key)[1:-1])[1:-1])}
    return [f"{form} in {where}" for where, data in texts.items() for form in forms if form.encode() in data]


def planted(kind: str) -> list[Reply | Handler]:
    """A server that tells its clients' keys wherever it can."""
    keys = " ".join(SECRETS)
    write = {"command": f"printf %s '{KEY}' > output/a.txt; printf '%s' 'sk-C4n4ry' -other-provider > output/b.bin; "
             f"echo '{PASSWORD}' | tee output/{SERVER_KEY}.txt"}  # fmt: skip
    # The sandbox puts one together, as no check of what goes in could know.
    join = {"command": "printf '%s%s' sk-C4n4ry -other-provider | tee output/b.bin; echo 42 > answer.txt"}
    if kind == "openai":
        return [
            openai.error(500, f"who sent {keys}?"),
            openai.assistant(f"You are {keys}", reasoning=f"Hm, {keys}", calls=[("execute_bash", write), (OTHER, {})]),
            openai.assistant(calls=[("execute_bash", join)]),
            openai.assistant(calls=[("submit", {})]),
        ]
    return [
        anthropic.error(529, f"who sent {keys}?", type="overloaded_error"),
        anthropic.message(
            [anthropic.thinking(f"Hm, {keys}"), anthropic.text(keys), anthropic.tool_use("execute_bash", write)]
        ),
        anthropic.message([anthropic.tool_use("execute_bash", join, "toolu_2")]),
        anthropic.message([anthropic.tool_use("submit", {}, "toolu_3")]),
    ]


@pytest.mark.parametrize("flags", [[], ["--json"]])
@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_planted_keys_are_nowhere(kind: str, flags: list[str], tmp_path: Path) -> None:
    document = tmp_path / "notes.txt"
    document.write_text(f"export OPENAI_API_KEY='{KEY}'\nexport ANTHROPIC_API_KEY={OTHER}\n")
    work = tmp_path / "work"
    work.mkdir()
    with FakeServer(planted(kind)) as server:
        url = (server.url if kind == "openai" else server.root).replace("//", f"//me:{PASSWORD}@")
        env = {**KEYS, "OPENAI_BASE_URL": url, "ANTHROPIC_BASE_URL": url}
        arguments: list[str | Path] = ["-m", f"{kind}/fake", "-i", document, "-o", "out", *flags]
        done = workroom(work, "run", f"Say {KEY} and {OTHER}", *arguments, "--network", "none", env=env)
        sent = [request.body.decode() for request in server.requests]
    assert done.returncode == 0, done.stderr
    assert leaks(work, done.stdout, done.stderr) == []
    assert not any(json.dumps(key)[1:-1] in body for body in sent for key in SECRETS)
    out = work / "out"
    assert (out / "answer.txt").read_text() == "42"
    assert (out / "files" / "b.bin").read_bytes() == b"*" * len(OTHER)
    manifest = json.loads((out / "files" / "manifest.json").read_text())["files"]
    for entry in manifest:
        data = (out / "files" / entry["path"]).read_bytes()
        assert (entry["size"], entry["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    for held in ("the prompt", "the document notes.txt", "the file b.bin"):
        assert f"{held} held an API key" in done.stderr
    assert json.loads((out / "run.json").read_text())["redacted"] == ["b.bin"]


@pytest.mark.parametrize("flags", [["--mode", "llm"], ["--network", "none"]])
def test_a_key_that_is_refused_is_told_nowhere(flags: list[str], tmp_path: Path) -> None:
    def refuse(request: Request) -> Reply:
        return openai.error(401, f"Incorrect API key provided: {KEY}, {request.headers['authorization']}, {PASSWORD}")

    with FakeServer(refuse) as server:
        env = {**KEYS, "OPENAI_BASE_URL": server.url.replace("//", f"//me:{PASSWORD}@")}
        done = workroom(tmp_path, "run", "x", "-m", "openai/fake", "-o", "out", *flags, env=env)
    assert done.returncode == 4
    assert leaks(tmp_path, done.stdout, done.stderr) == []
    assert "refused the API key" in done.stderr


def test_mistakes_and_crashes_tell_no_key(tmp_path: Path) -> None:
    env = {**KEYS, "PYTHONPATH": f"{tmp_path}:{SOURCE}", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    wrong = workroom(tmp_path, "run", "x", "-m", f"{OTHER}/model", env=KEYS)
    assert wrong.returncode == 2
    assert leaks(tmp_path, wrong.stdout, wrong.stderr) == []
    boom = "import os, workroom._run as run\ndef fail(self): raise RuntimeError(os.environ['OPENAI_API_KEY'])\n"
    (tmp_path / "sitecustomize.py").write_text(f"{boom}run.Run.prepare = fail\n")
    crashed = workroom(tmp_path, "run", "x", "-m", "openai/fake", env=env)
    assert crashed.returncode == 1
    assert leaks(tmp_path, crashed.stdout, crashed.stderr) == []
    assert list((tmp_path / "cache").rglob("traceback-*.txt"))
