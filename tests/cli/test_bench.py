"""`workroom bench` as its user runs it: known answers give known scores, and nothing is lost or done twice."""

import csv
import json
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import SUBMIT, bash, script, start, workroom
from tests.fakes import FakeServer, openai

PLAIN = ("--network", "none", "--retries", "0")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().split("\n") if line]


def keys(path: Path) -> Counter[tuple[Any, ...]]:
    return Counter((line["suite"], line["task"], line["mode"], line["repeat"]) for line in lines(path))


def data(place: Path, count: int, **more: Any) -> Path:
    """So many sums, with the answers 2, 3, 4, ..."""
    path = place / "sums.jsonl"
    items = [{"id": f"sum-{n}", "domain": "math", "question": f"{n} + 1?", "answer": str(n + 1)} for n in range(count)]
    path.write_text("".join(json.dumps(item | more) + "\n" for item in items))
    return path


def scripts(place: Path, answers: dict[str, tuple[str, str]]) -> str:
    """A script for each task: what it says in llm mode, and what it writes in the sandbox."""
    folder = place / "scripts"
    folder.mkdir(exist_ok=True)
    for task, (said, written) in answers.items():
        turn = {"content": said, "tool_calls": bash(f"cat > /testbed/answer.txt <<'E'\n{written}\nE")}
        script(folder / f"{task}.jsonl", turn, SUBMIT)
    return f"scripted/{folder}"


def test_known_answers_give_the_known_scores_difference_and_interval(tmp_path: Path) -> None:
    right = {n: f"so it is \\boxed{{{n + 1}}}" for n in range(4)}
    wrong = "\\boxed{99}"
    model = scripts(
        tmp_path,
        {
            "sum-0": (right[0], right[0]),
            "sum-1": (wrong, right[1]),
            "sum-2": (wrong, right[2]),
            "sum-3": (wrong, wrong),
        },
    )
    done = workroom(tmp_path, "bench", "run", "math", "--data", data(tmp_path, 4), "-m", model, "-o", "out", *PLAIN)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    scores = {(line["task"], line["mode"]): line["score"] for line in lines(out / "scores.jsonl")}
    assert [scores[f"sum-{n}", "llm"] for n in range(4)] == [1, 0, 0, 0]
    assert [scores[f"sum-{n}", "sandbox"] for n in range(4)] == [1, 1, 1, 0]
    assert set(lines(out / "scores.jsonl")[0]) >= {
        *("task", "suite", "mode", "repeat", "score", "reason", "extracted", "grader"),
    }
    assert done.stdout.splitlines()[1].split()[:5] == ["math", "llm", "4", "0", "25.0"]
    assert done.stdout.splitlines()[2].split()[:5] == ["math", "sandbox", "4", "0", "75.0"]
    run = out / "attempts" / "math" / "sum-1" / "sandbox" / "1"
    assert (run / "answer.txt").read_text() == right[1]
    assert {"run.json", "events.jsonl", "trajectory.json"} <= {path.name for path in run.iterdir()}
    # By hand: differences 0, 1, 1, 0; mean 0.5, standard error 0.288675, t(3) = 3.182446, cut at 1; exact p 0.5.
    with (out / "report" / "differences.csv").open() as file:
        row = next(csv.DictReader(file))
    assert row["points"] == "0.5"
    assert float(row["interval_low"]) == pytest.approx(0.5 - 3.182446305 * 0.2886751346, abs=1e-8)
    assert float(row["interval_high"]) == 1.0
    assert float(row["p"]) == 0.5


