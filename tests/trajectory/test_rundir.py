"""The directory that a run leaves, and what is left of it when things go wrong."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import atif
import pytest

from tests.trajectory.helpers import episode
from workroom.errors import ConfigError, WorkroomError
from workroom.sandbox import FileEntry
from workroom.trajectory import RunDirectory, StopReason, load_events
from workroom.trajectory.reader import parse_events


def written(path: Path, count: int | None = None) -> RunDirectory:
    run = RunDirectory.create(path, {"model": "scripted/x"})
    for event in episode()[:count]:
        run.record(event)
    return run


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_finished_run_has_all_its_files(tmp_path: Path) -> None:
    run = written(tmp_path / "runs" / "one")
    run.files_dir.mkdir()
    (run.files_dir / "plot.png").write_bytes(b"x")
    assert json.loads((run.path / "run.json").read_text())["status"] == "running"
    run.finish([FileEntry("plot.png", 1, "ab")])
    assert names(run.path) == ["answer.txt", "events.jsonl", "files", "run.json", "trajectory.json"]
    assert names(run.files_dir) == ["manifest.json", "plot.png"]
    summary = json.loads((run.path / "run.json").read_text())
    assert summary["status"] == "finished"
    assert summary["stop_reason"] == "submitted"
    assert summary["config"] == {"model": "scripted/x"}
    assert summary["usage"]["cached"] == 60
    assert summary["cost"] == 0.5
    assert summary["sandbox"]["backend"] == "bwrap"
    assert set(summary["timings"]) == {"total", "model", "tools"}
    assert summary["versions"]["workroom"]
    assert (run.path / "answer.txt").read_text() == "42 é"
    manifest = json.loads((run.path / "files" / "manifest.json").read_text())
    assert manifest == {"files": [{"path": "plot.png", "size": 1, "sha256": "ab"}]}
    atif.Trajectory.model_validate_json((run.path / "trajectory.json").read_bytes())


def test_what_was_recorded_comes_back(tmp_path: Path) -> None:
    written(tmp_path / "one").close()
    loaded = RunDirectory.load(tmp_path / "one")
    expected = [event for event in episode() if not event.live_only]
    assert [event.type for event in loaded.events] == [event.type for event in expected]
    assert loaded.events[4:] == expected[4:]
    assert loaded.events[:3] == expected[:3]
    assert loaded.damaged == 0
    assert loaded.started is not None
    assert loaded.finished is not None
    assert loaded.finished.answer == "42 é"
    assert load_events(tmp_path / "one") == loaded.events == load_events(tmp_path / "one" / "events.jsonl")
    log = (tmp_path / "one" / "events.jsonl").read_bytes()
    assert log.isascii()
    assert b"never written" not in log
    assert log.count(b"\n") == len(expected)


@pytest.mark.parametrize(
    ("reason", "status"),
    [("max_turns", "finished"), ("interrupted", "interrupted"), ("model_error", "failed"), ("sandbox_error", "failed")],
)
def test_the_status_follows_the_stop_reason(tmp_path: Path, reason: StopReason, status: str) -> None:
    run = RunDirectory.create(tmp_path / "one", {})
    for event in episode(reason, None):
        run.record(event)
    run.finish()
    assert RunDirectory.load(run.path).run["status"] == status
    assert not (run.path / "answer.txt").exists()
    assert not (run.path / "files").exists()


def test_a_run_without_an_end_counts_as_interrupted(tmp_path: Path) -> None:
    written(tmp_path / "one", 5).finish()
    loaded = RunDirectory.load(tmp_path / "one")
    assert loaded.run["status"] == "interrupted"
    assert loaded.finished is None


def test_a_manifest_of_the_models_own_stays(tmp_path: Path) -> None:
    run = written(tmp_path / "one")
    run.files_dir.mkdir()
    (run.files_dir / "manifest.json").write_text("mine")
    (run.files_dir / "manifest.workroom.json").write_text("mine too")
    own = [FileEntry("manifest.json", 4, "ab"), FileEntry("manifest.workroom.json", 8, "cd")]
    run.finish(own)
    assert (run.files_dir / "manifest.json").read_text() == "mine"
    assert (run.files_dir / "manifest.workroom.json").read_text() == "mine too"
    assert json.loads((run.path / "run.json").read_text())["manifest"] == "manifest.workroom-2.json"
    assert len(list(run.files_dir.iterdir())) == 3


def test_a_second_run_in_one_directory_refuses(tmp_path: Path) -> None:
    run = written(tmp_path / "one")
    with pytest.raises(ConfigError, match="in use by another run"):
        RunDirectory.create(tmp_path / "one", {}, replace=True)
    run.finish()
    with pytest.raises(ConfigError, match="holds a run already"):
        RunDirectory.create(tmp_path / "one", {})
    assert RunDirectory.load(tmp_path / "one").finished is not None
    RunDirectory.create(tmp_path / "one", {"new": 1}, replace=True).close()
    assert names(tmp_path / "one") == ["events.jsonl", "run.json"]
    assert RunDirectory.load(tmp_path / "one").events == []


def test_a_foreign_directory_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not empty and holds no run"):
        RunDirectory.create(tmp_path, {}, replace=True)
    assert names(tmp_path) == ["thesis.txt"]
    with pytest.raises(ConfigError, match="cannot make a run"):
        RunDirectory.create(tmp_path / "thesis.txt" / "x", {})


def test_there_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no run in"):
        RunDirectory.load(tmp_path)


def test_every_prefix_of_the_log_loses_at_most_its_last_line(tmp_path: Path) -> None:
    run = written(tmp_path / "one")
    run.close()
    data = (run.path / "events.jsonl").read_bytes()
    whole, _ = parse_events(data)
    ends = [i for i, byte in enumerate(data) if byte == 0x0A]
    for length in range(len(data) + 1):
        events, damaged = parse_events(data[:length])
        complete = sum(end <= length for end in ends)  # a line that lacks nothing but its end is whole, too
        assert events == whole[:complete]
        assert damaged == (length > 0 and length not in ends and data[length - 1] != 0x0A)


TAILS = [b"\0" * 4096, b'{"type": "tool"', b"\xff\xfe\n", b"[1]\n", b'{"type": "new"}\n', b"[" * 9999]


@pytest.mark.parametrize("tail", TAILS)
def test_a_damaged_tail_is_dropped(tmp_path: Path, tail: bytes) -> None:
    run = written(tmp_path / "one")
    run.close()
    with (run.path / "events.jsonl").open("ab") as log:
        log.write(tail)
    (run.path / "run.json").write_bytes(b"\0\0\0")
    loaded = RunDirectory.load(run.path)
    assert loaded.finished is not None
    assert loaded.damaged == 1
    assert loaded.run == {}
    atif.Trajectory.model_validate_json(loaded.write_trajectory().read_bytes())


KILLED = """
import os, sys, time
from tests.trajectory.helpers import episode
from workroom.trajectory import RunDirectory
run = RunDirectory.create(sys.argv[1], {"model": "scripted/x"})
for event in episode():
    if event.type == "turn_started" and event.turn == 2:
        print("between turns", flush=True)
        time.sleep(60)
    run.record(event)
