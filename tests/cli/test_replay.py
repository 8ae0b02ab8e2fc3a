"""`workroom replay` as a user meets it."""

import json
import os
import signal
import time
from pathlib import Path

from tests.cli.command import SUBMIT, bash, script, start, workroom
from tests.trajectory.helpers import episode
from workroom.trajectory import RunDirectory

NO_NETWORK = ("--network", "none")


def test_a_run_is_replayed_and_what_differs_is_shown(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1\n2\n3\n")
    name = script(
        tmp_path / "s.jsonl", bash("wc -l < documents/a.txt > answer.txt; date +%T.%N"), bash("cat answer.txt"), SUBMIT
    )
    done = workroom(tmp_path, "count", "-m", name, "-i", "a.txt", "-o", "out", "--quiet", *NO_NETWORK)
    assert (done.returncode, done.stdout) == (0, "3\n")
    recorded = tmp_path / "out"
    before = {path: path.read_bytes() for path in recorded.iterdir() if path.is_file()}
    done = workroom(tmp_path, "replay", "out")
    assert (done.returncode, done.stdout) == (0, "3 of 3 calls gave the same; the answer is the same\n")
    assert 'call 2 of 3: execute_bash {"command": "cat answer.txt"}' in done.stderr

    done = workroom(tmp_path, "replay", "out", "--quiet", "--exact")
    assert (done.returncode, done.stderr) == (3, "")
    assert "2 of 3 calls gave the same; 1 differ" in done.stdout

    (tmp_path / "a.txt").write_text("1\n")
    done = workroom(tmp_path, "replay", "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"workroom: the document a.txt ({tmp_path}/a.txt) has changed since the run; hand in the one of then with -i\n"
    )
    done = workroom(tmp_path, "replay", "out", "-i", "a.txt")
    assert done.returncode == 3
    assert done.stdout.splitlines() == [
        'turn 2: execute_bash {"command": "cat answer.txt"} differs',
        "  --- recorded", "  +++ replayed", "  @@ -1,4 +1,4 @@",
        "   [exit code: 0]", "   [stdout]", "  -3", "  +1", "   ",
        "the answer differs",
        "  --- recorded", "  +++ replayed", "  @@ -1 +1 @@", "  -3", "  +1",
        "2 of 3 calls gave the same; 1 differ; the answer differs",
    ]  # fmt: skip
    done = workroom(tmp_path, "replay", "out", "-i", "a.txt", "--json", "--quiet")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["type"], line["status"]) for line in lines[:-1]] == [
        ("call", "same"), ("call", "different"), ("call", "same"),
    ]  # fmt: skip
    assert "-3\n+1" in lines[1]["diff"]
    assert {key: lines[-1][key] for key in ("type", "exit_code", "calls", "same", "different", "answer")} == {
        "type": "result", "exit_code": 3, "calls": 3, "same": 2, "different": 1, "answer": "different",
    }  # fmt: skip
    assert before == {path: path.read_bytes() for path in recorded.iterdir() if path.is_file()}


def test_what_a_terminal_would_obey_is_made_harmless(tmp_path: Path) -> None:
    evil = "\x1b]0;owned\x07"
    name = script(tmp_path / "s.jsonl", bash(f"printf '{evil}'; date +%N; cat /proc/sys/kernel/random/uuid"), SUBMIT)
    workroom(tmp_path, "x", "-m", name, "-o", "out", *NO_NETWORK)
    done = workroom(tmp_path, "replay", "out")
    assert done.returncode == 3
    assert not {"\x1b", "\x07"} & set(done.stdout + done.stderr)


def test_a_replay_can_be_interrupted(tmp_path: Path) -> None:
    name = script(tmp_path / "s.jsonl", bash("echo 1"), bash("sleep 0.1; echo 2"), SUBMIT)
    workroom(tmp_path, "x", "-m", name, "-o", "out", *NO_NETWORK)
    log = tmp_path / "out/events.jsonl"
    log.write_text(log.read_text().replace("sleep 0.1", "sleep 60"))
    process = start(tmp_path, "replay", "out")
    shown = ""
    while "call 2 of 3" not in shown:
        shown += process.stderr.readline()
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert time.monotonic() - began < 15
    assert (process.returncode, stdout) == (130, "")
    assert stderr.endswith("workroom: interrupted after 1 calls\n")


def test_what_cannot_be_replayed_is_one_sentence(tmp_path: Path) -> None:
    with RunDirectory.create(tmp_path / "out", {}) as run:
        for event in episode():
            run.record(event)
    for arguments, said in (
        (["missing"], "there is no run in missing: No such file or directory (events.jsonl)"),
        (["out", "--network", "world"], "network must be none, packages, open or allow:HOST"),
        (["out"], "the run does not tell where its document a.txt came from; hand it in with -i"),
    ):
        done = workroom(tmp_path, "replay", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_sandbox_that_dies_is_no_difference(tmp_path: Path) -> None:
    name = script(tmp_path / "s.jsonl", bash("echo 1"), bash("sleep 0.1; echo 2"), SUBMIT)
    workroom(tmp_path, "x", "-m", name, "-o", "out", *NO_NETWORK)
    log = tmp_path / "out/events.jsonl"
    log.write_text(log.read_text().replace("sleep 0.1", "sleep 60"))
    process = start(tmp_path, "replay", "out")
    shown = ""
    while "call 2 of 3" not in shown:
        shown += process.stderr.readline()
    for task in Path(f"/proc/{process.pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (5, ""), stderr
    assert "workroom: the sandbox died" in stderr
