"""Files kept as they change: what comes back, what a save costs, and what a crash or a full disk leaves."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from tests.conftest import SMALL, RunInBox
from tests.sandbox.test_fork import CHANGES
from workroom.errors import ConfigError, SandboxUnavailable
from workroom.sandbox import Sandbox, journal
from workroom.sandbox.journal import Journal, saved_mark

pytestmark = pytest.mark.usefixtures("without_delay")


@pytest.fixture
def without_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every save is made, however soon after the one before."""
    monkeypatch.setattr(journal, "FIRST", 0)
    monkeypatch.setattr(journal, "PACE", 0)


LATER = """
rm -rf /opt/new/deep /etc/skel && ln -s /etc/passwd /opt/new/deep && touch /etc/skel
mkdir /testbed/one && mv /testbed/answer.txt /testbed/one/ && echo x > /testbed/answer.txt
rm /opt/new/dangling && mkdir -p /opt/new/dangling/below && printf y > "/opt/new/dangling/below/$(printf 'a\\nb -x')"
mkdir -p /testbed/proj/src/pkg && echo main > /testbed/proj/src/pkg/main.py && echo top > /testbed/proj/src/top.py
printf 'z' >> /opt/new/hard; chmod 600 /opt/new/hard; setsid sleep 1000 > /dev/null 2>&1 &
"""
MOVED = """
cd /testbed && mkdir new && mv proj/* new/ && rmdir proj && mv new proj
"""
ALL = r"""
find /testbed /opt /etc /root -printf '%p %y %m %U:%G %s %n %l\n' | sort | md5sum
cat /testbed/one/* /testbed/answer.txt /opt/new/hard /etc/motd; ls -la /opt/new/dangling/below /etc/skel | md5sum
"""


def test_the_last_save_comes_back_whatever_changed_in_between(
    run_in_box: RunInBox, backend: str, tmp_path: Path
) -> None:
    folder = tmp_path / "journal"

    async def work(box: Sandbox) -> list[str]:
        kept = Journal(box, folder)
        seen = []
        for mark, commands in enumerate(("echo first > first", CHANGES, LATER, "echo last > first"), 1):
            done = await box.exec(commands)
            assert done.exit_code == 0, done.stderr
            assert await kept.save(mark)
            assert (kept.saved, saved_mark(folder)) == (mark, mark)
            seen.append((await box.exec(ALL)).stdout)
        await box.exec("rm -rf /testbed/* /opt/new")  # after the last save
        return seen

    seen = run_in_box(work)
    assert len(set(seen)) == 4

    async def again() -> str:
        async with Sandbox.open(backend, limits=SMALL, checkpoint=folder) as box:
            return (await box.exec(ALL)).stdout

    assert asyncio.run(again()) == seen[-1]


def test_a_save_holds_what_changed_and_no_more(tmp_path: Path) -> None:
    async def work() -> None:
        async with Sandbox.open(limits=SMALL) as box:
            kept = Journal(box, tmp_path)
            await box.exec("head -c 20000000 /dev/urandom > large")
            await kept.save(1)
            await box.exec("echo small > small")
            await kept.save(2)
        sizes = [path.stat().st_size for path in sorted(tmp_path.glob("[0-9]*"))]
        assert len(sizes) == 2
        assert sizes[0] > 20_000_000
        assert sizes[1] < 200_000

    asyncio.run(work())


def test_what_grows_with_the_changes_is_written_whole_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "SPARE", 100_000)

    async def work() -> None:
        async with Sandbox.open(limits=SMALL) as box:
            kept = Journal(box, tmp_path)
            for mark in range(1, 8):
                await box.exec("head -c 150000 /dev/urandom > same")
                await kept.save(mark)
                names = json.loads((tmp_path / "index.json").read_text())["files"]
                assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names, "index.json"])
                assert len(names) <= 4
            last = await box.read("same")
        async with Sandbox.open(limits=SMALL, checkpoint=tmp_path) as box:
            assert await box.read("same") == last

    asyncio.run(work())


def test_more_than_is_kept_is_said_and_ends_the_saving(tmp_path: Path) -> None:
    async def work() -> None:
        async with Sandbox.open(limits=SMALL) as box:
            kept = Journal(box, tmp_path, limit=1 << 20)
            assert await kept.save(1)
            await box.exec("head -c 2000000 /dev/urandom > large")
            assert not await kept.save(2)
            assert "more than" in kept.notice
            assert not await kept.save(3)
        assert saved_mark(tmp_path) == 1

    asyncio.run(work())


