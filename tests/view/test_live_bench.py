"""A served page of a bench that goes on: opened before anything is finished, and while its server is away."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.view import benches
from tests.view.conftest import Watched
from tests.view.test_server import served

pytestmark = pytest.mark.xdist_group("browser")
Open = Callable[..., Watched]


def test_a_bench_opened_before_its_first_attempt(tmp_path: Path, open_page: Open) -> None:
    with benches.made(tmp_path / "bench", benches.sums(1)) as bench, served(bench.path) as address:
        page = open_page(address).page
        expect(page.get_by_text("0 attempts")).to_be_visible()
        for mode in ("llm", "sandbox"):
            benches.with_run(bench, benches.finish(bench, "sum-0", mode, float(mode == "sandbox")))
        expect(page.get_by_text("2 attempts")).to_be_visible()
        page.locator(".attempts tbody a").first.click()
        expect(page.locator(".side-by-side thead th")).to_have_count(2)


def test_a_server_that_answers_again(tmp_path: Path, open_page: Open) -> None:
    with benches.made(tmp_path / "bench", benches.sums(2)) as bench, served(bench.path) as address:
        benches.finish(bench, "sum-0", "llm", 1.0)
        page = open_page(address).page
        live = page.locator(".live").first
        expect(live).to_have_text("Live: 1 finished, 0 under way")
        page.context.set_offline(True)
        expect(live).to_have_text("The server does not answer")
        page.context.set_offline(False)
        expect(live).to_have_text("Live: 1 finished, 0 under way")
