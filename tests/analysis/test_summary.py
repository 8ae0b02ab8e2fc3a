"""Runs of a directory together, and what `workroom analyze` shows of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.analysis.helpers import Step, bash, episode
from workroom.analysis.summary import Group, analyze, analyze_run, summarize
from workroom.cli.analyze import analyze_verb
from workroom.errors import ConfigError
from workroom.trajectory.rundir import RunDirectory


def make(path: Path, *turns: list[Step], domain: str | None = None, mode: Any = "sandbox") -> Path:
    """A run of these turns."""
    path.mkdir(parents=True)
    facts = {"task": {"id": "t", "domain": domain}} if domain else None
    with RunDirectory.create(path, {}, facts=facts) as run:
        for event in episode(*turns, mode=mode):
            run.record(event)
        run.finish()
    return path


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    attempts = tmp_path / "bench" / "attempts"
    make(attempts / "math" / "t1" / "sandbox" / "1", [bash("python3 -c 'print(3 * 4)'")], [bash("ls documents")])
    make(attempts / "math" / "t2" / "sandbox" / "1", [bash("echo 1 > answer.txt")])
    make(attempts / "math" / "t1" / "sandbox+no_network" / "1", [bash("pip install x")])
    make(attempts / "math" / "t1" / "llm" / "1", [], mode="llm")
    make(tmp_path / "alone", [bash("cat documents/\x1b[2Ja")], domain="law")
    return tmp_path


def test_attempts_are_grouped_by_suite_and_arm_and_other_runs_by_domain(runs: Path) -> None:
    seen: list[tuple[int, int]] = []
    summaries = summarize(analyze(runs, lambda done, total: seen.append((done, total))))
    assert [summary.group for summary in summaries] == [
        Group("law", "sandbox", "scripted/x"),
        Group("math", "llm", "scripted/x"),
        Group("math", "sandbox", "scripted/x"),
        Group("math", "sandbox+no_network", "scripted/x"),
    ]
    use = summaries[2].use
    assert (use.episodes, use.turns, use.rate("computation"), use.share("files")) == (2, 3, 1 / 3, 1 / 2)
    assert seen[-1] == (5, 5)


def test_a_run_without_an_episode_is_left_out(tmp_path: Path) -> None:
    RunDirectory.create(tmp_path / "none", {}).close()
    assert analyze_run(tmp_path / "none") is None
    assert summarize(analyze(tmp_path)) == []


def test_the_table(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert analyze_verb(runs, as_json=False, evidence=False) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    head = lines.index(
        "domain mode model episodes turns external files computation any external any files any computation".split()
    )
    assert lines[head + 3] == "math sandbox scripted/x 2 1.5 0.0 % 33.3 % 33.3 % 0.0 % 50.0 % 50.0 %".split()


def test_the_evidence_names_run_and_turn_and_is_harmless(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    analyze_verb(runs / "alone", as_json=False, evidence=True)
    first = capsys.readouterr().out.splitlines()[0]
    assert first == f"{runs / 'alone'}:1  files/reading  cat documents/\\u{{1b}}[2Ja"


def test_json_has_a_line_for_each_run_and_each_group(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    analyze_verb(runs, as_json=True, evidence=True)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["type"] for line in lines] == ["run"] * 5 + ["group"] * 4
    run = next(line for line in lines if line["path"].endswith("t1/sandbox/1"))
    assert [(one["turn"], one["capability"], one["rule"]) for one in run["evidence"]] == [
        (1, "computation", "arithmetic"),
        (2, "files", "reading"),
    ]
    group = lines[-2]
    assert (group["domain"], group["episodes"], group["capabilities"]["files"]["share"]) == ("math", 2, 0.5)
    assert group["rules"] == 1


def test_a_folder_without_runs_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no run in or below"):
        analyze_verb(tmp_path, as_json=False, evidence=False)
