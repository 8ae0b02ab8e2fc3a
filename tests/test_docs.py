"""Every documented command is run. A fenced `console` block holds `$ command` lines (`> ` goes on), and its output.

A comment on the line before the fence says how: `<!-- test: exact -->` (the output must be as shown),
`<!-- test: local_model -->` (with the real local model; slow), `<!-- test: skip: REASON -->`. All else runs against a
fake server, which stands for every documented server address. The blocks of a page share a directory.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import get_args

import pytest

from tests.cli.command import environment
from tests.fakes import FakeServer, Reply, Request, anthropic, openai
from workroom.cli.run import EXIT_CODES
from workroom.config import KEYS
from workroom.trajectory.events import Event, StopReason

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"(?:^<!-- test: (?P<how>.*?) -->\n)?^```console\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_DOCUMENTED_SERVER = "http://127.0.0.1:8000"
FILE_ONLY = {"command_output", "model_timeout", "documents", "execution", "read_only"}
_ANSWER = "echo 391 > answer.txt; echo 391 > output/result.txt"


@dataclass(frozen=True)
class Block:
    """One fenced block. `steps` are commands with the output shown below each."""

    page: Path
    how: str
    steps: list[tuple[str, str]]


def blocks(page: Path) -> Iterator[Block]:
    for match in _BLOCK.finditer(page.read_text()):
        steps: list[tuple[str, str]] = []
        for line in match["body"].splitlines(keepends=True):
            if line.startswith("$ "):
                steps.append((line[2:], ""))
            elif line.startswith("> ") and not steps[-1][1]:
                steps[-1] = (steps[-1][0] + line[2:], "")
            else:
                steps[-1] = (steps[-1][0], steps[-1][1] + line)
        yield Block(page, match["how"] or "", steps)


def test_every_page_is_read_and_every_block_has_commands() -> None:
    assert {page.name for page in PAGES} >= {"README.md", "tutorial.md", "how-to.md", "reference.md", "design.md"}
    found = [block for page in PAGES for block in blocks(page)]
    assert len(found) >= 15
    assert all(block.steps for block in found)
    assert {block.how.partition(":")[0] for block in found} <= {"", "exact", "local_model", "skip"}
    fences = sum(page.read_text().count("```console") for page in PAGES)
    assert len(found) == fences


@pytest.mark.timeout(900)  # some pages have many commands
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page_work(page: Path, tmp_path: Path) -> None:
    with FakeServer(_reply) as server:
        shell = _Shell(tmp_path, server)
        for block in blocks(page):
            if block.how.startswith(("skip", "local_model")):
                continue
            for command, shown in block.steps:
                output = shell.run(command.replace(_DOCUMENTED_SERVER, server.root))
                if block.how == "exact":
                    assert output == shown, command


@pytest.mark.local_model
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_with_the_local_model_work(page: Path, tmp_path: Path) -> None:
    for block in blocks(page):
        if block.how.startswith("local_model"):
            shell = _Shell(tmp_path, None)
            for command, _ in block.steps:
                shell.run(command, accept=(0, 3))  # a small model may need more turns than there are


class _Shell:
    """Runs documented commands in `place`, with an own command `workroom` and without the developer's settings."""

    def __init__(self, place: Path, server: FakeServer | None) -> None:
        (place / "bin").mkdir()
        command = place / "bin" / "workroom"
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m workroom "$@"\n')
        command.chmod(0o755)
        self.place = place / "work"
        self.place.mkdir()
        for folder in ("examples", "configs"):
            (self.place / folder).symlink_to(ROOT / folder)
        python = Path(sys.executable).parent
        extra = {"PATH": f"{place / 'bin'}:{python}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "src")}
        if server is None:
            del extra["PYTHONPATH"]
        else:
            settings = place / "config" / "workroom"
            settings.mkdir(parents=True)
            (settings / "config.toml").write_text('model = "openai/fake"\n')
            extra |= {"OPENAI_BASE_URL": server.url, "ANTHROPIC_BASE_URL": server.root}
        self._environment = environment(place, extra)
        del self._environment["PYTHONWARNINGS"]  # users' one-liners leave files open

    def run(self, command: str, accept: tuple[int, ...] = (0,)) -> str:
        """The standard output. An `export` holds for the later commands, too."""
        if exported := re.fullmatch(r"export (\w+)=(\S*)\n", command):
            self._environment[exported[1]] = exported[2]
            return ""
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=self.place,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode in accept, f"{command}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout


def _reply(request: Request) -> Reply:
    """A model that answers 391 in every mode: first by a command, then by submitting."""
    messages = request.json["messages"]
    acted = sum(message["role"] == "assistant" for message in messages)
    native = bool(request.json.get("tools"))
    if request.path.endswith("/messages"):
        used = anthropic.tool_use("submit", {}) if acted else anthropic.tool_use("execute_bash", {"command": _ANSWER})
        return anthropic.message([used])(request)
    if native:
        call = ("submit", {}) if acted else ("execute_bash", {"command": _ANSWER})
        return openai.assistant(calls=[call])(request)
    if "execute_bash" in str(messages[0]["content"]):
        call_text = '{"name": "submit", "arguments": {}}'
        if not acted:
            call_text = '{"name": "execute_bash", "arguments": {"command": "' + _ANSWER + '"}}'
        return openai.assistant(f"I do it.\n```json\n{call_text}\n```")(request)
    return openai.assistant("391")(request)


def test_every_link_between_pages_leads_somewhere() -> None:
    for page in PAGES:
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([\w-]+))?\)", page.read_text()):
            there = (page.parent / target).resolve() if target else page
            assert there.exists(), f"{page.name}: {target}"
            if anchor:
                titles = re.findall(r"^#+ (.*)$", there.read_text(), re.MULTILINE)
                assert anchor in [_anchor(title) for title in titles], f"{page.name}: {target}#{anchor}"