def test_killed_and_resumed_nothing_is_lost_or_repeated(tmp_path: Path) -> None:
    steps = [bash("sleep 0.2; echo '\\boxed{1}' > /testbed/answer.txt"), SUBMIT]
    model = script(tmp_path / "s.jsonl", *steps)
    few = ("--concurrency", "4")  # so that a busy machine does not finish all between two looks
    begin = ("bench", "run", "math", "--data", data(tmp_path, 40), "-m", model, "-o", "out", *PLAIN, *few)
    index = tmp_path / "out" / "index.jsonl"
    seen = 0
    for number in range(3):
        again = begin if number % 2 == 0 else ("bench", "resume", "out", "--retries", "0", *few)
        process = start(tmp_path, *again, "--mode", "sandbox") if again is begin else start(tmp_path, *again)
        end = time.monotonic() + 60
        while (len(lines(index)) if index.exists() else 0) < seen + 6 and time.monotonic() < end:
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        seen = index.read_bytes().count(b"\n")
        assert 0 < seen < 40
    before = index.read_text()
    done = workroom(tmp_path, "bench", "resume", "out")
    assert done.returncode == 0, done.stderr
    assert index.read_text().startswith(before[: before.rindex("\n") + 1])
    assert len(keys(index)) == 40
    assert max(keys(index).values()) == 1
    assert keys(tmp_path / "out" / "scores.jsonl") == keys(index)
    assert workroom(tmp_path, "bench", "resume", "out").returncode == 0
    assert len(lines(index)) == 40


def test_a_first_ctrl_c_ends_after_the_step_and_all_is_there(tmp_path: Path) -> None:
    model = script(tmp_path / "s.jsonl", bash("sleep 1; echo '\\boxed{1}' > /testbed/answer.txt"), SUBMIT)
    command = ("bench", "run", "math", "--data", data(tmp_path, 8), "-m", model, "-o", "out", "--mode", "sandbox")
    process = start(tmp_path, *command, "--concurrency", "2", *PLAIN)
    index = tmp_path / "out" / "index.jsonl"
    end = time.monotonic() + 60
    while not index.exists() and time.monotonic() < end:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "workroom bench resume out" in err
    done = len(lines(index))
    assert 0 < done < 8
    assert workroom(tmp_path, "bench", "resume", "out").returncode == 0
    assert len(lines(index)) == 8


def test_a_second_ctrl_c_stops_at_once(tmp_path: Path) -> None:
    model = script(tmp_path / "s.jsonl", bash("sleep 100"), SUBMIT)
    command = ("bench", "run", "math", "--data", data(tmp_path, 4), "-m", model, "-o", "out", "--mode", "sandbox")
    process = start(tmp_path, *command, "--concurrency", "2", "--max-sandboxes", "1", "--json", *PLAIN)
    end = time.monotonic() + 60
    while not list(tmp_path.glob("out/attempts/*/*/*/*/events.jsonl")) and time.monotonic() < end:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "workroom bench resume out" in err
    assert [json.loads(line)["type"] for line in out.splitlines()] == ["result"]


def test_a_closed_standard_output_ends_nothing(tmp_path: Path) -> None:
    def close() -> None:
        os.close(1)

    process = start(tmp_path, "bench", "list", preexec_fn=close)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")


def test_failures_of_the_plant_are_tried_again_and_stay_unscored(tmp_path: Path) -> None:
    model = script(tmp_path / "s.jsonl", bash("true"))  # it runs out
    command = ("bench", "run", "math", "--data", data(tmp_path, 2), "-m", model, "-o", "out", "--mode", "sandbox")
    done = workroom(tmp_path, *command, "--network", "none", "--retries", "1", "--json")
    assert done.returncode == 6, done.stderr
    assert [line["tries"] for line in lines(tmp_path / "out" / "index.jsonl")] == [1, 1, 2, 2]
    scores = lines(tmp_path / "out" / "scores.jsonl")
    assert [line["score"] for line in scores] == [None, None]
    assert all("model_error" in line["reason"] for line in scores)
    last = json.loads(done.stdout.splitlines()[-1])
    assert (last["type"], last["exit_code"], last["unscored"]) == ("result", 6, 2)
    script(tmp_path / "s.jsonl", bash("echo '\\boxed{1}' > /testbed/answer.txt"), SUBMIT)
    assert workroom(tmp_path, "bench", "resume", "out").returncode == 0  # the plant is repaired
    latest = {line["task"]: line["score"] for line in lines(tmp_path / "out" / "scores.jsonl")}
    assert latest == {"sum-0": 1.0, "sum-1": 0.0}


