"""The report: the same figures in Markdown, HTML and CSV, whatever the bench looks like."""

import csv
import io
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.bench.golden_report import GOLDEN, golden_bench
from tests.bench.report_bench import BEGIN, make_bench
from workroom.bench.outcomes import scores_by_item
from workroom.bench.report import reading, write_report
from workroom.bench.report.csv_file import to_csv
from workroom.bench.report.reading import read_attempts
from workroom.bench.report.results import Results
from workroom.bench.report.table import Interval, Table, show
from workroom.bench.report.tables import all_tables
from workroom.bench.report.tables.throughput import busy_seconds, mean_at_once, most_at_once, quantile
from workroom.bench.statistics import mean_interval, paired_difference
from workroom.bench.store import Attempt, BenchDirectory, Key
from workroom.task import Task
from workroom.trajectory.events import Event
from workroom.trajectory.reader import load_events

VOID = {"meta", "link", "img", "br", "hr", "input", "col"}


class Page(HTMLParser):
    """Reads a page strictly: every element that is opened is closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.attributes if key == name]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> BenchDirectory:
    return golden_bench(tmp_path_factory.mktemp("report") / "bench")


@pytest.fixture(scope="module")
def folder(bench: BenchDirectory) -> Path:
    return write_report(bench)


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes a second, and nothing of these tests is about it."""
    monkeypatch.setattr("workroom.bench.report.plots.draw", lambda tables: ())


def tables_of(bench: BenchDirectory) -> dict[str, Table]:
    place = bench.path / "report"
    place.mkdir(exist_ok=True)
    return {table.name: table for table in all_tables(Results(bench, read_attempts(bench, place)))}


def rows_of(table: Table) -> list[dict[str, Any]]:
    return [
        {
            column.name + (".interval" if column.interval else ""): cell
            for column, cell in zip(table.columns, row, strict=True)
        }
        for row in table.rows
    ]


def test_the_report_is_the_golden_one(folder: Path) -> None:
    assert (folder / "report.md").read_text() == GOLDEN.read_text(), "see tests/bench/golden_report.py"


def test_everything_is_written_and_the_same_again(bench: BenchDirectory, folder: Path) -> None:
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    names = {"differences", "means", "capabilities", "tokens", "throughput"}
    assert {f"{name}.{kind}" for name in names for kind in ("svg", "png", "csv")} <= files.keys()
    for name in names:
        assert files[f"{name}.png"].startswith(b"\x89PNG")
        assert ElementTree.fromstring(files[f"{name}.svg"]).tag.endswith("svg")
    assert write_report(bench) == folder
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files


def test_the_page_needs_nothing_but_itself(folder: Path) -> None:
    text = (folder / "report.html").read_text()
    page = Page(text)
    assert not page.tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    assert not re.search(r"https?://|url\((?!#)|@import|@font-face|javascript:", text)
    assert not [name for name, _ in page.attributes if name.startswith(("on", "xmlns"))]
    assert page.tags >= {"svg", "table", "figure"}
    assert "width=device-width" in text
    assert "prefers-color-scheme: dark" in text
    assert "var(--sandbox)" in text[text.index("<svg") :]  # drawings have the colours of the page


def test_links_and_names_of_the_page_lead_somewhere(folder: Path) -> None:
    page = Page((folder / "report.html").read_text())
    names = page.values("id")
    assert len(names) == len(set(names))
    for target in page.values("href"):
        if target.startswith("#"):
            assert target[1:] in names
        else:
            assert (folder / target.replace("%2B", "+")).exists(), target
    assert any(target.startswith("../attempts/") for target in page.values("href"))


def test_csv_files_have_the_numbers_of_the_tables(bench: BenchDirectory, folder: Path) -> None:
    for table in tables_of(bench).values():
        lines = list(csv.reader(io.StringIO((folder / f"{table.name}.csv").read_text())))
        assert len(lines) == 1 + len(table.rows)
        assert len(set(lines[0])) == len(lines[0]), table.name
        for row, line in zip(table.rows, lines[1:], strict=True):
            flat = [
                part for cell, column in zip(row, table.columns, strict=True) for part in _flat(cell, column.interval)
            ]
            for cell, text in zip(flat, line, strict=True):
                assert (float(text) == cell) if isinstance(cell, (int, float)) else (cell is not None or text == "")


def _flat(cell: Any, interval: bool) -> list[Any]:
    return ([*cell] if cell is not None else [None, None]) if interval else [cell]


