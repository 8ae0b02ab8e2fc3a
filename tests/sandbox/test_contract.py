"""The sandbox's promises (design.md section 6), for every backend. The numbers in names are those of the promises."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import SMALL, RunInBox
from workroom.errors import ConfigError, SandboxGone, TransferError
from workroom.sandbox import Limits, Sandbox
from workroom.sandbox.cgroup import hierarchy

has_cgroups = hierarchy() is not None
needs_memory_cgroup = pytest.mark.skipif(not has_cgroups, reason="no control group can be made by this user")


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def command_line(entry: Path) -> str:
    try:
        return (entry / "cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def is_running(marker: str) -> bool:
    return any(marker in command_line(entry) for entry in Path("/proc").glob("[0-9]*"))


def wait_until(condition: object, seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


# 1. Nothing of the host


def test_1_host_files_are_not_there(run_in_box: RunInBox, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("canary")
    done = run_in_box(lambda box: box.exec(f"cat {secret}; ls -A /home /mnt /media /srv 2>/dev/null; ls /work"))
    assert "canary" not in done.stdout
    assert "secret" not in done.stdout


def test_1_environment_is_not_inherited(run_in_box: RunInBox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    done = run_in_box(lambda box: box.exec("env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | tr '\\0' '\\n'"))
    assert "PATH=" in done.stdout
    assert "canary" not in done.stdout
    assert str(Path.home() / ".cache") not in done.stdout


def test_1_host_processes_are_invisible_and_safe(run_in_box: RunInBox) -> None:
    decoy = subprocess.Popen(["sleep", "60"])
    try:
        done = run_in_box(lambda box: box.exec("ps -e -o args; kill -9 0; kill -9 -1"))
        assert "pytest" not in done.stdout
        assert alive(decoy.pid)
    finally:
        decoy.kill()
        decoy.wait()


def test_1_few_capabilities_and_an_unprivileged_user_outside(run_in_box: RunInBox) -> None:
    marker = f"84{os.getpid()}"

    async def work(box: Sandbox) -> str:
        await box.exec(f"sleep {marker} &")

        def sleeping() -> list[Path]:
            return [entry for entry in Path("/proc").glob("[0-9]*") if command_line(entry) == f"sleep {marker} "]

        assert await asyncio.to_thread(wait_until, sleeping)
        outside = sleeping()
        for entry in outside:
            uids = re.search(r"Uid:(.*)", (entry / "status").read_text())
            assert uids is not None
            root_outside = "0" in uids[1].split()
            assert root_outside == ("not enforced" in box.facts.enforcement["users"])
        return (await box.exec("id -u; grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status")).stdout

    lines = run_in_box(work).split()
    assert lines[0] == "0"
    assert lines[lines.index("CapEff:") + 1] == lines[lines.index("CapBnd:") + 1] == "00000000800000fb"
    assert lines[lines.index("NoNewPrivs:") + 1] == "1"


@pytest.mark.parametrize(
    "command",
    [
        "echo 1 > /proc/sys/vm/drop_caches",
        "echo core > /proc/sys/kernel/core_pattern",
        "mount -t tmpfs none /mnt",
        "unshare -Ur true",
        "unshare -n true",
        'python3 -c "import socket; socket.socket(38, 5, 0)"',  # AF_ALG
        'python3 -c "import socket; socket.socket(40, 1, 0)"',  # AF_VSOCK
        'python3 -c "import socket; socket.socket(2, 3, 1)"',  # raw
        "python3 -c \"import os; open('/proc/1/mem','rb')\"",
        "readlink /proc/1/fd/3",
        "echo b > /proc/sysrq-trigger && test -s /proc/sysrq-trigger",
        "dmesg",
        "mknod /tmp/disk b 8 0",
        "chroot / true",
    ],
)
def test_1_escapes_are_refused(run_in_box: RunInBox, command: str) -> None:
    assert run_in_box(lambda box: box.exec(command)).exit_code != 0


def test_1_descriptors_of_the_host_do_not_leak(run_in_box: RunInBox, tmp_path: Path) -> None:
    leak = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(leak, True)
    try:
        done = run_in_box(lambda box: box.exec("ls -l /proc/self/fd"))
    finally:
        os.close(leak)
    assert str(tmp_path) not in done.stdout
    assert "socket:" not in done.stdout


def test_1_the_shared_image_stays_as_it_is(run_in_box: RunInBox) -> None:
    run_in_box(lambda box: box.exec("echo changed > /etc/hostname; rm -rf /etc/passwd; echo x > /root/.bashrc"))
    done = run_in_box(lambda box: box.exec("cat /etc/hostname; ls /etc/passwd"))
    assert "changed" not in done.stdout
    assert "/etc/passwd" in done.stdout


# 2. Limits


@needs_memory_cgroup
def test_2_memory(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox) -> None:
        hog = await box.exec("python3 -c 'x = bytearray(1 << 30)'")
        assert hog.exit_code == 137
        assert hog.limits_hit == ("memory",)
        assert (await box.exec("echo still here")).stdout == "still here\n"

    run_in_box(work, limits=Limits(memory="256m"))


@needs_memory_cgroup
def test_2_memory_of_many_processes_together(run_in_box: RunInBox) -> None:
    hogs = "for i in 1 2 3 4; do python3 -c 'import time; x = bytearray(120 << 20); time.sleep(3)' & done; wait"

    async def work(box: Sandbox) -> None:
        await box.exec(hogs)
        assert 100 << 20 < (box.memory_peak or 0) <= 256 << 20
        assert (box.memory or 0) <= (box.memory_peak or 0)
        assert (await box.exec("true")).exit_code == 0

    run_in_box(work, limits=Limits(memory="256m"))


def test_2_processes(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox) -> None:
        bomb = await box.exec("for i in $(seq 200); do sleep 20 & done; jobs -p | wc -l", timeout=3)
        assert "Resource temporarily unavailable" in bomb.stderr
        await box.kill_all()
        assert (await box.exec("echo fine")).stdout == "fine\n"

    run_in_box(work, limits=Limits(memory="512m", pids=40))


def test_2_disk(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox) -> None:
        full = await box.exec("head -c 200000000 /dev/zero > /testbed/big; rm /testbed/big; echo ok")
        assert "No space left" in full.stderr
        assert full.stdout == "ok\n"
        with pytest.raises(OSError, match="No space left"):
            await box.write("/tmp/big", bytes(80 << 20))
        assert "big" not in (await box.exec("ls /tmp")).stdout

    run_in_box(work, limits=Limits(memory="512m", disk="50m"))


def test_2_many_small_files(run_in_box: RunInBox) -> None:
    script = "import os\nfor i in range(100_000): open(f'/testbed/{i}', 'w').close()"
    done = run_in_box(lambda box: box.exec(["python3", "-c", script]), limits=Limits(memory="512m", disk="50m"))
    assert "No space left" in done.stderr


@needs_memory_cgroup
def test_2_cpu(run_in_box: RunInBox) -> None:
    script = "import time; end = time.monotonic() + 1.5\nwhile time.monotonic() < end: pass\nprint(time.process_time())"
    done = run_in_box(lambda box: box.exec(["python3", "-c", script]), limits=Limits(memory="512m", cpus=0.25))
    assert float(done.stdout) < 0.9


def test_2_output_keeps_both_ends(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox) -> None:
        done = await box.exec("echo first; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last; echo e >&2")
        assert done.truncated
        assert done.stdout.startswith("first\n")
        assert done.stdout.endswith("\nlast\n")
        assert "bytes of output were not kept" in done.stdout
        assert len(done.stdout_bytes) < 1_200_000
        assert done.stderr == "e\n"

    run_in_box(work, limits=Limits(memory="512m", output="1m"))


def test_2_output_up_to_the_limit_is_whole(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox) -> None:
        done = await box.exec("seq 1 140000")
        assert not done.truncated
        assert done.stdout.split() == [str(number) for number in range(1, 140001)]

    run_in_box(work, limits=Limits(memory="512m", output="1m"))


def test_2_one_command_can_have_another_limit_of_output(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox) -> None:
        assert len((await box.exec("head -c 3000000 /dev/zero", output="4m")).stdout_bytes) == 3_000_000
        assert (await box.exec("head -c 300000 /dev/zero", output=1000)).truncated

    run_in_box(work, limits=Limits(memory="512m", output="1m"))


# 3. Time-outs


def test_3_a_time_out_ends_all_children_and_keeps_the_output(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox) -> None:
        started = time.monotonic()
        done = await box.exec("echo before; (setsid nohup sleep 77 &) ; sleep 78 & sleep 79", timeout=0.5)
        assert time.monotonic() - started < 5
        assert (done.exit_code, done.timed_out, done.stdout) == (124, True, "before\n")
        assert "sleep" not in (await box.exec("ps -e -o args")).stdout

    run_in_box(work)


def test_3_a_time_out_ends_a_fork_storm(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox) -> None:
        done = await box.exec("f() { while :; do sleep 60 & sleep 0.01; done; }; f & f & f", timeout=1)
        assert done.timed_out
        left = await box.exec("ps -e -o args | grep -c '[s]leep 60'")
        assert left.stdout == "0\n"

    run_in_box(work, limits=Limits(memory="512m", pids=100))


def test_3_background_jobs_survive_their_call_and_end_with_the_sandbox(run_in_box: RunInBox) -> None:
    marker = f"86{os.getpid()}"

    async def work(box: Sandbox) -> None:
        started = time.monotonic()
        assert (await box.exec(f"sleep {marker} & echo started")).stdout == "started\n"
        assert time.monotonic() - started < 5
        assert marker in (await box.exec("ps -e -o args")).stdout

    run_in_box(work)
    assert wait_until(lambda: not is_running(marker))


def test_3_a_cancelled_command_is_ended(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox) -> None:
        task = asyncio.create_task(box.exec("sleep 91"))
        await asyncio.sleep(0.3)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        for _ in range(100):
            if "sleep 91" not in (await box.exec("ps -e -o args")).stdout:
                return
            await asyncio.sleep(0.05)
        pytest.fail("the command outlived its cancellation")

    run_in_box(work)


def test_3_commands_run_side_by_side(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox) -> None:
        started = time.monotonic()
        done = await asyncio.gather(*(box.exec(f"sleep 0.5; echo {number}") for number in range(20)))
        assert time.monotonic() - started < 5
        assert [result.stdout for result in done] == [f"{number}\n" for number in range(20)]

    run_in_box(work)


# 4. Nothing stays

HOLD = """
import asyncio, os, sys
from workroom.sandbox import Sandbox
async def main():
    async with Sandbox.open(sys.argv[1]) as box:
        await box.exec(f"sleep {sys.argv[2]} &")
        print(box._guest.pid, flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""


def test_4_close_ends_and_removes_everything(backend: str) -> None:
    async def work() -> tuple[int, list[str]]:
        async with Sandbox.open(backend, limits=SMALL) as box:
            await box.exec("sleep 87 & sleep 88 &")
            guest = box._guest
            return guest.pid, guest._cgroup.procs if guest._cgroup else []  # type: ignore[attr-defined]

    pid, groups = asyncio.run(work())
    assert not alive(pid)
    assert not any(Path(group).exists() for group in groups)


def test_4_a_killed_host_process_leaves_nothing(backend: str) -> None:
    marker = f"85{os.getpid()}"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, backend, marker], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    outer = int(holder.stdout.readline())
    assert alive(outer)
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert wait_until(lambda: not alive(outer))
    assert wait_until(lambda: not is_running(marker))
    if has_cgroups:
        sweep = "from workroom.sandbox.cgroup import hierarchy; hierarchy()"
        subprocess.run([sys.executable, "-c", sweep], check=True)
        where = hierarchy()
        assert where is not None
        for parent in where.parents.values():
            assert not [entry.name for entry in parent.iterdir() if entry.name.startswith(f"{holder.pid}-")]


