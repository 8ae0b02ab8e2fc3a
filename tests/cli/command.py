"""Running `workroom` in a process of its own, with nothing of the developer's settings or keys."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_KEPT = "DOCKER_HOST PATH HOME LANG XDG_CACHE_HOME PYTHONPATH SSL_CERT_FILE TMPDIR WORKROOM_IMAGE".split()


def environment(place: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a command whose user configuration is in `place`. Keys and proxies are not in it."""
    own = {name: os.environ[name] for name in _KEPT if name in os.environ}
    own |= {
        "XDG_CONFIG_HOME": str(place / "config"),
        "COLUMNS": "80",
        "PYTHONWARNINGS": "error",
        "WORKROOM_IMAGE": "host",
    }
    return own | dict(extra or {})


def start(place: Path, *arguments: str | Path, env: Mapping[str, str] | None = None, **options: Any) -> Any:
    """Starts `workroom ARGUMENTS` in the directory `place`; a Popen with pipes."""
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, "-m", "workroom", *map(str, arguments)]
    return subprocess.Popen(command, cwd=place, env=environment(place, env), text=True, **(pipes | options))


def workroom(
    place: Path, *arguments: str | Path, env: Mapping[str, str] | None = None, stdin: str | bytes = ""
) -> "subprocess.CompletedProcess[str]":
    """Runs `workroom ARGUMENTS` to its end in the directory `place`."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        [sys.executable, "-m", "workroom", *map(str, arguments)],
        cwd=place,
        env=environment(place, env),
        input=data,
        capture_output=True,
        timeout=120,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def call(name: str, **arguments: Any) -> dict[str, Any]:
    """A tool call in OpenAI form."""
    return {"id": "", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}


def script(path: Path, *turns: Sequence[dict[str, Any]] | str | dict[str, Any]) -> str:
    """Writes a script and gives its model name. A turn is text, tool calls, or a whole message."""
    lines = []
    for turn in turns:
        if isinstance(turn, str):
            message: dict[str, Any] = {"role": "assistant", "content": turn}
        elif isinstance(turn, dict):
            message = turn
        else:
            message = {"role": "assistant", "content": "", "tool_calls": list(turn)}
        lines.append(json.dumps(message))
    path.write_text("\n".join(lines) + "\n")
    return f"scripted/{path}"


def bash(command: str) -> list[dict[str, Any]]:
    """A turn that runs one command."""
    return [call("execute_bash", command=command)]


SUBMIT = [call("submit")]
