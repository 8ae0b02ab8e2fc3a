"""Odd runs in a browser: forged values, very many lines, wide characters, turns that are told twice or not had."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.view import runs
from tests.view.conftest import Watched
from tests.view.test_server import served
from workroom.view import run_page

if TYPE_CHECKING:
    from workroom.trajectory import Event

pytestmark = pytest.mark.xdist_group("browser")
Open = Callable[..., Watched]
EDITOR = "str_replace_editor"


def opened(tmp_path: Path, open_page: Open, *events: "Event") -> Page:
    """The page of a run of these events."""
    run = runs.write_run(tmp_path / "run", [runs.begun(), *events, runs.ended(turns=3)])
    seen = open_page(run_page.write(run, tmp_path / "page.html"))
    expect(seen.page.locator("#turn-1 .row-body > *").first).to_be_attached()
    assert seen.errors == []
    return seen.page


def test_a_forged_argument_is_shown_and_costs_nothing_else(tmp_path: Path, open_page: Open) -> None:
    forged = {"command": "ls", "x": {"head": "h", "chunk": "nothing"}}
    second = runs.turn(2, ("execute_bash", forged), observations=["ok"])
    last = runs.bash(3, "echo three", "three needle")
    page = opened(tmp_path, open_page, *runs.bash(1, "echo one", "one"), *second, *last)
    expect(page.locator("#turn-2 dd")).to_contain_text('{"head": "h", "chunk": "nothing"}')
    expect(page.locator("#turn-3")).to_contain_text("three needle")
    page.keyboard.press("/")
    page.keyboard.type("needle")
    expect(page.locator(".count")).to_have_text("1 hit")


def test_a_row_that_cannot_be_shown_costs_no_other(tmp_path: Path, open_page: Open) -> None:
    run = runs.write_run(tmp_path / "run", runs.many(3))

    def spoil(route: Route) -> None:
        told: dict[str, Any] = route.fetch().json()
        told["rows"][2]["events"][1]["content"] = 5
        route.fulfill(body=json.dumps(told))

    with served(run) as address:
        page = open_page("about:blank").page
        page.route("**/chunk/turns-0", spoil)
        page.goto(address)
        expect(page.locator("#turn-2 .note.bad")).to_contain_text("This cannot be shown:")
        expect(page.locator("#turn-1 pre.output")).to_be_attached()
        expect(page.locator("#turn-3 pre.output")).to_be_attached()


def test_editor_commands_that_every_object_has(tmp_path: Path, open_page: Open) -> None:
    calls = [(EDITOR, {"command": name, "path": "/x"}) for name in ("constructor", "__proto__", "toString")]
    page = opened(tmp_path, open_page, *runs.turn(1, *calls, observations=["a", "b", "c"]))
    expect(page.locator(".verb")).to_have_text(["constructor", "__proto__", "toString"])


def test_very_many_lines_of_many_edits(tmp_path: Path, open_page: Open) -> None:
    calls = [(EDITOR, {"command": "create", "path": "/x", "file_text": "\n" * 65_000}) for _ in range(20)]
    page = opened(tmp_path, open_page, *runs.turn(1, *calls, observations=["ok"] * 20))
    assert page.locator(".line").count() == 20 * 40
    first = page.locator("#turn-1 .panel").first
    first.get_by_role("button", name="Show all 65,000 lines").click()
    expect(first.locator(".line")).to_have_count(1000)
    first.get_by_role("button", name="Show more: 64,000 are left").click()
    expect(first.locator(".line")).to_have_count(2000)


def test_very_long_lines_of_edits(tmp_path: Path, open_page: Open) -> None:
    create = {"command": "create", "path": "/x", "file_text": "\n".join(["x" * 5000] * 12)}
    page = opened(tmp_path, open_page, *runs.turn(1, (EDITOR, create), observations=["ok"]))
    edit = page.locator("#turn-1 pre.difference")
    assert [len(line) for line in edit.locator(".line").all_text_contents()] == [
        5009,
        3009,
    ]  # with "+added: " and its end
    page.get_by_role("button", name="Show all of it").click()
    expect(edit.locator(".line")).to_have_count(12)
    assert {len(line) for line in edit.locator(".line").all_text_contents()} == {5009}


def test_what_is_compared_in_a_row_is_bounded(tmp_path: Path, open_page: Open) -> None:
    """Two of three large edits are; of the third what went and what came is shown as a whole, until it is opened."""
    old, new = ("\n".join([kind] * 5 + ["both"] + [kind] * 1400) for kind in ("old", "new"))
    edit = {"command": "str_replace", "path": "/x", "old_str": old, "new_str": new}
    page = opened(tmp_path, open_page, *runs.turn(1, *[(EDITOR, edit)] * 3, observations=["ok"] * 3))
    same = [panel.locator(".line.same").count() for panel in page.locator("#turn-1 .panel").all()]
    assert same == [1, 1, 0]
    third = page.locator("#turn-1 .panel").nth(2)
    third.get_by_role("button", name="Show all").click()
    expect(third.locator(".line.same")).to_have_count(1)


def test_all_of_a_text_of_wide_characters(tmp_path: Path, open_page: Open) -> None:
    """They are two code units each, and no part ends within one."""
    text = "x" + "\U0001f600" * 100_000 + "THE END"
    page = opened(tmp_path, open_page, *runs.bash(1, "cat", text))
    output = page.locator("#turn-1 pre.output")
    expect(output.locator(".gap")).to_have_text(f" … {len(text) + 24 - 16 * 1024:,} characters … ")
    page.get_by_role("button", name="Show all").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("status")).to_have_text("Part 1 of 4")
    found = []
    for part in range(2, 6):
        assert dialog.locator(".mark").count() == 0
        found.append(dialog.locator("pre").text_content() or "")
        if part < 5:
            dialog.get_by_role("button", name="Next part").click()
            expect(dialog.get_by_role("status")).to_have_text(f"Part {part} of 4")
    assert "".join(found) == f"[exit code: 0]\n[stdout]\n{text}"


def test_a_fold_is_not_within_a_wide_character(tmp_path: Path, open_page: Open) -> None:
    page = opened(tmp_path, open_page, *runs.turn(1, content="x" + "\U0001f600" * 10_000))
    expect(page.locator("#turn-1 .spoken").get_by_role("button", name="Show all")).to_be_visible()
    assert page.locator("#turn-1 .mark").count() == 0


def test_a_turn_that_is_told_twice(tmp_path: Path, open_page: Open) -> None:
    """Its number means the last one, and no name is given twice."""
    page = opened(
        tmp_path, open_page, *runs.bash(1, "echo a", "a"), *runs.bash(1, "echo b", "b"), *runs.bash(2, "c", "c")
    )
    names = page.locator("article").evaluate_all("rows => rows.map(row => row.id)")
    assert names == ["row-0", "row-1", "turn-1", "turn-2", "row-4"]
    expect(page.locator("#turn-1")).to_contain_text("echo b")
    assert page.locator("#row-1 h3 a").get_attribute("href") == "#row-1"


def test_turns_that_could_not_be_had_are_asked_for_again(tmp_path: Path, open_page: Open) -> None:
    with served(runs.write_run(tmp_path / "run", runs.many(300))) as address:
        page = open_page(address).page
        expect(page.locator("#turn-1 pre.output")).to_be_attached()
        page.context.set_offline(True)
        page.keyboard.press("G")
        note = page.locator("#turn-300 .note.bad")
        expect(note).to_contain_text("This part cannot be shown")
        page.context.set_offline(False)
        note.get_by_role("button", name="Try again").click()
        expect(page.locator("#turn-300 pre.output")).to_be_attached()
        expect(page.locator("#turn-300")).to_be_focused()


def test_an_edit_that_takes_the_end_of_a_line_shows_it(tmp_path: Path, open_page: Open) -> None:
    def edit(old: str, new: str) -> tuple[str, dict[str, Any]]:
        return EDITOR, {"command": "str_replace", "path": "/a", "old_str": old, "new_str": new}

    calls = [edit("one\n", "one"), edit("a\nb", "a\nB\n"), edit("a\nb\n", "a\nc\n"), edit("x", "y")]
    page = opened(tmp_path, open_page, *runs.turn(1, *calls, observations=["Replaced."] * len(calls)))
    lines = [block.locator(".line").all_inner_texts() for block in page.locator("#turn-1 pre.difference").all()]
    told = [[re.sub(r"\n|removed:|added:", "", line).strip() for line in block] for block in lines]
    assert told == [
        ["−one", "+one (no line end)"],
        ["a", "−b (no line end)", "+B"],
        ["a", "−b", "+c"],
        ["−x", "+y"],
    ]


def test_a_table_says_what_is_left_out_of_it(tmp_path: Path, open_page: Open) -> None:
    wide, cell, long = ",".join(map(str, range(50))), "x" * 700, "1\n" * 300
    files = {"a.csv": f"{wide}\n{wide}\n", "b.csv": f"n,m\n{cell},2\n", "c.csv": long, "e.csv": "1,2\n3,4\n"}
    files |= {"d.csv": f"{wide}\n{cell}\n{long}"}
    run = runs.write_run(
        tmp_path / "run", [runs.begun(), runs.ended()], {name: text.encode() for name, text in files.items()}
    )
    page = open_page(run_page.write(run, tmp_path / "page.html"), viewport={"width": 1200, "height": 6000}).page
    told = {
        "a.csv": "The first 40 columns",
        "b.csv": "The first 500 characters of a cell",
        "c.csv": "The first 200 rows",
        "d.csv": "The first 200 rows, the first 40 columns, the first 500 characters of a cell",
    }
    for name, note in told.items():
        found = page.locator(".file", has_text=name).locator(".preview p.note")
        expect(found).to_have_text(f"{note}. Save the file to have all.")
    expect(page.locator(".file", has_text="b.csv").locator("td").first).to_have_text(f"{'x' * 500}…")
    expect(page.locator(".file", has_text="e.csv").locator("td")).to_have_count(2)
    expect(page.locator(".file", has_text="e.csv").locator("p.note")).to_have_count(0)
