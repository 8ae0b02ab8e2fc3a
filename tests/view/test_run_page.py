"""The page of a run in a real browser: what it shows, and how one moves in it."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.view import runs
from tests.view.conftest import Watched
from workroom.analysis.capabilities import usage
from workroom.trajectory import Egress, load_events
from workroom.view import run_page

if TYPE_CHECKING:
    from workroom.trajectory import Event

pytestmark = pytest.mark.xdist_group("browser")
Open = Callable[..., Watched]


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run with a bit of everything; the run is beside it."""
    place = tmp_path_factory.mktemp("rich")
    documents = {"march.csv": "pump,errors\n", "notes/stations.txt": "alder\n"}
    runs.write_run(place / "run", runs.rich(), runs.files(), documents=documents)
    return run_page.write(place / "run", place / "run.html")


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run of 300 turns."""
    place = tmp_path_factory.mktemp("long")
    return run_page.write(runs.write_run(place / "run", runs.many(300)), place / "run.html")


def texts(found: Locator) -> list[str]:
    return [text.strip() for text in found.all_text_contents()]


def go(page: Page, name: str) -> Locator:
    """A row, brought there by its address, with its events."""
    page.evaluate("name => { location.hash = name }", name)
    row = page.locator(f"#{name}")
    expect(row.locator(".row-body > *").first).to_be_attached()
    return row


def test_head_tells_the_outcome(rich: Path, open_page: Open) -> None:
    seen = open_page(rich)
    page = seen.page
    expect(page.get_by_role("heading", level=1)).to_have_text(runs.PROMPT)
    expect(page.locator(".badge")).to_have_text("Submitted")
    expect(page.get_by_role("region", name="Answer")).to_contain_text("**58** pumps failed.")
    terms, values = (texts(page.locator(f".figures-of-run {tag}")) for tag in ("dt", "dd"))
    assert dict(zip(terms, values, strict=True)) == {
        "Turns": "8 of 100",
        "Tokens in": "12,345",
        "Tokens out": "678",
        "Cost": "$0.0123",
        "Time": "1 min 2 s",
        "Model": "scripted/pumps",
        "Mode": "sandbox",
        "Network": "packages",
    }
    page.get_by_text("2 documents").click()
    expect(page.locator(".documents li").nth(1)).to_contain_text("notes/stations.txt")
    assert seen.errors == []
    assert seen.requests == [rich.as_uri(), *[url for url in seen.requests[1:] if url.startswith(("blob:", "data:"))]]


def test_thought_command_and_output(rich: Path, open_page: Open) -> None:
    page = open_page(rich, permissions=["clipboard-read", "clipboard-write"]).page
    row = go(page, "turn-2")
    expect(row.get_by_role("region", name="Reasoning")).to_contain_text("Thought 4")
    expect(row.get_by_role("region", name="Reasoning")).not_to_contain_text("Thought 5")
    output = row.locator("pre.output")
    expect(output).not_to_contain_text("pump-5  ERROR  seal temperature 109")
    row.get_by_role("button", name="Show all 302 lines").click()
    expect(output).to_contain_text(runs.LONG)
    row.get_by_role("button", name="Copy the output").click()
    assert page.evaluate("navigator.clipboard.readText()") == f"[exit code: 0]\n[stdout]\n{runs.LONG}"
    row.get_by_role("button", name="Show less").click()
    expect(output).not_to_contain_text("seal temperature 109")
    expect(row.locator(".panel-head")).to_contain_text("exit code 0")
    command = go(page, "turn-1").locator("pre.command")
    expect(command).to_have_text(runs.LIST)
    assert texts(command.locator(".comment")) == ["# what is there?"]
    assert texts(command.locator(".string")) == ['"$HOME/march.csv"', "'a'", "'b'"]
    expect(go(page, "turn-5").locator(".chip.bad").last).to_have_text("exit code 2")


def test_edits_are_differences(rich: Path, open_page: Open) -> None:
    create, replace, insert = go(open_page(rich).page, "turn-3").locator("pre.difference").all()
    assert texts(create.locator(".line.in")) == ["+added: import csv", "+added:", "+added: print(len(rows))"]
    assert create.locator(".line.out").count() == 0
    assert [text.removeprefix("−removed: ") for text in texts(replace.locator(".line.out"))] == ["print(len(rows))"]
    assert [text.removeprefix("+added: ") for text in texts(replace.locator(".line.in"))] == [
        "rows = list(csv.reader(open('march.csv')))",
        "print(len(rows) - 1)",
    ]
    assert replace.locator(".line.same").count() == 2
    expect(insert).to_contain_text("# the heading is no row")


def test_very_many_parts_come_in_parts(tmp_path: Path, open_page: Open) -> None:
    asked: list[Event] = [Egress(host=f"host-{number}", port=443, verdict="refused") for number in range(450)]
    run = runs.write_run(tmp_path / "run", [runs.begun(), *runs.bash(1, "crawl", "done"), *asked, runs.ended()])
    row = go(open_page(run_page.write(run, tmp_path / "page.html")).page, "turn-1")
    notes = row.locator("p.note")
    expect(notes).to_have_count(199)  # with the call there are 200 parts
    row.get_by_role("button", name="Show more: 251 are left").click()
    row.get_by_role("button", name="Show more: 51 are left").click()
    expect(notes).to_have_count(450)
    expect(row.get_by_role("button", name="Show more")).to_have_count(0)


def test_words_of_a_changed_line_are_marked(tmp_path: Path, open_page: Open) -> None:
    edit = {"command": "str_replace", "path": "/testbed/a", "old_str": "limit = 10 bars", "new_str": "limit = 12 bars"}
    run = runs.write_run(tmp_path / "run", [runs.begun(), *runs.turn(1, ("str_replace_editor", edit)), runs.ended()])
    row = go(open_page(run_page.write(run, tmp_path / "page.html")).page, "turn-1")
    assert texts(row.locator("del")) == ["10"]
    assert texts(row.locator("ins")) == ["12"]


def test_what_the_harness_did_is_told(rich: Path, open_page: Open) -> None:
    page = open_page(rich).page
    expect(go(page, "turn-2")).to_contain_text("Try 1 failed, waited 2.5 s: the provider asks to slow down")
    expect(page.locator("#turn-2")).to_contain_text("Network: registry.example:443, refused")
    expect(go(page, "turn-6")).to_contain_text("3 older observations were shortened to fit a window of 32,768 tokens")
    expect(go(page, "turn-7")).to_contain_text("Your reply held no tool call. Go on with one.")
    expect(go(page, "row-7")).to_contain_text("The run went on in a new process after turn 5; 2 calls were run again")
    void = go(page, "row-6")
    expect(void.get_by_role("heading", level=3)).to_have_text("Turn 6")
    expect(void).to_contain_text("put aside")
    expect(void).to_contain_text("echo lost")
    expect(page.locator("#turn-6")).not_to_contain_text("put aside")


def test_pictures_that_the_model_saw(rich: Path, open_page: Open) -> None:
    page = open_page(rich).page
    picture = go(page, "turn-4").get_by_role("img", name="Picture that the model saw")
    picture.scroll_into_view_if_needed()
    page.wait_for_function("image => image.naturalWidth", arg=picture.element_handle())
    assert picture.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [64, 40]


def test_marks_are_those_of_the_analysis(rich: Path, open_page: Open) -> None:
    page = open_page(rich).page
    found = usage(load_events(rich.parent / "run"))
    expected = {(one.turn, one.capability) for one in found.evidence}
    names = {"external": "external resources", "files": "file management", "computation": "computation"}
    assert expected
    for number in range(1, 9):
        chips = texts(go(page, f"turn-{number}").locator(".row-head .chip:not(.bad)"))
        assert set(chips) == {names[capability] for turn, capability in expected if turn == number}, number


def test_files_have_previews(rich: Path, open_page: Open) -> None:
    seen = open_page(rich)
    page = seen.page
    entries = {entry.locator(".name").inner_text().strip(): entry for entry in page.locator(".file").all()}
    assert sorted(entries) == sorted(runs.files())
    for entry in entries.values():
        entry.scroll_into_view_if_needed()
    image = entries["pumps.png"].get_by_role("img")
    page.wait_for_function("image => image.naturalWidth === 320", arg=image.element_handle())
    sound = entries["tone.wav"].locator("audio")
    page.wait_for_function("sound => sound.duration === 1", arg=sound.element_handle())
    assert texts(entries["march.csv"].locator("td")) == ["1", "alder", "14", "2", "birch, old", "9", "3", "cedar", "35"]
    expect(entries["report/summary.txt"].locator("pre")).to_contain_text("Most of them at the station cedar.")
    expect(entries["report/scan.pdf"]).to_contain_text("There is no preview")
    page.get_by_role("button", name="Show report/report.html").click()
    frame = entries["report/report.html"].locator("iframe")
    assert frame.get_attribute("sandbox") == ""
    inner = frame.element_handle().content_frame()
    assert inner is not None
    inside = entries["report/report.html"].frame_locator("iframe")
    expect(inside.locator("h1")).to_have_css("color", "rgb(0, 128, 0)")
    expect(inside.locator("p")).to_have_css("color", "rgb(0, 0, 255)")
    with page.expect_download() as saved:
        entries["report/scan.pdf"].get_by_role("button", name="Save report/scan.pdf").click()
    assert saved.value.suggested_filename == "scan.pdf"
    assert saved.value.path().read_bytes() == runs.files()["report/scan.pdf"]
    digest = hashlib.sha256(runs.files()["pumps.png"]).hexdigest()
    expect(entries["pumps.png"]).to_contain_text(f"SHA-256 {digest[:16]}")
    assert seen.errors == []


RECORD = """async () => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [64, 48];
  const context = canvas.getContext("2d");
  const recorder = new MediaRecorder(canvas.captureStream(20), { mimeType: "video/webm" });
  const parts = [];
  recorder.ondataavailable = (event) => parts.push(event.data);
  const done = new Promise((resolve) => (recorder.onstop = resolve));
  recorder.start();
  for (let step = 0; step < 10; step++) {
    context.fillStyle = `hsl(${step * 30} 50% 50%)`;
    context.fillRect(0, 0, 64, 48);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  recorder.stop();
  await done;
  return [...new Uint8Array(await new Blob(parts).arrayBuffer())];
}"""


def test_video_plays(tmp_path: Path, rich: Path, open_page: Open) -> None:
    film = bytes(open_page(rich).page.evaluate(RECORD))
    run = runs.write_run(tmp_path / "run", [runs.begun(), runs.ended()], {"film.webm": film, "no.mp4": b"not a film"})
    page = open_page(run_page.write(run, tmp_path / "page.html")).page
    video = page.locator(".file", has_text="film.webm").locator("video")
    video.evaluate("async film => { film.muted = true; await film.play() }")
    assert video.evaluate("film => [film.videoWidth, film.videoHeight]") == [64, 48]
    expect(page.locator(".file", has_text="no.mp4")).to_contain_text("This browser cannot show it as video.")


def test_large_files_are_listed_and_not_embedded(tmp_path: Path, open_page: Open) -> None:
    files = {"big.txt": b"much of a file\n" * 1000, "one.txt": b"1" * 4000, "two.txt": b"2" * 4000}
    run = runs.write_run(tmp_path / "run", [runs.begun(), runs.ended()], files)
    page = open_page(run_page.write(run, tmp_path / "page.html", each=5000, total=6000)).page
    for name, embedded in (("big.txt", False), ("one.txt", True), ("two.txt", False)):
        entry = page.locator(".file", has_text=name)
        assert entry.get_by_role("button", name=f"Save {name}").count() == embedded
        assert ("Not in this page" in entry.inner_text()) is not embedded


def test_timeline_leads_to_turns(long: Path, open_page: Open) -> None:
    page = open_page(long).page
    bars = page.get_by_role("img", name="Tokens in of each turn")
    box = bars.bounding_box()
    assert box is not None
    bars.click(position={"x": box["width"] * 0.5, "y": 10})
    expect(page.locator(".row.current")).to_have_attribute("id", "turn-151")
    page.get_by_text("The figures as a table").click()
    line = page.get_by_role("row", name="Turn 77")
    assert texts(line.locator("td"))[:3] == ["12,450", "800", "40"]
    line.get_by_role("button", name="Turn 77").click()
    expect(page.locator(".row.current")).to_have_attribute("id", "turn-77")


def test_search_finds_what_is_folded_and_far_away(long: Path, open_page: Open) -> None:
    page = open_page(long).page
    page.keyboard.press("/")
    page.keyboard.type("PUMP-8 line 21:")
    told = page.locator(".count")
    expect(told).to_have_text("1 hit")  # the 22 lines of turns 22, 45, 68, ... and the pump of every ninth turn
    page.keyboard.press("Enter")
    expect(told).to_have_text("1 of 1 hit")
    row = page.locator("article", has_text="pump-8 line 21:")
    expect(row).to_be_in_viewport()
    assert page.evaluate("[...CSS.highlights.get('here')].map(range => range.toString())") == ["pump-8 line 21:"]
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("day-29")
    expect(told).to_have_text("11 hits")
    page.keyboard.press("Enter")
    expect(page.locator("#turn-29")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#turn-290")).to_be_in_viewport()
    page.get_by_role("button", name="Previous hit").click()
    expect(told).to_have_text("1 of 11 hits")
    expect(page.locator("#turn-29")).to_be_in_viewport()


IN_VIEW = """() => [...(CSS.highlights.get("here") || [])].some((range) => {
  const box = range.getBoundingClientRect();
  return box.top > 90 && box.bottom < innerHeight;
})"""


def test_a_hit_in_the_middle_of_a_long_output_is_in_view(rich: Path, open_page: Open) -> None:
    page = open_page(rich, viewport={"width": 360, "height": 700}).page
    page.keyboard.press("/")
    page.keyboard.type("249  pump-4")
    page.keyboard.press("Enter")  # at once: the first hit is gone to when it is found
    expect(page.locator(".count")).to_have_text("1 of 1 hit")
    expect(page.locator("#turn-2 pre.output")).to_contain_text("249  pump-4")
    page.wait_for_function(IN_VIEW)


ENTER_WHILE_IT_SEARCHES = """(input, query) => {
  input.value = query;
  input.dispatchEvent(new Event("input"));
  const enter = () => input.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter" }));
  setTimeout(enter, 200);  // just after the search has begun
}"""


def test_enter_while_the_search_goes_on(long: Path, open_page: Open) -> None:
    page = open_page(long).page
    page.get_by_role("searchbox").evaluate(ENTER_WHILE_IT_SEARCHES, "day-290")
    expect(page.locator(".count")).to_have_text("1 of 1 hit")
    expect(page.locator("#turn-290")).to_be_in_viewport()


def test_keys(long: Path, open_page: Open) -> None:
    page = open_page(long).page
    current = page.locator(".row.current")
    for key, place in (
        ("g", "row-0"),
        ("j", "turn-1"),
        ("j", "turn-2"),
        ("k", "turn-1"),
        ("G", "row-301"),
        ("k", "turn-300"),
    ):
        page.keyboard.press(key)
        expect(current).to_have_attribute("id", place)
        expect(current).to_be_focused()
    expect(current.locator(".panel")).to_be_visible()
    page.keyboard.press("o")
    expect(current.locator(".panel")).to_have_count(0)
    expect(current.locator(".summary")).to_contain_text("documents/day-300.log")
    page.keyboard.press("o")
    expect(current.locator(".panel")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_contain_text("next turn")
    page.keyboard.press("j")  # not while the dialog is open
    page.keyboard.press("Escape")
    expect(current).to_have_attribute("id", "turn-300")
    page.get_by_role("button", name="Close all").click()
    expect(page.locator(".row .panel")).to_have_count(0)


def test_links_to_turns(long: Path, open_page: Open) -> None:
    page = open_page(f"{long.as_uri()}#turn-170", permissions=["clipboard-read", "clipboard-write"]).page
    row = page.locator("#turn-170")
    expect(row).to_be_in_viewport()
    row.get_by_role("button", name="Copy a link to Turn 170").click()
    assert page.evaluate("navigator.clipboard.readText()") == f"{long.as_uri()}#turn-170"
    page.locator("#turn-171").get_by_role("link", name="Turn 171").click()
    assert page.url.endswith("#turn-171")
    expect(page.locator("#turn-171")).to_be_focused()
    page.go_back()
    expect(page.locator("#turn-170")).to_have_class("row current")
    expect(page.locator("#turn-170")).to_be_in_viewport()
    page.go_forward()
    expect(page.locator("#turn-171")).to_have_class("row current")


def test_only_what_is_near_is_in_the_document(long: Path, open_page: Open) -> None:
    page = open_page(long).page
    go(page, "turn-150")
    expect(page.locator("#turn-1")).to_have_count(0)
    assert page.locator("article").count() <= 100
    go(page, "turn-1")
    expect(page.locator("#turn-150")).to_have_count(0)