def _anchor(title: str) -> str:
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def test_the_page_on_reliability_names_tests_that_there_are() -> None:
    rows = re.findall(r"^\| F\d+.*$", (ROOT / "docs/reliability.md").read_text(), re.MULTILINE)
    assert len(rows) == 35  # two share a row
    for row in rows:
        file = ""
        for path, name in re.findall(r"`([\w/.]*)::(\w+)`", row):
            file = path or file
            assert f"def {name}(" in (ROOT / "tests" / file).read_text(), f"{file}::{name}"


def test_the_reference_names_every_setting_event_reason_and_exit_code() -> None:
    text = (ROOT / "docs/reference.md").read_text()
    events = [get_args(member.model_fields["type"].annotation)[0] for member in get_args(get_args(Event)[0])]
    written = [name for name in events if name not in ("model_delta", "tool_started")]
    for name in [*KEYS, *written, *get_args(StopReason)]:
        assert f"`{name}`" in text, name
    for code in {0, 1, 2, 3, *EXIT_CODES.values()}:
        assert f"| {code} |" in text, code


def test_every_flag_of_run_is_a_setting_or_is_explained() -> None:
    page = (ROOT / "tests/cli/golden/workroom-run.txt").read_text()
    text = (ROOT / "docs/reference.md").read_text()
    flags = set(re.findall(r"^  (?:-\w, )?(--[\w-]+)", page, re.MULTILINE)) - {"--help"}
    assert flags == {f"--{key.replace('_', '-')}" for key in set(KEYS) - FILE_ONLY} | {
        "--input", "--out", "--resume", "--json", "--quiet", "--config",
    }  # fmt: skip
    for flag in ("-i PATH", "-o DIR", "--json", "--quiet", "--config FILE"):
        assert f"`{flag}`" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    """Blocks of the page in order; what awaits is put into a coroutine, as a notebook would."""
    snippets = re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    with FakeServer(_reply) as server:
        shell = _Shell(tmp_path, server)
        (shell.place / "a.txt").write_text("1\n2\n")
        (shell.place / "docs").mkdir()
        (shell.place / "docs" / "note.txt").write_text("note\n")
        for number, snippet in enumerate(snippets):
            code = snippet
            if re.search(r"\b(await|async)\b", snippet):
                code = f"import asyncio\nasync def main():\n{indent(snippet, '    ')}\nasyncio.run(main())\n"
            (shell.place / f"{number}.py").write_text(code)
            shell.run(f"OPENAI_API_KEY=test python3 {number}.py\n")
