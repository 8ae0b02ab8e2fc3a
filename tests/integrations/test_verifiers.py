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
    "large": "What is the code of the large door?",  # its document is larger than the disk
    "ungraded": "What is the code of the door that nobody grades?",
}
FAILURES = {
    "broken": ("ProviderError", "the engine is out of order"),
    "large": ("SandboxError", "cannot be put into the sandbox"),
    "ungraded": ("TaskError", "the answer could not be graded: the task has no answer_range"),
}
CONTENTS = {"right": "code: 4711\n", "large": "x" * (5 << 20)}

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="verifiers is not installed; `make test` installs it")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "train.jsonl"
    lines = [
        {
            "id": name,
            "question": question,
            "answer": "4711",
            "grader": "chemiq:range" if name == "ungraded" else "exact",
            "documents": [
                {"name": "doors.txt", "text": CONTENTS.get(name, "code: 1147\n")},
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


def evaluate(data: Path, server: FakeServer, *arguments: str) -> list[dict[str, Any]]:
    """The traces of `vf-eval`, of which it says what went wrong."""
    out = data.parent / "out"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "TEST_KEY": "sk-of-the-test", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [
            *(PROGRAM, "workroom-verifiers", "-m", "toy", "--no-push", "--no-rich", "--output-dir", out),
            *("--client.base-url", server.url, "--client.api-key-var", "TEST_KEY"),
            *("--env.taskset.data", data, "--env.agent.harness.memory", "512m", "--env.agent.harness.disk", "4m"),
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
    return [trace for record in records for trace in record["traces"]]


def test_rewards_are_those_of_the_graders_and_failures_are_none(data: Path) -> None:
    runs = data.parent / "runs"
    bounds = ("--env.agent.harness.max-turns", "3", "--env.agent.harness.runs", str(runs))
    with FakeServer(policy) as server:
        traces = evaluate(data, server, "-r", "2", *bounds)
        keys = {request.headers["authorization"] for request in server.requests}

    assert Counter(trace["task"]["data"]["id"] for trace in traces) == dict.fromkeys(TASKS, 2)
    for trace in traces:
        name, left, outcome = (
            trace["task"]["data"]["id"],
            trace["info"].get("workroom"),
            trace["rewards"].get("outcome"),
        )
        if name in FAILURES:
            kind, message = FAILURES[name]
            assert outcome is None
            assert not trace["ok"]
            assert trace["errors"][-1]["type"] == kind
            assert message in trace["errors"][-1]["message"]
            continue
        assert trace["ok"], trace["errors"]
        assert left["stop_reason"] == ("max_turns" if name == "endless" else "submitted")
        assert left["answer"].strip() == ("4711" if name == "right" else "1147")
        assert outcome["score"] == (1.0 if name == "right" else 0.0)
        assert trace["metrics"]["turns"] == (turns := 3 if name == "endless" else 2)
        # One conversation: what our loop sends in a turn goes on from what it sent in the one before.
        assert [node.get("parent") for node in trace["nodes"]] == [None, *range(len(trace["nodes"]) - 1)]
        assert sum(node["message"]["role"] == "assistant" for node in trace["nodes"]) == turns
        assert (Path(left["run"]) / "trajectory.json").is_file()
    assert keys == {"Bearer sk-of-the-test"}


SAMPLED = (
    "Look.\n```bash\nsed -n 's/code: //p' documents/doors.txt > answer.txt\n```",
    "```bash\nsubmit\n```",
)
END = 257  # <|im_end|>


def make_tokenizer(folder: Path) -> Path:
    """A tokenizer whose tokens 0 to 255 are bytes, in the form of the transformers library."""
    letters = [b for b in range(256) if chr(b).isprintable() and chr(b) != " " and b != 0xAD]
    others = [b for b in range(256) if b not in letters]
    shown = {b: chr(b) for b in letters} | {b: chr(256 + number) for number, b in enumerate(others)}
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    whole = {
        "version": "1.0",
        "added_tokens": [
            {"id": 256, "content": "<|im_start|>"} | special,
            {"id": END, "content": "<|im_end|>"} | special,
        ],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
        "model": {"type": "BPE", "vocab": {shown[b]: b for b in range(256)}, "merges": []},
    }
    template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>", "chat_template": template}
    folder.mkdir()
    (folder / "tokenizer.json").write_text(json.dumps(whole), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


def engine(request: Request) -> Reply:
    """The token endpoint of an engine: samples the next of `SAMPLED`, one token a byte."""
    if request.path == "/v1/models":
        return Reply(body=json.dumps({"data": [{"id": "toy", "max_model_len": 8192}]}).encode())
    assert request.path == "/inference/v1/generate"
    prompt = request.json["token_ids"]
    turns = bytes(token for token in prompt if token < 256).count(b"assistant\n") - 1
    ids = [*SAMPLED[turns].encode(), END]
    entries = [{"token": f"token_id:{token}", "logprob": -token / 1000} for token in ids]
    choice = {"token_ids": ids, "finish_reason": "stop", "logprobs": {"content": entries}}
    return Reply(body=json.dumps({"request_id": "1", "choices": [choice]}).encode())


def test_a_trainer_gets_the_tokens_that_were_sampled(data: Path) -> None:
    tokenizer = make_tokenizer(data.parent / "tokenizer")
    client = ("--client.type", "train", "--client.renderer.name", "default")
    model = ("--client.renderer-model-name", str(tokenizer), "--env.agent.harness.tool-protocol", "bash")
    with FakeServer(engine) as server:
        [trace] = evaluate(data, server, "-n", "1", *client, *model)
        prompts = [request.json["token_ids"] for request in server.requests if request.method == "POST"]

    assert trace["ok"], trace["errors"]
    assert trace["rewards"]["outcome"]["score"] == 1.0
    sequence = [token for node in trace["nodes"] for token in node["token_ids"]]
    mask = [sampled for node in trace["nodes"] for sampled in node["mask"]]
    logprobs = [logprob for node in trace["nodes"] for logprob in node["logprobs"]]
    sampled = [token for text in SAMPLED for token in (*text.encode(), END)]
    assert [token for token, is_sampled in zip(sequence, mask, strict=True) if is_sampled] == sampled
    assert logprobs == pytest.approx([-token / 1000 for token in sampled])
    # One row: the second prompt goes on from the first and its completion.
    assert sequence == prompts[1] + [*SAMPLED[1].encode(), END]
    assert prompts[1][: len(prompts[0])] == prompts[0]
