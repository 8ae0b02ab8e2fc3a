"""`workroom export` and `workroom import` as a user meets them."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import SUBMIT, bash, script, workroom
from tests.fakes import FakeServer, Reply, Request, openai
from workroom.trajectory import RunDirectory
from workroom.trajectory.export import export_runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`runs/one` and `runs/two`, made by one script."""
    place = tmp_path_factory.mktemp("runs")
    turn = {
        "role": "assistant",
        "content": "I add.",
        "reasoning_content": "hm",
        "tool_calls": bash("echo 4 > answer.txt"),
    }
    name = script(place / "s.jsonl", turn, SUBMIT)
    for out in ("runs/one", "runs/two"):
        workroom(place, "2 + 2?", "-m", name, "-o", out, "--network", "none", "--quiet")
    return place


def test_to_standard_output_or_a_file(runs: Path, tmp_path: Path) -> None:
    done = workroom(runs, "export", "runs/one", "--to", "openai-jsonl")
    assert (done.returncode, done.stderr) == (0, "")
    [line] = done.stdout.splitlines()
    assert [message["role"] for message in json.loads(line)["messages"]] == [
        "system", "user", "assistant", "tool", "assistant", "tool",
    ]  # fmt: skip
    (tmp_path / "out.jsonl").write_text("old")
    done = workroom(runs, "export", "runs", "--to", "sharegpt", "-o", tmp_path / "out.jsonl")
    assert (done.returncode, done.stdout) == (0, "")
    assert "· 2 runs in " in done.stderr
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 2
    done = workroom(runs, "export", "runs", "--to", "tokens", "-o", tmp_path / "out.jsonl")
    assert done.returncode == 2
    assert "none of the 2 runs in runs could be exported as tokens" in done.stderr
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["export", "runs/one"], "missing option '--to'"),
        (["export", "runs/one", "--to", "yaml"], "the formats are: openai-jsonl, sharegpt, atif, tokens, inspect"),
        (["export", "runs/one", "--to", "atif", "-o", "no/dir"], "cannot write no/dir: No such file or directory"),
        (["import", "runs/one/run.json", "-o", "out"], "neither an ATIF document"),
        (["import", "runs/one/trajectory.json", "-o", "runs/two"], "runs/two holds a run already"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(runs: Path, arguments: list[str], said: str) -> None:
    done = workroom(runs, *arguments)
    assert done.returncode in (1, 2)
    assert done.returncode == 2 or said.startswith("cannot write")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (runs / "out").exists()


def exported(run: Path, form: str) -> str:
    stream = io.StringIO()
    export_runs([run], form, stream, print)
    return stream.getvalue()


def test_an_export_can_be_imported_exported_and_replayed(runs: Path, tmp_path: Path) -> None:
    document = tmp_path / "document.json"
    assert workroom(runs, "export", "runs/one", "--to", "atif", "-o", document).returncode == 0
    done = workroom(runs, "import", document, "-o", tmp_path / "theirs")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{tmp_path}/theirs\n", "")
    assert (tmp_path / "theirs/answer.txt").read_text() == "4"
    for form in ("openai-jsonl", "sharegpt", "atif"):
        assert exported(tmp_path / "theirs", form) == exported(runs / "runs/one", form)
    done = workroom(tmp_path, "replay", "theirs")
    assert (done.returncode, done.stdout) == (0, "2 of 2 calls gave the same\n")


def sampling(request: Request) -> Reply:
    """A server like vLLM: the tokens of a conversation go on from turn to turn."""
    acted = sum(message["role"] == "assistant" for message in request.json["messages"])
    call = ("submit", {}) if acted else ("execute_bash", {"command": "echo 4 > answer.txt"})
    whole: dict[str, Any] = openai.completion(calls=[call])
    completion = [7, 8] if acted else [5]
    whole["prompt_token_ids"] = [1, 2, 5, 3] if acted else [1, 2]
    whole["choices"][0] |= {
        "token_ids": completion,
        "logprobs": {"content": [{"token": "x", "logprob": -0.5} for _ in completion]},
    }
    return Reply(body=json.dumps(whole).encode())


def test_token_ids_are_recorded_on_request_and_handed_to_a_trainer(tmp_path: Path) -> None:
    with FakeServer(sampling) as server:
        arguments = ("-m", "openai/fake", "--base-url", server.url, "--network", "none", "--quiet")
        done = workroom(tmp_path, "2 + 2?", *arguments, "--token-ids", "-o", "out")
        assert (done.returncode, done.stdout, done.stderr) == (0, "4\n", "")
        workroom(tmp_path, "2 + 2?", *arguments, "-o", "plain")
        assert "return_token_ids" not in server.requests[-1].json
    done = workroom(tmp_path, "export", "out", "--to", "tokens")
    row = json.loads(done.stdout)
    assert (row["prompt_ids"], row["response_ids"], row["mask"]) == ([1, 2], [5, 3, 7, 8], [1, 0, 1, 1])
    assert (row["logprobs"], row["reward"], row["rows"]) == ([-0.5, 0.0, -0.5, -0.5], None, 1)
    run = RunDirectory.load(tmp_path / "out")
    assert run.run["config"]["token_ids"] == {"value": True, "origin": "flag --token-ids"}
    metrics = json.loads((tmp_path / "out/trajectory.json").read_text())["steps"][2]["metrics"]
    assert (metrics["prompt_token_ids"], metrics["completion_token_ids"]) == ([1, 2], [5])
