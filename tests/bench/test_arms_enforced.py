"""The arms are enforced, not asked for: what the plain arm does, the restricted one refuses, in real sandboxes."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.agent.helpers import QUICK, SUBMIT, Player, bash, call, end, says, tools
from tests.conftest import SMALL, RunInBox
from workroom.agent import Agent
from workroom.errors import ConfigError, SandboxUnavailable
from workroom.models.base import ModelHints, ToolCall
from workroom.models.text import TextProtocolModel
from workroom.sandbox import Limits, Sandbox
from workroom.sandbox.base import ANSWER_LIMIT
from workroom.task import Task
from workroom.trajectory import EpisodeStarted, Event, ToolFinished

T = TypeVar("T")
NEEDLE = "the needle of this haystack"
TASK = Task("Find the needle.", documents={"deep/a.txt": f"hay\n{NEEDLE}\n"})


def in_box(work: Callable[[Sandbox], Awaitable[T]], *, limits: Limits = SMALL) -> T:
    async def inside() -> T:
        async with Sandbox.open("bwrap", limits=limits) as box:
            return await work(box)

    return asyncio.run(inside())


def play(model: Any, task: Task = TASK, prepare: Callable[[Sandbox], Any] | None = None, **arm: Any) -> list[Event]:
    async def work(box: Sandbox) -> list[Event]:
        if prepare is not None:
            await prepare(box)
        return [event async for event in Agent(model, box, retry=QUICK, **arm).stream(task)]

    return in_box(work)


def started(events: list[Event]) -> EpisodeStarted:
    return next(event for event in events if isinstance(event, EpisodeStarted))


def create(path: str, content: str) -> ToolCall:
    return call("str_replace_editor", {"command": "create", "path": path, "file_text": content})


def view(path: str) -> ToolCall:
    return call("str_replace_editor", {"command": "view", "path": path})


# ---- documents in the prompt


@pytest.mark.parametrize("prompt", ["standard", "compact"])
def test_documents_are_in_the_prompt_or_in_the_sandbox_and_never_in_both(prompt: Any) -> None:
    look = says(
        bash(f"grep -rl --include=a.txt '{NEEDLE}' /testbed /tmp /root /var /opt; ls -A /testbed/documents"),
        SUBMIT,
    )
    for where in ("files", "prompt"):
        model = Player(look, hints=ModelHints(prompt=prompt))
        events = play(model, documents=where)
        prompts = started(events).messages
        told = " ".join(message["content"] for message in prompts[1:])
        found = tools(events)[0].observation
        assert (f"hay\n{NEEDLE}\nEND DOCUMENT 1" in told.replace("\n\n", "\n")) == (where == "prompt")
        assert ("/testbed/documents/deep/a.txt" in found) == (where == "files")
        assert ("deep" in found) == (where == "files")
        assert ("/testbed/documents" in prompts[0]["content"]) == (where == "files")


def test_a_document_that_is_no_text_cannot_go_into_the_prompt() -> None:
    events = play(Player(says(SUBMIT)), Task("x", documents={"a.bin": b"\0\1"}), documents="prompt")
    assert "a.bin is binary; a prompt can only take text" in (end(events).error or "")


# ---- no execution


def as_text(one: ToolCall) -> Any:
    """The call as the json text protocol wants it."""
    arguments = json.loads(one.arguments)
    return says(text=f"```json\n{json.dumps({'name': one.name, 'arguments': arguments})}\n```")


@pytest.mark.parametrize("protocol", ["native", "json"])
@pytest.mark.parametrize("prompt", ["standard", "compact"])
def test_without_execution_there_is_no_tool_that_runs_anything(protocol: str, prompt: Any) -> None:
    script = [bash("echo run > /testbed/ran"), view("/testbed"), create("/testbed/answer.txt", "42"), SUBMIT]
    seen = {}
    for execution in (True, False):
        hints = ModelHints(prompt=prompt, tools=None if execution else ("execute_bash", "submit"))
        inner = Player(*(as_text(one) if protocol == "json" else says(one) for one in script), hints=hints)
        model = TextProtocolModel(inner, "json") if protocol == "json" else inner
        events = play(model, execution=execution)
        seen[execution] = events
        assert end(events).answer == "42"
        assert end(events).stop_reason == "submitted"
        ran = "/testbed/ran" in tools(events)[1].observation
        assert ran == execution
        assert tools(events)[0].is_error != execution
    names = [tool["function"]["name"] for tool in started(seen[False]).tools]
    assert names == ["str_replace_editor", "submit"]
    assert (
        "there is no tool 'execute_bash'; the tools are: str_replace_editor, submit"
        in tools(seen[False])[0].observation
    )
    said = json.dumps([*started(seen[False]).messages, *started(seen[False]).tools]).lower()
    for word in ("bash", "python", "program", "command line", "grep"):
        assert word not in said
        assert word != "bash" or word in json.dumps(started(seen[True]).messages)


LIBRARY = (
    "printf '#include <fcntl.h>\\n__attribute__((constructor)) static void f(void)"
    '{ open("/testbed/loader", O_CREAT | O_WRONLY, 0644); }\' > /tmp/t.c && gcc -shared -fPIC -o /opt/t.so /tmp/t.c'
)
PICTURE = "python3 -c \"from PIL import Image; Image.new('RGB', (20, 10)).save('/testbed/a.png')\""
PACKAGES = "python3 -I -c \"import sys; print([p for p in sys.path if p.endswith('-packages')][0])\""


@pytest.mark.parametrize("execution", [True, False])
def test_what_the_editor_writes_is_never_executed(execution: bool) -> None:
    """The plain arm shows that the traps work; without execution the harness runs no program that could spring them."""

    async def work(box: Sandbox) -> set[str]:
        made = await box.exec(f"{LIBRARY} && {PICTURE} && mkdir -p /opt/x && {PACKAGES}")
        if made.exit_code != 0:
            pytest.skip(f"the image has no compiler or no Pillow: {made.stderr}")
        traps = [
            create(f"{made.stdout.strip()}/trap.pth", "import builtins; open('/testbed/python', 'w').close()\n"),
            create("/etc/profile.d/trap.sh", "touch /testbed/shell\n"),
            create("/etc/ld.so.preload", "/opt/t.so\n"),
        ]
        script = [*traps, view("/testbed/a.png"), view("/opt"), bash("true"), SUBMIT, SUBMIT]
        model = Player(*map(says, script), hints=ModelHints(vision=True))
        events = [event async for event in Agent(model, box, retry=QUICK, execution=execution).stream("x")]
        *created, picture, folder, _, _, _ = tools(events)
        assert all("was created" in one.observation for one in created)
        assert "20 x 10 pixels" in picture.observation
        assert [image.media_type for image in picture.images] == ["image/png"]
        assert "/opt/x/" in folder.observation
        assert end(events).stop_reason == "submitted"
        return {name for kind, size, name in await box.list_files("/testbed") if kind == "f" and size == 0}

    # A shell of this harness reads no profile in any arm.
    assert in_box(work) == ({"python", "loader"} if execution else set())


def test_a_sandbox_that_is_to_run_nothing_runs_nothing_for_anybody(run_in_box: RunInBox, tmp_path: Path) -> None:
    async def work(box: Sandbox) -> None:
        assert (await box.exec("true")).exit_code == 0
        box.forbid_execution()
        if box.facts.backend == "docker":  # tar of the container would do it
            for attempt in (box.fork(), box.checkpoint(tmp_path / "c"), box.save(tmp_path / "s")):
                with pytest.raises(SandboxUnavailable, match="packs files with a program of the sandbox"):
                    await attempt
            with pytest.raises(ConfigError, match="execution is off"):
                await box.exec("true")
            with pytest.raises(ConfigError, match="read_only needs the bwrap backend"):
                await box.seal()
            return
        async with await box.fork() as branch:
            for one in (box, branch):
                with pytest.raises(ConfigError, match="execution is off"):
                    await one.exec("true")
                await one.write("/testbed/a", b"x")
                assert await one.read("/testbed/a") == b"x"

    run_in_box(work)


def test_a_model_of_bash_scripts_cannot_do_without_execution(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import workroom.models
    from workroom import run

    with pytest.raises(ConfigError, match="--tool-protocol json"):
        run("x", model="local/smollm2-135m", tool_protocol="bash", execution=False, out=tmp_path / "a")
    with pytest.raises(ConfigError, match="use another tool protocol"):
        Agent(Player(hints=ModelHints(protocol="bash")), mode="sandbox", execution=False)
    asked: list[str] = []

    def opened(name: str, *, protocol: str, **_: Any) -> Any:
        asked.append(f"{name} {protocol}")
        raise ConfigError("enough")

    monkeypatch.setattr(workroom.models, "open_model", opened)
    for settings in ({"execution": False}, {}, {"execution": False, "tool_protocol": "native"}):
        with pytest.raises(ConfigError, match="enough"):
            run("x", model="local/a", out=tmp_path / "b", **settings)
    assert asked == ["local/a json", "local/a auto", "local/a native"]


# ---- read-only

MOUNT_SETATTR = (
    """python3 -c 'import ctypes as c; exit(c.CDLL(None).syscall(442, -100, b"/", 0, bytes(32), 32) != 0)'"""
)
OPEN_TREE = """python3 -c 'import ctypes as c; exit(c.CDLL(None).syscall(428, -100, b"/", 1) < 0)'"""
# What the plain arm can do (True), and what nobody can do in any arm (False): sealed, neither is possible.
ATTEMPTS = {
    "echo x > /testbed/x": True,
    "echo x >> /testbed/documents/a.txt": True,
    "touch /tmp/x": True,
    "touch /dev/shm/x": True,
    "touch /var/tmp/x": True,
    "touch ~/x": True,
    "touch /var/lib/workroom/x": True,
    "mkdir /testbed/output/x": True,
    "ln -s a /testbed/y": True,
    "ln /testbed/answer.txt /testbed/z": True,
    "mkfifo /testbed/f": True,
    "mv /testbed/documents /testbed/other": True,
    "chmod 777 /testbed": True,
    "chown 33 /etc/motd": True,
    "touch -d 2001-01-01 /etc/passwd": True,
    "truncate -s 0 /etc/passwd.new; test -e /etc/passwd.new": True,
    "rm /etc/hostname": True,
    "python3 -c \"open('/proc/self/cwd/../tmp/p', 'w')\"": True,
    "cd /proc/self/root/tmp && touch q": True,
    "python3 -c \"import os; os.open('/tmp', os.O_TMPFILE | os.O_RDWR)\"": True,
    "python3 -c \"import os; os.setxattr('/testbed', 'user.a', b'1')\"": True,
    "python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('/testbed/s')\"": True,
    'python3 -c "import tempfile; tempfile.TemporaryFile()"': True,
    "touch /run/x": True,
    "rm /testbed/answer.txt; ! test -e /testbed/answer.txt": True,
    "echo 1 > /tmp/n && mv /tmp/n /testbed/answer.txt": True,
    "mount -o remount,rw /": False,
    "mount -t tmpfs none /mnt": False,
    "mount --bind /testbed/answer.txt /etc/motd": False,
    "umount /testbed/answer.txt": False,
    "unshare -m true": False,
    "unshare -Ur true": False,
    "mknod /testbed/d b 7 0": False,
    "echo x > /proc/1/mem": False,
    "touch /proc/1/root/tmp/x": False,
    "touch /proc/1/cwd/tmp/x": False,
    "echo x > /proc/sys/kernel/hostname": False,
    "nsenter -t 1 -m touch /tmp/x": False,
    MOUNT_SETATTR: False,
    OPEN_TREE: False,
}


def test_nothing_can_be_written_where_the_sandbox_is_sealed() -> None:
    async def work(box: Sandbox, *, seal: bool) -> dict[str, int]:
        await box.write("/testbed/documents/a.txt", b"1\n")
        await box.write("/testbed/answer.txt", b"")
        if seal:
            await box.seal()
            await box.seal()
        assert (await box.exec("id -u")).stdout == "0\n"
        assert (await box.exec("head -c 100 /dev/urandom > /dev/null; cat < /testbed/documents/a.txt")).stdout == "1\n"
        came = {}
        for attempt in ATTEMPTS:
            came[attempt] = (await box.exec(attempt)).exit_code
        if seal:
            writable = await box.exec(
                "find / -path /proc -prune -o -path '/dev/[!s]*' -prune -o -writable ! -type l -print 2>/dev/null"
            )
            assert writable.stdout == "/testbed/answer.txt\n"
            assert await box.read("/testbed/documents/a.txt") == b"1\n"
            for path in ("/tmp/x", "/testbed/x", "/dev/shm/x", "/new/dir/x"):
                with pytest.raises(OSError, match="Read-only file system"):
                    await box.write(path, b"x")
        return came

    plain = in_box(lambda box: work(box, seal=False))
    sealed = in_box(lambda box: work(box, seal=True))
    assert {attempt for attempt, code in plain.items() if code == 0} == {one for one, can in ATTEMPTS.items() if can}
    assert [attempt for attempt, code in sealed.items() if code == 0] == []


ANSWERS: dict[str, list[ToolCall]] = {
    "7": [bash("echo 7 > answer.txt")],
    "8": [bash("echo 99999 > answer.txt"), bash("python3 -c \"open('/testbed/answer.txt', 'w').write('8')\"")],
    "9": [create("/testbed/answer.txt", "9\n")],
    "ten": [
        create("/testbed/answer.txt", "9\n"),
        call(
            "str_replace_editor",
            {"command": "str_replace", "path": "/testbed/answer.txt", "old_str": "9", "new_str": "ten"},
        ),
    ],
    "11": [bash("truncate -s 0 answer.txt; printf 1 >> answer.txt; printf 1 >> answer.txt")],
    "12": [bash("echo 12 | tee answer.txt")],
    "hay\nhay": [bash("cp documents/a.txt answer.txt")],
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_the_answer_can_be_written_in_every_way(answer: str) -> None:
    model = Player(says(*ANSWERS[answer], SUBMIT))
    events = play(model, Task("x", documents={"a.txt": "hay\nhay\n"}), read_only=True)
    assert (end(events).stop_reason, end(events).answer) == ("submitted", answer)
    assert not any(one.is_error for one in tools(events))


def test_a_small_model_gives_its_answer_with_submit() -> None:
    model = Player(says(call("submit", {"answer": "13"})), hints=ModelHints(prompt="compact"))
    assert end(play(model, read_only=True)).answer == "13"


def test_the_answer_file_has_a_bound_and_the_rest_of_the_tools_say_what_is_not_there() -> None:
    too_long = "x" * (ANSWER_LIMIT + 1)
    script = [
        create("/testbed/answer.txt", "41"),
        create("/testbed/answer.txt", "42"),
        create("/testbed/notes.txt", "n"),
        call("str_replace_editor", {"command": "insert", "path": "/etc/motd", "insert_line": 0, "new_str": "n"}),
        bash(f"head -c {2 * ANSWER_LIMIT} /dev/zero > answer.txt; stat -c %s answer.txt; echo 5 > answer.txt"),
        bash("seq 50000"),
        bash("sleep 1", wait=0.1),
        bash("cd /tmp; export X=1"),
        bash("echo \"[$X]\" $PWD; cat; python3 - <<'EOF'\nprint(6 * 7)\nEOF\n: " + "y" * 200_000),
    ]

    async def prepare(box: Sandbox) -> None:
        await box.write("/etc/motd", b"m\n")

    events = play(Player(*map(says, script), says(SUBMIT)), read_only=True, prepare=prepare)
    said = [one.observation for one in tools(events)]
    assert "was created (2 bytes)" in said[0]
    assert "already exists" in said[1]
    for refused in said[2:4]:
        assert "read-only file system; of all files here only /testbed/answer.txt can be written" in refused
    assert f"[stdout]\n{ANSWER_LIMIT}\n" in said[4]
    assert "could not be kept: [Errno 30] Read-only file system" in said[5]
    assert "need files, which cannot be written here" in said[6]
    assert "[exit code: 0]" in said[7]
    assert "[stdout]\n[] /testbed\n42\n" in said[8]
    assert end(events).answer == "5"
    system, task = (message["content"] for message in started(events).messages)
    assert "only /testbed/answer.txt can" in system
    assert "/testbed/output" not in system + task
    assert "wait" not in json.dumps(started(events).tools)

    async def work(box: Sandbox) -> None:
        await box.seal()
        await box.write("/testbed/answer.txt", b"old")
        with pytest.raises(Exception, match="larger than the limit of 1,048,576"):
            await box.write("/testbed/answer.txt", too_long.encode())
        assert await box.read("/testbed/answer.txt") == b"old"

    in_box(work)


def test_forks_are_sealed_too_and_checkpoints_hold_the_answer(tmp_path: Path) -> None:
    async def work(box: Sandbox) -> None:
        await box.write("/testbed/documents/a.txt", b"1\n")
        await box.seal()
        await box.exec("echo 5 > answer.txt")
        async with await box.fork() as branch:
            for one in (box, branch):
                assert one.sealed
                assert (await one.exec("touch /tmp/x || cat answer.txt documents/a.txt")).stdout == "5\n1\n"
            await branch.exec("echo 6 > answer.txt")
            assert await box.read("answer.txt") == b"5\n"
        await box.exec("sleep 60 > /dev/null 2>&1 &")  # now the fork is a copy
        async with await box.fork() as branch:
            assert (await branch.exec("touch /tmp/x || cat answer.txt")).stdout == "5\n"
        await box.checkpoint(tmp_path / "kept")
        async with await Sandbox.restore(tmp_path / "kept", limits=SMALL) as restored:
            assert await restored.read("answer.txt") == b"5\n"
            await restored.seal()
            assert (await restored.exec("touch /tmp/x; echo 7 > answer.txt")).stderr.endswith("Read-only file system\n")
            assert await restored.read("answer.txt") == b"7\n"

    in_box(work)


def test_a_sandbox_in_use_cannot_be_sealed_and_docker_cannot_seal() -> None:
    from workroom.config import from_arguments

    async def work(box: Sandbox) -> None:
        await box.exec("sleep 60 > /tmp/open 2>&1 &")
        with pytest.raises(Exception, match="seal it before they are started"):
            await box.seal()
        await box.kill_all()
        await box.exec("mkdir answer.txt")
        with pytest.raises(Exception, match=r"could not be made read-only .*answer\.txt"):
            await box.seal()

    in_box(work)
    with pytest.raises(ConfigError, match="read_only needs the bwrap backend"):
        from_arguments({"read_only": True, "sandbox": "docker"})


# ---- whole runs


def test_a_run_that_goes_on_or_is_replayed_keeps_its_arm(tmp_path: Path) -> None:
    from workroom import run
    from workroom._resume import Resumption
    from workroom._run import Run
    from workroom.config import CHANGEABLE
    from workroom.replay import configuration, replay
    from workroom.replay.documents import find_documents
    from workroom.trajectory import RunDirectory

    arm = {"documents": "prompt", "read_only": True}
    assert not CHANGEABLE & {"documents", "execution", "read_only"}

    def script(*turns: Any) -> None:
        lines = [{"role": "assistant", "content": "", "tool_calls": turn} for turn in turns]
        (tmp_path / "s.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def shell(command: str) -> list[dict[str, Any]]:
        arguments = json.dumps({"command": command})
        return [{"id": "c", "type": "function", "function": {"name": "execute_bash", "arguments": arguments}}]

    submit = [{"id": "s", "type": "function", "function": {"name": "submit", "arguments": "{}"}}]
    first, second = shell("echo 5 > answer.txt; sleep 0.6; ls documents; touch x"), shell("touch y; ls; cat answer.txt")
    script(first)
    out, model = tmp_path / "out", f"scripted/{tmp_path / 's.jsonl'}"
    result = run(TASK, model=model, out=out, network="none", **arm)  # type: ignore[arg-type]
    assert result.stop_reason == "model_error"
    with pytest.raises(ConfigError, match="begun with read_only = True and cannot go on with False"):
        Resumption.open(out, {"read_only": False})
    script(first, second, submit)
    resumption = Resumption.open(out, {})
    assert resumption.saved == 1
    work = Run(resumption.task, resumption.resolved, resumption=resumption)
    work.prepare()
    assert asyncio.run(work.episode()).answer == "5"
    directory = RunDirectory.load(out)
    assert {key: directory.run["config"][key]["value"] for key in arm} == arm
    [_, later, _] = [event for event in directory.events if isinstance(event, ToolFinished)]
    assert "'y': Read-only file system" in later.observation
    assert "[stdout]\nanswer.txt\ndocuments\noutput\n5\n" in later.observation
    config = configuration(directory, {})
    assert (config.documents, config.read_only) == ("prompt", True)
    replayed = asyncio.run(replay(directory, config, find_documents(directory, (), lambda _: None)))
    assert [outcome.diff for outcome in replayed.outcomes] == ["", "", ""]
    assert replayed.same
