"""The report of a training, from made-up files."""

import csv
import re
from pathlib import Path
from typing import Any

import pytest

from tests.bench.test_report import Page
from tests.train.made_up import STAGES, line, training
from workroom.errors import ConfigError
from workroom.train import evaluation
from workroom.train.report import summary, write, write_seeds
from workroom.train.report.reading import load
from workroom.train.report.tables import behaviour, differences, results, seconds, steps, validation


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole report, with its plots."""
    place = training(tmp_path_factory.mktemp("train") / "out")
    assert write(place) == place / "report" / "report.md"
    return place / "report"


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes a second, and nothing of these tests is about it."""
    monkeypatch.setattr("workroom.train.report.document.draw", lambda tables: ())
    monkeypatch.setattr("workroom.train.report.seeds._plots", lambda trainings: ())


def rows(table: Any) -> list[dict[str, Any]]:
    names = [column.name for column in table.columns]
    return [dict(zip(names, row, strict=True)) for row in table.rows]


def test_the_page_is_sound_and_needs_nothing_from_outside(folder: Path) -> None:
    page = Page((folder / "report.html").read_text())
    assert "script" not in page.tags
    assert not [link for link in page.values("href") + page.values("src") if link.startswith(("http", "//"))]
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in page.values("href") if link.startswith("#")} <= set(ids)
    for words in ("Held-out documents, before and after", "after warm start", "Where the time went"):
        assert words in page.text


def test_every_file_that_is_named_is_there(folder: Path) -> None:
    text = (folder / "report.md").read_text()
    named = set(re.findall(r"\]\(([\w.]+)\)", text))
    assert {"results.csv", "differences.csv", "success.svg", "reward.svg", "conduct.svg", "time.svg"} <= named
    assert all((folder / name).stat().st_size for name in named)
    assert all((folder / name.replace(".svg", ".png")).stat().st_size for name in named if name.endswith(".svg"))


def test_the_lead_says_what_came_of_it(folder: Path) -> None:
    lead = (folder / "report.md").read_text().partition("## ")[0]
    assert "4 of 4 steps are finished" in lead
    assert "warm start of 2 supervised steps" in lead
    assert "In sandbox mode, after training − before: +70.0 points, from 10.0 % to 80.0 %" in lead
    assert "In sandbox mode, after warm start − before: +20.0 points" in lead
    assert "Sandboxes were waited for 3.2 % of the steps' time" in lead


def test_all_metrics_are_in_one_file(folder: Path) -> None:
    with (folder / "metrics.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [(row["kind"], row["step"]) for row in found[:3]] == [
        ("warm_start", "1"),
        ("warm_start", "2"),
        ("train", "1"),
    ]
    assert found[2]["success"] == "0.25"
    assert found[2]["loss"] == ""


def test_the_tables_have_the_figures_of_the_files(tmp_path: Path) -> None:
    found = load(training(tmp_path / "out"))
    by_stage = {(row["stage"], row["mode"]): row for row in rows(results(found))}
    assert [by_stage[stage, "sandbox"]["success"] for stage in ("before", "after warm start", "after training")] == [
        *STAGES.values()
    ]
    assert by_stage["before", "llm"]["success"] == 0.1
    change = {(row["mode"], row["difference"]): row for row in rows(differences(found))}
    whole = change["sandbox", "after training − before"]
    assert whole["points"] == pytest.approx(0.7)
    assert whole["interval"].low < 0.7 < whole["interval"].high
    assert (whole["won"], whole["lost"], whole["tied"]) == (14, 0, 6)
    assert whole["p"] < 0.001
    conduct = {(row["stage"], row["mode"]): row for row in rows(behaviour(found))}
    assert conduct["before", "sandbox"]["tool_use"] == 1
    assert conduct["before", "llm"]["tool_use"] == 0
    assert conduct["before", "sandbox"]["files"] is None  # no run was looked at
    assert [row["step"] for row in rows(validation(found))] == [2, 2, 4, 4]
    assert [row["success"] for row in rows(steps(found))] == [0.25, 0.5, 0.75, 1.0]
    assert {row["part"]: row["a_step"] for row in rows(seconds(found))} == pytest.approx(
        {"model": 7.2, "sandboxes": 0.32, "rest of the rollouts": 0.48, "update": 2.0}
    )


def test_what_the_plant_dropped_counts_for_nothing(tmp_path: Path) -> None:
    lines = [line("a", "sandbox", 1.0), line("b", "sandbox", None), line("c", "sandbox", 0.0)]
    evaluation.write(tmp_path, "final", lines)
    (row,) = rows(results(load(tmp_path)))
    assert (row["success"], row["tasks"], row["dropped"]) == (0.5, 2, 1)


