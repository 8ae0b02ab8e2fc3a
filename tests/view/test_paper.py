"""What is printed: all rows of a run or a bench, also those far away, or what says that they are left out."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.view import benches, runs
from tests.view.conftest import Watched
from tests.view.test_server import served
from workroom.view import bench_page, run_page

pytestmark = pytest.mark.xdist_group("browser")
Open = Callable[..., Watched]
COUNTED = """([found]) => addEventListener("beforeprint", () => {
  window.printed = [...document.querySelectorAll(found)].map((element) => element.innerText);
}, { once: true })"""


def on_paper(page: Page, found: str) -> tuple[list[str], int]:
    """The texts of the elements that a selector finds while the page is printed, and how many pages that takes."""
    page.evaluate(COUNTED, [found])
    pages = len(re.findall(rb"/Type\s*/Page\b", page.pdf()))
    return list(page.evaluate("window.printed")), pages


def outputs(page: Page, least: int) -> tuple[list[str], int]:
    """The rows whose output is printed, once there are so many: what is far away comes in after a while."""
    for _ in range(40):
        page.wait_for_timeout(250)
        found, pages = on_paper(page, ".row:has(pre.output)")
        if len(found) >= least:
            break
    return found, pages


def test_every_turn_of_a_run(tmp_path: Path, open_page: Open) -> None:
    run = runs.write_run(tmp_path / "run", runs.many(69))
    seen = open_page(run_page.write(run, tmp_path / "page.html"))
    page = seen.page
    found, pages = outputs(page, 69)
    assert [text.split("\n")[0] for text in found] == [f"Turn {number}" for number in range(1, 70)]
    assert 69 / 8 < pages < 69
    expect(page.locator("#turn-69")).to_have_count(0)  # as before
    page.keyboard.press("G")
    page.keyboard.press("k")
    expect(page.locator("#turn-69 pre.output")).to_be_in_viewport()
    assert len(on_paper(page, ".row pre.output")[0]) == 69
    expect(page.locator("#turn-69 pre.output")).to_be_in_viewport()
    assert page.locator(".paper").count() == 0
    assert seen.errors == []


def test_of_a_long_run_it_is_said_what_is_left_out(tmp_path: Path, open_page: Open) -> None:
    run = runs.write_run(tmp_path / "run", runs.many(400))
    page = open_page(f"{run_page.write(run, tmp_path / 'page.html').as_uri()}#turn-350").page
    expect(page.locator("#turn-350 pre.output")).to_be_in_viewport()
    assert len(outputs(page, 299 + 20)[0]) <= 299 + 60
    notes = on_paper(page, ".rows .paper")[0]
    assert notes[0].startswith("Not on this paper: Turn 300 to Turn ")
    assert re.match(r"Not on this paper: Turn 3\d0 to End \(\d+ rows\)", notes[-1])


def test_what_has_not_come_in_is_a_line_each(tmp_path: Path, open_page: Open) -> None:
    run = runs.write_run(tmp_path / "run", runs.many(30))
    with served(run) as address:
        page = open_page("about:blank").page
        page.route("**/chunk/**", lambda route: route.abort())
        page.goto(address)
        expect(page.locator(".row .note.bad").first).to_be_attached()
        lines, _ = on_paper(page, ".row .summary")
        assert len(lines) == 32
        assert "Day 30 is next." in lines[30]
        assert "had not come in" in on_paper(page, ".paper")[0][0]


def test_every_row_of_a_bench(tmp_path: Path, open_page: Open) -> None:
    with benches.made(tmp_path / "bench", benches.sums(2010)) as bench:
        for number in range(2010):
            benches.finish(bench, f"sum-{number}", "sandbox", float(number % 2))
    page = open_page(bench_page.write(tmp_path / "bench", tmp_path / "page.html")).page
    expect(page.get_by_text("2,010 attempts")).to_be_visible()
    page.locator(".attempts").evaluate("box => (box.scrollTop = 34 * 1000)")
    expect(page.locator("tr[data-place='1000']")).to_be_visible()
    rows, pages = on_paper(page, "tr[data-place], tr.paper")
    assert len(rows) == 2001
    assert rows[-1].startswith("10 more rows are not on this paper")
    assert 20 < pages < 120
    assert page.locator("tr[data-place]").count() < 100
    expect(page.locator("tr[data-place='1000']")).to_be_visible()
    page.get_by_label("Text in the task").fill("sum-7")
    rows, _ = on_paper(page, "tr[data-place], tr.paper")
    assert len(rows) == 111
    page.evaluate("location.hash = 'attempt=sums%2Fsum-7%2Fsandbox%2F1'")
    expect(page.locator(".beside .side-by-side")).to_be_visible()
    page.set_viewport_size({"width": 800, "height": 900})  # as narrow as paper
    page.emulate_media(media="print")
    expect(page.locator(".beside .attempts")).to_have_css("max-height", "none")
