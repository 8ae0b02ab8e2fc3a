"""Forks and checkpoints, for every backend: the same files, then nothing in common."""

import asyncio
import contextlib
import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from tests.conftest import SMALL, RunInBox
from tests.sandbox.test_kills import left
from workroom.errors import ConfigError, SandboxError, SandboxGone
from workroom.sandbox import Limits, Sandbox, checkpoints, ledger
from workroom.sandbox.image import ensure_image

CHANGES = """
set -e
mkdir -p /opt/new/deep && echo one > /opt/new/deep/file
echo changed > /etc/motd && chown 1000:33 /etc/motd && chmod 640 /etc/motd
rm -rf /usr/share/perl /etc/issue
mkdir -p /etc/skel && rm -rf /etc/skel && mkdir /etc/skel && echo replaced > /etc/skel/only
ln -s /nowhere /opt/new/dangling && ln /opt/new/deep/file /opt/new/hard
printf 'x' > '/opt/new/a name\twith\nall'
head -c 3000000 /dev/urandom > /opt/new/bytes
python3 -c "import os; os.setxattr('/opt/new/bytes', 'user.note', b'kept')" || true
truncate -s 300M /opt/new/sparse
cd /testbed && echo answer > answer.txt
"""
LOOK = """
cd /opt/new && find . -printf '%p %y %m %U:%G %s %n %l\\n' | sort
stat -c '%a %u:%g' /etc/motd; cat /etc/motd /etc/skel/* /testbed/answer.txt; sha256sum bytes
ls -A /etc/skel /etc/issue /usr/share/perl 2>&1; du -k sparse | cut -f1
python3 -c "import os; print(os.getxattr('/opt/new/bytes', 'user.note'))" 2>&1 | tail -1
"""


async def look(box: Sandbox) -> str:
    return (await box.exec(LOOK)).stdout


def test_a_fork_has_the_same_files_and_then_goes_its_own_way(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox) -> None:
        done = await box.exec(CHANGES)
        assert done.exit_code == 0, done.stderr
        before = await look(box)
        assert "one" in (await box.exec("cat /opt/new/hard")).stdout
        async with await box.fork() as branch:
            assert await look(branch) == before
            assert await look(box) == before
            await box.exec("echo here > /testbed/answer.txt; rm /opt/new/bytes")
            await branch.exec("echo there > /testbed/answer.txt; echo more > /opt/new/more")
            assert await box.read("answer.txt") == b"here\n"
            assert await branch.read("answer.txt") == b"there\n"
            assert (await box.exec("cat /opt/new/more")).exit_code != 0
            assert (await branch.exec("cat /opt/new/bytes | wc -c")).stdout == "3000000\n"
        with pytest.raises(SandboxGone):
            await branch.exec("true")
        assert (await box.exec("echo lives")).stdout == "lives\n"

    run_in_box(work)


def test_forks_of_forks_outlive_their_parents(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox) -> None:
        line = [box]
        for number in range(4):
            await line[-1].exec(f"echo {number} >> /testbed/steps")
            line.append(await line[-1].fork())
        for parent in line[1:-1]:
            await parent.close()
        assert await line[-1].read("steps") == b"0\n1\n2\n3\n"
        assert await box.read("steps") == b"0\n"
        await line[-1].close()

    run_in_box(work)


def test_what_runs_in_the_background_is_not_disturbed_by_a_fork(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox) -> None:
        await box.exec(
            "echo start > /testbed/log; (while sleep 0.1; do echo tick >> /testbed/log; done) & echo $! > pid"
        )
        async with await box.fork() as branch:
            assert (await box.exec("kill -0 $(cat pid)")).exit_code == 0
            assert (await branch.exec("ps -e -o args")).stdout.count("sleep 0.1") == 0
            assert (await branch.read("log")).startswith(b"start\n")

    run_in_box(work)


def test_a_fork_keeps_limits_policy_and_what_is_left_of_the_disk(run_in_box: RunInBox, backend: str) -> None:
    async def work(box: Sandbox) -> None:
        await box.exec("head -c 40m /dev/zero > /testbed/big")
        async with await box.fork() as branch:
            assert (branch.limits, branch.facts.network) == (box.limits, "none")
            for each in (box, branch):
                done = await each.exec("head -c 60m /dev/zero > /testbed/more")
                assert "No space left" in done.stderr
                assert done.limits_hit == ("disk",)

    run_in_box(work, limits=Limits(memory="1g", pids=64, disk="80m", command_timeout=30))


def test_a_checkpoint_comes_back_in_another_sandbox(run_in_box: RunInBox, backend: str, tmp_path: Path) -> None:
    file = tmp_path / "checkpoint"

    async def work(box: Sandbox) -> str:
        await box.exec(CHANGES)
        await (await box.fork()).close()  # so that there are several layers to keep
        await box.exec("rm /opt/new/hard; rm -rf /opt/new/deep; mkdir /opt/new/deep; echo two > /opt/new/deep/other")
        await box.checkpoint(file)
        return await look(box)

    before = run_in_box(work)

    async def again() -> tuple[str, str]:
        async with await Sandbox.restore(file, limits=SMALL) as box:
            assert box.facts.backend == backend
            seen = await look(box)
            await box.exec("echo later > /opt/new/deep/third")
            await box.checkpoint(file)
        async with Sandbox.open(backend, limits=SMALL, checkpoint=file) as box:
            return seen, (await box.exec("ls -A /opt/new/deep")).stdout

    assert asyncio.run(again()) == (before, "other\nthird\n")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_forks_at_once_and_commands_meanwhile(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox) -> None:
        await box.exec("echo kept > /testbed/file")
        tasks = [asyncio.create_task(box.fork()) for _ in range(3)]
        await asyncio.sleep(0)
        assert (await box.exec("cat /testbed/file")).stdout == "kept\n"
        for branch in await asyncio.gather(*tasks):
            async with branch:
                assert await branch.read("file") == b"kept\n"
        assert await box.read("file") == b"kept\n"

    run_in_box(work)


