"""`--help` and usage errors: golden pages, no traceback, no box, fast."""

import subprocess
import sys
from pathlib import Path

import pytest

import workroom as package
from tests.cli.command import ROOT, environment, workroom

GOLDEN = Path(__file__).parent / "golden"
PAGES = [
    (),
    ("run",),
    ("bench",),
    ("bench", "run"),
    ("bench", "resume"),
    ("bench", "grade"),
    ("bench", "report"),
    ("bench", "compare"),
    ("bench", "list"),
    ("bench", "new"),
    ("train",),
    ("serve",),
    ("replay",),
    ("view",),
    ("analyze",),
    ("export",),
    ("import",),
    ("sandbox",),
    ("sandbox", "build"),
    ("sandbox", "check"),
    ("sandbox", "shell"),
    ("models",),
    ("models", "pull"),
    ("models", "stop"),
    ("doctor",),
]


@pytest.mark.parametrize("verb", PAGES, ids=lambda verb: "-".join(verb) or "workroom")
def test_help_is_as_written_down(tmp_path: Path, verb: tuple[str, ...]) -> None:
    """To renew the pages after a change that is meant: `python -m tests.cli.golden`."""
    page = workroom(tmp_path, *verb, "--help")
    assert (page.returncode, page.stderr) == (0, "")
    assert page.stdout == (GOLDEN / f"{'-'.join(('workroom', *verb))}.txt").read_text()


def test_without_arguments_the_help_is_shown(tmp_path: Path) -> None:
    assert workroom(tmp_path).stdout == workroom(tmp_path, "--help").stdout == workroom(tmp_path, "-h").stdout


def test_version(tmp_path: Path) -> None:
    assert workroom(tmp_path, "--version").stdout == f"workroom {package.__version__}\n"


@pytest.mark.parametrize("verb", [(), ("run",)], ids=["workroom", "run"])
def test_help_loads_little(tmp_path: Path, verb: tuple[str, ...]) -> None:
    """What keeps it within 0.2 s, whatever else the machine does: 33 modules are of Python itself, and 152 in all."""
    code = (
        "import atexit, sys; atexit.register(lambda: print(*sys.modules));"
        f"import workroom.cli; workroom.cli.main({[*verb, '--help']})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment(tmp_path), check=True
    )
    loaded = done.stdout.splitlines()[-1].split()
    assert {"sys", "workroom.cli"} <= set(loaded)
    assert not {"pydantic", "openai", "anthropic", "rich", "anyio", "asyncio", "jinja2"} & set(loaded)
    assert len(loaded) < 200


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run"], "missing argument 'TASK'"),
        (["run", "a", "b"], "put the task in quotes"),
        (["run", "x", "--bogus"], "no such option: --bogus"),
        (["run", "x", "--max-turns"], "--max-turns"),
        (["run", "x", "--max-turns", "many"], "--max-turns must be a whole number of at least 1, not 'many'"),
        (["run", "x", "--memory", "much"], "--memory must be a size"),
        (["sandbox"], "missing command"),
        (["sandbox", "fly"], "no such command 'fly'"),
        (["doktor"], "did you mean 'doctor'? As a task: workroom run doktor"),
        (["--bogus", "x"], "no such option: --bogus"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_usage_error_is_one_sentence(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = workroom(tmp_path, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert said in done.stderr
    assert done.stderr.startswith("workroom: ")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