def test_a_save_that_fails_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with Sandbox.open(limits=SMALL) as box:
            kept = Journal(box, tmp_path)
            await box.exec("echo one > file")
            await kept.save(1)
            await box.exec("echo two > file")
            whole = box.save

            async def full(target: Path, *, whole: bool = True) -> bool:
                target.write_bytes(b"half")
                raise SandboxUnavailable("no space left")

            monkeypatch.setattr(box, "save", full)
            with pytest.raises(SandboxUnavailable):
                await kept.save(2)
            assert saved_mark(tmp_path) == 1
            monkeypatch.setattr(box, "save", whole)
            await kept.save(3)
        async with Sandbox.open(limits=SMALL, checkpoint=tmp_path) as box:
            assert await box.read("file") == b"two\n"

    asyncio.run(work())


@pytest.mark.parametrize(
    "index",
    [
        b"",
        b"[]",
        b'{"mark": 1}',
        b'{"mark": 1, "files": ["../x"], "sizes": [1]}',
        b'{"mark": 1, "files": [], "sizes": []}',
    ],
)
def test_a_damaged_journal_is_refused(tmp_path: Path, index: bytes) -> None:
    (tmp_path / "index.json").write_bytes(index)
    assert saved_mark(tmp_path) is None
    with pytest.raises(ConfigError, match="journal"):
        asyncio.run(Sandbox.start(checkpoint=tmp_path))


def test_saves_keep_a_distance_from_what_they_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "FIRST", 0.05)
    monkeypatch.setattr(journal, "PACE", 1000)

    async def work() -> None:
        async with Sandbox.open(limits=SMALL) as box:
            kept = Journal(box, tmp_path)
            assert not await kept.save(1)
            await asyncio.sleep(0.06)
            assert await kept.save(2)
            assert not await kept.save(3)
        assert saved_mark(tmp_path) == 2

    asyncio.run(work())


def test_a_fork_is_followed(tmp_path: Path) -> None:
    """The sandbox goes on in another guest after a fork: the next save is a whole one of that."""

    async def work() -> None:
        async with Sandbox.open(limits=SMALL) as box:
            kept = Journal(box, tmp_path)
            await box.exec("echo one > file")
            await kept.save(1)
            async with await box.fork():
                await box.exec("echo two > file; echo new > other")
                await kept.save(2)
        async with Sandbox.open(limits=SMALL, checkpoint=tmp_path) as box:
            assert (await box.exec("cat file other")).stdout == "two\nnew\n"

    asyncio.run(work())


def test_a_list_of_many_files_has_room(tmp_path: Path) -> None:
    async def work() -> None:
        async with Sandbox.open(limits=SMALL) as box:
            kept = Journal(box, tmp_path)
            made = await box.exec("mkdir many && cd many && seq -f '%0100.0f' 40000 | xargs touch; ls | wc -l")
            assert made.stdout == "40000\n"
            assert await kept.save(1)
            await box.exec("rm many/*1")
            assert await kept.save(2)
        async with Sandbox.open(limits=SMALL, checkpoint=tmp_path) as box:
            assert (await box.exec("ls many | wc -l")).stdout == "36000\n"

    asyncio.run(work())


def test_a_save_whose_helper_is_killed_fails_and_the_next_one_is_whole(tmp_path: Path) -> None:
    async def work() -> None:
        async with Sandbox.open(limits=SMALL) as box:
            kept = Journal(box, tmp_path)
            await box.exec("echo one > file")
            await kept.save(1)
            for pid in _children_of_this_process() - {box._guest.pid}:  # type: ignore[attr-defined]
                os.kill(pid, signal.SIGKILL)
            with pytest.raises(SandboxUnavailable):
                await kept.save(2)
            assert saved_mark(tmp_path) == 1
            await box.exec("echo three > file")
            assert await kept.save(3)
        async with Sandbox.open(limits=SMALL, checkpoint=tmp_path) as box:
            assert await box.read("file") == b"three\n"

    asyncio.run(work())


def _children_of_this_process() -> set[int]:
    found = set()
    for task in Path("/proc/self/task").iterdir():
        found |= {int(child) for child in (task / "children").read_text().split()}
    return found


def test_saves_at_once_are_made_one_after_the_other(tmp_path: Path) -> None:
    async def work() -> None:
        async with Sandbox.open(limits=SMALL) as box:
            kept = Journal(box, tmp_path)
            await box.exec("head -c 3000000 /dev/urandom > large; echo one > file")
            first = asyncio.create_task(kept.save(1))
            await asyncio.sleep(0)
            await asyncio.gather(first, kept.save(2))
        names = json.loads((tmp_path / "index.json").read_text())["files"]
        assert names == ["1-1", "2-2"]
        (tmp_path / "1-1").write_bytes(b"")  # as after a power failure
        assert saved_mark(tmp_path) is None

    asyncio.run(work())
