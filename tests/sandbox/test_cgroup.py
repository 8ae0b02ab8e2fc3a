"""Control groups of version 2, by the files that are read and written: the hosts of the tests have version 1 only,
which the contract suite tries for real."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from workroom.sandbox import cgroup
from workroom.sandbox.cgroup import Cgroup, Hierarchy, sweep
from workroom.sandbox.ledger import start_time


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory that looks like a version 2 hierarchy with all controllers."""
    for folder in (tmp_path, tmp_path / "workroom"):
        folder.mkdir(exist_ok=True)
        (folder / "cgroup.controllers").write_text("cpu io memory pids\n")
        (folder / "cgroup.subtree_control").write_text("")
        (folder / "cgroup.procs").write_text(f"{os.getpid()}\n")
    monkeypatch.setattr(cgroup, "MOUNT", tmp_path)
    cgroup.hierarchy.cache_clear()
    monkeypatch.setattr(cgroup, "sweep", lambda *_: 0)
    yield tmp_path
    cgroup.hierarchy.cache_clear()


def test_version_2_is_found_and_bounds_are_written(tree: Path) -> None:
    where = cgroup.hierarchy()
    assert where is not None
    assert (where.version, set(where.parents)) == (2, {"memory", "pids", "cpu"})
    group = Cgroup("1-2-3", where, memory=1 << 30, pids=99, cpus=1.5)
    folder = tree / "workroom" / "1-2-3"
    (folder / "memory.swap.max").touch()
    written = {path.name: path.read_text() for path in folder.iterdir()}
    assert written["memory.max"] == str(1 << 30)
    assert written["pids.max"] == "99"
    assert written["cpu.max"] == "150000 100000"
    assert group.procs == [str(folder / "cgroup.procs")]
    (folder / "memory.events").write_text("low 0\nhigh 0\nmax 4\noom 2\noom_kill 2\n")
    (folder / "pids.events").write_text("max 7\n")
    (folder / "memory.current").write_text("4096\n")
    assert (group.oom_kills(), group.refused_starts(), group.memory()) == (2, 7, 4096)
    assert group.memory_peak() is None  # before Linux 5.19
    (folder / "memory.peak").write_text("8192\n")
    assert group.memory_peak() == 8192


def test_processes_of_a_delegated_group_make_way(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_text

    def like_the_kernel(path: Path, text: str, *args: object) -> int:
        if path == tree / "cgroup.subtree_control" and not (tree / "workroom-main" / "cgroup.procs").exists():
            raise OSError(errno.EBUSY, "Device or resource busy")
        return write(path, text)

    monkeypatch.setattr(Path, "write_text", like_the_kernel)
    where = cgroup.hierarchy()
    assert where is not None
    assert (tree / "workroom-main" / "cgroup.procs").read_text() == str(os.getpid())


def test_without_rights_there_is_no_hierarchy(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refused)
    assert cgroup.hierarchy() is None


def test_sweeping_spares_the_living(tmp_path: Path) -> None:
    started = start_time(os.getpid())
    for name in (f"{os.getpid()}-{started}-1", f"{os.getpid()}-{started}-1-save", f"{os.getpid()}-1-5", "unrelated"):
        (tmp_path / name).mkdir()
    assert sweep(tmp_path) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [f"{os.getpid()}-{started}-1", f"{os.getpid()}-{started}-1-save", "unrelated"]
    )
    assert sweep(tmp_path, f"{os.getpid()}-{started}-1") == 2


def test_the_group_of_a_failed_start_goes(tmp_path: Path) -> None:
    (tmp_path / "parent").mkdir()
    where = Hierarchy(2, {"memory": tmp_path / "parent", "pids": tmp_path / "missing"})
    with pytest.raises(OSError, match="missing"):
        Cgroup("1-2-3", where, memory=1, pids=1, cpus=None)
    assert not (tmp_path / "parent" / "1-2-3").exists()