def test_the_figures_are_those_of_the_statistics(bench: BenchDirectory) -> None:
    tables = tables_of(bench)
    ours, theirs = (scores_by_item(bench, "math", mode) for mode in ("sandbox", "llm"))
    difference = paired_difference(ours, theirs)
    first = rows_of(tables["differences"])[0]
    assert (first["suite"], first["difference"]) == ("math", "sandbox − llm")
    assert first["points"] == difference.mean == pytest.approx(2.5 / 6)
    assert first["interval.interval"] == (difference.low, difference.high)
    assert (first["wins"], first["losses"], first["ties"]) == (4, 0, 2)
    assert first["p"] == pytest.approx(2 / 2**4)
    assert first["p_holm"] == pytest.approx(min(1, 2 * 2 / 2**4))
    assert first["verdict"] == "no difference shown"
    mean = next(row for row in rows_of(tables["means"]) if (row["suite"], row["arm"]) == ("math", "llm"))
    assert mean["mean"] == mean_interval(theirs).mean
    assert (mean["attempts"], mean["scored"], mean["unscored"]) == (12, 11, 1)
    passed = {(row["suite"], row["arm"], row["k"]): row["pass_at_k"] for row in rows_of(tables["pass_at_k"])}
    assert passed["math", "sandbox", 2] == 1
    assert passed["long_context", "sandbox", 1] == pytest.approx(0.5)


def test_capabilities_come_with_evidence(bench: BenchDirectory) -> None:
    tables = tables_of(bench)
    found = {(row["suite"], row["arm"]): row for row in rows_of(tables["capabilities"])}
    assert ("math", "llm") not in found
    assert found["math", "sandbox"]["computation_turns"] == pytest.approx(1 / 3)
    assert found["math", "sandbox"]["computation_episodes"] == 1
    assert found["long_context", "sandbox"]["external_turns"] == pytest.approx(1 / 4)
    assert found["long_context", "sandbox"]["files_turns"] == pytest.approx(1 / 4)
    example = next(row for row in rows_of(tables["evidence"]) if row["capability"] == "External")
    assert "pip install pypdf" in example["excerpt"]
    assert example["episode"].target == "../attempts/long_context/long_context-1/sandbox/1/events.jsonl"
    host = rows_of(tables["hosts"])[0]
    assert (host["host"], host["verdict"], host["requests"]) == ("packages.example", "allowed", 6)


def test_tokens_time_and_memory(bench: BenchDirectory) -> None:
    tables = tables_of(bench)
    tokens = {(row["suite"], row["arm"]): row for row in rows_of(tables["tokens"])}
    llm, sandbox = tokens["math", "llm"], tokens["math", "sandbox"]
    assert (llm["prompt"], llm["environment"], sandbox["environment"]) == (400, 0, 40)
    assert sandbox["total"] == 400 + sandbox["completion"] + 40
    assert sandbox["processed"] == 1200 + sandbox["completion"]
    assert sandbox["times_llm"] == pytest.approx(sandbox["total"] / llm["total"])
    at_once = mean_at_once(list(bench.attempts.values())) or 0
    assert at_once == pytest.approx(2.4, abs=0.1)  # 10 to 14 s each, and one begun every 5 s
    for row in rows_of(tables["throughput"]):
        assert row["queries_a_minute"] == pytest.approx(60 * at_once / row["mean_seconds"])
    assert any("As it went: 43 attempts" in note for note in tables["throughput"].notes)
    facts = {row["fact"]: row for row in rows_of(tables["infrastructure"])}
    assert facts["memory at the peak, highest"]["value"] == 50 + 42
    assert facts["limit: memory"]["value"] == "4,096"
    assert facts["sandboxes at once, at most"]["value"] == 3


