"""A run whose model and sandbox wanted to do something to whoever looks at it: nothing happens."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.view import runs
from tests.view.conftest import Watched
from workroom.view import run_page

if TYPE_CHECKING:
    from workroom.trajectory import Event

pytestmark = pytest.mark.xdist_group("browser")
Open = Callable[..., Watched]
OWN = "window.hit = true; document.title = 'hit'; alert('hit')"
FORGED = [
    f"<script>{OWN}</script>",
    f"</script><script>{OWN}</script><!--",
    "<!--<script>",
    f'<img src=x onerror="{OWN}"><svg/onload="{OWN}">',
    f"</pre></div></article><article class='row' id='turn-99'><h3>Turn 99</h3><iframe srcdoc=\"<script>{OWN}\">",
    f"[x](javascript:{OWN}) javascript:{OWN} <a href='javascript:{OWN}'>here</a>",
    "<meta http-equiv=refresh content='0;url=https://evil.example/'><base href='https://evil.example/'>",
    "<link rel=stylesheet href='https://evil.example/x.css'><style>* { display: none }</style>",
    "{{constructor.constructor('alert(1)')()}} ${alert(1)} &lt;script&gt; \u2028 \u2029",
]
SEQUENCES = "\x1b]0;owned\x07 \x1b[2J\x1b[31mred\x1b[0m \x9b31m \x00 a\rb \u202erev\u202c z\u200bw \U000e0041 \ufeff"
SHOWN = ["ESC", "BEL", "ESC", "ESC", "ESC", "U+009B", "NUL", "CR", "U+202E", "U+202C", "U+200B", "U+E0041", "U+FEFF"]
DRAWING = """<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30" onload="OWN"><script>OWN</script>
<image href="https://evil.example/pixel.png"/><foreignObject><iframe src="https://evil.example/"/></foreignObject>
<rect width="40" height="30" fill="green"/></svg>"""
PAGE = """<!doctype html><style>p { color: rgb(0, 128, 0) }</style>
<style>@import url(https://evil.example/a.css); body { background: url(https://evil.example/b.png) }</style>
<link rel=prefetch href=https://evil.example/i><link rel=preconnect href=https://evil.example/>
<p id=p onclick="OWN">text</p><script>OWN; top.hit = true; parent.location = 'https://evil.example/'</script>
<img src=https://evil.example/c.png><video src=https://evil.example/v></video><object data=https://evil.example/o></object>
<iframe src=https://evil.example/d></iframe><meta http-equiv=refresh content='0;url=https://evil.example/e'>
<form action=https://evil.example/f><button id=send>send</button></form><a id=out href=https://evil.example/g>out</a>
<a id=up target=_top href=https://evil.example/h>up</a><a ping=https://evil.example/j href="#p">ping</a>"""
NAMES = {
    "<img src=x onerror=alert(1)>.txt": "plain",
    "a\u202egnp.exe": "MZ\0",
    "'\"><script>alert(1)</script>.csv": '"<script>alert(1)</script>","=cmd()"\n1,2\n',
    "drawing.svg": DRAWING,
    "page.html": PAGE,
    "not.png": "<script>alert(1)</script>",
    "..%2f..%2fpasswd": "x",
}


class Listener:
    """Where the hostile texts want to reach: a port of this machine that notes who connects."""

    def __init__(self) -> None:
        self.connections = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._socket.accept()[0].close()
                self.connections += 1

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def text(self, text: str) -> str:
        """The text with this address, and with what it wants to run."""
        return text.replace("https://evil.example", self.address).replace("OWN", OWN)


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.close()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, listener: Listener) -> Path:
    place = tmp_path_factory.mktemp("hostile")
    events: list[Event] = [runs.begun(FORGED[1], documents=[FORGED[0]])]
    for number, forged in enumerate([*FORGED, SEQUENCES], 1):
        text = listener.text(forged)
        edit = {"command": "str_replace", "path": text, "old_str": text, "new_str": f"{text}!", text: [text]}
        calls: list[tuple[str, Any]] = [("execute_bash", {"command": text}), ("str_replace_editor", edit), (text, text)]
        events += runs.turn(number, *calls, content=text, reasoning=text, observations=[text, text, text])
    files = {name: listener.text(content).encode() for name, content in NAMES.items()}
    run = runs.write_run(place / "run", [*events, runs.ended(FORGED[1])], files, prompt=FORGED[1])
    record = json.loads((run / "run.json").read_text())
    record["versions"] = {FORGED[1]: FORGED[0]}
    (run / "run.json").write_text(json.dumps(record))
    return run_page.write(run, place / "run.html")


def nothing_ran(seen: Watched, listener: Listener | None = None) -> None:
    """No script of theirs, and no request: those that the browser names are ones that it refused to make."""
    assert seen.dialogs == []
    assert seen.page.evaluate("typeof window.hit") == "undefined"
    assert seen.page.title() != "hit"
    own = seen.requests[0].partition("#")[0]
    assert seen.page.url.partition("#")[0] == own
    made = {url for url in seen.requests if not url.startswith(("blob:", "data:", own))}
    if listener is not None:
        made = {url for url in made if not url.startswith(listener.address)}
        assert listener.connections == 0
    assert made == set()


