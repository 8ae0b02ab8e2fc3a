"""`workroom view --serve`: what it gives, to whom, and while things go on."""

import asyncio
import http.client
import io
import json
import os
import signal
import subprocess
import sys
import threading
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.view import benches, runs
from tests.view.conftest import Watched
from workroom.bench.store import Key
from workroom.errors import ConfigError
from workroom.view.server import ViewServer

pytestmark = pytest.mark.xdist_group("browser")
Open = Callable[..., Watched]


@contextmanager
def served(directory: Path) -> Iterator[str]:
    """The address of a server in a thread of its own."""
    ready: list[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = []
    begun = threading.Event()

    async def serve() -> None:
        async with ViewServer(directory, port=0) as server:
            stop = asyncio.Event()
            ready.append((server.address, asyncio.get_running_loop(), stop))
            begun.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert begun.wait(30)
    address, loop, stop = ready[0]
    try:
        yield address
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def ask(address: str, path: str, method: str = "GET", /, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """The path goes out as it is."""
    host = address.removeprefix("http://").rstrip("/")
    connection = http.client.HTTPConnection(host)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {
        "clip.bin": bytes(range(100)),
        "page.html": b"<p id=p>quiet</p><script>document.body.dataset.ran = 1; "
        b"try { parent.document.body.dataset.reached = 1 } catch (e) { document.title = 'refused' } "
        b"const told = (value) => () => (document.body.dataset.fetched = value); "
        b"fetch('/index').then(told(1), told(0))</script>",
    }
    events = [runs.begun(), *runs.many(3)[1:-1], runs.ended("58", turns=3)]
    place = runs.write_run(tmp_path_factory.mktemp("view") / "run", events, files)
    (place / "files" / "link").symlink_to("/etc/passwd")
    (place / "files" / "out").symlink_to("/etc")
    return place


def test_files_come_whole_or_in_part_and_shut_off(run: Path) -> None:
    with served(run) as address:
        status, headers, body = ask(address, "/files/clip.bin")
        assert (status, body) == (200, bytes(range(100)))
        assert headers["Content-Security-Policy"].startswith("sandbox; default-src 'unsafe-inline'")
        framed = ask(address, "/files/page.html", Sec_Fetch_Dest="iframe")[1]
        assert framed["Content-Security-Policy"].startswith("sandbox allow-scripts; default-src 'unsafe-inline'")
        assert headers["X-Content-Type-Options"] == "nosniff"
        for asked, told, part in (
            ("bytes=10-19", "bytes 10-19/100", bytes(range(10, 20))),
            ("bytes=90-", "bytes 90-99/100", bytes(range(90, 100))),
            ("bytes=-5", "bytes 95-99/100", bytes(range(95, 100))),
        ):
            status, headers, body = ask(address, "/files/clip.bin", Range=asked)
            assert (status, headers["Content-Range"], body) == (206, told, part)
        assert ask(address, "/files/clip.bin", Range="bytes=100-")[0] == 416
        for path in ("/files/clip.bin", "/index", "/"):
            status, headers, body = ask(address, path, "HEAD")
            assert (status, body) == (200, b"")
            assert headers["Content-Type"] == ask(address, path)[1]["Content-Type"]
        assert ask(address, "/files/clip.bin", "HEAD")[1]["Content-Length"] == "100"
        assert ask(address, "/index", "POST")[0] == 405


@pytest.mark.parametrize(
    "path",
    [
        "/files/../run.json",
        "/files/%2e%2e/run.json",
        "/files/..%2frun.json",
        "/files//etc/passwd",
        "/files/%2Fetc%2Fpasswd",
        "/files///etc/passwd",
        "/files/%2F%2Fetc%2Fpasswd",
        "/files/%2f/etc/hostname",
        "/files/link",
        "/files/out/passwd",
        "/files/%00",
        "/files/",
        "/files/%ff",
        "/chunk/../../run.json",
        "/attempt/0/index",
        "/nothing",
        "//",
    ],
)
def test_nothing_outside_is_given(run: Path, path: str) -> None:
    with served(run) as address:
        assert ask(address, path)[0] == 404


def test_only_this_machine_s_names_and_own_pages_are_answered(run: Path) -> None:
    with served(run) as address:
        port = address.rstrip("/").rpartition(":")[2]
        for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "", "localhost@evil.example"):
            assert ask(address, "/index", Host=host)[0] == 421, host
        assert ask(address, "/index", Host=f"localhost:{port}")[0] == 200
        assert ask(address, "/index", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="cors")[0] == 403
        assert ask(address, "/index", Sec_Fetch_Site="same-origin", Sec_Fetch_Mode="cors")[0] == 200


def test_what_has_not_changed_is_not_sent_again(run: Path) -> None:
    with served(run) as address:
        _, headers, body = ask(address, "/index?after=2")
        assert json.loads(body)["after"] == 2
        assert ask(address, "/index?after=2", If_None_Match=headers["ETag"])[::2] == (304, b"")


def test_an_html_artefact_runs_shut_off(run: Path, open_page: Open) -> None:
    with served(run) as address:
        alone = open_page(f"{address}files/page.html")
        expect(alone.page.locator("#p")).to_have_text("quiet")
        assert alone.page.evaluate("[origin, document.body.dataset.ran]") == ["null", None]  # by itself it runs nothing
        seen = open_page(address)
        seen.page.locator("details.file", has_text="page.html").evaluate("one => (one.open = true)")
        seen.page.get_by_role("button", name="Show page.html").click()
        frame = seen.page.frame_locator("iframe")
        expect(frame.locator("#p")).to_have_text("quiet")
        expect(frame.locator("body[data-ran]")).to_have_count(0)
        seen.page.get_by_role("button", name="Run the scripts of page.html").click()
        expect(frame.locator("body[data-ran='1'][data-fetched='0']")).to_be_attached()
        expect(frame.locator("#p")).to_have_text("quiet")
        assert frame.locator("html").evaluate("() => [origin, document.title]") == ["null", "refused"]
        assert seen.page.evaluate("document.body.dataset.reached") is None


FILM = """async () => {
    const canvas = document.createElement("canvas");
    const brush = canvas.getContext("2d");
    const recorder = new MediaRecorder(canvas.captureStream(20), { mimeType: "video/webm" });
    const parts = [];
    recorder.ondataavailable = (event) => parts.push(event.data);
    recorder.start();
    for (let turn = 0; turn < 20; turn++) {
        brush.fillStyle = turn % 2 ? "red" : "blue";
        brush.fillRect(0, 0, 300, 150);
        await new Promise((done) => setTimeout(done, 50));
    }
    await new Promise((done) => { recorder.onstop = done; recorder.stop(); });
    return Array.from(new Uint8Array(await new Blob(parts).arrayBuffer()));
}"""


def test_pictures_sound_and_films_open(tmp_path: Path, open_page: Open) -> None:
    blank = open_page("about:blank").page
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", "not compressed"))
        file.writeframes(bytes(16_000))
    files = {
        "red.png": blank.screenshot(clip={"x": 0, "y": 0, "width": 30, "height": 20}),
        "one.wav": sound.getvalue(),
        "film.webm": bytes(blank.evaluate(FILM)),
    }
    run = runs.write_run(tmp_path / "run", [runs.begun(), runs.ended("58", turns=0)], files)
    with served(run) as address:
        seen = open_page(address)
        for entry in seen.page.locator("details.file").all():
            entry.evaluate("one => (one.open = true)")
        wait = seen.page.wait_for_function
        wait("document.querySelector('.file img')?.naturalWidth === 30")
        wait("Math.abs(document.querySelector('.file audio')?.duration - 1) < 0.01")
        wait("document.querySelector('.file video')?.videoWidth === 300")
        assert seen.errors == []


def test_a_page_that_outlives_its_server_gets_everything_anew(tmp_path: Path) -> None:
    with benches.made(tmp_path / "bench", benches.sums(2)) as bench:
        benches.finish(bench, "sum-0", "sandbox", 1.0)
        with served(bench.path) as address:
            version = json.loads(ask(address, "/index")[2])["version"]
            assert json.loads(ask(address, f"/index?after={version}")[2])["rows"] == []
        with served(bench.path) as address:
            told = json.loads(ask(address, f"/index?after={version}")[2])
            assert len(told["rows"]) == 1
            assert told["version"] > version


def test_a_bench_under_way_gets_its_rows(tmp_path: Path, open_page: Open) -> None:
    with benches.made(tmp_path / "bench", benches.sums(2)) as bench:
        benches.with_run(bench, benches.finish(bench, "sum-0", "sandbox", 1.0))
        with served(bench.path) as address:
            seen = open_page(address)
            rows = seen.page.locator(".attempts tbody tr[data-place]")
            expect(rows).to_have_count(1)
            expect(seen.page.locator(".live").first).to_contain_text("Live")
            key = Key("sums", "sum-1", "llm", 1)
            benches.with_run(bench, key)
            expect(rows.nth(1)).to_contain_text("under way")
            benches.finish(bench, "sum-1", "llm", 0.0)
            expect(rows.nth(1)).to_contain_text("Submitted")
            expect(seen.page.get_by_text("1 wrong")).to_be_visible()
            rows.nth(1).locator("a").click()
            expect(seen.page.locator(".conversation #turn-1")).to_be_attached()
            assert seen.errors == []


def test_a_port_that_is_taken_and_directories_without_anything(run: Path, tmp_path: Path) -> None:
    with served(run) as address:
        port = address.rstrip("/").rpartition(":")[2]
        command = [sys.executable, "-m", "workroom", "view", str(run), "--serve", "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "choose another with --port" in done.stderr
    with pytest.raises(ConfigError, match="is empty"):
        ViewServer(tmp_path)
    (tmp_path / "note.txt").touch()
    with pytest.raises(ConfigError, match="no run in or below"):
        ViewServer(tmp_path)


def test_the_verb_serves_until_it_is_told_to_stop(run: Path) -> None:
    command = [sys.executable, "-m", "workroom", "view", str(run), "--serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ) as verb:
        assert verb.stdout is not None
        address = verb.stdout.readline().strip()
        assert ask(address, "/index")[0] == 200
        verb.send_signal(signal.SIGINT)
        _, said = verb.communicate(timeout=30)
        assert (verb.returncode, "Traceback" in said) == (0, False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "does not exist"),
        (["."], "is empty"),
        (["{run}", "-o", "missing/x.html"], "choose another with -o FILE"),
        (["{run}", "-o", "."], "is a directory"),
        (["{run}", "--port", "80"], "--port is for --serve"),
        (["{run}", "--max-size", "large"], "is no size"),
        (["{run}", "--serve", "--port", "99999"], "there is no port 99999"),
    ],
)
def test_bad_input_is_told_in_a_sentence(run: Path, tmp_path: Path, arguments: list[str], said: str) -> None:
    given = [argument.replace("{run}", str(run)) for argument in arguments]
    command = [sys.executable, "-m", "workroom", "view", *given]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr
