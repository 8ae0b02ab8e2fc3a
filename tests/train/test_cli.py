"""`workroom train`: the verb around a session, which is a played one here."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import ROOT, environment
from workroom.cli import main

CONFIG = '[model]\npath = "local/smollm2-135m"\n[algorithm]\nsteps = 3\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(CONFIG)
    return path


def start(place: Path, *arguments: str | Path, played: str = "") -> Any:
    own = environment(place, {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PLAYED": played})
    command = [sys.executable, "-m", "tests.train.played", "train", *map(str, arguments)]
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=place, env=own, text=True, **pipes)


def train(place: Path, *arguments: str | Path, played: str = "") -> tuple[int, str, str]:
    """The exit code, standard output and standard error."""
    process = start(place, *arguments, played=played)
    out, err = process.communicate(timeout=100)
    assert "Traceback" not in err
    return process.returncode, out, err


def seen(process: Any, words: str) -> str:
    """Waits for a line of activity that holds the words."""
    for line in process.stderr:
        if words in line:
            return str(line)
    raise AssertionError(f"{words!r} was never said")


def test_it_trains_and_says_what_came_of_it(tmp_path: Path, file: Path) -> None:
    code, out, err = train(tmp_path, file, "-o", "out", "--set", "algorithm.steps=2")
    assert code == 0
    assert "step 2 of 2 · reward 0.20" in err
    assert "model: out/model" in err
    assert [line.split()[0] for line in out.splitlines()] == ["Stage", "before", "before", "after", "after"]
    assert "steps = 2" in (tmp_path / "out" / "config.toml").read_text()
    code, out, err = train(tmp_path, file, "-o", "out")
    assert (code, out) == (2, "")
    assert "go on with it with --resume, or choose another with -o DIR" in err
    assert err.count("\n") == 1
    code, _, err = train(tmp_path, file, "-o", "out", "--resume", "--quiet")  # three steps: one more
    assert (code, err) == (0, "")
    assert len((tmp_path / "out" / "metrics.jsonl").read_text().splitlines()) == 3


def test_a_dry_run_shows_the_plan_and_leaves_nothing(tmp_path: Path, file: Path) -> None:
    code, out, err = train(tmp_path, file, "--dry-run")
    assert (code, err) == (0, "")
    assert out.splitlines() == ["Model", "  policy  local/smollm2-135m", "Output", "  steps   a", "          b"]
    assert list(tmp_path.iterdir()) == [file]


def test_json_has_the_plan_the_figures_and_a_last_line(tmp_path: Path, file: Path) -> None:
    code, out, err = train(tmp_path, file, "-o", "out", "--json", "--quiet")
    assert (code, err) == (0, "")
    plan, *figures, last = [json.loads(line) for line in out.splitlines()]
    assert plan == {"type": "plan", "plan": {"Model": {"policy": "local/smollm2-135m"}, "Output": {"steps": "a\nb"}}}
    assert [(record["type"], record["step"]) for record in figures] == [("metrics", 1), ("metrics", 2), ("metrics", 3)]
    assert last == {
        "type": "result", "exit_code": 0, "path": "out", "report": "out/report/report.md", "model": "out/model",
    }  # fmt: skip


def test_ctrl_c_stops_after_the_step_and_the_training_goes_on(tmp_path: Path, file: Path) -> None:
    process = start(tmp_path, file, "-o", "out", "--set", "algorithm.steps=30", played="slow")
    seen(process, "step 1 of 30")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopping after the step under way and its checkpoint; once more stops at once" in err
    assert "interrupted; go on: workroom train out/config.toml --resume" in err
    done = int((tmp_path / "out" / "checkpoint").read_text())
    assert 1 <= done < 30
    code, _, err = train(tmp_path, "out/config.toml", "--resume", "--set", f"algorithm.steps={done + 1}")
    assert code == 0
    assert f"beginning after step {done}" in err
    lines = (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, done + 2))


def test_a_second_ctrl_c_stops_at_once(tmp_path: Path, file: Path) -> None:
    process = start(tmp_path, file, "-o", "out", "--json", played="hung")
    seen(process, "step 2 begins")
    process.send_signal(signal.SIGINT)
    seen(process, "once more stops at once")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted at once; go on: workroom train out/config.toml --resume" in err
    assert "Traceback" not in err
    assert json.loads(out.splitlines()[-1]) == {"type": "result", "exit_code": 130, "path": "out"}


def test_what_fails_has_its_exit_code_and_one_sentence(tmp_path: Path, file: Path) -> None:
    code, out, err = train(tmp_path, file, "-o", "out", "--json", "--quiet", played="broken")
    assert code == 5
    assert err == "workroom: there is no sandbox here: build one\n"
    assert json.loads(out.splitlines()[-1])["exit_code"] == 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gone.toml"], "the configuration gone.toml does not exist"),
        (["small.toml", "--resume"], "--resume wants the directory of the training: give it with -o DIR"),
        (["small.toml", "--resume", "-o", "new"], "there is no training in new to go on with"),
        (["small.toml", "--set", "algorithm.stepps=3"], "did you mean 'algorithm.steps'?"),
        ([], "missing argument"),
    ],
)
def test_a_usage_error_is_one_sentence(
    tmp_path: Path,
    file: Path,
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == [file]


def test_a_missing_extra_is_told_with_the_command(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib.util import find_spec

    monkeypatch.setattr("workroom.cli.extras.find_spec", lambda name: None if name == "trl" else find_spec(name))
    assert main(["train", str(file)]) == 2
    assert "pip install 'workroom[train]'" in capsys.readouterr().err
