"""`workroom run --resume`: killed at any moment, a run goes on after its last whole turn, and does nothing twice."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import ROOT, SUBMIT, bash, call, environment, script, start, workroom
from tests.fakes import FakeServer, openai
from workroom.trajectory import RunDirectory
from workroom.trajectory.reader import kept

STEPS = [
    bash("cd /tmp; export KEPT=5; sleep 0.6; cat /testbed/documents/a.txt > /testbed/log"),
    bash("echo two $KEPT $PWD >> /testbed/log"),
    [*bash("echo three >> /testbed/log"), *bash("sleep 0.3; echo four >> /testbed/log")],
    bash("cp /testbed/log /testbed/answer.txt; cp /testbed/log /testbed/output/log.txt"),
]
ANSWER = "one\ntwo 5 /tmp\nthree\nfour"


@pytest.fixture
def model(tmp_path: Path) -> str:
    (tmp_path / "a.txt").write_text("one\n")
    return script(tmp_path / "s.jsonl", *STEPS, SUBMIT)


def begin(place: Path, model: str, *arguments: str, **options: Any) -> Any:
    return start(place, "x", "-i", "a.txt", "-m", model, "-o", "out", "--network", "none", *arguments, **options)


def wait_for(process: Any, log: Path, words: str) -> None:
    end = time.monotonic() + 60
    while words not in (log.read_text() if log.exists() else ""):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


def went_well(place: Path, done: "subprocess.CompletedProcess[str]") -> RunDirectory:
    """Checks that the run has come to the end that it would have come to without any crash."""
    assert (done.returncode, done.stdout) == (0, ANSWER + "\n"), done.stderr
    out = place / "out"
    assert (out / "files/log.txt").read_text() == ANSWER + "\n"
    run = RunDirectory.load(out)
    assert (run.run["status"], run.run["stop_reason"], run.damaged) == ("finished", "submitted", 0)
    turns = [event.turn for event in kept(run.events) if event.type == "assistant"]
    assert turns == list(range(1, len(STEPS) + 2))
    assert [event.seq for event in run.events] == list(range(len(run.events)))
    assert sorted(path.name for path in out.iterdir()) == [
        "answer.txt", "events.jsonl", "files", "run.json", "trajectory.json",
    ]  # fmt: skip
    return run


def test_a_killed_run_goes_on_after_its_last_whole_turn(tmp_path: Path, model: str) -> None:
    process = begin(tmp_path, model)
    wait_for(process, tmp_path / "out/events.jsonl", '"turn_started", "turn": 4')
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = RunDirectory.load(tmp_path / "out")
    assert (before.run["status"], before.finished) == ("running", None)
    (tmp_path / "a.txt").unlink()  # what was read is in the files that are kept
    done = workroom(tmp_path, "run", "--resume", "out")
    run = went_well(tmp_path, done)
    assert "going on after turn" in done.stderr
    assert run.events[: len(before.events)] == before.events
    resumed = next(event for event in run.events if event.type == "episode_resumed")
    assert resumed.turn >= 2
    assert run.run["resumed"] == 1
    again = workroom(tmp_path, "run", "--resume", "out", "--quiet")
    assert (again.returncode, again.stdout) == (0, ANSWER + "\n")
    assert RunDirectory.load(tmp_path / "out").events == run.events


def test_without_checkpoints_the_commands_are_run_again(tmp_path: Path, model: str) -> None:
    process = begin(tmp_path, model, "--checkpoints", "off")
    wait_for(process, tmp_path / "out/events.jsonl", '"turn_started", "turn": 4')
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "out/checkpoints").exists()
    (tmp_path / "a.txt").rename(tmp_path / "b.txt")
    refused = workroom(tmp_path, "run", "--resume", "out")
    assert refused.returncode == 2
    assert "the document a.txt is not as it was" in refused.stderr
    (tmp_path / "b.txt").rename(tmp_path / "a.txt")
    done = workroom(tmp_path, "run", "--resume", "out")
    run = went_well(tmp_path, done)
    resumed = next(event for event in run.events if event.type == "episode_resumed")
    assert (resumed.turn, resumed.replayed) == (3, 4)


def test_an_interrupted_run_goes_on(tmp_path: Path, model: str) -> None:
    process = begin(tmp_path, model)
    wait_for(process, tmp_path / "out/events.jsonl", '"turn_started", "turn": 3')
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    process.communicate()
    assert RunDirectory.load(tmp_path / "out").run["status"] == "interrupted"
    went_well_or_repeats(tmp_path, workroom(tmp_path, "run", "--resume", "out"))


def went_well_or_repeats(place: Path, done: "subprocess.CompletedProcess[str]") -> None:
    """Calls that were not run because of the interruption stay so: it is the model's to make them again."""
    assert done.returncode == 0, done.stderr
    assert RunDirectory.load(place / "out").run["stop_reason"] == "submitted"


def test_a_provider_that_failed_can_be_mended(tmp_path: Path) -> None:
    """A refused key ends the run at once; with the right one it goes on where it was, on another port too."""
    first = openai.assistant(calls=[("execute_bash", {"command": "echo 41 > n; echo x >> count"})])
    with FakeServer([first, openai.error(401, "Incorrect API key provided")]) as server:
        done = workroom(tmp_path, "x", "-m", "openai/fake", "--base-url", server.url, "-o", "out", "--network", "none")
    assert done.returncode == 4
    rest = [
        openai.assistant(calls=[("execute_bash", {"command": "cat n count > answer.txt"})]),
        openai.assistant(calls=[("submit", {})]),
    ]
    with FakeServer(rest) as server:
        done = workroom(tmp_path, "run", "--resume", "out", "--base-url", server.url)
        roles = [message["role"] for message in server.requests[0].json["messages"]]
    assert (done.returncode, done.stdout) == (0, "41\nx\n"), done.stderr
    assert roles == ["system", "user", "assistant", "tool", "user"]


def test_a_provider_that_failed_until_the_time_was_over_needs_more_of_it(tmp_path: Path) -> None:
    with FakeServer(lambda _: openai.error(503, "overloaded")) as server:
        flags = ("-m", "openai/fake", "--base-url", server.url, "-o", "out", "--mode", "llm", "--max-time", "8")
        done = workroom(tmp_path, "x", *flags)
        assert done.returncode == 4, done.stderr
        refused = workroom(tmp_path, "run", "--resume", "out")
    assert refused.returncode == 2
    assert "the run ended at its limit --max-time 8: give a larger one" in refused.stderr
    with FakeServer([openai.assistant("42")]) as server:
        done = workroom(tmp_path, "run", "--resume", "out", "--max-time", "100", "--base-url", server.url)
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr


def test_a_limit_can_be_raised_and_only_that(tmp_path: Path, model: str) -> None:
    done = workroom(
        tmp_path, "x", "-i", "a.txt", "-m", model, "-o", "out", "--network", "none", "--max-turns", "2"
    )  # fmt: skip
    assert done.returncode == 3
    for flags, said in (
        ([], "the run ended at its limit --max-turns 2: give a larger one"),
        (["--max-turns", "9", "--memory", "1g"], "memory"),
        (["--max-turns", "9", "-m", "scripted/other"], "model"),
        (["--max-turns", "9", "--network", "packages"], "network"),
        (["--max-turns", "9", "-i", "a.txt"], "leave out -i"),
        (["TASK"], "leave out a TASK"),
    ):
        refused = workroom(tmp_path, "run", "--resume", "out", *flags)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert said in refused.stderr
        assert refused.stderr.count("\n") == 1
    used = RunDirectory.load(tmp_path / "out").run["usage"]["prompt"]
    run = went_well(tmp_path, workroom(tmp_path, "run", "--resume", "out", "--max-turns", "9"))
    assert run.run["usage"]["prompt"] > 2 * used
    assert run.run["config"]["max_turns"] == {"value": 9, "origin": "flag --max-turns"}


def test_another_image_or_a_directory_in_use_is_refused(tmp_path: Path, model: str) -> None:
    process = begin(tmp_path, model)
    wait_for(process, tmp_path / "out/events.jsonl", '"turn_started", "turn": 4')
    process.send_signal(signal.SIGSTOP)
    in_use = workroom(tmp_path, "run", "--resume", "out")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert in_use.returncode == 2
    assert "in use by another run" in in_use.stderr
    record = json.loads((tmp_path / "out/run.json").read_text())
    record["sandbox"]["image"] = "default@0123"
    shutil.copytree(tmp_path / "out", tmp_path / "copy")  # as on another machine
    (tmp_path / "copy/run.json").write_text(json.dumps(record))
    refused = workroom(tmp_path, "run", "--resume", "copy")
    assert refused.returncode == 2
    assert "was begun with the image default@0123 and cannot go on with host" in refused.stderr
    went_well(tmp_path, workroom(tmp_path, "run", "--resume", "out"))


def test_an_llm_run_asks_again(tmp_path: Path) -> None:
    with FakeServer([openai.error(401, "no")]) as server:
        done = workroom(tmp_path, "x", "-m", "openai/f", "--base-url", server.url, "--mode", "llm", "-o", "out")
    assert done.returncode == 4
    with FakeServer([openai.assistant("forty-two")]) as server:
        done = workroom(tmp_path, "run", "--resume", "out", "--base-url", server.url)
        assert len(server.requests) == 1
    assert (done.returncode, done.stdout) == (0, "forty-two\n")


