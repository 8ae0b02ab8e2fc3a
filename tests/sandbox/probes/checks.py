"""The `host_check`s of probes: each runs its probe and looks from outside at what has come of it."""

import asyncio
import contextlib
import ctypes
import hashlib
import json
import os
import re
import stat
import subprocess
import sys
import time
import tracemalloc
import unicodedata
from collections.abc import Awaitable, Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from tests.cli.command import SUBMIT, bash, script, workroom
from tests.sandbox.probes.harness import LIMITS, Scene, attack_elsewhere
from tests.sandbox.test_contract import is_running, wait_until
from tests.sandbox.test_kills import own_mounts
from tests.tools.helpers import use
from tests.trajectory.helpers import episode
from tests.view.conftest import CHROMIUM
from workroom.cli.live import View
from workroom.cli.text import harmless
from workroom.errors import TransferError
from workroom.models.base import Message
from workroom.models.text import render
from workroom.sandbox import FileEntry, Sandbox
from workroom.sandbox.base import OUTPUT_DIR, WORKING_DIR
from workroom.sandbox.ledger import entries
from workroom.tools import Observation
from workroom.tools.bash import BashTool
from workroom.tools.editor import EditorTool
from workroom.trajectory import RunDirectory, ToolFinished, load_events
from workroom.view.run_page import write as write_page

MEBIBYTE = 1 << 20
Check = Callable[[Scene, str], Awaitable[None]]


# Files brought out


async def collect_safe(scene: Scene, argument: str) -> None:
    """What is brought out is plain files with nothing of the host in them; `argument` is a number of files that must
    be among them, where that is told."""
    before = scene.plant.drop()
    async with scene.box() as box:
        await scene.attack(box)
        began = time.monotonic()
        for number, source in enumerate((OUTPUT_DIR, WORKING_DIR)):
            target = scene.folder / f"collected{number}"
            found = await _collect(box, source, target)
            _is_plain(target, scene)
            if argument and source == OUTPUT_DIR:
                came = sum(path.is_file() for path in target.rglob("*"))
                assert came >= int(argument), [path.name for path in target.rglob("*")]
            _can_be_told(found, scene.folder)
        assert time.monotonic() - began < 25
        assert (await box.exec("echo alive")).stdout == "alive\n"
    assert scene.plant.drop() == before


async def _collect(box: Sandbox, source: str, target: Path) -> list[FileEntry]:
    try:
        return await box.download(source, target, max_bytes=100 * MEBIBYTE, max_files=5000)
    except TransferError:
        return []


def _is_plain(target: Path, scene: Scene) -> None:
    total = 0
    for folder, folders, files in os.walk(target):
        for name in (*folders, *files):
            facts = Path(folder, name).lstat()
            assert stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode), name
            assert not facts.st_mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWOTH), name
            assert facts.st_nlink == 1 or stat.S_ISDIR(facts.st_mode), name
            if stat.S_ISREG(facts.st_mode):
                total += facts.st_size
                if facts.st_size < MEBIBYTE:
                    assert scene.plant.token.encode() not in Path(folder, name).read_bytes(), name
    assert total <= 100 * MEBIBYTE


def _can_be_told(found: list[FileEntry], folder: Path) -> None:
    """The names survive the manifest and a terminal."""
    names = [entry.path for entry in found]
    with RunDirectory.create(folder / f"run{len(list(folder.iterdir()))}", {}) as directory:
        directory.finish(found)
        told = json.loads((directory.files_dir / "manifest.json").read_text())["files"] if found else []
    assert [entry["path"] for entry in told] == names
    assert not any(_moves_a_terminal(harmless(name)) for name in names)


async def collect_race(scene: Scene, _: str) -> None:
    """Brought out again and again while files turn into links and back."""
    before = scene.plant.drop()
    good = 0
    async with scene.box() as box, scene.attacking(box) as running:
        end = time.monotonic() + 3
        number = 0
        while time.monotonic() < end and not running.done():
            number += 1
            target = scene.folder / str(number)
            found = await _collect(box, OUTPUT_DIR, target)
            _is_plain(target, scene)
            good += sum((target / entry.path).read_bytes() == b"good" for entry in found)
        assert number > 5
        assert good
    assert scene.plant.drop() == before


