"""The page of a bench in a browser: rows, filters, pairs, links to an attempt, and what is hostile in it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.view import benches
from tests.view.access import unnamed, weak_texts
from tests.view.conftest import Watched
from workroom.errors import ConfigError
from workroom.task import Task
from workroom.view import bench_page

pytestmark = pytest.mark.xdist_group("browser")
Open = Callable[..., Watched]
EVIL = "<img src=x onerror=alert(1)></script><script>window.ran=1</script>\u202e\x1b[2J"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tasks in both modes: sandbox alone right, both right, neither; the last has a run that is missing."""
    place = tmp_path_factory.mktemp("bench")
    with benches.made(place / "bench", benches.sums(3)) as bench:
        for number, (llm, sandbox) in enumerate([(0.0, 1.0), (1.0, 1.0), (0.0, 0.5)]):
            benches.with_run(bench, benches.finish(bench, f"sum-{number}", "llm", llm, turns=1))
            key = benches.finish(bench, f"sum-{number}", "sandbox", sandbox, reason="as it is", turns=9 - number)
            if number < 2:
                benches.with_run(bench, key)
        report = bench.path / "report"
        report.mkdir()
        (report / "means.csv").write_text(
            "suite,arm,attempts,scored,mean,interval_low,interval_high\nsums,llm,3,3,0.3333,0.0,0.9\n"
        )
        (report / "means.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="7"/>')
    return bench_page.write(place / "bench", place / "bench.html")


def tasks(page: Watched) -> list[str]:
    return page.page.locator(".attempts tbody tr[data-place] a").all_inner_texts()


def test_filters_and_sorting_are_in_the_address(page_file: Path, open_page: Open) -> None:
    seen = open_page(page_file)
    page = seen.page
    expect(page.get_by_role("status").filter(has_text="6 attempts")).to_contain_text("3 right · 1 partial · 2 wrong")
    page.get_by_label("Mode", exact=True).select_option("sandbox")
    page.get_by_role("button", name="Turns").click()
    expect(page.locator(".attempts tbody tr[data-place]")).to_have_count(3)
    assert tasks(seen) == ["sum-2", "sum-1", "sum-0"]
    page.get_by_role("button", name="Turns").click()
    assert tasks(seen) == ["sum-0", "sum-1", "sum-2"]
    expect(page.locator("th[aria-sort]")).to_contain_text("Turns")
    page.get_by_label("Text in the task").fill("1 AND 1")
    assert tasks(seen) == ["sum-1"]
    again = open_page(page.url)
    expect(again.page.get_by_label("Mode", exact=True)).to_have_value("sandbox")
    assert tasks(again) == ["sum-1"]
    assert seen.errors == again.errors == []


def test_the_two_modes_side_by_side(page_file: Path, open_page: Open) -> None:
    seen = open_page(page_file)
    page = seen.page
    page.get_by_role("button", name="Side by side").click()
    expect(page.locator(".attempts tbody tr[data-place]")).to_have_count(3)
    for kind, found in {"second": ["sum-0"], "both": ["sum-1"], "neither": ["sum-2"], "first": []}.items():
        page.get_by_label("Pairs").select_option(kind)
        assert tasks(seen) == found
    page.get_by_label("Pairs").select_option("second")
    page.locator(".attempts a").click()
    heads = page.locator(".side-by-side thead th")
    expect(heads).to_have_text(["llm, repeat 1", "sandbox, repeat 1"])
    expect(page.locator(".side-by-side")).to_contain_text("as it is")
    expect(page.locator(".conversation #turn-2")).to_be_attached()
    page.locator(".side-by-side thead a").click()
    expect(page.locator(".side-by-side th[aria-current]")).to_have_text("llm, repeat 1")
    page.go_back()
    expect(page.locator(".side-by-side th[aria-current]")).to_have_text("sandbox, repeat 1")
    page.keyboard.press("Escape")
    expect(page.locator(".side-by-side")).to_have_count(0)
    assert seen.errors == []


def test_the_way_to_the_other_mode_keeps_the_filters(page_file: Path, open_page: Open) -> None:
    page = open_page(f"{page_file.as_uri()}#attempt=sums%2Fsum-1%2Fsandbox%2F1").page
    other = page.locator(".side-by-side thead a")
    expect(other).to_have_text("llm, repeat 1")
    page.get_by_label("Text in the task").fill("sum-1")
    expect(page.locator(".attempts tbody tr[data-place]")).to_have_count(2)
    other.click()
    expect(page.locator(".side-by-side th[aria-current]")).to_have_text("llm, repeat 1")
    expect(page.get_by_label("Text in the task")).to_have_value("sum-1")
    expect(page.locator(".attempts tbody tr[data-place]")).to_have_count(2)


def test_an_attempt_has_a_link_and_one_that_is_missing_says_so(page_file: Path, open_page: Open) -> None:
    seen = open_page(f"{page_file.as_uri()}#attempt=sums%2Fsum-1%2Fsandbox%2F1&turn=turn-2")
    expect(seen.page.locator(".attempt h2").first).to_have_text("sum-1")
    expect(seen.page.locator("#turn-2.current")).to_be_visible()
    seen.page.keyboard.press("]")
    expect(seen.page.locator(".attempt h2").first).to_have_text("sum-2")
    expect(seen.page.locator(".about-task")).to_contain_text("What is 2 and 2?")
    seen.page.goto(f"{page_file.as_uri()}#attempt=sums%2Fsum-2%2Fsandbox%2F1")
    expect(seen.page.locator(".conversation")).to_contain_text("not in this file")
    assert seen.errors == []


def test_the_report_is_shown(page_file: Path, open_page: Open) -> None:
    seen = open_page(page_file)
    expect(seen.page.locator(".summary-tables")).to_contain_text("33.3 [0.0, 90.0]")
    seen.page.get_by_text("Plots of the report (1)").click()
    seen.page.wait_for_function("document.querySelector('.plots img')?.naturalWidth === 9")
    assert [address for address in seen.requests if not address.startswith(("file:", "blob:"))] == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast_and_names(page_file: Path, open_page: Open, theme: Any) -> None:
    page = open_page(page_file, color_scheme=theme).page
    page.get_by_text("Plots of the report (1)").click()
    assert weak_texts(page, least=60) == []
    assert unnamed(page) == []
    page.get_by_role("button", name="Side by side").click()
    page.get_by_role("link", name="sum-1").click()
    expect(page.locator(".conversation #turn-2 .row-body > *").first).to_be_attached()
    assert weak_texts(page, least=100) == []
    assert unnamed(page) == []


def test_narrow_windows(page_file: Path, open_page: Open) -> None:
    page = open_page(page_file, viewport={"width": 360, "height": 700}).page
    width = "document.documentElement.scrollWidth"
    assert page.evaluate(width) <= 360
    page.get_by_role("button", name="Side by side").click()
    page.get_by_role("link", name="sum-1").click()
    expect(page.locator(".side-by-side")).to_be_in_viewport()
    expect(page.locator(".conversation #turn-2 .row-body > *").first).to_be_attached()
    assert page.evaluate(width) <= 360


@pytest.mark.parametrize("width", [1280, 1440])
def test_the_difference_is_in_sight_beside_an_attempt(tmp_path: Path, open_page: Open, width: int) -> None:
    suites = {name: benches.sums(2) for name in ("instruction_following", "long_context")}
    with benches.made(tmp_path / "bench", suites) as bench:
        for suite in suites:
            for mode in ("llm", "sandbox"):
                benches.finish(bench, "sum-1", mode, float(mode == "llm"), suite=suite)
    seen = open_page(
        bench_page.write(tmp_path / "bench", tmp_path / "page.html"), viewport={"width": width, "height": 800}
    )
    page = seen.page
    page.get_by_role("button", name="Side by side").click()
    expect(page.get_by_role("columnheader", name="Tokens")).to_be_visible()
    page.get_by_role("link", name="sum-1").first.click()
    expect(page.locator(".side-by-side")).to_be_visible()
    expect(page.get_by_role("columnheader", name="Tokens")).to_be_hidden()
    room = page.locator(".attempts").evaluate("box => box.clientWidth - box.scrollWidth")
    assert room >= 0
    expect(page.get_by_role("columnheader", name="Difference")).to_be_in_viewport(ratio=1)


def test_hostile_texts_stay_texts(tmp_path: Path, open_page: Open) -> None:
    task = Task(EVIL, id=EVIL, domain="math", answer=EVIL, grader="exact")
    with benches.made(tmp_path / "bench", [task]) as bench:
        benches.with_run(bench, benches.finish(bench, EVIL, "sandbox", 0.0, reason=EVIL), {"a<b>'\u202e.html": b"<p>"})
    seen = open_page(bench_page.write(tmp_path / "bench", tmp_path / "page.html"))
    seen.page.locator(".attempts a").click()
    expect(seen.page.locator(".about-task")).to_contain_text("<img src=x onerror=alert(1)>")
    expect(seen.page.locator(".side-by-side")).to_contain_text("<script>window.ran=1</script>")
    expect(seen.page.locator(".conversation .files")).to_contain_text("a<b>'")
    assert seen.page.evaluate("[window.ran, document.querySelectorAll('img[src=x]').length]") == [None, 0]
    assert (seen.dialogs, seen.errors) == ([], [])
    assert all(address.startswith(("file:", "blob:", "about:", "data:")) for address in seen.requests)


def test_ten_thousand_attempts_scroll(tmp_path: Path, open_page: Open) -> None:
    with benches.made(tmp_path / "bench", benches.sums(5000)) as bench:
        for number in range(5000):
            for mode in ("llm", "sandbox"):
                benches.finish(bench, f"sum-{number}", mode, float(number % 2))
    seen = open_page(bench_page.write(tmp_path / "bench", tmp_path / "page.html"))
    expect(seen.page.get_by_text("10,000 attempts")).to_be_visible()
    assert 0 < seen.page.locator(".attempts tr").count() < 100
    seen.page.locator(".attempts").evaluate("box => (box.scrollTop = box.scrollHeight)")
    expect(seen.page.locator(".attempts tr[data-place='9999']")).to_be_visible()
    assert seen.errors == []


def test_a_page_keeps_to_its_size(tmp_path: Path) -> None:
    with benches.made(tmp_path / "bench", benches.sums(3)) as bench:
        for number in range(3):
            key = benches.finish(bench, f"sum-{number}", "sandbox", 1.0)
            benches.with_run(bench, key, {"big.bin": bytes(range(256)) * 400})
    whole = bench_page.write(tmp_path / "bench", tmp_path / "whole.html").stat().st_size
    part = bench_page.write(tmp_path / "bench", tmp_path / "part.html", most=whole - 10).read_bytes()
    assert len(part) <= whole - 10
    assert b"chunk-a0/index" in part
    assert b"chunk-a2/index" not in part
    assert b"chunk-records-0" in part
    with pytest.raises(ConfigError, match="give a larger --max-size"):
        bench_page.write(tmp_path / "bench", tmp_path / "none.html", most=5000)
    assert not (tmp_path / "none.html").exists()


def test_an_attempt_that_leads_out_of_the_bench_is_left_out(tmp_path: Path) -> None:
    with benches.made(tmp_path / "bench", benches.sums(2)) as bench:
        for number in range(2):
            key = benches.finish(bench, f"sum-{number}", "sandbox", 1.0)
            place = benches.with_run(bench, key)
            if number:
                place.rename(tmp_path / "elsewhere")
                place.symlink_to(tmp_path / "elsewhere")
    page = bench_page.write(tmp_path / "bench", tmp_path / "page.html").read_bytes()
    assert b"chunk-a0/index" in page
    assert b"chunk-a1/index" not in page


def test_a_folder_of_runs_is_a_list_that_opens_each(tmp_path: Path, open_page: Open) -> None:
    from tests.view import runs

    for name in ("one", "deep/two"):
        runs.write_run(tmp_path / "runs" / name, [runs.begun(), *runs.many(3)[1:-1], runs.ended("58", turns=3)])
    seen = open_page(bench_page.write(tmp_path / "runs", tmp_path / "page.html"))
    expect(seen.page.locator(".attempts tbody tr[data-place] a")).to_have_text(["deep/two", "one"])
    seen.page.get_by_role("link", name="one").click()
    expect(seen.page.locator(".conversation #turn-1")).to_be_attached()
    assert seen.errors == []
