"""What a comparison looks like: as text, as a page, as files."""

import csv
import html.parser
import io
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench.benches import Results, make_bench, series
from workroom.bench.compare import Comparison, compare, to_csv, to_markdown, write_comparison
from workroom.bench.store import BenchDirectory

HOSTILE = "local/<b>x</b>|`=\x1b[31m"
ONE: Results = {
    "math": {"llm": series(1.0, 0.0, 0.0, 0.0, None), "sandbox": series(1.0, 0.0, 0.0, 1.0, 1.0)},
    "physics": {"llm": series(1.0, 0.0, 0.5), "sandbox": series(1.0, 0.0, 0.5)},
}
TWO: Results = {
    "math": {"llm": series(1.0, 1.0, 1.0, 1.0, 1.0), "sandbox": series(1.0, 1.0, 1.0, 1.0, 1.0)},
    "physics": {"llm": series(0.0, 0.0, 0.5, 1.0), "sandbox": series(1.0, 1.0, 1.0, 1.0)},
}


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    root = tmp_path_factory.mktemp("benches")
    one = make_bench(root / "one", ONE, {"model": "openai/one", "run": {"temperature": 0.5}})
    return compare([one, make_bench(root / "two", TWO, {"model": HOSTILE, "run": {"temperature": 1.0}})])


def rows(comparison: Comparison, table: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(to_csv(comparison)[table])))


def test_the_tables(comparison: Comparison) -> None:
    assert list(to_csv(comparison)) == ["ranking", "scores", "ranking_of_differences", "differences", "settings"]
    first, second = rows(comparison, "scores")[:2]
    assert (first["suite"], first["measure"], first["run"]) == ("math", "llm", "openai/one")
    assert (first["items"], first["tasks"], first["scored"]) == ("4", "4", "4 of 5")
    assert (first["mean"], first["against"], first["p"]) == ("0.25", "", "")
    assert (second["mean"], second["against"], second["p"], second["p_holm"]) == ("1.0", "0.75", "0.25", "0.5")
    assert (second["wins"], second["losses"], second["ties"]) == ("3", "0", "1")


def test_the_ranking_says_how_much_is_scored_and_what_can_be_told(comparison: Comparison) -> None:
    best, other = (row for row in rows(comparison, "ranking") if row["measure"] == "llm")
    assert (best["rank"], best["suites"], best["items"], best["verdict"]) == ("1", "2", "7", "the best")
    assert (other["rank"], other["run"], other["scored"]) == ("2", "openai/one", "7 of 8")
    assert other["verdict"] == "not told apart from the best"
    assert float(other["mean"]) == pytest.approx((0.25 + 0.5) / 2)
    assert float(other["behind"]) == pytest.approx((-0.75 + 1 / 3) / 2)


def test_the_text_names_what_is_left_out_unscored_and_set_otherwise(comparison: Comparison) -> None:
    text = to_markdown(comparison)
    assert "Unscored, and so in no figure here: 1 finished attempts" in text
    assert "not told apart from it: openai/one" in text
    assert "| run.temperature | 0.5 | 1.0 |" in text
    assert "4 of 5" in text
    assert "25.0" in text
    assert ".csv" not in text


def test_names_do_no_harm(comparison: Comparison) -> None:
    text = to_markdown(comparison)
    assert "\x1b" not in text
    assert "<b>" not in text
    assert r"local/\<b\>x\</b\>\|\`=\\u\{1b\}\[31m" in text
    table = [line for line in text.splitlines() if line.startswith("| math | llm | local")]
    assert [line.replace(r"\|", "").count("|") for line in table] == [16]