def test_all_parts_of_the_tokens_are_of_the_same_attempts(tmp_path: Path) -> None:
    """An attempt that ended before its first reply was in the means of some parts and not in those of others."""
    scores: dict[tuple[str, str], list[list[float | None]]] = {("math", arm): [[1.0]] * 3 for arm in ("llm", "sandbox")}
    bench = make_bench(tmp_path / "bench", scores)
    for arm in ("llm", "sandbox"):
        key = Key("math", "math-1", arm, 1)
        events = bench.attempt_dir(key) / "events.jsonl"
        lines = events.read_text().splitlines(keepends=True)
        events.write_text("".join(line for line in lines if '"type":"assistant"' not in line.replace(": ", ":")))
        usage = {"prompt": 0, "completion": 0, "environment": 0}
        bench.attempts[key] = replace(bench.attempts[key], stop_reason="max_time", usage=usage, cost=0.0)
    table = tables_of(bench)["tokens"]
    llm, sandbox = rows_of(table)
    assert (llm["attempts"], llm["prompt"], llm["completion"], llm["total"]) == (2, 400, 51.5, 451.5)
    assert (sandbox["attempts"], sandbox["environment"], sandbox["completion"]) == (2, 40, 54.5)
    assert sandbox["environment_share"] == 40 / sandbox["total"] == 40 / 494.5
    assert (llm["processed"], llm["cost"]) == (451.5, None)
    assert any("In no figure here: 2 attempts" in note for note in table.notes)


def test_failures_of_the_plant_are_unscored_and_told(bench: BenchDirectory) -> None:
    tables = tables_of(bench)
    reasons = {row["task"].text: row["reason"] for row in rows_of(tables["unscored"])}
    assert reasons == {
        "math-5": "the grader took longer than 30 s",
        "long_context-4": "the sandbox gave no sign of life in 60 s",
    }
    assert rows_of(tables["errors"])[0]["attempts"] == 1
    outcome = next(row for row in rows_of(tables["outcomes"]) if row["arm"] == "sandbox" and row["suite"] != "math")
    assert (outcome["submitted"], outcome["sandbox_error"], outcome["answered"]) == (6, 1, 6)
    sides = [(row["side"], row["task"]) for row in rows_of(tables["won_and_lost"])]
    assert ("won by the sandbox", "math-6") in sides
    assert ("lost by it", "long_context-3") in sides


def test_what_models_write_is_text_only(tmp_path: Path) -> None:
    evil = "</style></td><script>alert(1)</script><img src=x onerror=y> `x` [a](javascript:b) | \x1b]0;t\x07 \u202e $x$"
    bench = make_bench(
        tmp_path / "bench",
        {("<b>$x$", "llm"): [[1.0], [0.0]], ("<b>$x$", "sandbox"): [[None], [1.0]]},
        run={"model": f"openai/{evil}", "base_url": "https://user:secret@models.example/v1?key=secret"},
        commands={"<b>$x$": (f"cat report.txt # {evil}",)},
        named=lambda suite, number: f"=1+1|{number}{evil}",
        reason=f"@{evil}",
    )
    folder = write_report(bench)
    page = Page((folder / "report.html").read_text())
    assert not page.tags & {"script", "img", "b"}
    assert "<script>alert(1)</script>" in page.text
    # In a block of code nothing is markup.
    markdown = re.sub(r"```console.*?\n```", "", (folder / "report.md").read_text(), flags=re.DOTALL)
    assert not re.search(r"(?<!\\)<[a-z/]|(?<!\\)\[a(?<!\\)\]", markdown)
    for path in folder.glob("report.*"):
        assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", path.read_text()), path
    for path in folder.glob("*.csv"):
        for line in csv.reader(io.StringIO(path.read_text())):
            assert not [text for text in line if re.match(r"[=@+]|-\D", text)], path
    assert "secret" not in "".join(path.read_text() for path in folder.glob("report.*"))


@pytest.mark.usefixtures("no_plots")
def test_a_bench_that_is_not_at_its_end_says_so(tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "bench", {("math", "llm"): [[1.0]], ("math", "sandbox"): [[1.0]]}, planned_items=4)
    shutil.rmtree(bench.attempt_dir(Key("math", "math-1", "llm", 1)))
    text = (write_report(bench) / "report.md").read_text()
    assert "2 of 8 attempts are finished (25 %)" in text
    assert "The events of 1 cannot be read" in text


@pytest.mark.parametrize("scores", [[], [[None, None], [None, None]], [[1.0]]], ids=["none", "unscored", "one"])
def test_reports_of_little(tmp_path: Path, scores: list[list[float | None]]) -> None:
    bench = make_bench(tmp_path / "bench", {("math", "llm"): scores, ("math", "sandbox"): scores}, planned_items=2)
    folder = write_report(bench)
    Page((folder / "report.html").read_text())
    text = (folder / "report.md").read_text()
    if not scores:
        assert "0 of 4 attempts are finished" in text
    elif scores[0][0] is None:
        assert "8 of them are unscored" in text
        assert "Nothing is scored yet" in text
    else:
        assert "| math | sandbox − llm | 0.0 |" in text


