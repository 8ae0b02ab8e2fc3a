"""Benches side by side: numbers by hand, the same ground for all, and what must be refused."""

import math
from pathlib import Path
from typing import Any

import pytest

from tests.bench.benches import make_bench, series
from workroom.bench.compare import DELTA, Comparison, Gap, Row, compare
from workroom.bench.outcomes import scores_by_item
from workroom.bench.statistics import Difference, mean_interval, paired_difference, wilson
from workroom.bench.store import BenchDirectory
from workroom.errors import ConfigError
from workroom.task import Task

T_QUANTILE = 2.262157162740992  # t of 97.5 % with 9 degrees of freedom, from a printed table's longer form

# Twenty tasks of a scripted model: in llm mode the first 8 are right, in the sandbox all but the first 2 and last 4.
LLM = series(*[1.0] * 8, *[0.0] * 12)
SANDBOX = series(*[0.0] * 2, *[1.0] * 14, *[0.0] * 4)


def near(expected: float) -> Any:
    return pytest.approx(expected, rel=1e-9, abs=1e-12)


def row(comparison: Comparison, suite: str, measure: str) -> Row:
    [found] = [row for row in comparison.rows if (row.suite, row.measure) == (suite, measure)]
    return found


def test_known_rights_and_wrongs_give_the_known_numbers(tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "b", {"math": {"llm": LLM, "sandbox": SANDBOX}})
    llm, sandbox = (scores_by_item(bench, "math", mode) for mode in ("llm", "sandbox"))
    # Wilson for 8 and 14 of 20, from (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n) with z² = 3.841458820694124.
    for by_item, mean, low, high in ((llm, 0.4, 0.218806, 0.613419), (sandbox, 0.7, 0.481027, 0.854523)):
        estimate = mean_interval(by_item)
        assert estimate.mean == near(mean)
        assert [estimate.low, estimate.high] == [pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6)]
    found = paired_difference(sandbox, llm)
    # 8 won, 2 lost: 0.3 ± t₁₉ · √(((8 + 2) − 20 · 0.09) / 19 / 20); the test is 2 · (1 + 10 + 45) / 2¹⁰.
    half = 2.093024054408263 * math.sqrt(8.2 / 19 / 20)
    assert found.mean == near(0.3)
    assert (found.low, found.high) == (near(0.3 - half), near(0.3 + half))
    assert found.p == near(112 / 1024)
    assert (found.wins, found.losses, found.ties) == (8, 2, 10)


def test_repeats_are_clustered(tmp_path: Path) -> None:
    # Ten tasks of two repeats, the means of which are 1, ½ and 0: mean 0.5, variance 8 · ¼ / 9.
    by_task = {f"t{number}": [1.0, 1.0] for number in range(4)}
    by_task |= {f"t{number}": [1.0, 0.0] for number in range(4, 6)} | {
        f"t{number}": [0.0, 0.0] for number in range(6, 10)
    }
    bench = make_bench(tmp_path / "b", {"math": {"llm": by_task}})
    estimate = mean_interval(scores_by_item(bench, "math", "llm"))
    half = T_QUANTILE * math.sqrt(2 / 9 / 10)
    assert (estimate.mean, estimate.low, estimate.high) == (near(0.5), near(0.5 - half), near(0.5 + half))
    assert (estimate.items, estimate.values) == (10, 20)


def test_two_models_side_by_side(tmp_path: Path) -> None:
    one = make_bench(tmp_path / "one", {"math": {"llm": LLM, "sandbox": LLM}})
    two = make_bench(tmp_path / "two", {"math": {"llm": LLM, "sandbox": SANDBOX}})
    found = compare([one, two])
    assert [run.name for run in found.runs] == ["one", "two"]
    assert [(row.suite, row.measure, row.items) for row in found.rows] == [
        ("math", "llm", 20),
        ("math", "sandbox", 20),
        ("math", DELTA, 20),
    ]
    first, second = row(found, "math", "sandbox").cells
    assert (first.estimate.mean, second.estimate.mean) == (near(0.4), near(0.7))
    assert first.against is None
    assert second.against is not None
    assert (second.against.mean, second.against.p, second.p) == (near(0.3), near(112 / 1024), near(112 / 1024))
    first, second = row(found, "math", DELTA).cells
    assert isinstance(second.estimate, Difference)
    assert (first.estimate.mean, second.estimate.mean) == (0.0, near(0.3))
    assert second.against is not None
    assert second.against.mean == near(0.3)
    assert str(second.coverage) == "40 of 40"


def test_only_tasks_that_all_runs_have_scores_of_count(tmp_path: Path) -> None:
    one = make_bench(tmp_path / "one", {"math": {"llm": series(1.0, 0.0, 1.0, None, 1.0)}})
    two = make_bench(tmp_path / "two", {"math": {"llm": series(1.0, 1.0, 0.0, 1.0)}})
    found = row(compare([one, two]), "math", "llm")
    assert (found.items, found.tasks) == (3, 5)
    assert [cell.estimate.mean for cell in found.cells] == [near(2 / 3), near(2 / 3)]
    assert [str(cell.coverage) for cell in found.cells] == ["4 of 5", "4 of 4"]
    assert (found.cells[0].estimate.low, found.cells[0].estimate.high) == wilson(2 / 3, 3)