def test_repeats_of_a_task_are_one_value(tmp_path: Path) -> None:
    evaluation.write(tmp_path, "start", [line("a", "sandbox", reward, n) for n, reward in enumerate((1.0, 0.0, 0.0))])
    evaluation.write(tmp_path, "final", [line("a", "sandbox", 1.0), line("b", "sandbox", 1.0)])
    (row,) = rows(differences(load(tmp_path)))
    assert row["tasks"] == 1
    assert row["points"] == pytest.approx(2 / 3)


def test_the_use_of_the_sandbox_is_told_where_every_run_was_looked_at(tmp_path: Path) -> None:
    seen: dict[str, Any] = {
        "uses": {"files": 1, "external": 0, "computation": 2},
        "phrases": {"verification": 4, "structure": 0},
    }
    evaluation.write(tmp_path, "start", [line("a", "sandbox", 1.0, **seen), line("b", "sandbox", 1.0, **seen)])
    evaluation.write(tmp_path, "final", [line("a", "sandbox", 1.0, **seen), line("b", "sandbox", 1.0)])
    before, after = rows(behaviour(load(tmp_path)))
    assert (before["files"], before["computation"], before["verification"]) == (0.5, 1.0, 2.0)
    assert after["files"] is None


def test_a_training_that_has_hardly_begun_has_a_report(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no training in"):
        write(tmp_path)
    place = training(tmp_path / "out", stages=("start",))
    (place / "metrics.jsonl").write_text("")
    text = write(place).read_text()
    assert "This training is not at its end" in text
    assert "There was no warm start" in text
    assert "No step is finished yet." in text


@pytest.mark.usefixtures("no_plots")
def test_texts_of_models_and_files_are_no_markup(tmp_path: Path) -> None:
    place = training(tmp_path / "out")
    text = (place / "config.toml").read_text()
    (place / "config.toml").write_text(text.replace('"generated:facts"', '"<b>|*x*\\u001b"'))
    report = write(place)
    assert "<b>" not in (place / "report" / "report.html").read_text()
    assert "\x1b" not in report.read_text()
    assert r"\|\*x\*" in report.read_text()


def test_the_summary_has_a_line_for_each_stage_and_mode(tmp_path: Path) -> None:
    place = training(tmp_path / "out")
    lines = summary(place)
    assert lines[0].split("  ")[0] == "Stage"
    assert len(lines) == 7
    assert re.match(r"after training +sandbox +20 +20 +80\.0 ", lines[5])
    (place / "evaluations" / "start.jsonl").unlink()
    assert len(summary(place)) == 5


@pytest.mark.usefixtures("no_plots")
def test_seeds_are_joined_with_each_one_and_their_mean(tmp_path: Path) -> None:
    places = [training(tmp_path / f"seed-{seed}", seed=seed) for seed in (1, 2, 3)]
    for place, share in zip(places, (0.4, 0.6, 0.8), strict=True):
        lines = [line(f"task-{n}", "sandbox", float(n < share * 10)) for n in range(10)]
        evaluation.write(place, "final", lines)
    target = write_seeds(places, tmp_path / "joined")
    text = target.read_text()
    assert "after training − before: +50.0 points in the mean of 3 seeds (+30.0 to +70.0)." in text
    with (tmp_path / "joined" / "seeds_sandbox.csv").open(newline="") as file:
        found = {row["seed"]: row["final"] for row in csv.DictReader(file)}
    assert found == {
        "seed 1": "0.4", "seed 2": "0.6", "seed 3": "0.8",
        "mean of 3": pytest.approx("0.6"), "lowest": "0.4", "highest": "0.8",
    }  # fmt: skip


@pytest.mark.usefixtures("no_plots")
def test_what_are_no_seeds_of_one_training_is_told(tmp_path: Path) -> None:
    one, two = (training(tmp_path / name, seed=seed, steps=steps) for name, seed, steps in (("a", 0, 4), ("b", 1, 5)))
    three = training(tmp_path / "c", seed=0)
    unfinished = training(tmp_path / "d", seed=3, stages=("start",))
    for places, words in (
        ([one], "two trainings or more"),
        ([one, two], "differ in more than the seed: algorithm.steps is 4 and 5"),
        ([one, three], "have the same seed"),
        ([one, unfinished], "no evaluation after its end"),
    ):
        with pytest.raises(ConfigError, match=words):
            write_seeds(places, tmp_path / "joined")
