"""The directory of a bench, as bad luck leaves it."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.bench.benches import make_bench, series
from workroom.bench.score import Score
from workroom.bench.store import MAKING, Attempt, BenchDirectory, Key, ScoreLine
from workroom.errors import ConfigError, WorkroomError
from workroom.task import Task
from workroom.trajectory.files import replace_file

CONFIG = {"model": "m"}
TASKS = {"s": [Task("1?", id="a", answer="1", documents={"d.txt": "text"})]}


def test_a_bench_that_was_killed_while_it_was_made_is_made_again(tmp_path: Path) -> None:
    BenchDirectory.create(tmp_path / "b", CONFIG, TASKS).close()
    (tmp_path / "b" / "config.toml").rename(tmp_path / "b" / MAKING)
    with BenchDirectory.create(tmp_path / "b", CONFIG, TASKS) as bench:
        assert [task.id for task in bench.tasks["s"]] == ["a"]
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == ["config.toml", "documents", "tasks.jsonl"]


def test_what_is_no_bench_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "tasks.jsonl").write_text("mine")
    with pytest.raises(ConfigError, match="not empty and holds no bench"):
        BenchDirectory.create(tmp_path, CONFIG, TASKS)
    assert (tmp_path / "tasks.jsonl").read_text() == "mine"
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot make"):
        BenchDirectory.create(tmp_path / "file", CONFIG, TASKS)
    with pytest.raises(ConfigError, match="there is no bench"):
        BenchDirectory.open(tmp_path / "file")


@pytest.mark.parametrize("line", ["5", "{", '{"suite": "s"}', "null", "\0\0\0\0"])
def test_a_damaged_line_costs_no_other(tmp_path: Path, line: str, caplog: pytest.LogCaptureFixture) -> None:
    make_bench(tmp_path / "b", {"s": {"llm": series(1.0, 0.0, 1.0)}}).close()
    for name in ("index.jsonl", "scores.jsonl"):
        path = tmp_path / "b" / name
        lines = path.read_text().split("\n")
        path.write_text("\n".join([lines[0], line, *lines[2:]]))
    with BenchDirectory.open(tmp_path / "b") as bench:
        assert [key.task for key in bench.attempts] == ["t1", "t3"]
        assert [key.task for key in bench.scores] == ["t1", "t3"]
    assert [", line 2 is damaged and left out" in record.getMessage() for record in caplog.records] == [True, True]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("index.jsonl", {"seconds": "abc"}),
        ("index.jsonl", {"suite": 1}),
        ("index.jsonl", {"repeat": True}),
        ("index.jsonl", {"mode": "../../../.."}),
        ("scores.jsonl", {"reason": 5}),
        ("scores.jsonl", {"score": "1"}),
        ("scores.jsonl", {"mode": "a/b"}),
    ],
)
def test_a_line_that_no_bench_writes_is_left_out(tmp_path: Path, name: str, change: dict[str, Any]) -> None:
    make_bench(tmp_path / "b", {"s": {"llm": series(1.0, 0.0)}}).close()
    path = tmp_path / "b" / name
    first, *rest = path.read_text().splitlines(keepends=True)
    path.write_text("".join([json.dumps({**json.loads(first), **change}) + "\n", *rest]))
    loaded = BenchDirectory.load(tmp_path / "b")
    assert [key.task for key in (loaded.attempts if name == "index.jsonl" else loaded.scores)] == ["t2"]


@pytest.mark.parametrize("name", ["index.jsonl", "scores.jsonl"])
def test_half_a_last_line_is_cut_off_once(tmp_path: Path, name: str) -> None:
    make_bench(tmp_path / "b", {"s": {"llm": series(1.0, 0.0)}}).close()
    path = tmp_path / "b" / name
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:20])
    BenchDirectory.open(tmp_path / "b").close()
    assert path.read_bytes() == whole


def test_tasks_or_documents_that_are_missing_are_told(tmp_path: Path) -> None:
    BenchDirectory.create(tmp_path / "b", CONFIG, TASKS).close()
    path = tmp_path / "b" / "tasks.jsonl"
    text = path.read_text()
    path.write_text("{}\n" + text)
    with pytest.raises(ConfigError, match=r"tasks\.jsonl, line 1 is damaged"):
        BenchDirectory.open(tmp_path / "b")
    path.unlink()
    with pytest.raises(ConfigError, match=r"tasks\.jsonl is missing"):
        BenchDirectory.open(tmp_path / "b")
    path.write_text(text)
    next((tmp_path / "b" / "documents").iterdir()).unlink()
    with pytest.raises(ConfigError, match=r"document d\.txt of the task a is missing"):
        BenchDirectory.open(tmp_path / "b")
    assert BenchDirectory.load(tmp_path / "b").tasks  # a report needs none


def test_only_one_at_a_time_and_only_where_it_can_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = BenchDirectory.create(tmp_path / "b", CONFIG, TASKS)
    with pytest.raises(ConfigError, match="in use by another bench"):
        BenchDirectory.open(tmp_path / "b")
    made.close()
    monkeypatch.setattr(os, "access", lambda *_: False)  # the tests may run as root, who may write anywhere
    with pytest.raises(ConfigError, match="cannot be written to"):
        BenchDirectory.open(tmp_path / "b")


def test_keys_are_in_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "sk-0123456789abcdef"
    monkeypatch.setenv("OPENAI_API_KEY", secret)
    key = Key("s", "a", "llm", 1)
    with BenchDirectory.create(tmp_path / "b", CONFIG, TASKS) as bench:
        bench.record(Attempt(*key, "model_error", answered=False, error=f"wrong key {secret}"))
        bench.record_score(ScoreLine.of(key, Score(None, f"wrong key {secret}", None, {"void": [secret]}), ""))
        assert secret not in (bench.path / "index.jsonl").read_text()
        assert secret not in (bench.path / "scores.jsonl").read_text()
        bench.replace_scores(list(bench.scores.values()))
        line: dict[str, Any] = json.loads((bench.path / "scores.jsonl").read_text())
    assert line["reason"] == f"wrong key {'*' * len(secret)}"
    assert line["details"] == {"void": ["*" * len(secret)]}


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    with BenchDirectory.create(tmp_path / "b", CONFIG, TASKS) as bench:
        (bench.path / "index.jsonl").symlink_to("/dev/full")
        with pytest.raises(Exception, match="make room") as raised:
            bench.record(Attempt("s", "a", "llm", 1, "submitted", answered=True))
    assert getattr(raised.value, "exit_code", None) == 1


def test_a_read_only_file_system_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "open", refused)
    monkeypatch.setattr(Path, "unlink", refused)
    with pytest.raises(WorkroomError, match="Read-only file system"):
        replace_file(tmp_path / "f", b"")
