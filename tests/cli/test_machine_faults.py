"""Disks that are full or broken, clocks that jump, and signals at any moment, against the real command."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import ROOT, SUBMIT, bash, environment, script, start, workroom
from tests.cli.test_resume import wait_for
from workroom.trajectory import RunDirectory

FILLS = [
    bash("echo one > log"),
    bash("echo two >> log; head -c 900000 /dev/zero | tr '\\0' x"),  # a trajectory of some size
    bash("echo three >> log; cat log > answer.txt; head -c 300000 /dev/urandom > output/noise"),
]
IN_SMALL_PLACE = """
set -e
mkdir small && mount -t tmpfs -o size={size},nr_inodes={inodes} none small
python="$1"; shift
set +e
"$python" -m workroom x -m "$1" -o small/out --network none > first.out 2> first.err; echo $? > first.code
cp -r small/out copy
mount -o remount,size=64m,nr_inodes=10000 small
"$python" -m workroom run --resume small/out > second.out 2> second.err; echo $? > second.code
cp -r small/out end
"""


@pytest.mark.parametrize(("size", "inodes"), [("60k", 1000), ("300k", 1000), ("64m", 5)], ids=["60k", "300k", "inodes"])
def test_a_full_disk_ends_the_run_with_a_sentence_and_it_goes_on_when_there_is_room(
    tmp_path: Path, size: str, inodes: int
) -> None:
    model = script(tmp_path / "s.jsonl", *FILLS, SUBMIT)
    unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    command = [*unshare, "bash", "-c", IN_SMALL_PLACE.format(size=size, inodes=inodes), "bash", sys.executable, model]
    subprocess.run(command, cwd=tmp_path, env=environment(tmp_path, _source()), check=True, timeout=120)

    def said(name: str) -> str:
        return (tmp_path / name).read_text()

    assert said("first.code") in ("1\n", "2\n"), said("first.err")
    assert "Traceback" not in said("first.err")
    assert "No space left" in said("first.err")
    assert said("first.out") == ""
    for path in (tmp_path / "copy").rglob("*.json"):
        json.loads(path.read_bytes())  # no half of a file in the place of a whole one
    if (tmp_path / "copy/run.json").exists():
        before = RunDirectory.load(tmp_path / "copy")
        assert before.damaged == 0
        assert (said("second.code"), said("second.out")) == ("0\n", "one\ntwo\nthree\n"), said("second.err")
        after = RunDirectory.load(tmp_path / "end")
        assert after.events[: len(before.events)] == before.events
        assert (after.run["status"], (tmp_path / "end/files/noise").stat().st_size) == ("finished", 300000)


BROKEN_DISK = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dlfcn.h>
#include <unistd.h>
static int broken(int fd) {
  char link[64], path[PATH_MAX];
  const char *name = getenv("BROKEN_NAME");
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t size = readlink(link, path, sizeof path - 1);
  if (size < 0 || !name) return 0;
  path[size] = 0;
  return strstr(path, name) != NULL;
}
int fsync(int fd) {
  if (broken(fd) && !getenv("BROKEN_WRITE")) { errno = EIO; return -1; }
  return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
}
ssize_t write(int fd, const void *data, size_t size) {
  if (getenv("BROKEN_WRITE") && broken(fd)) { errno = atoi(getenv("BROKEN_WRITE")); return -1; }
  return ((ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write"))(fd, data, size);
}
"""