def test_a_cancelled_fork_costs_nothing(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox) -> None:
        await box.exec("echo kept > /testbed/file")
        for delay in (0.0, 0.005, 0.015, 0.03):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await (await box.fork()).close()
            assert await box.read("file") == b"kept\n"
        mine = [entry for entry in ledger.entries() if entry.pid == os.getpid()]
        assert len(mine) == 1

    run_in_box(work)


def test_a_sandbox_that_is_closed_during_a_fork_leaves_nothing(backend: str) -> None:
    async def work(delay: float) -> None:
        box = await Sandbox.start(backend, limits=SMALL)
        forking = asyncio.create_task(box.fork())
        await asyncio.sleep(delay)
        await box.close()
        with contextlib.suppress(SandboxError):
            await (await forking).close()

    for delay in (0.0, 0.005, 0.012, 0.03):
        asyncio.run(work(delay))
    assert not left({str(os.getpid())})


@pytest.mark.parametrize("target", ["/etc", "../../../../etc", "missing"])
def test_a_checkpoint_cannot_name_a_directory_of_the_host(tmp_path: Path, target: str) -> None:
    """A link in the place of a layer would be followed in the host's tree."""
    file = tmp_path / "checkpoint"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        if target != "missing":
            link = tarfile.TarInfo("./0")
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
    file.write_bytes(checkpoints.header("bwrap", ensure_image(), layers=1) + packed.getvalue())
    with pytest.raises(ConfigError, match="is no directory"):
        asyncio.run(Sandbox.restore(file, limits=SMALL))


@pytest.mark.parametrize("layers", [0, -1, 10**9, "1", None, True, [1], 1e308])
def test_a_hostile_header_is_refused(backend: str, tmp_path: Path, layers: object) -> None:
    head = {"workroom_checkpoint": 1, "backend": backend, "image": ensure_image().digest, "layers": layers}
    number = -1 if layers == 0 else layers  # an empty archive is one for Docker
    (tmp_path / "checkpoint").write_bytes(json.dumps(head | {"archive": number}).encode().ljust(512))
    with pytest.raises(ConfigError, match="damaged"):
        asyncio.run(Sandbox.restore(tmp_path / "checkpoint", limits=SMALL))


def test_a_full_sandbox_and_its_forks_can_be_kept(run_in_box: RunInBox, tmp_path: Path) -> None:
    limits = Limits(memory="1g", pids=64, disk="32m", command_timeout=30)

    async def work(box: Sandbox) -> None:
        for name in ("a", "b"):
            await box.exec(f"head -c 40m /dev/zero > /testbed/{name}")
            await (await box.fork()).close()
        sizes = (await box.exec("stat -c %s /testbed/?")).stdout
        await box.checkpoint(tmp_path / "checkpoint")
        async with await Sandbox.restore(tmp_path / "checkpoint", limits=limits) as again:
            assert (await again.exec("stat -c %s /testbed/?")).stdout == sizes

    run_in_box(work, limits=limits)


FITTING: dict[str, object] = {"workroom_checkpoint": 1, "layers": 1, "archive": 0}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        (b"", "no checkpoint"),
        (b"no checkpoint\n" * 99, "no checkpoint"),
        (json.dumps(FITTING | {"workroom_checkpoint": 99}).encode(), "no checkpoint"),
        (json.dumps(FITTING | {"backend": "another"}).encode(), "of the backend another"),
        (json.dumps(FITTING | {"backend": None, "image": "0" * 64}).encode(), "made over the image 000000000000"),
    ],
    ids=["missing", "empty", "text", "later version", "other backend", "other image"],
)
def test_what_is_no_checkpoint_is_refused(backend: str, tmp_path: Path, content: bytes | None, words: str) -> None:
    file = tmp_path / "checkpoint"
    if content is not None:
        file.write_bytes(content.replace(b'"backend": null', f'"backend": "{backend}"'.encode()).ljust(512))

    async def start() -> None:
        async with Sandbox.open(backend, limits=SMALL, checkpoint=file):
            pass

    with pytest.raises(ConfigError, match=words):
        asyncio.run(start())


def test_a_damaged_checkpoint_is_an_error_and_leaves_nothing(
    backend: str, run_in_box: RunInBox, tmp_path: Path
) -> None:
    file = tmp_path / "checkpoint"

    async def work(box: Sandbox) -> None:
        await box.exec("head -c 1000000 /dev/urandom > /testbed/bytes")
        await box.checkpoint(file)

    run_in_box(work)
    file.write_bytes(file.read_bytes()[:500_000])

    async def start() -> None:
        async with Sandbox.open(backend, limits=SMALL, checkpoint=file):
            pass

    with pytest.raises(ConfigError, match="damaged"):
        asyncio.run(start())


def test_users_inside(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox) -> str:
        script = """
        cat /proc/self/uid_map | tr -s ' ' | grep -q ' 65536$' || exit 77
        useradd -m someone && su someone -c 'id -un; touch ~/mine; cat /etc/shadow' 2>&1
        stat -c %U /home/someone/mine
        """
        done = await box.exec(script)
        return done.stdout if done.exit_code != 77 else ""

    seen = run_in_box(work)
    if not seen:
        pytest.skip("this host has no further user ids to give")
    assert seen == "someone\ncat: /etc/shadow: Permission denied\nsomeone\n"