def test_what_the_sandbox_adds_is_of_tasks_with_a_score_in_both_modes(tmp_path: Path) -> None:
    one = {"math": {"sandbox": series(1.0, 0.0, None, None), "llm": series(None, 0.0, 1.0, None)}}
    two = {"math": {"sandbox": series(1.0, 0.0, 1.0, 1.0), "llm": series(0.0, 0.0, 1.0, 1.0)}}
    found = row(compare([make_bench(tmp_path / "one", one), make_bench(tmp_path / "two", two)]), "math", DELTA)
    assert [(cell.coverage.items, str(cell.coverage)) for cell in found.cells] == [(1, "4 of 8"), (4, "8 of 8")]


def test_what_has_no_task_in_common_is_a_gap(tmp_path: Path) -> None:
    results = {
        "one": {"math": {"llm": series(1.0)}, "law": {"sandbox": series(1.0)}},
        "two": {"math": {"llm": series(1.0, prefix="u")}, "physics": {"llm": LLM}},
        "three": {"math": {"llm": series(None, 1.0, prefix="u")}, "physics": {"llm": LLM}},
    }
    found = compare([make_bench(tmp_path / name, scores) for name, scores in results.items()])
    assert [(row.suite, row.measure) for row in found.rows] == [("physics", "llm")]
    assert found.gaps == (Gap("math", "llm", (0, 1, 2)), Gap("law", "sandbox", (0,)))


def test_holm_corrects_over_the_suites_of_one_measure(tmp_path: Path) -> None:
    zeros, ones = series(*[0.0] * 6), series(*[1.0] * 6)
    suites = ("math", "physics", "chemistry")
    one = make_bench(tmp_path / "one", {suite: {"llm": zeros} for suite in suites})
    two = make_bench(tmp_path / "two", {suite: {"llm": ones if suite == "math" else zeros} for suite in suites})
    found = compare([one, two])
    cells = [row(found, suite, "llm").cells[1] for suite in suites]
    assert [cell.against.p for cell in cells if cell.against] == [near(2 / 64), 1.0, 1.0]
    assert [cell.p for cell in cells] == [near(6 / 64), 1.0, 1.0]


def test_a_run_without_the_mode_takes_nothing_from_the_others(tmp_path: Path) -> None:
    both = {"math": {"llm": LLM, "sandbox": SANDBOX}}
    runs = [make_bench(tmp_path / name, both) for name in ("one", "two")]
    alone = make_bench(tmp_path / "three", {"math": {"sandbox": SANDBOX}})
    found = compare([alone, *runs])
    assert [cell.run for cell in row(found, "math", "llm").cells] == [1, 2]
    assert row(found, "math", "llm").cell(0) is None
    assert row(found, "math", "llm").cells[0].against is None
    assert {ranking.measure: len(ranking.places) for ranking in found.rankings} == {"llm": 2, "sandbox": 3, DELTA: 2}


def test_the_ranking_is_over_suites_and_marks_who_is_behind(tmp_path: Path) -> None:
    def scores(math_right: int, physics_right: int) -> dict[str, dict[str, dict[str, list[float | None]]]]:
        return {
            "math": {"llm": series(*[1.0] * math_right, *[0.0] * (20 - math_right))},
            "physics": {"llm": series(*[1.0] * physics_right, *[0.0] * (10 - physics_right))},
        }

    benches = [make_bench(tmp_path / name, scores(*right)) for name, right in
               {"weak": (4, 2), "best": (16, 8), "near": (15, 8)}.items()]  # fmt: skip
    [ranking] = compare(benches).rankings
    assert ranking.suites == ("math", "physics")
    assert [place.run for place in ranking.places] == [1, 2, 0]
    best, close, weak = ranking.places
    assert best.estimate.mean == near(0.8)
    # √(0.8 · 0.2 / 19 + 0.8 · 0.2 / 9) / 2 is the error: the suites count the same, the tasks do not.
    assert best.estimate.error == near(math.sqrt(0.16 / 19 + 0.16 / 9) / 2)
    assert (best.behind, best.p, best.apart) == (None, None, False)
    assert close.behind is not None
    assert (close.behind.mean, close.p, close.apart) == (near(-0.025), 1.0, False)
    assert weak.behind is not None
    # 18 tasks went to the best and none to the other: 2 / 2¹⁸, and doubled by Holm's correction over two runs.
    assert (weak.behind.mean, weak.p, weak.apart) == (near(-0.6), near(4 / 2**18), True)
    assert weak.behind.low < -0.6 < weak.behind.high < 0


