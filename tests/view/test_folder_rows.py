"""The table of a folder with runs: its figures, of runs that are over, were killed, or go on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.view import runs
from tests.view.conftest import Watched
from workroom.trajectory import Event
from workroom.trajectory.rundir import RunDirectory
from workroom.view import bench_page
from workroom.view.sources import FolderRows, open_source

Open = Callable[..., Watched]
NAMES = ("stop", "turns", "tokens_in", "tokens_out", "seconds", "cost")
THREE = (3, 1050 + 1200 + 1350, 70 + 100 + 130)  # turns and tokens of `runs.many(3)` without its end


def figures(source: Any, number: int = 0) -> tuple[Any, ...]:
    return tuple(getattr(source.rows[number], name) for name in NAMES)


def write(path: Path, events: list[Event], *, finish: bool = False) -> Path:
    return runs.write_run(path, events, finish=finish)


def test_a_run_that_is_over(tmp_path: Path) -> None:
    write(tmp_path / "one", [*runs.many(3)[:-1], runs.ended("58", turns=3)], finish=True)
    assert figures(open_source(tmp_path)) == ("submitted", 3, 12_345, 678, 61.5, 0.0123)


def test_a_run_that_was_killed_tells_as_much_as_its_page(tmp_path: Path) -> None:
    run = write(tmp_path / "one", runs.many(3)[:-1])
    with (run / "events.jsonl").open("ab") as log:
        log.write(b'{"seq": 99, "elapsed": 99, "type": "assi')
    assert figures(open_source(tmp_path)) == ("killed", *THREE, 9.0, None)


def test_what_a_resumption_put_aside_does_not_count(tmp_path: Path) -> None:
    events = runs.rich()[:-1]
    write(tmp_path / "one", events)
    answers = [event for event in events if event.type == "assistant"]
    put_aside = next(event for event in answers if event.turn == 6)
    expected = sum(event.usage.prompt for event in answers) - put_aside.usage.prompt
    stop, turns, tokens, *_ = figures(open_source(tmp_path))
    assert (stop, turns, tokens) == ("killed", 8, expected)


def test_a_run_that_goes_on(tmp_path: Path) -> None:
    events = runs.many(3)
    with RunDirectory.create(tmp_path / "one", {}) as run:
        source = FolderRows(tmp_path)
        assert figures(source) == ("running", None, None, None, None, None)
        runs.go_on(run, events[:4])
        assert source.advance()
        assert figures(source) == ("running", 1, 1050, 70, 3.0, None)
        runs.go_on(run, events[:-1])
        assert source.advance()
        assert figures(source) == ("running", *THREE, 9.0, None)
        assert not source.advance()
    with RunDirectory.create(tmp_path / "one", {}, replace=True) as run:
        runs.go_on(run, events[:3])
        assert source.advance()
        assert figures(source) == ("running", 1, 1050, 70, 2.0, None)


def test_what_cannot_be_read_is_not_known(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", runs.many(3)[:-1])
    (tmp_path / "runs" / "one").mkdir(parents=True)
    (tmp_path / "runs" / "one" / "events.jsonl").symlink_to(tmp_path / "elsewhere" / "events.jsonl")
    (tmp_path / "runs" / "two").mkdir()
    (tmp_path / "runs" / "two" / "events.jsonl").write_bytes(b'[1]\n"assistant"\n{"type": "assistant", "seq": "x"}\n\n')
    source = open_source(tmp_path / "runs")
    assert figures(source, 0) == ("", None, None, None, None, None)
    assert figures(source, 1) == ("", 0, None, None, None, None)


@pytest.mark.xdist_group("browser")
def test_the_table_sorts_by_time_and_shows_what_is_not_known(tmp_path: Path, open_page: Open) -> None:
    for name, duration in (("a", 200.0), ("b", 0.5), ("c", 30.0)):
        events = [*runs.many(3)[:-1], runs.ended("58", turns=3, duration=duration)]
        write(tmp_path / "runs" / name, events, finish=True)
    write(tmp_path / "runs" / "d", [])
    seen = open_page(bench_page.write(tmp_path / "runs", tmp_path / "page.html"))
    page = seen.page
    page.get_by_role("button", name="Time").click()
    assert seen.errors == []
    rows = page.locator(".attempts tbody tr[data-place]")
    expect(rows.locator("a")).to_have_text(["b", "c", "a", "d"])
    cells = rows.nth(3).locator("td").all_inner_texts()
    assert cells[2:6] == ["Cut short", "–", "–", "–"]
