"""`workroom view --serve` beside a real `workroom run`: its turns appear as they happen."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.cli.command import call, script, start
from tests.view.conftest import Watched

pytestmark = pytest.mark.xdist_group("browser")


def test_a_run_under_way_appears_turn_by_turn(tmp_path: Path, open_page: Callable[..., Watched]) -> None:
    model = script(
        tmp_path / "model.jsonl",
        [call("execute_bash", command="echo first; sleep 3")],
        [call("execute_bash", command="echo second > /testbed/output/note.txt; sleep 3")],
        [call("execute_bash", command="echo 7 > answer.txt")],
        [call("submit")],
    )
    with start(tmp_path, "run", "Say 7.", "-m", model, "-o", "out", "--network", "none", "--quiet") as run:
        log = tmp_path / "out" / "events.jsonl"
        until = time.monotonic() + 60
        while not log.is_file() and run.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        with start(tmp_path, "view", "out", "--serve", "--port", "0", "--quiet") as view:
            seen = open_page(view.stdout.readline().strip())
            page = seen.page
            expect(page.locator(".live")).to_contain_text("Live", timeout=20_000)
            expect(page.locator("#turn-2 .panel")).to_be_attached(timeout=30_000)
            expect(page.locator(".badge").first).to_have_text("Submitted", timeout=30_000)
            expect(page.get_by_role("region", name="Answer")).to_contain_text("7")
            page.wait_for_selector(".file:has-text('note.txt')")
            assert seen.errors == []
            run.communicate(timeout=60)
            view.send_signal(signal.SIGINT)
            assert (view.communicate(timeout=30), view.returncode) == (("", ""), 0)
    assert run.returncode == 0