def test_models_are_ranked_by_what_the_sandbox_adds(tmp_path: Path) -> None:
    strong = make_bench(tmp_path / "strong", {"math": {"llm": SANDBOX, "sandbox": SANDBOX}})
    helped = make_bench(tmp_path / "helped", {"math": {"llm": LLM, "sandbox": SANDBOX}})
    rankings = {ranking.measure: ranking for ranking in compare([strong, helped]).rankings}
    assert [place.run for place in rankings["llm"].places] == [0, 1]
    assert [place.run for place in rankings[DELTA].places] == [1, 0]
    assert rankings[DELTA].places[0].estimate.mean == near(0.3)


def test_no_ranking_without_a_suite_that_all_have(tmp_path: Path) -> None:
    def bench(name: str, *suites: str) -> BenchDirectory:
        return make_bench(tmp_path / name, {suite: {"llm": LLM} for suite in suites})

    found = compare([bench("a", "math", "physics"), bench("b", "physics", "law"), bench("c", "law", "math")])
    assert len(found.rows) == 3
    assert found.rankings == ()


def test_names_are_models_and_directories_where_these_are_the_same(tmp_path: Path) -> None:
    results = {"math": {"llm": LLM}}
    models = {"a/x": "openai/one", "b/x": "openai/one", "b/y": "openai/one", "z": "local/two"}
    benches = [make_bench(tmp_path / path, results, {"model": model}) for path, model in models.items()]
    names = [run.name for run in compare(benches).runs]
    assert names == [f"openai/one ({tmp_path}/a/x)", f"openai/one ({tmp_path}/b/x)", "openai/one (y)", "local/two"]
    nameless = make_bench(tmp_path / "n", results, {"repeats": 1})
    assert [run.name for run in compare([nameless, benches[3]]).runs] == ["n", "local/two"]


def test_settings_that_differ_are_named(tmp_path: Path) -> None:
    one = {"created": "1", "origins": {"seed": "flag"}, "run": {"model": "m", "temperature": 0.0}, "suites": {}}
    two = {"created": "2", "origins": {}, "run": {"model": "m", "temperature": 1.0}, "bench": {"limit": 20}}
    one["suites"] = {"math": {"digest": "a", "repeats": 4}}
    two["suites"] = {"math": {"digest": "b", "repeats": 4}, "law": {"digest": "c"}}
    first = make_bench(tmp_path / "one", {"math": {"llm": LLM}}, one)
    second = make_bench(tmp_path / "two", {"math": {"llm": LLM}, "law": {"llm": LLM}}, two, grader="judge")
    found = compare([first, second])
    assert [(setting.name, setting.values) for setting in found.settings] == [
        ("bench.limit", ("–", "20")),
        ("run.temperature", ("0.0", "1.0")),
        ("grader of math", ("mathematics", "judge")),
        ("suites.math.digest", ("a", "b")),
    ]
    assert [run.name for run in found.runs] == ["m (one)", "m (two)"]


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        (Task("Q?", id="t1", answer="2"), "answer"),
        (Task("R?", id="t1", answer="1"), "question"),
        (Task("Q?", id="t1", answer="1", choices=("a", "b")), "choices"),
        (Task("Q?", id="t1", answer="1", documents={"a.txt": "b"}), "documents"),
        (Task("Q?", id="t1", answer="1", meta={"instructions": ["x"]}), "meta"),
    ],
)
def test_other_tasks_of_the_same_name_are_refused(tmp_path: Path, changed: Task, what: str) -> None:
    original = Task("Q?", id="t1", answer="1", documents={} if what != "documents" else {"a.txt": "a"})
    results = {"math": {"llm": series(1.0)}}
    one = make_bench(tmp_path / "one", results, tasks={"math": [original]})
    same = make_bench(tmp_path / "same", results, tasks={"math": [original]})
    other = make_bench(tmp_path / "other", results, tasks={"math": [changed]})
    assert compare([one, same]).rows
    with pytest.raises(ConfigError, match=f"'t1' of the suite 'math' has not the same {what} in .*one and .*other:"):
        compare([one, same, other])


def test_what_cannot_be_compared_is_said_in_one_sentence(tmp_path: Path) -> None:
    one = make_bench(tmp_path / "one", {"math": {"llm": LLM}})
    two = make_bench(tmp_path / "two", {"math": {"sandbox": LLM}, "physics": {"llm": LLM}})
    with pytest.raises(ConfigError, match="two or more"):
        compare([one])
    with pytest.raises(ConfigError, match="given twice"):
        compare([one, BenchDirectory.load(tmp_path / "one")])
    with pytest.raises(ConfigError, match=r"nothing to compare: only one has scores of math \(llm\); only two has"):
        compare([one, two])
    other = make_bench(tmp_path / "other", {"math": {"llm": series(1.0, prefix="u")}})
    with pytest.raises(ConfigError, match=r"no task of math \(llm\) has a score in all of one, other;"):
        compare([one, other])
    unscored = [make_bench(tmp_path / name, {"math": {"llm": series(None)}}) for name in ("x", "y")]
    with pytest.raises(ConfigError, match="none of these benches has a score;"):
        compare(unscored)