def test_a_server_that_fails_for_a_while_costs_no_score(tmp_path: Path) -> None:
    answers: list[Any] = [openai.error(500, "busy"), openai.assistant("\\boxed{1}"), openai.assistant("\\boxed{2}")]
    with FakeServer(answers) as server:
        env = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "k" * 12}
        command = ("bench", "run", "math", "--data", data(tmp_path, 2), "-m", "openai/m", "-o", "out")
        done = workroom(tmp_path, *command, "--mode", "llm", "--concurrency", "1", env=env)
    assert done.returncode == 0, done.stderr
    assert [line["score"] for line in lines(tmp_path / "out" / "scores.jsonl")] == [1.0, 1.0]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("--temperature", "0.7"), "temperature was not given and is 0.7"),
        (("--limit", "1"), "limit was not given and is 1"),
        (("--arm", "neutral"), "arms was ['llm'] and is ['llm', 'sandbox+neutral']"),
        (("--repeats", "2"), "repeats was"),
    ],
)
def test_another_configuration_does_not_go_on(tmp_path: Path, change: tuple[str, ...], named: str) -> None:
    model = script(tmp_path / "s.jsonl", "\\boxed{1}")
    begin = ("bench", "run", "math", "--data", data(tmp_path, 2), "-m", model, "-o", "out", "--mode", "llm", *PLAIN)
    assert workroom(tmp_path, *begin).returncode == 0
    again = workroom(tmp_path, *begin, *change)
    assert again.returncode == 2
    assert named in again.stderr
    assert len(again.stderr.strip().split("\n")) == 1
    data(tmp_path, 2, question="another?")
    other = workroom(tmp_path, *begin)
    assert other.returncode == 2
    assert "sum-0 of math has changed" in other.stderr


def test_other_words_for_the_same_data_go_on_and_another_meta_does_not(tmp_path: Path) -> None:
    model = script(tmp_path / "s.jsonl", "\\boxed{1}")
    path = data(tmp_path, 1)
    begin = ("bench", "run", "math", "-m", model, "-o", "out", "--mode", "llm", *PLAIN, "--data")
    assert workroom(tmp_path, *begin, path).returncode == 0
    assert workroom(tmp_path, *begin, f"{path.parent}/./{path.name}").returncode == 0
    path.write_text(json.dumps({**json.loads(path.read_text()), "meta": {"answer_range": [1, 2]}}) + "\n")
    other = workroom(tmp_path, *begin, path)
    assert other.returncode == 2
    assert "sum-0 of math has changed" in other.stderr


@pytest.mark.parametrize("wrong", [("bench", "run", ","), ("bench", "run", ""), ("bench", "run", "math", "--ids", ",")])
def test_a_list_without_names_is_wrong_usage(tmp_path: Path, wrong: tuple[str, ...]) -> None:
    done = workroom(tmp_path, *wrong, "--data", data(tmp_path, 1), "-o", "out", "--mode", "llm", *PLAIN)
    assert done.returncode == 2
    assert "names nothing" in done.stderr
    assert not (tmp_path / "out").exists()