class Reader(html.parser.HTMLParser):
    """All tags of a page, and the values of their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.values: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.values += [value or "" for _, value in attrs]


def test_files_are_whole_and_need_nothing_else(comparison: Comparison, tmp_path: Path) -> None:
    folder = write_comparison(comparison, tmp_path / "new" / "out")
    texts = to_csv(comparison)
    assert {path.name for path in folder.iterdir()} == {
        "compare.md",
        "compare.html",
        *(f"{name}.csv" for name in texts),
    }
    assert (folder / "scores.csv").read_text() == texts["scores"]
    assert "(scores.csv)" in (folder / "compare.md").read_text()
    reader = Reader()
    reader.feed((folder / "compare.html").read_text())
    assert {"b", "script", "link", "img"}.isdisjoint(reader.tags)
    assert not [value for value in reader.values if "//" in value]
    assert reader.tags.count("table") == len(texts)


def test_runs_of_one_mode_have_no_table_of_differences(tmp_path: Path) -> None:
    results: Results = {"math": {"llm": series(1.0, 0.0)}}
    same = {"model": "m", "repeats": 1}
    found = compare([make_bench(tmp_path / name, results, same) for name in ("a", "b")])
    assert list(to_csv(found)) == ["ranking", "scores"]
    text = to_markdown(found)
    assert "Unscored, and so" not in text
    assert "settings are not the same" not in text


def test_equal_runs_share_a_rank(tmp_path: Path) -> None:
    benches = [
        make_bench(tmp_path / name, {"math": {"llm": series(*scores)}}, {"model": name})
        for name, scores in (("one", (1.0, 0.0)), ("two", (0.0, 1.0)), ("three", (0.0, 0.0)))
    ]
    ranks = [(row["run"], row["rank"]) for row in rows(compare(benches), "ranking")]
    assert ranks == [("one", "1"), ("two", "1"), ("three", "3")]


def test_what_is_not_in_a_ranking_is_said(tmp_path: Path) -> None:
    one = make_bench(tmp_path / "one", {"math": {"llm": series(1.0)}}, {"model": "one"})
    two = make_bench(
        tmp_path / "two", {"math": {"llm": series(1.0)}, "biology": {"llm": series(1.0)}}, {"model": "two"}
    )
    three = make_bench(tmp_path / "three", {"biology": {"llm": series(0.0)}}, {"model": "three"})
    assert "llm: no ranking, as its runs have no suite in common." in to_markdown(compare([one, two, three]))
    both = {"biology": {"llm": series(0.0)}, "math": {"llm": series(0.0)}}
    four = make_bench(tmp_path / "four", both, {"model": "four"})
    assert "over math, but not biology, which not all of the runs have: the best is" in to_markdown(
        compare([one, two, four])
    )


def test_a_suite_that_is_not_compared_is_named_and_no_run_stands_where_it_does_not(tmp_path: Path) -> None:
    """A suite of which the runs share no task once was missing without a word."""
    both = {"llm": series(1.0), "sandbox": series(1.0)}
    apart = {"llm": series(1.0, prefix="u"), "sandbox": series(1.0, prefix="u")}
    results: dict[str, Results] = {
        "one": {"math": both},
        "two": {"math": apart, "quiz": both},
        "three": {"math": apart, "quiz": both, "law": {"llm": series(1.0)}},
    }
    benches = [make_bench(tmp_path / name, scores, {"model": name}) for name, scores in results.items()]
    text = to_markdown(compare(benches))
    assert "is, of each suite and measure, the first that has a line there: two." in text
    assert "Without a line in any table of scores: one." in text
    assert (
        "Not compared: no task of math (llm, sandbox, sandbox − llm) has a score in all of one, two, three; "
        "only three has scores of law (llm)." in text
    )
    text = to_markdown(compare(benches[1:]))
    assert "What the runs are compared with is the first of them, two." in text
    assert "Without a line" not in text
    assert "Tasks with both scores" in text


def test_another_judge_is_a_setting_that_differs(tmp_path: Path) -> None:
    benches = []
    for name in ("one", "two"):
        make_bench(tmp_path / name, {"physics": {"llm": series(1.0)}}, {"model": name})
        with BenchDirectory.open(tmp_path / name) as bench:  # as `bench grade --judge-model` leaves it
            (line,) = bench.scores.values()
            bench.replace_scores([replace(line, details={"judge": f"openai/judge-{name}"})])
        benches.append(BenchDirectory.load(tmp_path / name))
    assert "| judge of physics | openai/judge-one | openai/judge-two |" in to_markdown(compare(benches))