@pytest.mark.usefixtures("no_plots")
def test_a_bench_without_tasks(tmp_path: Path) -> None:
    BenchDirectory.create(tmp_path / "bench", {}, dict[str, list[Task]]()).close()
    text = (write_report(BenchDirectory.load(tmp_path / "bench")) / "report.md").read_text()
    assert text.startswith("# Bench\n")


def test_events_are_read_once(bench: BenchDirectory, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = read_attempts(bench, folder)
    seen: list[Path] = []

    def load(place: Path) -> list[Event]:
        seen.append(place)
        return load_events(place)

    monkeypatch.setattr(reading, "load_events", load)
    calls: list[tuple[int, int]] = []
    assert read_attempts(bench, folder, lambda done, total: calls.append((done, total))) == first
    assert seen == []
    assert calls == [(done, 43) for done in range(1, 44)]
    changed = bench.attempt_dir(Key("math", "math-1", "sandbox", 1))
    (changed / "events.jsonl").touch()
    with (folder / reading.NAME).open("r+b") as file:  # a damaged line is as good as none
        file.write(b"{{{")
    assert read_attempts(bench, folder) == first
    assert changed in seen
    assert len(seen) == 2


def _at(*times: tuple[float, float]) -> Iterator[Attempt]:
    for number, (started, finished) in enumerate(times):
        yield Attempt("s", str(number), "llm", 1, "submitted", True, started=started, finished=finished)


def test_busy_time_has_no_gaps_and_counts_nothing_twice() -> None:
    attempts = list(_at((0, 10), (5, 12), (100, 101), (101, 103)))
    assert busy_seconds(attempts) == 12 + 3
    assert most_at_once(attempts) == 2
    assert (busy_seconds([]), most_at_once([])) == (0, 0)


def test_each_node_of_a_cluster_has_its_own_sandboxes(tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "bench", {("math", "sandbox"): [[1.0]] * 4})
    for number, (key, attempt) in enumerate(list(bench.attempts.items())):
        bench.attempts[key] = replace(attempt, host=f"node-{number % 2}")
    rows = rows_of(tables_of(bench)["infrastructure"])
    found = {row["fact"]: (row["value"], row["episodes"]) for row in rows if "at once" in row["fact"]}
    # One is begun every 5 s; they take 10, 11, 12 and 13 s.
    assert found == {"sandboxes at once, at most, on node-0": (1, 2), "sandboxes at once, at most, on node-1": (2, 2)}


def test_quantiles() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.95) == 3
    assert quantile(list(map(float, range(1, 101))), 0.95) == 95
    assert quantile([7.0], 0.5) == 7


@pytest.mark.parametrize(
    ("cell", "kind", "text"),
    [
        (0.123, "share", "12.3"),
        (-0.066, "points", "−6.6"),
        (-0.0001, "points", "0.0"),
        (0.0004, "p", "< 0.001"),
        (1234, "count", "1,234"),
        (0.84, "ratio", "0.84 ×"),
        (0.004, "seconds", "0.004"),
        (1234.5, "cost", "1,234.50"),
        (0.0, "cost", "0.00"),
        (0.0027, "cost", "0.0027"),
        (0.0000251, "cost", "0.000025"),
        (BEGIN, "date", "2026-09-21 14:13:20 UTC"),
        (Interval(-0.1, 0.2), "points", "−10.0 to +20.0"),
        ("a\nb\x1b\u202e", "text", "a b\\u{1b}\\u{202e}"),
        ("x" * 1000, "text", "x" * 400 + "…"),
        (None, "share", "–"),
        (float("nan"), "share", "–"),
    ],
)
def test_cells(cell: Any, kind: Any, text: str) -> None:
    assert show(cell, kind) == text


def test_a_table_of_many_rows_is_cut_for_readers_only(tmp_path: Path, no_plots: None) -> None:
    bench = make_bench(tmp_path / "bench", {("math", "llm"): [[None]] * 60})
    folder = write_report(bench)
    assert len((folder / "unscored.csv").read_text().splitlines()) == 61
    assert "The first 50 of 60 rows" in (folder / "report.md").read_text()
    assert "The first 50 of 60 rows" in Page((folder / "report.html").read_text()).text.replace("\n", " ")
    assert to_csv(tables_of(bench)["unscored"]) == (folder / "unscored.csv").read_text()