def test_4_closing_twice_and_use_after_closing(backend: str) -> None:
    async def work() -> None:
        box = await Sandbox.start(backend, limits=SMALL)
        await box.close()
        await box.close()
        assert not box.alive
        with pytest.raises(SandboxGone):
            await box.exec("true")
        with pytest.raises(SandboxGone):
            await box.read("x")

    asyncio.run(work())


# 5. What comes out is safe


def test_5_files_come_out_byte_exact(run_in_box: RunInBox, tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000

    async def work(box: Sandbox) -> None:
        await box.write("/testbed/output/deep/er/ünï code.bin", data)
        await box.exec("touch /testbed/output/empty; chmod 6777 /testbed/output/empty")
        entries = await box.download("/testbed/output", tmp_path / "out")
        assert [(entry.path, entry.size) for entry in entries] == [("deep/er/ünï code.bin", len(data)), ("empty", 0)]

    run_in_box(work)
    assert (tmp_path / "out/deep/er/ünï code.bin").read_bytes() == data
    assert (tmp_path / "out/empty").stat().st_mode & 0o7111 == 0


def test_5_links_and_special_files_stay_inside(run_in_box: RunInBox, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("canary")

    async def work(box: Sandbox) -> list[str]:
        await box.exec(
            f"cd /testbed/output; ln -s {tmp_path}/secret link; ln -s {tmp_path} dirlink; ln -s / root; mkfifo pipe; "
            "echo ok > plain; ln plain hard; python3 -c \"import socket; socket.socket(1).bind('sock')\""
        )
        return [entry.path for entry in await box.download("/testbed/output", tmp_path / "out")]

    assert run_in_box(work) == ["hard", "plain"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["hard", "plain"]


def test_5_what_the_owner_may_not_read_comes_out_too(run_in_box: RunInBox, tmp_path: Path) -> None:
    async def work(box: Sandbox) -> list[str]:
        await box.exec("cd output; echo x > a; mkdir d; echo y > d/b; chmod 000 a d")
        return [entry.path for entry in await box.download("output", tmp_path / "out")]

    assert run_in_box(work) == ["a", "d/b"]


def test_5_a_file_that_cannot_be_stored_costs_only_itself(run_in_box: RunInBox, tmp_path: Path) -> None:
    async def work(box: Sandbox) -> None:
        await box.exec("cd output; echo x > a; echo y > z; mkdir m; echo > m/f")
        (tmp_path / "out").mkdir()
        (tmp_path / "out/m").symlink_to("/etc")
        with pytest.raises(TransferError, match="1 of 3 files could not be brought out: 'm/f'"):
            await box.download("output", tmp_path / "out")

    run_in_box(work)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "m", "z"]


def test_5_sizes_and_counts_are_bounded(run_in_box: RunInBox, tmp_path: Path) -> None:
    async def work(box: Sandbox) -> None:
        await box.exec("truncate -s 1T output/sparse")
        with pytest.raises(TransferError, match="more than"):
            await box.download("output", tmp_path / "a", max_bytes=1 << 20)
        with pytest.raises(TransferError, match="larger"):
            await box.read("output/sparse")
        await box.exec("rm output/sparse; cd output; for i in $(seq 300); do echo $i > f$i; done")
        with pytest.raises(TransferError, match="300 files"):
            await box.download("output", tmp_path / "b", max_files=200)
        with pytest.raises(TransferError, match="no regular file"):
            await box.read("/dev/zero")

    run_in_box(work)


def test_5_existing_host_files_are_not_overwritten(run_in_box: RunInBox, tmp_path: Path) -> None:
    (tmp_path / "x").symlink_to("/etc/passwd")

    async def work(box: Sandbox) -> None:
        await box.write("output/x", b"evil")
        with pytest.raises(FileExistsError):
            await box.download("output", tmp_path)

    run_in_box(work)


def test_5_a_directory_swapped_for_a_link_leads_nowhere(run_in_box: RunInBox, tmp_path: Path) -> None:
    swap = "cd /testbed/output; while :; do rm -rf d; mkdir d; echo x > d/f; rm -rf d; ln -s /etc d; rm d; done"

    async def work(box: Sandbox) -> None:
        await box.exec(f"({swap}) > /dev/null 2>&1 &")
        for number in range(10):
            with contextlib.suppress(OSError):
                for entry in await box.download("output", tmp_path / str(number)):
                    assert entry.path == "d/f"

    run_in_box(work)


# 6. A dead sandbox raises


def test_6_killed_from_outside(backend: str) -> None:
    async def work() -> None:
        box = await Sandbox.start(backend, limits=SMALL)
        task = asyncio.create_task(box.exec("sleep 60"))
        await asyncio.sleep(0.2)
        os.kill(box._guest.pid, signal.SIGKILL)  # type: ignore[attr-defined]
        with pytest.raises(SandboxGone, match="died"):
            await asyncio.wait_for(task, 5)
        with pytest.raises(SandboxGone):
            await box.exec("true")
        await box.close()

    asyncio.run(work())


def test_6_process_1_cannot_be_ended_from_inside(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox) -> None:
        await box.exec("kill -9 1; kill -STOP 1; kill -TERM 1; gdb -p 1 </dev/null")
        assert (await box.exec("echo here")).stdout == "here\n"

    run_in_box(work)


# 7. Network


def test_7_without_network_there_is_only_loopback(run_in_box: RunInBox) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        done = run_in_box(
            lambda box: box.exec(
                f"cat /proc/net/dev | tail -n +3 | cut -d: -f1; (echo > /dev/tcp/127.0.0.1/{port}) 2>&1 | tail -1; "
                "(echo > /dev/tcp/192.0.2.1/80) 2>&1 | tail -1"
            )
        )
    interface, refused, unreachable = done.stdout.strip().split("\n")
    assert interface.strip() == "lo"
    assert "refused" in refused
    assert "unreachable" in unreachable


def test_7_loopback_works_inside(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox) -> None:
        await box.exec("echo hello > f; python3 -m http.server 8000 > /dev/null 2>&1 &")
        done = await box.exec("for i in $(seq 50); do curl -sf http://127.0.0.1:8000/f && break; sleep 0.1; done")
        assert done.stdout == "hello\n"

    run_in_box(work)


# Commands and files


def test_exit_codes_and_streams(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox) -> None:
        done = await box.exec("echo out; echo err >&2; exit 42")
        assert (done.exit_code, done.stdout, done.stderr) == (42, "out\n", "err\n")
        assert (await box.exec("kill -TERM $$")).exit_code == 143
        assert (await box.exec(["/no/such/program"])).exit_code == 127
        assert (await box.exec(["/etc/passwd"])).exit_code == 126
        assert (await box.exec(["printf", "%s|", "a b", "$HOME", ";"])).stdout == "a b|$HOME|;|"
        assert (await box.exec("pwd", cwd="/tmp")).stdout == "/tmp\n"
        assert (await box.exec("pwd", cwd="output")).stdout == "/testbed/output\n"
        assert (await box.exec("echo $A", env={"A": "1 2"})).stdout == "1 2\n"
        assert (await box.exec("cat", stdin=bytes(range(256)) * 1000)).stdout_bytes == bytes(range(256)) * 1000
        assert (await box.exec("cat")).stdout == ""
        assert (await box.exec("exit 3", cwd="/nowhere")).exit_code == 126
        with pytest.raises(ValueError, match="NUL"):
            await box.exec("echo \0")

    run_in_box(work)


def test_files_in_and_out(run_in_box: RunInBox, tmp_path: Path) -> None:
    (tmp_path / "d/e").mkdir(parents=True)
    (tmp_path / "d/e/f.txt").write_bytes(b"\x00\xff")
    (tmp_path / "d/link").symlink_to("/etc/passwd")

    async def work(box: Sandbox) -> None:
        await box.upload(tmp_path / "d", "documents")
        assert await box.list_files("documents") == [("d", 60, "e"), ("f", 2, "e/f.txt")]
        assert await box.read("documents/e/f.txt") == b"\x00\xff"
        await box.write("s.sh", b"a")
        await box.exec("chmod 755 s.sh; ln -s s.sh l")
        await box.write("l", b"b")
        assert (await box.exec("stat -c '%a %F' s.sh l; cat s.sh")).stdout.split("\n") == [
            "755 regular file",
            "777 symbolic link",
            "b",
        ]
        with pytest.raises(FileExistsError):
            await box.write("s.sh", b"", exclusive=True)
        with pytest.raises(FileNotFoundError):
            await box.read("none")
        with pytest.raises(IsADirectoryError):
            await box.read("documents")
        with pytest.raises(NotADirectoryError):
            await box.write("s.sh/x", b"")
        with pytest.raises(OSError, match="File name too long"):
            await box.write("x" * 5000, b"")
        big = os.urandom(30 << 20)
        await box.write("big", big)
        assert await box.read("big") == big

    run_in_box(work)


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match="no sandbox backend 'vm'"):
        asyncio.run(Sandbox.start("vm"))
    with pytest.raises(ConfigError, match="network policy"):
        asyncio.run(Sandbox.start(network="sometimes"))


def test_facts_say_what_is_enforced(run_in_box: RunInBox) -> None:
    async def facts(box: Sandbox) -> object:
        return box.facts

    found = run_in_box(facts)
    assert found.limits["memory"] == 1 << 30
    assert found.limits["disk"] == 512 << 20
    assert ("cgroup" in found.enforcement["memory"]) == has_cgroups
    assert found.network == "none"
