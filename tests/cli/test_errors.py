"""What goes wrong before or around a run: one sentence, the right exit code, never a traceback."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.command import SUBMIT, bash, script, workroom

if TYPE_CHECKING:
    import subprocess


@pytest.fixture
def good(tmp_path: Path) -> str:
    return script(tmp_path / "good.jsonl", bash("echo 1 > answer.txt"), SUBMIT)


def one_sentence(done: "subprocess.CompletedProcess[str]", code: int) -> str:
    """The only line on stderr, once the exit code and the form are as they should be."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("workroom: ")
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["x", "-i", "no.txt"], 2, "the input no.txt does not exist"),
        (["@no.md"], 2, "the task file 'no.md' cannot be read"),
        (["-"], 2, "standard input is empty"),
        ([" "], 2, "the task is empty"),
        (["x", "-m", "gpt-5"], 2, "'gpt-5' is no model name: use openai/NAME"),
        (["x", "-m", "foo/bar"], 2, "begins with no known provider"),
        (["x", "-m", "local/bar"], 2, "no local model"),
        (["x", "-m", "scripted/no.jsonl"], 2, "the script no.jsonl does not exist"),
        (["x", "-m", "openai/gpt-5"], 2, "set OPENAI_API_KEY"),
        (["x", "-m", "anthropic/claude"], 2, "set ANTHROPIC_API_KEY"),
        (["x", "--config", "no.toml"], 2, "the configuration file no.toml does not exist"),
        (["x", "-o", "/proc/no"], 2, "cannot make a run in /proc/no"),
        (["x", "-o", "full"], 2, "full is not empty"),
        (["x", "--image", "there-is-none"], 5, "there is no image 'there-is-none'"),
        (["x", "--network", "allow:not a host"], 2, "--network must be"),
        (["x", "--network", "allow:-"], 2, "-"),
        (["x", "--max-cost", "1"], 2, "--price"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_told_in_one_sentence(
    tmp_path: Path, good: str, arguments: Sequence[str], code: int, said: str
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").write_text("x")
    model = [] if "-m" in arguments else ["-m", good]
    assert said in one_sentence(workroom(tmp_path, "run", *arguments, *model, "--quiet"), code)
    assert (tmp_path / "full" / "precious").read_text() == "x"


def test_an_unknown_key_of_a_file_is_named(tmp_path: Path, good: str) -> None:
    (tmp_path / "workroom.toml").write_text("max_turn = 3\n")
    assert "did you mean 'max_turns'?" in one_sentence(workroom(tmp_path, "x", "-m", good), 2)


def test_an_unreachable_server_is_a_failure_of_the_provider(tmp_path: Path) -> None:
    done = workroom(tmp_path, "x", "-m", "openai/x", "--base-url", "http://127.0.0.1:9/v1")
    assert "no model server answers at 127.0.0.1:9 (Connection refused)" in one_sentence(done, 4)
    assert not (tmp_path / "runs").exists()


def test_a_directory_that_cannot_be_written(tmp_path: Path, good: str) -> None:
    (tmp_path / "file").write_text("x")
    assert "cannot make a run in file/out" in one_sentence(workroom(tmp_path, "x", "-m", good, "-o", "file/out"), 2)


def test_a_failure_before_the_first_model_call_is_recorded(tmp_path: Path, good: str) -> None:
    done = workroom(tmp_path, "x", "-m", good, "-o", "out", "--image", "there-is-none", "--json")
    assert done.returncode == 5
    record = json.loads((tmp_path / "out/run.json").read_text())
    assert (record["status"], record["stop_reason"]) == ("failed", "sandbox_error")
    assert "there is no image" in record["error"]
    last = json.loads(done.stdout.splitlines()[-1])
    assert (last["type"], last["exit_code"], last["error"]) == ("result", 5, record["error"])
    assert (last["stop_reason"], last["answer"], last["files"]) == ("sandbox_error", None, [])
    assert [last[key] for key in ("turns", "usage", "cost", "duration")] == [None] * 4


def test_an_internal_error_names_the_file_with_its_traceback_and_hides_keys(tmp_path: Path, good: str) -> None:
    broken = tmp_path / "site"
    broken.mkdir()
    key = "sk-geheim-123456789"
    (broken / "sitecustomize.py").write_text(
        f"import workroom.inputs as i\ndef boom(*_): raise RuntimeError('bug with {key}')\ni.collect_documents = boom\n"
    )
    env = {
        "PYTHONPATH": f"{broken}:{os.environ.get('PYTHONPATH', '')}",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "OPENAI_API_KEY": key,
    }
    said = one_sentence(workroom(tmp_path, "x", "-m", good, env=env), 1)
    assert "internal error" in said
    assert "RuntimeError" in said
    path = next((tmp_path / "cache/workroom").glob("traceback-*.txt"))
    assert str(path) in said
    assert "RuntimeError" in path.read_text()
    assert key not in path.read_text() + said
