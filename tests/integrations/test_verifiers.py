"""The task set and the harness for verifiers, run by verifiers' own `vf-eval` in a virtual environment of its own.

verifiers wants openai 2, and this one has openai 3: `make test` makes the other beside it.
"""

import json
import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import openai as fake
from tests.fakes.server import FakeServer, Reply, Request

ROOT = Path(__file__).parents[2]
PROGRAM = Path(os.environ.get("WORKROOM_VERIFIERS", ROOT / ".venv-verifiers")) / "bin" / "vf-eval"
TASKS = {
    "right": "What is the code of the red door?",
    "wrong": "What is the code of the green door?",
    "endless": "What is the code of the door at the end?",
    "broken": "What is the code of the broken door?",
}

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="verifiers is not installed; `make test` installs it")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "train.jsonl"
    lines = [
        {
            "id": name,
            "question": question,
            "answer": "4711",
            "grader": "exact",
            "documents": [
                {"name": "doors.txt", "text": f"code: {'4711' if name == 'right' else '1147'}\n"},
                {"name": "more/notes.md", "text": "nothing\u2028here\n"},
            ],
        }
        for name, question in TASKS.items()
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def policy(request: Request) -> Reply:
    """Copies the code of the document into the answer and submits, once with a file that no document is."""
    body = request.json
    asked = next(message["content"] for message in body["messages"] if message["role"] == "user")
    name = next(name for name, question in TASKS.items() if question in asked)
    turns = sum(message["role"] == "assistant" for message in body["messages"])
    if name == "broken":
        return fake.error(400, "the engine is out of order")
    if name == "endless" or turns == 0:
        command = 'sed -n "s/code: //p" documents/doors.txt > answer.txt; cat documents/more/notes.md'
        return fake.assistant(f"Look {turns}.", calls=[("execute_bash", {"command": command})])(request)
    return fake.assistant("Done.", calls=[("submit", {})])(request)


def evaluate(data: Path, server: FakeServer, *arguments: str) -> tuple[list[dict[str, Any]], str]:
    """The traces, and what `vf-eval` said."""
    out = data.parent / "out"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "TEST_KEY": "sk-of-the-test", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [
            *(PROGRAM, "workroom-verifiers", "-m", "toy", "--no-push", "--no-rich", "--output-dir", out),
            *("--client.base-url", server.url, "--client.api-key-var", "TEST_KEY"),
            *("--env.taskset.data", data, "--env.agent.harness.memory", "512m", "--env.agent.harness.disk", "64m"),
            *arguments,
        ],
        env=environment,
        cwd=data.parent,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-4000:]
    [file] = out.rglob("traces.jsonl")
    records = [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]
    return [trace for record in records for trace in record.get("traces", [record])], said


def test_rewards_are_those_of_the_graders_and_failures_are_none(data: Path) -> None:
    with FakeServer(policy) as server:
        runs = data.parent / "runs"
        traces, _ = evaluate(
            data, server, "-r", "2", "--env.agent.harness.max-turns", "3", "--env.agent.harness.runs", str(runs)
        )
        requests = server.requests

    assert Counter(trace["task"]["data"]["id"] for trace in traces) == dict.fromkeys(TASKS, 2)
    for trace in traces:
        name, left, outcome = trace["task"]["data"]["id"], trace["info"]["workroom"], trace["rewards"].get("outcome")
        if name == "broken":
            assert outcome is None
            assert "the engine is out of order" in trace["errors"][-1]["message"]
            assert not trace["ok"]
            continue
        assert trace["ok"], trace["errors"]
        assert left["stop_reason"] == ("max_turns" if name == "endless" else "submitted")
        assert left["answer"].strip() == ("4711" if name == "right" else "1147")
        assert outcome["score"] == (1.0 if name == "right" else 0.0)
        assert trace["metrics"]["turns"] == (3 if name == "endless" else 2)
        assert (Path(left["run"]) / "trajectory.json").is_file()
    assert not [request for request in requests if request.headers["authorization"] != "Bearer sk-of-the-test"]
    assert "sk-of-the-test" not in "".join(path.read_text() for path in runs.rglob("*.json*"))