def test_grading_again_changes_nothing_and_runs_nothing(tmp_path: Path) -> None:
    model = script(tmp_path / "s.jsonl", "\\boxed{2}")
    command = ("bench", "run", "math", "--data", data(tmp_path, 3), "-m", model, "-o", "out", "--mode", "llm", *PLAIN)
    assert workroom(tmp_path, *command, "--repeats", "2").returncode == 0
    scores = tmp_path / "out" / "scores.jsonl"
    before = sorted(scores.read_text().splitlines())
    index = (tmp_path / "out" / "index.jsonl").read_text()
    scores.unlink()
    (tmp_path / "s.jsonl").unlink()  # no model is needed
    assert workroom(tmp_path, "bench", "grade", "out").returncode == 0
    assert sorted(scores.read_text().splitlines()) == before
    assert (tmp_path / "out" / "index.jsonl").read_text() == index
    done = workroom(tmp_path, "bench", "report", "out")
    assert (done.returncode, done.stdout) == (0, "out/report/report.md\n")
    assert (tmp_path / "out" / "report" / "report.html").is_file()


def test_two_benches_side_by_side(tmp_path: Path) -> None:
    path = data(tmp_path, 3)
    for name, answer in (("one", "\\boxed{1}"), ("none", "\\boxed{77}")):
        model = script(tmp_path / f"{name}.jsonl", answer)
        command = ("bench", "run", "math", "--data", path, "-m", model, "-o", name, "--mode", "llm", *PLAIN)
        assert workroom(tmp_path, *command).returncode == 0
    done = workroom(tmp_path, "bench", "compare", "one", "none")
    assert done.returncode == 0, done.stderr
    assert "33.3" in done.stdout
    assert workroom(tmp_path, "bench", "compare", "one").returncode == 2


def test_a_suite_of_ones_own_from_the_template(tmp_path: Path) -> None:
    made = workroom(tmp_path, "bench", "new", "mine")
    assert made.returncode == 0, made.stderr
    model = script(tmp_path / "s.jsonl", "Answer: 4")
    done = workroom(tmp_path, "bench", "run", "./mine", "-m", model, "-o", "out", "--mode", "llm", *PLAIN)
    assert done.returncode == 0, done.stderr
    assert len(lines(tmp_path / "out" / "scores.jsonl")) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("bench", "run", "maths"), "did you mean 'math'"),
        (("bench", "run", "math", "--data", "none.jsonl"), "none.jsonl"),
        (("bench", "run", "math", "--data", "bad.jsonl"), "line 2"),
        (("bench", "run", "math", "--data", "empty.jsonl"), "empty.jsonl"),
        (("bench", "run", "math", "--data", "ok.jsonl", "--ids", "zzz"), "zzz"),
        (("bench", "run", "math", "--data", "ok.jsonl", "--mode", "sideways"), "sandbox, llm, both"),
        (("bench", "run", "math", "--data", "ok.jsonl", "--arm", "no_gravity"), "no_gravity"),
        (("bench", "run", "math", "--data", "ok.jsonl", "--engine", "spark"), "spark"),
        (("bench", "run", "math", "--data", "ok.jsonl", "--free-memory", "lots"), "lots"),
        (("bench", "run", "math,math", "--data", "ok.jsonl"), "twice"),
        (("bench", "run", "math", "--data", "judged.jsonl"), "--judge-model"),
        (("bench", "run", "math", "--data", "grader.jsonl"), "no_such_grader"),
        (("bench", "resume", "nowhere"), "nowhere"),
        (("bench", "report", "."), "config.toml"),
        (("bench", "frobnicate"), "frobnicate"),
    ],
)
def test_wrong_uses_get_one_sentence(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    item = {"id": "a", "domain": "math", "question": "1?", "answer": "1"}
    files: dict[str, list[dict[str, Any]]] = {
        "ok": [item],
        "bad": [item, {"id": "b", "domain": "math", "question": 7}],
        "empty": [],
        "judged": [item | {"grader": "llm_judge"}],
        "grader": [item | {"grader": "no_such_grader"}],
    }
    for name, items in files.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in items))
    model = ("-m", script(tmp_path / "s.jsonl", "\\boxed{1}")) if "run" in arguments else ()
    done = workroom(tmp_path, *arguments, *model)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert len(done.stderr.strip().split("\n")) == 1
    assert done.stdout == ""
