"""The page of a run for everyone: names, contrast, keyboard, narrow windows, both themes, paper."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.view import runs
from tests.view.access import unnamed, weak_texts
from tests.view.conftest import Watched
from workroom.view import run_page

pytestmark = pytest.mark.xdist_group("browser")
Open = Callable[..., Watched]


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("rich")
    events = runs.rich()
    events[2].content = "A bell\x07 and a mark\u202e."  # type: ignore[union-attr]
    return run_page.write(runs.write_run(place / "run", events, runs.files()), place / "run.html")


def all_rows(page: Page) -> None:
    """Every row and preview is there, and stays: in so tall a window nothing is far, and goes out again."""
    assert page.viewport_size
    page.set_viewport_size({"width": page.viewport_size["width"], "height": 15_000})
    page.get_by_role("button", name="Show report/report.html").click()
    page.get_by_text("Settings and versions").click()
    page.get_by_text("The figures as a table").click()
    assert page.evaluate("document.documentElement.scrollHeight") <= 15_000
    expect(page.locator("#row-11")).to_be_attached()
    expect(page.locator(".row-body:empty, .preview:empty, .group:empty")).to_have_count(0)
    expect(page.locator("iframe")).to_be_attached()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast(rich: Path, open_page: Open, theme: Any) -> None:
    page = open_page(rich, color_scheme=theme).page
    all_rows(page)
    assert weak_texts(page, least=150) == []
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(252, 252, 251)") is (theme == "light")


def test_everything_has_a_name(rich: Path, open_page: Open) -> None:
    page = open_page(rich).page
    all_rows(page)
    assert unnamed(page) == []
    # In one step: rows that move between two would be waited for in vain.
    levels = page.locator("h1, h2, h3, h4").evaluate_all("found => found.map(heading => Number(heading.tagName[1]))")
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels)), levels
    expect(page.get_by_role("main")).to_have_count(1)
    expect(page.get_by_role("search")).to_have_count(1)
    for name in ("Task", "Answer", "Timeline", "Files", "Conversation"):
        expect(page.get_by_role("region", name=name, exact=True)).to_have_count(1)


def test_the_switch_of_colours_is_kept(rich: Path, open_page: Open) -> None:
    page = open_page(rich, color_scheme="dark").page
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.get_by_role("button", name="Colours: auto").click()
    assert page.evaluate(ground) != dark
    page.reload()
    expect(page.get_by_role("button", name="Colours: light")).to_be_visible()
    page.get_by_role("button", name="Colours: light").click()
    assert page.evaluate(ground) == dark


def test_tab_shows_where_it_is(rich: Path, open_page: Open) -> None:
    page = open_page(rich).page
    expect(page.locator(".row").first).to_be_attached()
    seen = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        told = page.evaluate(
            "[document.activeElement.outerHTML.slice(0, 90), getComputedStyle(document.activeElement).outlineStyle]"
        )
        assert told[1] == "solid", told
        seen.add(told[0])
    assert len(seen) >= 10


def test_narrow_windows(rich: Path, open_page: Open) -> None:
    page = open_page(rich, viewport={"width": 360, "height": 700}).page
    all_rows(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    boxes = [element.bounding_box() for element in page.locator(".row, .panel, .file").all()]
    assert max(box["x"] + box["width"] for box in boxes if box) <= 360
    page.set_viewport_size({"width": 360, "height": 700})
    page.evaluate("location.hash = 'turn-3'")
    expect(page.locator("#turn-3 pre.difference").first).to_be_in_viewport()


def test_on_paper(rich: Path, open_page: Open) -> None:
    page = open_page(rich).page
    all_rows(page)
    page.emulate_media(media="print")
    expect(page.get_by_role("search")).to_be_hidden()
    expect(page.locator("#turn-1 .row-head button").first).to_be_hidden()
    expect(page.locator("#turn-1 pre.command")).to_be_visible()


def test_without_scripts_it_says_so(rich: Path, open_page: Open) -> None:
    page = open_page(rich, java_script_enabled=False).page
    expect(page.get_by_role("heading", level=1)).to_have_text(runs.PROMPT)
    expect(page.get_by_text("scripts are switched off")).to_be_visible()
