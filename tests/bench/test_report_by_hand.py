"""The figures of a report against what scipy makes of the lines on disk, read without any of the package's code."""

import csv
import json
import math
import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

import pytest

from tests.bench.report_bench import make_bench
from workroom.bench.report import write_report
from workroom.bench.store import BenchDirectory

stats = pytest.importorskip("scipy.stats")

SUITES = ("math", "long_context", "chemistry")
Scores = dict[str, dict[int, float]]  # by task and repeat


def invented(suite: str, mode: str) -> list[list[float | None]]:
    """Two repeats of some tasks: rights and wrongs, in one suite also parts of 1, some unscored."""
    draw = Random(f"{suite} {mode}")
    choices: tuple[float | None, ...] = (0.0, 1.0, 1.0) if mode == "sandbox" else (0.0, 0.0, 1.0)
    if suite == "long_context":
        choices += (0.25, 0.5, None, None)
    return [[draw.choice(choices), draw.choice(choices)] for _ in range(11 if suite == "math" else 8)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scores = {(suite, mode): invented(suite, mode) for suite in SUITES for mode in ("llm", "sandbox")}
    scores["math", "sandbox"][3] = [None, None]  # a task with a score in one arm only
    scores["math", "llm"][5] = [1.0, None]
    bench = make_bench(tmp_path_factory.mktemp("bench") / "bench", scores)
    write_report(bench)
    return bench.path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def table(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / "report" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def scores(folder: Path) -> dict[tuple[str, str], Scores]:
    found: dict[tuple[str, str], Scores] = defaultdict(lambda: defaultdict(dict))
    for line in lines(folder / "scores.jsonl"):
        if line["score"] is not None:
            found[line["suite"], line["mode"]][line["task"]][line["repeat"]] = line["score"]
    return found


def means_of(scores: Scores) -> dict[str, float]:
    return {task: fmean(by_repeat.values()) for task, by_repeat in scores.items()}


def test_means_and_counts(folder: Path, scores: dict[tuple[str, str], Scores]) -> None:
    rows = table(folder, "means")
    assert len(rows) == 6
    for row in rows:
        ours = scores[row["suite"], row["arm"]]
        attempts = [
            line
            for line in lines(folder / "index.jsonl")
            if (line["suite"], line["mode"]) == (row["suite"], row["arm"])
        ]
        scored = sum(map(len, ours.values()))
        counts = (len(ours), len(attempts), scored, len(attempts) - scored)
        assert tuple(int(row[name]) for name in ("items", "attempts", "scored", "unscored")) == counts
        each = list(means_of(ours).values())
        low, high = stats.t.interval(0.95, len(each) - 1, fmean(each), stats.sem(each))
        wanted = (fmean(each), max(0.0, low), min(1.0, high))
        assert tuple(float(row[name]) for name in ("mean", "interval_low", "interval_high")) == pytest.approx(
            wanted, abs=1e-9
        )
        # What the mean could be if all were scored.
        filled: dict[float, dict[str, list[float]]] = {}
        for score in (0.0, 1.0):
            filled[score] = {task: list(by_repeat.values()) for task, by_repeat in ours.items()}
            for line in attempts:
                if line["repeat"] not in ours.get(line["task"], {}):
                    filled[score].setdefault(line["task"], []).append(score)
        if len(attempts) > scored:
            bounds = tuple(fmean(map(fmean, filled[score].values())) for score in (0.0, 1.0))
            assert (float(row["bounds_low"]), float(row["bounds_high"])) == pytest.approx(bounds, abs=1e-9)
        else:
            assert (row["bounds_low"], row["bounds_high"]) == ("", "")


def test_differences(folder: Path, scores: dict[tuple[str, str], Scores]) -> None:
    rows = {row["suite"]: row for row in table(folder, "differences")}
    p_values = {}
    for suite in SUITES:
        sandbox, llm = means_of(scores[suite, "sandbox"]), means_of(scores[suite, "llm"])
        both = [task for task in sandbox if task in llm]
        ours, theirs = [sandbox[task] for task in both], [llm[task] for task in both]
        row, test = rows[suite], stats.ttest_rel(ours, theirs)
        interval = test.confidence_interval(0.95)
        assert float(row["points"]) == pytest.approx(fmean(ours) - fmean(theirs), abs=1e-9)
        assert float(row["interval_low"]) == pytest.approx(max(-1.0, interval.low), abs=1e-9)
        assert float(row["interval_high"]) == pytest.approx(min(1.0, interval.high), abs=1e-9)
        flips = stats.permutation_test(
            (ours, theirs),
            lambda a, b: (a - b).mean(),
            permutation_type="samples",
            n_resamples=math.inf,
            vectorized=False,
        )
        assert float(row["p"]) == pytest.approx(flips.pvalue, abs=1e-9)
        p_values[suite] = flips.pvalue
        won = [a > b for a, b in zip(ours, theirs, strict=True)].count(True)
        lost = [a < b for a, b in zip(ours, theirs, strict=True)].count(True)
        counts = (len(both), won, lost, len(both) - won - lost)
        assert tuple(int(row[name]) for name in ("items", "wins", "losses", "ties")) == counts
        # The two means beside the difference are of the same tasks, so that they add up.
        means = float(row["first_mean"]), float(row["second_mean"])
        assert means == pytest.approx((fmean(ours), fmean(theirs)), abs=1e-9)
    ordered = sorted(SUITES, key=lambda suite: p_values[suite])
    for place, suite in enumerate(ordered):
        holm = max(min(1.0, (len(SUITES) - i) * p_values[ordered[i]]) for i in range(place + 1))
        assert float(rows[suite]["p_holm"]) == pytest.approx(holm, abs=1e-9)
    over = fmean(float(rows[suite]["points"]) for suite in SUITES)
    assert float(rows["mean of suites"]["points"]) == pytest.approx(over, abs=1e-9)


def test_pass_at_k(folder: Path, scores: dict[tuple[str, str], Scores]) -> None:
    for row in table(folder, "pass_at_k"):
        k = int(row["k"])
        each = []
        for by_repeat in scores[row["suite"], row["arm"]].values():
            right, tries = list(by_repeat.values()).count(1.0), len(by_repeat)
            if tries >= k:
                each.append(1 - stats.hypergeom.pmf(0, tries, right, k))
        assert int(row["items"]) == len(each)
        assert float(row["pass_at_k"]) == pytest.approx(fmean(each), abs=1e-9)


def test_tokens_and_seconds(folder: Path) -> None:
    attempts = defaultdict(list)
    for line in lines(folder / "index.jsonl"):
        attempts[line["suite"], line["mode"]].append(line)
    for row in table(folder, "tokens"):
        ours = attempts[row["suite"], row["arm"]]
        wanted = [fmean(line["usage"][name] for line in ours) for name in ("completion", "environment")]
        assert [float(row["completion"]), float(row["environment"])] == pytest.approx(wanted)
        assert float(row["total"]) == pytest.approx(400 + sum(wanted))
    for row in table(folder, "throughput"):
        if row["suite"] != "all":
            ours = attempts[row["suite"], row["arm"]]
            whole = sum(line["finished"] - line["started"] for line in ours)
            assert float(row["mean_seconds"]) == pytest.approx(whole / len(ours))
            assert float(row["tool_share"]) == pytest.approx(sum(line["tool_seconds"] for line in ours) / whole)


def test_markdown_and_html_show_what_the_csv_file_holds(folder: Path) -> None:
    text = (folder / "report" / "report.md").read_text(encoding="utf-8")
    html = (folder / "report" / "report.html").read_text(encoding="utf-8")
    for row in table(folder, "means"):
        low, high, mean = (f"{100 * float(row[name]):.1f}" for name in ("interval_low", "interval_high", "mean"))
        assert re.search(rf"\| {row['suite']} \| {row['arm']} \|.*\| {mean} \| {low} to {high} \|", text)
        assert f'<td class="n">{mean}</td>\n<td class="n">{low} to {high}</td>' in html


def test_an_arm_is_compared_with_what_there_is(tmp_path: Path) -> None:
    arms = {("math", "llm"): [[0.0], [0.0]], ("math", "sandbox+no_network"): [[1.0], [0.0]]}
    write_report(make_bench(tmp_path / "without_sandbox", arms))
    (row,) = table(tmp_path / "without_sandbox", "differences")
    assert (row["difference"], float(row["points"])) == ("sandbox+no_network − llm", 0.5)
    both = {("math", "sandbox+no_network"): [[1.0]], ("math", "sandbox+in_prompt"): [[0.0]]}
    write_report(make_bench(tmp_path / "without_either", both))
    (row,) = table(tmp_path / "without_either", "differences")
    assert (row["difference"], float(row["points"])) == ("sandbox+no_network − sandbox+in_prompt", 1.0)
    assert row["items_needed"] == ""  # one item tells nothing of how differences vary


def test_times_over_all_suites_are_of_the_suites_that_both_arms_have(tmp_path: Path) -> None:
    some = {("math", "llm"): [[1.0]] * 2, ("math", "sandbox"): [[1.0]] * 2, ("chemistry", "sandbox"): [[1.0]] * 7}
    write_report(make_bench(tmp_path / "bench", some))
    ratios = {(row["suite"], row["arm"]): row["times_llm"] for row in table(tmp_path / "bench", "throughput")}
    assert ratios["all", "sandbox"] == ratios["math", "sandbox"] != ""
    assert ratios["chemistry", "sandbox"] == ""


def test_links_lead_to_what_is_there(folder: Path) -> None:
    html = (folder / "report" / "report.html").read_text(encoding="utf-8")
    text = (folder / "report" / "report.md").read_text(encoding="utf-8")
    targets = {*re.findall(r'href="([^"#][^"]*)"', html), *re.findall(r"\]\(([^)]+)\)", text)}
    assert any("events.jsonl" in target for target in targets)
    assert [target for target in targets if not (folder / "report" / target).exists()] == []


@pytest.mark.parametrize("name", ["differences", "means", "pass_at_k", "capabilities", "long_context", "tokens",
                                  "throughput", "infrastructure", "phrases", "outcomes"])  # fmt: skip
def test_every_table_says_its_unit_or_what_it_counts(folder: Path, name: str) -> None:
    text = (folder / "report" / "report.html").read_text(encoding="utf-8")
    part = text.split(f'<section id="{name}">')[1].split("</section>")[0]
    assert '<ul class="notes">' in part


def test_who_gave_the_scores_is_told(tmp_path: Path) -> None:
    made = make_bench(tmp_path / "bench", {("physics", "llm"): [[1.0], [0.0], [None], [1.0]]})
    judged: tuple[dict[str, str], ...] = (
        {"judge": "openai/judge"},
        {"judge": "openai/judge"},
        {},
        {"found_by": "math_verify"},
    )
    with BenchDirectory.open(made.path) as bench:
        lines = zip(bench.scores.values(), judged, strict=True)
        bench.replace_scores([replace(line, grader="llm_judge:ugphysics", details=details) for line, details in lines])
    text = (write_report(BenchDirectory.load(made.path)) / "report.md").read_text(encoding="utf-8")
    assert (
        "| physics | 2 by llm\\_judge:ugphysics, the judge being openai/judge; 1 unscored; "
        "1 by math\\_verify, found right before a judge was asked |"
    ).replace("\\_", "_") in text.replace("\\_", "_")
