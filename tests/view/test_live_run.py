"""A served page of a run that goes on: it grows turn by turn. The server here is the smallest that will do."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from playwright.sync_api import expect

from tests.view import runs
from tests.view.conftest import Watched
from workroom.trajectory.events import EpisodeResumed
from workroom.trajectory.rundir import RunDirectory
from workroom.view.page import assemble, content_policy
from workroom.view.run_page import RunSource

if TYPE_CHECKING:
    from workroom.trajectory import Event

pytestmark = pytest.mark.xdist_group("browser")
Open = Callable[..., Watched]


@contextmanager
def served(source: RunSource) -> Iterator[str]:
    """The address of the run's page."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            where = urlsplit(self.path)
            kind, _, rest = where.path.removeprefix("/run/").partition("/")
            if kind == "index":
                source.advance()
                tag = f'"{source.index()["bytes"]}-{source.alive}"'
                if self.headers["If-None-Match"] == tag:
                    self.send_response(304)
                    self.end_headers()
                    return
                body = json.dumps(source.index(int(parse_qs(where.query)["after"][0]))).encode()
                self.reply(body, {"ETag": tag, "Content-Type": "application/json"})
            elif kind == "chunk":
                self.reply(source.chunk(unquote(rest)), {"Content-Type": "application/octet-stream"})
            else:
                pieces = assemble(title=source.title, kind="run", index={}, live="/run/")
                policy = content_policy("run", served=True)
                kind = "text/html; charset=utf-8"
                self.reply(b"".join(pieces), {"Content-Security-Policy": policy, "Content-Type": kind})

        def reply(self, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/run/"
        finally:
            server.shutdown()
            thread.join()


def test_a_run_appears_turn_by_turn(tmp_path: Path, open_page: Open) -> None:
    events: list[Event] = [runs.begun(), *runs.many(25)[1:-1], runs.ended("58", turns=25)]
    with RunDirectory.create(tmp_path / "run", {}, facts={"task": {"prompt": runs.PROMPT}}) as run:
        run.durable = False

        def record(until: int) -> None:
            runs.go_on(run, events[:until])

        record(3)  # the first turn's call is not answered yet
        with served(RunSource(run.path)) as address:
            seen = open_page(address)
            page = seen.page
            expect(page.locator("#turn-1 .panel-head")).to_contain_text("under way")
            expect(page.locator(".badge")).to_have_text("Running")
            record(4)
            expect(page.locator("#turn-1 .panel-head")).to_contain_text("exit code 0")
            record(7)
            expect(page.locator("#turn-2 pre.output")).to_be_attached()
            expect(page.locator(".live")).to_have_text("Live: turn 2")
            page.evaluate("document.querySelector('#turn-1').dataset.same = 'yes'")
            record(70)  # more than a chunk
            expect(page.locator("#turn-19 pre.output")).to_be_attached()
            expect(page.locator("#turn-1")).to_have_attribute("data-same", "yes")  # it is not drawn anew
            record(len(events) - 1)
            expect(page.locator(".live")).to_have_text("Live: turn 25")
            run.record(EpisodeResumed(turn=24, after=len(events) - 5, seq=len(events) - 1))
            expect(page.locator("#row-25")).to_contain_text("put aside")
            assert page.locator("#turn-25").count() == 0
            end = runs.ended("58", turns=25)
            end.seq = len(events)
            run.record(end)
            run.finish()
            expect(page.locator(".badge")).to_have_text("Submitted")
            expect(page.get_by_role("region", name="Answer")).to_contain_text("58")
            page.keyboard.press("G")
            expect(page.locator("#row-27")).to_contain_text("Submitted after 25 turns")
            before = len(seen.requests)
            page.wait_for_timeout(1500)
            assert len(seen.requests) == before
            assert seen.errors == []