KILLER = """
import os, signal, sys
from workroom.cli import main
import workroom.trajectory.files as files, workroom.trajectory.rundir as rundir
point, left = sys.argv[1], [int(sys.argv[2])]
def dies(before, work):
    def step(*arguments, **options):
        left[0] -= 1
        if left[0] == 0 and before: os.kill(os.getpid(), signal.SIGKILL)
        result = work(*arguments, **options)
        if left[0] == 0: os.kill(os.getpid(), signal.SIGKILL)
        return result
    return step
before = point.startswith("before ")
name = point.split()[-1]
if name == "replace":
    rundir.replace_file = dies(before, rundir.replace_file)
elif name == "append":
    rundir.RunDirectory._append = dies(before, rundir.RunDirectory._append)
elif name == "sync":
    rundir.RunDirectory._sync = dies(before, rundir.RunDirectory._sync)
sys.exit(main(sys.argv[3:]))
"""
POINTS = [
    *[("before append", number) for number in (3, 9, 16)],
    *[("after append", number) for number in (1, 8, 13, 16)],
    *[("before replace", number) for number in (1, 2, 4, 5)],
    *[("after replace", number) for number in (1, 3)],
    ("before sync", 1), ("after sync", 1),
]  # fmt: skip


@pytest.mark.parametrize("shard", range(3))
def test_killed_at_each_step_of_its_writing_a_run_comes_to_the_same_end(tmp_path: Path, model: str, shard: int) -> None:
    """Where the process dies between what is written and what says so, nothing is lost and nothing is done twice."""
    hit = 0
    for point, number in POINTS[shard::3]:
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        arguments = ["x", "-i", "a.txt", "-m", model, "-o", "out", "--network", "none", "--quiet"]
        command = [sys.executable, "-c", KILLER, point, str(number), *arguments]
        paths = {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])}
        killed = subprocess.run(
            command, cwd=tmp_path, env=environment(tmp_path, paths), capture_output=True, check=False
        )
        hit += killed.returncode == -signal.SIGKILL
        done = workroom(tmp_path, "run", "--resume", "out")
        if done.returncode == 2 and not (tmp_path / "out/run.json").exists():
            continue  # nothing had been begun
        went_well(tmp_path, done)
    assert hit >= len(POINTS[shard::3]) - 1


@pytest.mark.timeout(900)
def test_random_kills_and_goings_on_come_to_the_same_end(tmp_path: Path, model: str) -> None:
    """`WORKROOM_KILLS=200` for the long version."""
    choose = random.Random(20261126)
    kills = 0
    while kills < int(os.environ.get("WORKROOM_KILLS", "6")):
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        process = begin(tmp_path, model)
        for _ in range(20):
            try:
                process.wait(choose.uniform(0.2, 1.6))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                kills += 1
            process.communicate()
            if process.returncode == 0:
                break
            process = (
                start(tmp_path, "run", "--resume", "out")
                if (tmp_path / "out/run.json").exists()
                else begin(tmp_path, model)
            )
        if process.poll() is None:
            process.communicate(timeout=60)
        went_well(tmp_path, workroom(tmp_path, "run", "--resume", "out"))


def test_a_call_that_is_not_known_and_one_that_was_cut_off_are_not_run_again(tmp_path: Path) -> None:
    name = script(
        tmp_path / "s.jsonl",
        [call("fly", to="the moon"), *bash("echo once >> log"), call("execute_bash")],
        bash("cp log answer.txt"),
        SUBMIT,
    )
    done = workroom(
        tmp_path, "x", "-m", name, "-o", "out", "--network", "none", "--checkpoints", "off", "--max-turns", "1"
    )  # fmt: skip
    assert done.returncode == 3
    done = workroom(tmp_path, "run", "--resume", "out", "--max-turns", "5")
    assert (done.returncode, done.stdout) == (0, "once\n"), done.stderr


def test_kept_files_that_are_damaged_cost_no_more_than_the_commands(tmp_path: Path, model: str) -> None:
    """A part that a power failure cut; one that is whole but cannot be unpacked; a log that a damaged line ends."""
    for damage in ("cut", "wrong", "log"):
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        process = begin(tmp_path, model)
        wait_for(process, tmp_path / "out/events.jsonl", '"turn_started", "turn": 4')
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kept = tmp_path / "out/checkpoints"
        part = kept / json.loads((kept / "index.json").read_text())["files"][-1]
        if damage == "cut":
            part.write_bytes(b"")
        elif damage == "wrong":
            data = part.read_bytes()
            part.write_bytes(data[:512] + b"x" * (len(data) - 512))
        else:
            log = tmp_path / "out/events.jsonl"
            log.write_bytes(b"\0" + log.read_bytes()[1:])
        done = workroom(tmp_path, "run", "--resume", "out")
        assert (done.returncode, done.stdout) == (0, ANSWER + "\n"), (damage, done.stderr)
        said = {"cut": "tool calls run again", "wrong": "cannot be put back", "log": "begins anew"}[damage]
        assert said in done.stderr
        assert not kept.exists()


def test_a_base_url_with_a_login_is_asked_for_again(tmp_path: Path) -> None:
    with FakeServer([openai.error(401, "no")]) as server:
        url = server.url.replace("//", "//user:long-password-1@")
        done = workroom(tmp_path, "x", "-m", "openai/f", "--base-url", url, "--mode", "llm", "-o", "out")
    assert done.returncode == 4
    refused = workroom(tmp_path, "run", "--resume", "out")
    assert (refused.returncode, "give it again with --base-url" in refused.stderr) == (2, True)