@pytest.mark.parametrize(
    ("name", "error"), [("events.jsonl", ""), ("out/run.json", ""), ("events.jsonl", "5"), ("trajectory.json", "30")]
)
def test_what_the_disk_did_not_take_is_not_reported_as_done(tmp_path: Path, name: str, error: str) -> None:
    """EIO of an fsync or a write, or a file system that became read-only: exit code 1, and the run can go on."""
    (tmp_path / "broken.c").write_text(BROKEN_DISK)
    library = tmp_path / "broken.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "broken.c", "-ldl"], check=True)
    model = script(tmp_path / "s.jsonl", bash("echo 42 > answer.txt"), SUBMIT)
    broken = {"LD_PRELOAD": str(library), "BROKEN_NAME": name}
    done = workroom(
        tmp_path, "x", "-m", model, "-o", "out", "--network", "none",
        env=broken | ({"BROKEN_WRITE": error} if error else {}),
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert "cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads((tmp_path / "out/run.json").read_text())["status"] != "finished"
    again = workroom(tmp_path, "run", "--resume", "out")
    assert (again.returncode, again.stdout) == (0, "42\n"), again.stderr
    assert RunDirectory.load(tmp_path / "out").run["status"] == "finished"


JUMPS = """
import sys, time, itertools
real, steps = time.time, itertools.cycle([0, 3600, -3600, 7200])
time.time = lambda: real() + next(steps)
from workroom.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_clock_that_jumps_ends_nothing_early_and_leaves_the_order(tmp_path: Path) -> None:
    model = script(tmp_path / "s.jsonl", *[bash(f"echo {n} >> answer.txt") for n in range(4)], SUBMIT)
    command = [sys.executable, "-c", JUMPS, "x", "-m", model, "-o", "out", "--network", "none", "--max-time", "60"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(tmp_path, _source()), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "0\n1\n2\n3\n"), done.stderr
    run = RunDirectory.load(tmp_path / "out")
    times, elapsed = [event.time for event in run.events], [event.elapsed for event in run.events]
    assert times != sorted(times)
    assert elapsed == sorted(elapsed)
    assert [event.seq for event in run.events] == list(range(len(run.events)))
    assert run.finished is not None
    assert run.finished.duration < 60


PHASES = {
    "the start": ("", 0.0),
    "a model call": ('"turn_started", "turn": 1', 0.2),
    "a command": ('"assistant", "turn": 1', 0.3),
    "between turns": ('"turn_started", "turn": 2', 0.0),
    "the end": ('"submitted": true', 0.0),
}


@pytest.mark.parametrize(
    ("phase", "number"),
    [
        *[(phase, number) for phase in PHASES for number in (signal.SIGINT, signal.SIGTERM)],
        ("a command", signal.SIGHUP),
    ],
)
def test_a_signal_at_any_moment_leaves_a_run_that_goes_on(tmp_path: Path, phase: str, number: signal.Signals) -> None:
    """Once: the step is finished. Then, where it still runs, again: it stops at once. Nothing is left either way."""
    model = script(tmp_path / "s.jsonl", bash("sleep 1; echo 1 >> log"), bash("cat log > answer.txt"), SUBMIT)
    process = start(tmp_path, "x", "-m", model, "-o", "out", "--network", "none")
    words, pause = PHASES[phase]
    log = tmp_path / "out/events.jsonl"
    wait_for_file(process, tmp_path / "out/run.json")
    if words:
        wait_for(process, log, words)
    time.sleep(pause)
    if process.poll() is None:
        process.send_signal(number)
    if number == signal.SIGTERM:
        time.sleep(0.05)
        process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode in (0, 130), stderr
    assert "Traceback" not in stderr
    assert RunDirectory.load(tmp_path / "out").run["status"] in ("interrupted", "finished")
    done = workroom(tmp_path, "run", "--resume", "out")
    assert done.returncode == 0, done.stderr
    assert RunDirectory.load(tmp_path / "out").run["stop_reason"] == "submitted"


def test_a_run_that_is_stopped_and_continued_at_a_terminal_goes_on(tmp_path: Path) -> None:
    model = script(tmp_path / "s.jsonl", bash("sleep 1; echo 1 > answer.txt"), SUBMIT)
    leader, follower = pty.openpty()
    process = start(
        tmp_path, "x", "-m", model, "-o", "out", "--network", "none", stdout=follower, stderr=follower,
        env={"TERM": "xterm"}, start_new_session=True,
    )  # fmt: skip
    os.close(follower)
    wait_for_file(process, tmp_path / "out/events.jsonl")
    process.send_signal(signal.SIGTSTP)
    time.sleep(0.5)
    process.send_signal(signal.SIGCONT)
    shown = b""
    try:
        while data := os.read(leader, 65536):
            shown += data
    except OSError:  # the terminal is gone with its last writer
        pass
    os.close(leader)
    assert process.wait(60) == 0
    assert b"1\r\n" in shown


def wait_for_file(process: Any, path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists() or not path.stat().st_size:
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)


def _source() -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])}