async def no_file(scene: Scene, path: str) -> None:
    """A whole run that leaves these files, and a look at it, execute nothing of them."""
    _run_scripted(scene, scene.command)
    workroom(scene.folder / "run/files", "run", "--help")
    assert not os.path.lexists(path)


async def listing_bounded(scene: Scene, most: str) -> None:
    """Looking at the output directory costs bounded memory, and bringing it out ends."""
    async with scene.box() as box:
        await scene.attack(box)
        with _grows_less(int(most)):
            await _collect(box, OUTPUT_DIR, scene.folder / "out")
        with _grows_less(int(most)):
            await use(EditorTool(), box, command="view", path=OUTPUT_DIR)


async def download_memory(scene: Scene, most: str) -> None:
    async with scene.box() as box:
        await scene.attack(box)
        with _grows_less(int(most)), contextlib.suppress(TransferError):
            await box.download(OUTPUT_DIR, scene.folder / "out")


async def files_answer(scene: Scene, seconds: str) -> None:
    """A call on files comes to an end, well or not, while the attack runs; and all is well once it is ended."""
    async with scene.box() as box:
        await scene.attack(box)
        await asyncio.sleep(0.6)  # it goes on in the background and begins a moment later
        began = time.monotonic()
        with contextlib.suppress(TransferError, OSError):
            await box.write("/tmp/x", bytes(32 * MEBIBYTE))
        assert time.monotonic() - began < float(seconds)
        await box.kill_all()
        assert await box.read("/etc/passwd")


async def run_is_consistent(scene: Scene, _: str) -> None:
    """Two submits after the attack; what the run says of itself is true of what lies there, now and a moment later."""
    record = _run_scripted(scene, scene.command)
    run = scene.folder / "run"
    manifest = next(
        path for name in ("manifest.workroom.json", "manifest.json") if (path := run / "files" / name).is_file()
    )
    told = json.loads(manifest.read_text())["files"]
    for _again in range(2):
        for entry in told:
            data = (run / "files" / entry["path"]).read_bytes()
            assert hashlib.sha256(data).hexdigest() == entry["sha256"]
        await asyncio.sleep(0.3)
    assert json.loads((run / "run.json").read_text()) == record
    assert record["status"] == "finished"
    assert (run / "answer.txt").read_text().strip() == load_events(run)[-1].answer  # type: ignore[union-attr]


async def command_line_clean(scene: Scene, _: str) -> None:
    """Both streams of a whole run hold nothing that a terminal obeys, and each file name is on one line."""
    done = _scripted(scene, scene.command)
    assert "the answer" in done.stdout
    assert not _moves_a_terminal(done.stdout + done.stderr)
    assert not [line for line in done.stderr.splitlines() if line.startswith("workroom: forged")]


async def answer_frozen_at_submit(scene: Scene, answer: str) -> None:
    _run_scripted(scene, scene.command)
    file = scene.folder / "run/files/answer.txt"
    assert file.read_text() == answer
    await asyncio.sleep(2.5)  # the attack writes two seconds after it began
    assert file.read_text() == answer


async def result_not_forged(scene: Scene, _: str) -> None:
    """What it leaves is no result; it ends as a run that was submitted without an answer."""
    record = _run_scripted(scene, scene.command)
    run = scene.folder / "run"
    assert (record["status"], record["stop_reason"], record["error"]) == ("finished", "submitted", None)
    assert not (run / "answer.txt").exists()
    assert "reward" not in json.dumps(record)
    assert {path.name for path in run.iterdir()} <= {"events.jsonl", "files", "run.json", "trajectory.json"}
    assert record["turns"] == 3


def _run_scripted(scene: Scene, command: str) -> dict[str, Any]:
    """What `run.json` says of a run of this command."""
    _scripted(scene, command)
    record: dict[str, Any] = json.loads((scene.folder / "run/run.json").read_text())
    return record