"""


def test_kill_9_between_turns_loses_nothing(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    target = tmp_path / "one"
    command = [sys.executable, "-c", KILLED, str(target)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root, env={"PYTHONPATH": f"{root}:{root}/src"})
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"between turns\n"
        child.send_signal(signal.SIGKILL)
    loaded = RunDirectory.load(target)
    turn = [event.type for event in loaded.events if event.type in ("assistant", "tool")]
    assert turn == ["assistant", "tool", "tool"]
    assert loaded.run["status"] == "running"
    document = atif.Trajectory.model_validate_json(loaded.write_trajectory().read_bytes())
    assert [step.source for step in document.steps] == ["system", "user", "agent", "user"]
    RunDirectory.create(target, {}, replace=True).close()  # the lock went with the process


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """What a full disk looks like: a write is cut short or refused."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, old)


def record_until_full(run: RunDirectory) -> None:
    for _ in range(100):
        run.record(episode()[5])
        run.save()


@pytest.mark.parametrize("size", [3000, 4000, 5000])
def test_a_full_disk_is_told_and_leaves_whole_lines(tmp_path: Path, size: int) -> None:
    run = written(tmp_path / "one", 6)
    with file_size_limit(size), pytest.raises(WorkroomError, match=r"cannot write .*make room"):
        record_until_full(run)
    run.close()
    loaded = RunDirectory.load(tmp_path / "one")
    assert loaded.damaged == 0
    assert len(loaded.events) >= 4
    assert (tmp_path / "one" / "events.jsonl").read_bytes().endswith(b"\n")
    assert loaded.run["status"] == "running"


def test_a_full_disk_keeps_the_earlier_trajectory(tmp_path: Path) -> None:
    run = written(tmp_path / "one")
    good = run.write_trajectory().read_bytes()
    with file_size_limit(100), pytest.raises(WorkroomError, match="cannot write"):
        run.finish()
    assert (run.path / "trajectory.json").read_bytes() == good
    assert not [name for name in names(run.path) if ".tmp." in name]
    run.finish()
    assert RunDirectory.load(run.path).run["status"] == "finished"


@pytest.mark.parametrize("name", ["files", "images", "checkpoints"])
def test_a_run_whose_folder_is_a_link_does_not_go_on(tmp_path: Path, name: str) -> None:
    written(tmp_path / "one").close()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "one" / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="is a link"):
        RunDirectory.reopen(tmp_path / "one")


def test_a_log_that_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    written(tmp_path / "one").close()
    log = tmp_path / "one" / "events.jsonl"
    log.unlink()
    os.mkfifo(log)
    for read in (RunDirectory.load, RunDirectory.reopen):
        with pytest.raises(ConfigError, match="no regular file"):
            read(tmp_path / "one")


def test_leftovers_that_cannot_be_removed_cost_nothing(tmp_path: Path) -> None:
    written(tmp_path / "one").close()
    (tmp_path / "one" / "run.json.tmp.1").mkdir()
    RunDirectory.reopen(tmp_path / "one").close()


@pytest.mark.parametrize("messages", [[{}], [{"role": 5, "content": "x"}], [{"role": "user", "content": 5}], ["x"]])
def test_a_beginning_with_messages_that_are_none_is_damaged(tmp_path: Path, messages: list[object]) -> None:
    written(tmp_path / "one").close()
    log = tmp_path / "one" / "events.jsonl"
    first, *rest = log.read_text().splitlines(keepends=True)
    log.write_text("".join([json.dumps({**json.loads(first), "messages": messages}) + "\n", *rest]))
    loaded = RunDirectory.load(tmp_path / "one")
    assert (loaded.started, loaded.damaged, len(loaded.events)) == (None, 1, len(rest))
