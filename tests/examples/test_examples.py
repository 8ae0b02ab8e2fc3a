"""Every example is solved by its recorded episode, in a real sandbox, and its checker sees what is wrong.

The episodes install what they need from the registries that this host is set up to use. Each is played once; after that
its artefacts are spoiled in one way after the other, and the checker must name the criterion that failed.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.examples.spoiled import SPOILED

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/reference.jsonl"))


def python(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Runs Python with these arguments in the root of the repository, where the documented commands are run."""
    command = [sys.executable, *map(str, arguments)]
    own = {name: value for name, value in os.environ.items() if not name.startswith("WORKROOM_")}
    env = own | {"WORKROOM_IMAGE": "default"}  # pip's own settings must be seen
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=280, check=False)


def documents(example: Path, place: Path) -> list[str | Path]:
    """`-i` for the example's documents, which are generated where they are not committed."""
    if (example / "documents").is_dir():
        return ["-i", example / "documents"]
    if (example / "generate.py").is_file():
        generated = python(example / "generate.py", place / "documents")
        assert generated.returncode == 0, generated.stderr
        return ["-i", place / "documents"]
    return []


def said_in_sandbox(run: Path) -> str:
    """What the commands of an episode said, for the message of a test that fails: a missing registry is seen there."""
    lines = [json.loads(line) for line in (run / "events.jsonl").read_text().split("\n") if line]
    return "\n".join(line["observation"] for line in lines if line["type"] == "tool" and line["is_error"])


def play(example: Path, place: Path) -> Path:
    """Plays the recorded episode of an example; the directory of the run."""
    run = place / "run"
    model = ["-m", f"scripted/{example / 'reference.jsonl'}"]
    task = [f"@{example / 'task.md'}", *documents(example, place)]
    done = python("-m", "workroom", "run", *task, *model, "-o", run, "--network", "packages", "--quiet")
    assert done.returncode == 0, f"{done.stderr}\n{said_in_sandbox(run)}"
    assert json.loads((run / "run.json").read_text())["stop_reason"] == "submitted"
    return run


def check(example: Path, run: Path) -> "subprocess.CompletedProcess[str]":
    return python(example / "check.py", run)


@pytest.mark.image
@pytest.mark.packages
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_recorded_episode_solves_the_task_and_spoiled_artefacts_do_not(example: Path, tmp_path: Path) -> None:
    run = play(example, tmp_path)
    good = check(example, run)
    assert good.returncode == 0, f"{good.stdout}{good.stderr}\n{said_in_sandbox(run)}"
    assert "NO " not in good.stdout
    for number, (criterion, spoil) in enumerate(SPOILED[example.name]):
        spoiled = tmp_path / f"spoiled-{number}"
        shutil.copytree(run, spoiled)
        spoil(spoiled)
        bad = check(example, spoiled)
        assert bad.returncode == 1, f"spoiled in way {number}, and yet: {bad.stdout}{bad.stderr}"
        assert f"NO  {criterion}" in bad.stdout, f"spoiled in way {number}: {bad.stdout}{bad.stderr}"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_a_run_that_left_nothing_fails_every_criterion_and_no_run_is_a_usage_error(
    example: Path, tmp_path: Path
) -> None:
    empty = check(example, tmp_path)
    assert (empty.returncode, empty.stderr) == (1, "")
    assert all(line.startswith("NO  ") for line in empty.stdout.splitlines())
    missing = check(example, tmp_path / "nothing")
    assert missing.returncode == 2
    assert "usage" in missing.stderr


def test_the_examples_are_small_and_complete() -> None:
    assert {path.name for path in EXAMPLES} == set(SPOILED)
    for example in EXAMPLES:
        assert {"README.md", "check.py", "task.md"} <= {path.name for path in example.iterdir()}
    files = subprocess.run(
        ["git", "ls-files", "-z", "examples"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert sum((ROOT / name).stat().st_size for name in files.split("\0") if name) < 1_000_000