def _scripted(scene: Scene, command: str) -> "subprocess.CompletedProcess[str]":
    """`workroom run` of this command and two submits, with nothing but the network switched off."""
    model = script(scene.folder / "play.jsonl", bash(command), SUBMIT, SUBMIT)
    options = ["--sandbox", scene.backend, "--network", "none", "-m", model, "-o", "run"]
    image = {"WORKROOM_IMAGE": os.environ.get("WORKROOM_IMAGE", "default")}
    done = workroom(scene.folder, "run", "Attack.", *options, env=image)
    assert done.returncode == 0, done.stderr
    assert scene.plant.token not in done.stdout + done.stderr
    return done


# Other sandboxes


async def fresh_sandbox_lacks(scene: Scene, paths: str) -> None:
    async with scene.box() as box, scene.box() as sibling:
        await scene.attack(box)
        async with scene.box() as fresh:
            for other in (sibling, fresh):
                found = [path for path in paths.split(",") if (await other.exec(["test", "-e", path])).exit_code == 0]
                assert not found
    assert not [path for path in paths.split(",") if os.path.lexists(path)]


async def fresh_sandbox_key_absent(scene: Scene, key: str) -> None:
    look = (
        "import ctypes; call = ctypes.CDLL(None, use_errno=True).syscall\n"
        f"print([call(250, 10, ring, b'user', b'{key}', 0) for ring in (-1, -2, -3, -4, -5)],"
        f" call(249, b'user', b'{key}', None, 0)); print(open('/proc/keys').read())"
    )
    async with scene.box() as box:
        await scene.attack(box)
        async with scene.box() as fresh:
            done = await fresh.exec(["python3", "-c", look])
            assert done.stdout.startswith("[-1, -1, -1, -1, -1] -1\n"), done
            assert key not in done.stdout
    with contextlib.suppress(OSError):
        assert key not in Path("/proc/keys").read_text()


async def abstract_socket_absent(scene: Scene, name: str) -> None:
    connect = f"import socket; socket.socket(1, 1).connect('\\0{name}')"
    async with scene.box() as box, scene.attacking(box) as running:
        while (await box.exec(["python3", "-c", connect])).exit_code != 0:
            assert not running.done()
        async with scene.box() as fresh:
            assert (await fresh.exec(["python3", "-c", connect])).exit_code != 0
        assert name not in Path("/proc/net/unix").read_text()
        assert not running.done()


async def others_can(scene: Scene, script: str) -> None:
    """While the attack runs, a sibling and the host can do this."""
    async with scene.box() as sibling, scene.box() as box, scene.attacking(box) as running:
        await asyncio.sleep(1.0)
        for who in (sibling, None):
            if who is None:
                done = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", script], capture_output=True)
                assert done.returncode == 0, done.stderr
            else:
                result = await who.exec(["python3", "-c", script])
                assert result.exit_code == 0, result
        scene.must_have_run(await running)


async def fresh_sandbox_runs(scene: Scene, script: str) -> None:
    async with scene.box() as box:
        await scene.attack(box)
        async with scene.box() as fresh:
            result = await fresh.exec(["python3", "-c", script])
            assert result.exit_code == 0, result


async def few_descriptors(scene: Scene, most: str) -> None:
    """While the attack runs, the harness has few more descriptors than before."""
    async with scene.box() as box:
        before = len(list(Path("/proc/self/fd").iterdir()))
        async with scene.attacking(box) as running:
            worst = 0
            while not running.done():
                worst = max(worst, len(list(Path("/proc/self/fd").iterdir())) - before)
                await asyncio.sleep(0.05)
            scene.must_have_run(await running)
    assert worst <= int(most), f"{worst} descriptors of the harness were taken"


async def host_memory(scene: Scene, most: str) -> None:
    """The attack takes less of the machine's memory than this."""
    async with scene.box() as box:
        before, worst = _available(), 0
        async with scene.attacking(box) as running:
            while not running.done():
                worst = max(worst, before - _available())
                await asyncio.sleep(0.05)
            done = await running
    assert worst < int(most), f"{worst / MEBIBYTE:.0f} MiB of the machine's memory: {done}"


