"""`workroom run` as a user meets it: a process, a real sandbox, a scripted or fake model."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import SUBMIT, bash, call, environment, script, start, workroom
from tests.fakes import FakeServer, openai
from workroom.trajectory import RunDirectory


@pytest.fixture
def counting(tmp_path: Path) -> str:
    """A script that counts lines, leaves a file and submits."""
    return script(
        tmp_path / "count.jsonl",
        {
            "role": "assistant",
            "content": "I count.",
            "tool_calls": bash("cat documents/* | wc -l > answer.txt; echo data > output/table.csv"),
        },
        SUBMIT,
    )


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_text("1\n2\n3\n")
    return path


def test_the_answer_alone_is_on_stdout_and_the_run_directory_is_complete(
    tmp_path: Path, counting: str, document: Path
) -> None:
    done = workroom(tmp_path, "How many lines?", "-i", document, "-m", counting, "-o", "out", "--network", "none")
    assert (done.returncode, done.stdout) == (0, "3\n")
    for shown in ("turn 1/100", "I count.", "$ cat documents/*", "submitted after 2 turns", "out/files/table.csv"):
        assert shown in done.stderr
    assert "\x1b" not in done.stderr
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "answer.txt", "events.jsonl", "files", "run.json", "trajectory.json",
    ]  # fmt: skip
    assert (out / "files/table.csv").read_text() == "data\n"
    assert [entry["path"] for entry in json.loads((out / "files/manifest.json").read_text())["files"]] == ["table.csv"]
    record = json.loads((out / "run.json").read_text())
    assert (record["status"], record["stop_reason"], record["turns"]) == ("finished", "submitted", 2)
    assert record["config"]["network"] == {"value": "none", "origin": "flag --network"}
    assert record["sandbox"]["enforcement"]["network"]
    memory = record.get("sandbox_memory", {"start": 1, "peak": 1})  # none where there is no memory cgroup
    assert 0 < memory["start"] <= memory["peak"]
    assert json.loads((out / "trajectory.json").read_text())["schema_version"] == "ATIF-v1.8"


def test_the_verb_may_be_left_out_and_the_directory_has_a_name_by_default(tmp_path: Path, counting: str) -> None:
    for arguments in (["How many lines?"], ["run", "How many lines?"]):
        done = workroom(tmp_path, *arguments, "-m", counting, "--quiet", "--network", "none")
        assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")
    names = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert len(names) == 2
    assert all("-how-many-lines" in name for name in names)


@pytest.mark.parametrize("source", ["-", "@task.md"])
def test_the_task_may_come_from_stdin_or_a_file(tmp_path: Path, source: str) -> None:
    name = script(tmp_path / "s.jsonl", "the answer")
    (tmp_path / "task.md").write_text("Say üñí\n")
    done = workroom(tmp_path, "run", source, "-m", name, "--mode", "llm", "-o", "out", stdin="Say üñí\n")
    assert (done.returncode, done.stdout) == (0, "the answer\n")
    first = RunDirectory.load(tmp_path / "out").events[0].model_dump()
    assert "Say üñí" in first["messages"][-1]["content"]


def test_llm_mode_needs_no_sandbox_and_has_the_documents_in_the_prompt(tmp_path: Path, document: Path) -> None:
    name = script(tmp_path / "s.jsonl", "three")
    no_sandbox = {"WORKROOM_IMAGE": "there-is-none"}
    done = workroom(
        tmp_path, "How many lines?", "-m", name, "--mode", "llm", "-i", document, "-o", "out", env=no_sandbox
    )
    assert (done.returncode, done.stdout) == (0, "three\n")
    run = RunDirectory.load(tmp_path / "out")
    assert "1\n2\n3\n" in json.dumps(run.events[0].model_dump()["messages"]).replace("\\n", "\n")
    assert run.run["stop_reason"] == "submitted"


def test_json_gives_the_events_and_then_the_result(tmp_path: Path, counting: str) -> None:
    done = workroom(tmp_path, "x", "-m", counting, "-o", "out", "--json", "--quiet", "--network", "none")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (0, "")
    written = [json.loads(line) for line in (tmp_path / "out/events.jsonl").read_text().splitlines()]
    assert lines[:-1] == written
    assert [line["seq"] for line in lines[:-1]] == list(range(len(written)))
    result = lines[-1]
    assert (result["type"], result["exit_code"], result["answer"]) == ("result", 0, "0")
    assert result["files"] == ["out/files/table.csv"]


def test_what_a_terminal_would_obey_is_made_harmless_everywhere(tmp_path: Path) -> None:
    evil = "\x1b]0;owned\x07\x9b31m\u202efdp\u200b"
    name = script(
        tmp_path / "s.jsonl",
        {"role": "assistant", "content": f"say {evil}", "tool_calls": bash(f"printf '{evil}' | tee answer.txt")},
        [call("str_replace_editor", command="view", path=f"/testbed/{evil}")],
        [call(f"tool{evil}")],
        SUBMIT,
    )
    for extra in ([], ["--json"]):
        out = tmp_path / f"out{len(extra)}"
        done = workroom(tmp_path, f"do {evil}", "-m", name, "-o", out, "--network", "none", *extra)
        assert done.returncode == 0
        assert not {"\x1b", "\x07", "\x9b", "\u202e", "\u200b"} & set(done.stdout + done.stderr)
        assert (out / "answer.txt").read_text() == evil
    assert "\\u{1b}]0;owned" in workroom(tmp_path, "x", "-m", name, "-o", "o3", "--network", "none").stdout


@pytest.mark.parametrize(("flags", "reason"), [(["--max-turns", "1"], "max_turns"), (["--max-time", "2"], "max_time")])
def test_a_limit_ends_with_3_and_the_answer_so_far(tmp_path: Path, flags: list[str], reason: str) -> None:
    name = script(tmp_path / "s.jsonl", bash("echo so far > answer.txt; sleep 3"), bash("sleep 5"), SUBMIT)
    done = workroom(tmp_path, "x", "-m", name, "-o", "out", "--network", "none", *flags)
    assert (done.returncode, done.stdout) == (3, "so far\n")
    assert json.loads((tmp_path / "out/run.json").read_text())["stop_reason"] == reason


def test_the_provider_failing_in_the_middle_ends_with_4_and_keeps_what_was_done(tmp_path: Path) -> None:
    name = script(tmp_path / "s.jsonl", bash("echo half > output/half.txt"))
    done = workroom(tmp_path, "x", "-m", name, "-o", "out", "--network", "none")
    assert done.returncode == 4
    assert done.stdout == ""
    assert "asked for one more" in done.stderr
    assert (tmp_path / "out/files/half.txt").read_text() == "half\n"
    assert json.loads((tmp_path / "out/run.json").read_text())["status"] == "failed"


def test_a_server_of_chat_completions_is_used_and_its_key_stays_out_of_everything(tmp_path: Path) -> None:
    key = "sk-test-4711-0815-geheim"
    replies = [
        openai.assistant(calls=[("execute_bash", {"command": "env; cat /proc/*/environ; echo 42 > answer.txt"})]),
        openai.assistant(calls=[("submit", {})]),
    ]
    with FakeServer(replies) as server:
        done = workroom(
            tmp_path, "x", "-m", "openai/fake", "--base-url", server.url, "-o", "out", env={"OPENAI_API_KEY": key}
        )
        assert key in server.requests[0].headers["authorization"]
    assert (done.returncode, done.stdout) == (0, "42\n")
    assert key not in done.stderr
    for path in (tmp_path / "out").rglob("*"):
        assert path.is_dir() or key.encode() not in path.read_bytes()


def test_nobody_reading_stdout_is_no_crash(tmp_path: Path, counting: str) -> None:
    for flag in ("--quiet", "--json"):
        command = [sys.executable, "-m", "workroom", "x", "-m", counting, "-o", f"out{flag}", flag, "--network", "none"]
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        words = process.stderr.read()
        process.stderr.close()
        assert process.wait(60) in (0, 130)
        assert "Traceback" not in words
        assert "BrokenPipe" not in words
        assert RunDirectory.load(tmp_path / f"out{flag}").finished is not None


WAITS = "echo began > output/began; sleep 30; echo ended"


def _started(process: Any, out: Path) -> None:
    """Waits until the episode has begun and its command runs."""
    for _ in range(600):
        log = out / "events.jsonl"
        if log.exists() and '"type": "assistant"' in log.read_text():
            time.sleep(0.3)
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("the episode did not begin")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_stops_after_the_step_and_saves(tmp_path: Path, number: signal.Signals) -> None:
    name = script(tmp_path / "s.jsonl", bash(WAITS.replace("30", "1.5")), bash("echo never"), SUBMIT)
    process = start(tmp_path, "x", "-m", name, "-o", "out", "--network", "none")
    _started(process, tmp_path / "out")
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (130, "")
    assert "stopping after this step" in stderr
    assert "interrupted; what was finished is in out" in stderr
    run = RunDirectory.load(tmp_path / "out")
    assert (run.run["status"], run.run["stop_reason"]) == ("interrupted", "interrupted")
    assert "ended" in next(event.observation for event in run.events if event.type == "tool")
    assert (tmp_path / "out/files/began").exists()
    assert (tmp_path / "out/trajectory.json").exists()


def test_the_second_signal_stops_at_once_and_still_saves(tmp_path: Path) -> None:
    name = script(tmp_path / "s.jsonl", bash("echo first"), bash(WAITS), SUBMIT)
    process = start(tmp_path, "x", "-m", name, "-o", "out", "--network", "none", "--json")
    _started(process, tmp_path / "out")
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert time.monotonic() - began < 15
    assert process.returncode == 130
    assert "Traceback" not in stderr
    run = RunDirectory.load(tmp_path / "out")
    assert run.finished is not None
    last = json.loads(stdout.splitlines()[-1])
    assert (last["type"], last["exit_code"], last["answer"], last["files"]) == ("result", 130, None, [])
    assert {key: last[key] for key in ("stop_reason", "turns", "usage", "cost", "duration")} == {
        **{key: run.run[key] for key in ("stop_reason", "turns", "usage", "cost")},
        "duration": run.finished.duration,
    }
    assert (run.finished.stop_reason, run.finished.turns, run.run["status"]) == ("interrupted", 2, "interrupted")
    assert any(event.type == "tool" and "first" in event.observation for event in run.events)
    assert json.loads((tmp_path / "out/trajectory.json").read_text())["steps"]


def test_kill_9_leaves_a_directory_that_can_be_read_and_no_process(tmp_path: Path) -> None:
    mark = f"7{os.getpid()}{int(time.time()) % 1000}"
    name = script(tmp_path / "s.jsonl", bash("echo kept"), bash(f"sleep {mark}"), SUBMIT)
    process = start(tmp_path, "x", "-m", name, "-o", "out", "--network", "none")
    _started(process, tmp_path / "out")
    for _ in range(100):
        if _sleeping(mark):
            break
        time.sleep(0.1)
    assert _sleeping(mark)
    process.kill()
    process.communicate()
    run = RunDirectory.load(tmp_path / "out")
    assert any(event.type == "tool" and "kept" in event.observation for event in run.events)
    assert (run.run["status"], run.finished, run.damaged) == ("running", None, 0)
    for _ in range(100):
        if not _sleeping(mark):
            break
        time.sleep(0.1)
    assert not _sleeping(mark)


def _sleeping(mark: str) -> bool:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(f"sleep\0{mark}\0".encode()):
                return True
        except OSError:
            continue
    return False


def test_a_sandbox_that_dies_ends_with_5_and_is_no_command_output(tmp_path: Path) -> None:
    name = script(tmp_path / "s.jsonl", bash("echo first"), bash(WAITS), SUBMIT)
    process = start(tmp_path, "x", "-m", name, "-o", "out", "--network", "none")
    _started(process, tmp_path / "out")
    for task in Path(f"/proc/{process.pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 5, stderr
    assert "workroom: the sandbox died" in stderr
    run = RunDirectory.load(tmp_path / "out")
    assert (run.run["status"], run.run["stop_reason"]) == ("failed", "sandbox_error")
    assert not any(event.type == "tool" and "died" in event.observation for event in run.events)


def test_two_runs_of_one_second_get_two_directories(tmp_path: Path) -> None:
    name = script(tmp_path / "s.jsonl", "yes")
    processes = [start(tmp_path, "same task", "-m", name, "--mode", "llm", "--quiet") for _ in range(3)]
    for process in processes:
        assert process.communicate(timeout=60) == ("yes\n", "")
    assert len(list((tmp_path / "runs").iterdir())) == 3


def test_colours_and_a_status_line_only_on_a_terminal(tmp_path: Path, counting: str) -> None:
    for extra, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        leader, follower = os.openpty()
        process = start(
            tmp_path, "x", "-m", counting, "-o", f"o{len(extra)}", "--network", "none",
            env={"TERM": "xterm", **extra}, stdout=follower, stderr=follower,
        )  # fmt: skip
        os.close(follower)
        seen = b""
        try:
            while data := os.read(leader, 65536):
                seen += data
        except OSError:  # the terminal is gone with its last writer
            pass
        process.wait(60)
        os.close(leader)
        assert (b"\x1b[1mturn 1" in seen) is coloured
        assert b"0\r\n" in seen
