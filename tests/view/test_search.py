"""The search in the page of a run: each hit is where the text is that was searched, one after the other."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Page, expect

from tests.view import runs
from tests.view.conftest import Watched
from tests.view.test_live_run import served
from workroom.trajectory.rundir import RunDirectory
from workroom.view import run_page
from workroom.view.run_page import RunSource

if TYPE_CHECKING:
    from workroom.trajectory import Event

pytestmark = pytest.mark.xdist_group("browser")
Open = Callable[..., Watched]
HERE = """() => [...CSS.highlights.get("here")].map((range) => {
  const { startContainer } = range;
  const parent = startContainer.nodeType === 1 ? startContainer : startContainer.parentElement;
  return [range.toString(), parent.className];
})[0]"""


def look_for(page: Page, query: str, count: int) -> None:
    page.keyboard.press("/")
    page.locator(".search input").fill(query)
    expect(page.locator(".count")).to_have_text("1 hit" if count == 1 else f"{count} hits")


def hits(page: Page, query: str, count: int) -> list[list[str]]:
    """What is marked, and in what, at each of so many hits."""
    look_for(page, query, count)
    found = []
    for place in range(1, count + 1):
        page.evaluate("CSS.highlights.delete('here')")
        page.keyboard.press("Enter")
        expect(page.locator(".count")).to_contain_text(f"{place} of {count} hit")
        page.wait_for_function("() => CSS.highlights.has('here')")
        found.append(page.evaluate(HERE))
    return found


@pytest.fixture
def opened(tmp_path: Path, open_page: Open) -> Callable[..., Page]:
    def make(*events: "Event") -> Page:
        run = runs.write_run(tmp_path / "run", [runs.begun(), *events, runs.ended()])
        return open_page(run_page.write(run, tmp_path / "page.html")).page

    return make


def test_labels_and_chips_are_no_hits(opened: Callable[..., Page]) -> None:
    page = opened(*runs.bash(1, "echo code", "the code is here", "I speak"))
    assert hits(page, "code", 3) == [["code", "command"], ["code", "output"], ["code", "output"]]
    assert hits(page, "Copy", 0) == []


def test_hits_come_in_the_order_of_the_page(opened: Callable[..., Page]) -> None:
    calls = [("word", {"a": "word"}), ("other", {"command": "word"})]
    page = opened(*runs.turn(1, *calls, content="a word", observations=["word", "a word"]))
    assert [kind for _, kind in hits(page, "word", 6)] == ["prose", "", "plain", "output", "command", "output"]


def test_of_an_edit_what_went_and_what_came(opened: Callable[..., Page]) -> None:
    old, new = "bolt\nbeta bolt\nend", "bolt\ndelta\nend\nbolt"
    edit = {"command": "str_replace", "path": "/x", "old_str": old, "new_str": new}
    page = opened(*runs.turn(1, ("str_replace_editor", edit)))
    assert [kind for _, kind in hits(page, "bolt", 4)] == ["line same", "line out", "line same", "line in"]
    assert hits(page, "added", 0) == []
    assert hits(page, "str_replace", 2)[1] == ["Replace", ""]  # that is how it is shown


def test_marks_are_what_they_stand_for(opened: Callable[..., Page]) -> None:
    page = opened(*runs.bash(1, "x", "needle \x1b[31m U+001B ESC needle"))
    assert hits(page, "needle", 2) == [["needle", "output"]] * 2
    assert hits(page, "ESC", 1) == [["ESC", "output"]]


def test_what_a_long_text_leaves_out(opened: Callable[..., Page]) -> None:
    page = opened(*runs.bash(1, "x", f"needle {'x' * 50_000} needle needle {'y' * 50_000} needle"))
    first, second, third, last = hits(page, "needle", 4)
    assert first == last == ["needle", "output"]
    assert second == third
    assert "characters" in second[0]


def test_hits_that_are_not_in_the_document_yet(opened: Callable[..., Page]) -> None:
    """In calls beyond those shown at first, and in lines of an edit beyond those."""
    create = {"command": "create", "path": "/x", "file_text": "line\n" * 3000 + "needle\n"}
    calls: list[tuple[str, Any]] = [*[("execute_bash", {"command": "true"})] * 250, ("str_replace_editor", create)]
    page = opened(*runs.turn(1, *calls))
    assert hits(page, "needle", 1) == [["needle", "line in"]]
    expect(page.locator(".line", has_text="needle")).to_be_in_viewport()


def test_what_comes_while_a_run_goes_on_is_searched(tmp_path: Path, open_page: Open) -> None:
    turns = [runs.bash(number, "say", said) for number, said in enumerate(["one", "three", "five"], 1)]
    events: list[Event] = [runs.begun(), *(event for turn in turns for event in turn)]
    with RunDirectory.create(tmp_path / "run", {}, facts={"task": {"prompt": runs.PROMPT}}) as run:
        run.durable = False

        def record(until: int) -> None:
            runs.go_on(run, events[:until])

        record(4)
        with served(RunSource(run.path)) as address:
            page = open_page(address).page
            expect(page.locator("#turn-1 pre.output")).to_be_attached()
            look_for(page, "three", 0)
            record(7)
            expect(page.locator(".count")).to_have_text("1 hit")
            page.keyboard.press("Enter")
            expect(page.locator(".count")).to_have_text("1 of 1 hit")
            record(10)
            expect(page.locator("#turn-3 pre.output")).to_be_attached()
            expect(page.locator(".count")).to_have_text("1 of 1 hit")