def _available() -> int:
    match = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    assert match
    return int(match[1]) * 1024


async def inotify_ok(scene: Scene, _: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    async with scene.box() as box, scene.attacking(box) as running:
        while (await box.exec("ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c inotify")).stdout.strip() in ("", "0"):
            assert not running.done()
        await asyncio.sleep(0.5)
        fd = libc.inotify_init()
        assert fd >= 0, os.strerror(ctypes.get_errno())
        os.close(fd)
        assert not running.done()


async def proxy_serves_other_sandbox(scene: Scene, _: str) -> None:
    async with scene.box() as other, scene.box() as box, scene.attacking(box) as running:
        await asyncio.sleep(1.5)  # the attack has its connections by then
        assert not running.done()
        for _attempt in range(3):
            done = await other.exec("curl -sS -m 5 http://allowed.test/")
            assert done.stdout == scene.plant.values["ORIGIN_TOKEN"], done


# Time and processes


async def returns_within(scene: Scene, seconds: str) -> None:
    async with scene.box() as box:
        began = time.monotonic()
        done = await scene.attack(box)
        assert time.monotonic() - began < float(seconds)
        if "echo END" in scene.probe.command:
            assert done.stdout.endswith("END\n")
        assert (await box.exec("echo alive")).stdout == "alive\n"


async def no_process_after_teardown(scene: Scene, name: str) -> None:
    async with scene.box() as box:
        await scene.attack(box)
        assert wait_until(lambda: is_running(name), 3), "the process never ran, so that this proves nothing"
    assert wait_until(lambda: not is_running(name), 5)


async def no_writes_after_timeout(scene: Scene, path: str) -> None:
    async with scene.box() as box:
        done = await scene.attack(box)
        assert done.timed_out
        written = await box.read(path)
        assert written
        await asyncio.sleep(0.6)
        assert await box.read(path) == written


async def next_exec_ok(scene: Scene, _: str) -> None:
    """Through the tool, which carries the state of the shell from call to call, as well."""
    tool = BashTool(LIMITS)
    async with scene.box() as box:
        await box.exec(scene.command, timeout=10)
        assert (await box.exec("echo q")).stdout == "q\n"
        await use(tool, box, command=scene.command, timeout=10)
        observation = await use(tool, box, command="echo q$((1+1)); ls -d /testbed")
        assert "q2\n/testbed" in observation.text, observation


async def pgrp_decoy_alive(scene: Scene, _: str) -> None:
    _done, alive = await asyncio.to_thread(attack_elsewhere, scene)
    assert alive, "a process of the harness's own group was ended"


async def host_responsive(scene: Scene, seconds: str) -> None:
    worst = 0.0
    async with scene.box() as box, scene.attacking(box) as running:
        while not running.done():
            began = time.monotonic()
            await asyncio.sleep(0.05)
            worst = max(worst, time.monotonic() - began - 0.05)
        scene.must_have_run(await running)
    assert worst < float(seconds)


async def output_capped(scene: Scene, most: str) -> None:
    async with scene.box() as box:
        with _grows_less(2 * int(most)):
            done = await scene.attack(box)
    assert not done.timed_out
    assert done.exit_code == 0
    assert done.truncated
    assert len(done.stdout_bytes) + len(done.stderr_bytes) <= int(most)


async def tool_is_quick(scene: Scene, seconds: str) -> None:
    async with scene.box() as box:
        began = time.monotonic()
        with _grows_less(300 * MEBIBYTE):
            observation = await use(BashTool(LIMITS), box, command=scene.command)
        assert time.monotonic() - began < float(seconds)
    assert "END" in observation.text
    assert len(observation.text) < 40_000


async def none_after_timeout(scene: Scene, name: str) -> None:
    """The call comes back in time, and nothing of that name runs on in the sandbox."""
    look = f"grep -l {name} /proc/[0-9]*/comm /proc/[0-9]*/cmdline 2>/dev/null | grep -v -e /self/ -e /$$/ | wc -l"
    async with scene.box() as box:
        began = time.monotonic()
        done = await scene.attack(box)
        assert done.timed_out
        assert time.monotonic() - began < scene.probe.timeout + 8
        for _again in range(5):
            left = await box.exec(["bash", "-c", look.replace(name, name[:3] + "[" + name[3] + "]" + name[4:])])
            assert left.stdout.strip() == "0", left


async def short_record(scene: Scene, most: str) -> None:
    """What is told of the attack's requests fits in this many bytes."""
    told = 0

    def note(record: object) -> None:
        nonlocal told
        told += len(repr(record))

    async with scene.box() as box:
        box.on_egress = note
        await scene.attack(box)
    assert told < int(most), f"{told:,} bytes"


@contextlib.contextmanager
def _grows_less(most: int) -> Iterator[None]:
    """The harness's own memory must not grow by more than this during the block.

    What Python allocates is counted. The resident size is no measure in a process that has run for long: the kernel
    takes idle pages away and brings them back while the block runs.
    """
    tracemalloc.start()
    try:
        yield
        grown = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert grown < most, f"the harness grew by {grown / MEBIBYTE:.0f} MiB"


def _memory(name: str) -> int:
    match = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert match
    return int(match[1]) * 1024


async def cleanup_ok(scene: Scene, _: str) -> None:
    """Nothing that bears the sandbox's name is left, nor a mount."""
    mounts = own_mounts()
    mine = {entry.name for entry in entries()}
    async with scene.box() as box:
        names = {entry.name for entry in entries() if entry.pid == os.getpid()} - mine
        assert names
        await scene.attack(box)
        began = time.monotonic()
    assert time.monotonic() - began < 10
    assert not names & {entry.name for entry in entries()}
    for name in names:
        left = [folder for top in ("/sys/fs/cgroup", "/run/workroom") for folder in Path(top).rglob(f"*{name}*")]
        assert not left
    assert own_mounts() == mounts


# What the model and people are shown


async def _observed(scene: Scene) -> Observation:
    async with scene.box() as box:
        return await use(BashTool(LIMITS), box, command=scene.command, timeout=20)


def _finished(observation: Observation) -> ToolFinished:
    return ToolFinished(turn=1, call_id="c1", name="execute_bash", observation=observation.text)


async def json_roundtrip(scene: Scene, text: str) -> None:
    """The observation is in the events and the trajectory, whole, each event one line of ASCII."""
    observation = await _observed(scene)
    assert text in observation.text
    events = [*episode()[:5], _finished(observation)]
    run = scene.folder / "run"
    with RunDirectory.create(run, {}) as directory:
        for event in events:
            directory.record(event)
        directory.finish()
    lines = (run / "events.jsonl").read_bytes().split(b"\n")
    assert len(lines) - 1 == sum(not event.live_only for event in events)
    assert all(line.isascii() and json.loads(line)["type"] for line in lines[:-1])
    last = load_events(run)[-1]
    assert isinstance(last, ToolFinished)
    assert last.observation == observation.text
    trajectory = (run / "trajectory.json").read_bytes()
    assert trajectory.isascii()
    assert any(observation.text in text for text in _texts(json.loads(trajectory)))
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"


def _texts(value: Any) -> list[str]:
    """Every text in a JSON value."""
    if isinstance(value, dict):
        return [text for item in value.values() for text in _texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [value] if isinstance(value, str) else []


def _moves_a_terminal(text: str) -> str:
    """The characters of a text that a terminal would obey, or that hide or reorder text."""
    bad = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return "".join(char for char in text if unicodedata.category(char) in bad and char not in "\n\t")


async def terminal_clean(scene: Scene, text: str) -> None:
    """The live view shows it without a character that moves the cursor, hides or reorders text."""
    stream = StringIO()
    view = View(stream, width=200)
    view.event(_finished(await _observed(scene)))
    view.close()
    assert text in stream.getvalue()
    assert not _moves_a_terminal(stream.getvalue())


async def html_escaped(scene: Scene, _: str) -> None:
    """The page of the run shows the output as text, runs nothing of it and asks nothing of anybody."""
    observation = await _observed(scene)
    run = scene.folder / "viewed"
    with RunDirectory.create(run, {}) as directory:
        for event in [*episode()[:5], _finished(observation)]:
            directory.record(event)
        directory.finish()
    shown = await asyncio.to_thread(_shown_by_a_browser, write_page(run, scene.folder / "page.html"))
    assert shown == (observation.text.replace("\r\n", "\n"), [], [])


def _shown_by_a_browser(page: Path) -> tuple[str, list[str], list[str]]:
    """The output in the page, what dialogs it opened, and what it asked for beyond itself."""
    dialogs: list[str] = []
    requests: list[str] = []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = chromium.new_page()
        tab.on("dialog", lambda dialog: dialogs.append(dialog.message))
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto(page.as_uri())
        tab.locator("pre.output").first.wait_for(state="attached")
        text = tab.locator("pre.output").first.text_content()
        assert tab.title() == "Do it\\u{0}."
        chromium.close()
    return text or "", dialogs, [url for url in requests if not url.startswith(page.as_uri())]


async def prompt_escaped(scene: Scene, _: str) -> None:
    """The output stays within its message, whatever the protocol, and a local model's server gets no control token."""
    from workroom.models.local.model import without_control_tokens

    observation = await _observed(scene)
    conversation = [
        Message("system", "s"),
        Message("user", "u"),
        Message("assistant", "a"),
        Message("tool", observation.text, tool_call_id="1"),
    ]
    for kind in ("json", "bash"):
        rendered = render(conversation, (), kind)
        assert [message.role for message in rendered] == ["system", "user", "assistant", "user"]
    local = without_control_tokens(conversation)
    assert [message.role for message in local] == [message.role for message in conversation]
    assert "im_start" in local[-1].content
    assert not re.search(r"<\|\w+\|>", local[-1].content)


# The editor


async def editor_view(scene: Scene, argument: str) -> None:
    path, _, text = argument.partition(":not_contains:")
    async with scene.box() as box:
        await scene.attack(box)
        observation = await use(EditorTool(), box, command="view", path=path)
    assert text not in observation.text


async def editor_create(scene: Scene, argument: str) -> None:
    path, _, outside = argument.partition(":no_file:")
    async with scene.box() as box:
        await scene.attack(box)
        await use(EditorTool(), box, command="create", path=path, file_text="planted")
        assert not os.path.lexists(outside)
        with contextlib.suppress(OSError):
            await box.write(path, b"planted")
        assert not os.path.lexists(outside)


async def editor_failed_edit_keeps_file(scene: Scene, path: str) -> None:
    editor = EditorTool()
    async with scene.box() as box:
        await scene.attack(box)
        before = await box.read(path)
        edits: list[dict[str, Any]] = [
            {"command": "str_replace", "old_str": "not there", "new_str": "x"},
            {"command": "str_replace", "old_str": "line", "new_str": "日本"},
            {"command": "str_replace", "old_str": "l", "new_str": "x"},
            {"command": "insert", "insert_line": 99, "new_str": "x"},
            {"command": "create", "file_text": "x"},
        ]
        for edit in edits:
            observation = await use(editor, box, path=path, **edit)
            assert observation.is_error, (edit, observation)
            assert await box.read(path) == before
        assert sorted(name for _, _, name in await box.list_files(OUTPUT_DIR)) == [path.rpartition("/")[2]]


CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        abstract_socket_absent, answer_frozen_at_submit, cleanup_ok, command_line_clean, download_memory,
        few_descriptors, files_answer, fresh_sandbox_runs, host_memory, listing_bounded, none_after_timeout, others_can,
        run_is_consistent, short_record, tool_is_quick, collect_race, collect_safe, editor_create,
        editor_failed_edit_keeps_file, editor_view, fresh_sandbox_key_absent, fresh_sandbox_lacks, host_responsive,
        html_escaped, inotify_ok, json_roundtrip, next_exec_ok, no_file, no_process_after_teardown,
        no_writes_after_timeout, output_capped, pgrp_decoy_alive, prompt_escaped, proxy_serves_other_sandbox,
        result_not_forged, returns_within, terminal_clean,
    )
}  # fmt: skip