def test_the_file_holds_no_markup_of_theirs(hostile: Path) -> None:
    text = hostile.read_text()
    for forged in FORGED[:7]:
        assert forged not in text
    assert text.isascii() or "\u202e" not in text
    assert text.lower().count("</script") == text.lower().count("<script")


def test_no_script_of_ours_makes_markup_of_text() -> None:
    scripts = {path.name: path.read_text() for path in (Path(run_page.__file__).parent / "assets").glob("*.js")}
    assert len(scripts) > 10
    for way in ("innerHTML", "insertAdjacentHTML", "document.write", "createContextualFragment", "eval(", "Function("):
        assert [name for name, text in scripts.items() if way in text] == []
    # the one that reads markup: to hand it to a frame in which nothing runs
    assert [name for name, text in scripts.items() if "outerHTML" in text or "DOMParser" in text] == ["files.js"]
    assert not any(
        "http://" in text.replace("http://www.w3.org/", "") or "https://" in text for text in scripts.values()
    )


def test_nothing_runs_and_all_is_shown(hostile: Path, listener: Listener, open_page: Open) -> None:
    seen = open_page(hostile)
    page = seen.page
    for number, text in enumerate(FORGED, 1):
        page.evaluate("name => { location.hash = name }", f"turn-{number}")
        row = page.locator(f"#turn-{number}")
        expect(row.locator("pre.output").nth(2)).to_be_attached()
        found = row.locator("pre.output").first.text_content() or ""
        assert found == listener.text(text).replace("\u2028", "U+2028").replace("\u2029", "U+2029")
        assert row.locator("script, iframe, img, svg, link, meta, base, style, form").count() == 0
        assert row.locator("a").count() == 1  # the link to the turn
    assert page.locator("#turn-99").count() == 0
    expect(page.get_by_role("region", name="Answer")).to_contain_text(FORGED[1])
    page.get_by_text("Settings and versions").click()
    expect(page.locator(".run-head dl.arguments")).to_contain_text(FORGED[0])
    assert page.locator("body > script:not([type])").count() == 1
    nothing_ran(seen, listener)


def test_sequences_are_marks(hostile: Path, open_page: Open) -> None:
    seen = open_page(f"{hostile.as_uri()}#turn-{len(FORGED) + 1}")
    output = seen.page.locator(f"#turn-{len(FORGED) + 1} pre.output").first
    expect(output.locator(".mark")).to_have_text(SHOWN)
    left = output.text_content() or ""
    assert not any(ord(char) < 32 or char in "\x9b\u202e\u202c\u200b\ufeff" for char in left)
    nothing_ran(seen)


def test_files_do_nothing(hostile: Path, listener: Listener, open_page: Open) -> None:
    seen = open_page(hostile)
    page = seen.page
    names = page.locator(".file .name")
    assert len(NAMES) == names.count()
    assert any("U+202E" in name for name in names.all_text_contents())
    for entry in page.locator(".file").all():
        if entry.get_attribute("open") is None:
            entry.locator("summary").click()
        entry.scroll_into_view_if_needed()
    for name in ("drawing.svg", "page.html"):
        page.get_by_role("button", name=f"Show {name}").click()
    drawing = page.get_by_role("img", name="drawing.svg")
    page.wait_for_function("image => image.naturalWidth === 40", arg=drawing.element_handle())
    expect(page.locator(".file", has_text="not.png")).to_contain_text("cannot show it as image")
    inside = page.frame_locator("iframe")
    expect(inside.locator("#p")).to_have_css("color", "rgb(0, 128, 0)")
    for name in ("#p", "#send", "#up", "#out"):
        inside.locator(name).click()
        page.wait_for_timeout(100)
    expect(page.locator(".file", has_text="<script>").locator("th").first).to_have_text("<script>alert(1)</script>")
    nothing_ran(seen, listener)


def test_a_line_of_100_megabytes(tmp_path: Path, open_page: Open) -> None:
    """The page opens, moves, and finds what is at the very end of the text."""
    huge = "<script>alert(1)</script> \x1b[2J" * (100_000_000 // 30) + "needle"
    events = [runs.begun(), *runs.bash(1, "cat bomb", huge), *runs.bash(2, "echo after", "after"), runs.ended(turns=2)]
    run = runs.write_run(tmp_path / "run", events)
    with (run / "events.jsonl").open("ab") as log:
        log.write(b"x" * 100_000_000 + b"\n")
    target = run_page.write(run, tmp_path / "page.html")
    assert target.stat().st_size < 10_000_000
    seen = open_page(target)
    page = seen.page
    expect(page.locator(".run-head")).to_contain_text("1 damaged line")
    page.evaluate("location.hash = 'turn-1'")
    row = page.locator("#turn-1")
    expect(row.locator("pre.output")).to_contain_text("needle")
    page.keyboard.press("j")
    expect(page.locator("#turn-2")).to_contain_text("echo after")
    page.keyboard.press("/")
    page.keyboard.type("needle")
    expect(page.locator(".count")).to_have_text("1 hit", timeout=60_000)
    page.evaluate("location.hash = 'turn-1'")
    row.get_by_role("button", name="Show all").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("status")).to_contain_text("Part 1 of 1,5", timeout=60_000)
    dialog.get_by_role("button", name="Next part").click()
    expect(dialog.get_by_role("status")).to_contain_text("Part 2 of")
    nothing_ran(seen)
