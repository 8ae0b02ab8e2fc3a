"""Serves a run, a bench or a folder with runs to a browser, read only, while it goes on.

/                    the page
/index?after=...     what is new: rows of a run from that one on, rows of a bench since that version
/chunk/NAME          a part of a run
/files/PATH          a file that the run left, shut off from the page
/plot/NAME           a plot of a bench's report
/attempt/N/...       the run of a bench's attempt, as above; /attempt/N/record tells what is known of it

No page of another site can read anything: requests are answered for the names of this machine alone, and those that
other pages make are refused.
"""

import asyncio
import hashlib
import ipaddress
import logging
import re
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final, Self
from urllib.parse import parse_qs, unquote

from workroom.errors import ConfigError
from workroom.http_server import HttpServer, Request, Response
from workroom.trajectory.files import to_json
from workroom.view import bench_page
from workroom.view.artefacts import media_type, open_artefact
from workroom.view.bench_data import Source
from workroom.view.page import Kind, assemble, content_policy
from workroom.view.run_page import RunSource
from workroom.view.sources import open_source

PORT: Final = 8765
_PORTS = 20  # tried, where none is given
_OPEN_RUNS = 8  # of a bench, that are kept open
_PIECE = 1 << 18
_LARGEST_BODY = 1 << 16  # bytes: no request here needs one
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# What a model made. In a frame of the page that asks for it, its scripts run, in an origin that nothing else has.
_SHUT_OFF = "sandbox; default-src 'unsafe-inline' data: blob:; form-action 'none'; frame-ancestors 'self'"
_IN_FRAME = _SHUT_OFF.replace("sandbox;", "sandbox allow-scripts;")
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_logger = logging.getLogger("workroom.view")


class ViewServer:
    """What is in a directory, over HTTP, at `address` once it is entered.

    `port`: 0 for one that the system chooses, None for the first free one from 8765 on. Raises ConfigError where there
    is nothing to show, and on entering where the port is taken or the host is none of this machine.
    """

    def __init__(self, directory: Path, *, host: str = "127.0.0.1", port: int | None = None) -> None:
        self._host = host
        self._ports = [port] if port is not None else list(range(PORT, PORT + _PORTS))
        self._run: RunSource | None = None
        self._bench: _Bench | None = None
        if is_run(directory):
            self._run = RunSource(directory)
        else:
            self._bench = _Bench(open_source(directory))
        self._server: HttpServer | None = None
        self._lock = threading.Lock()  # sources are read in threads, one at a time

    @property
    def address(self) -> str:
        assert self._server is not None
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._server.port}/"

    async def __aenter__(self) -> Self:
        for port in self._ports:
            server = HttpServer(self._answer, host=self._host, port=port, most=_LARGEST_BODY)
            try:
                await server.__aenter__()
            except OSError as error:
                if port == self._ports[-1] or isinstance(error, socket.gaierror):
                    raise ConfigError(
                        f"cannot listen on {self._host}, port {port}: {error.strerror or error}; choose another with "
                        "--port or --host"
                    ) from error
            except UnicodeError as error:
                raise ConfigError(f"{self._host[:100]!r} is no name of a host") from error
            except OverflowError as error:
                raise ConfigError(f"there is no port {port}: choose one from 0 to 65535") from error
            else:
                self._server = server
                break
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            await self._server.__aexit__(None, None, None)

    async def _answer(self, request: Request) -> Response:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        try:
            return await asyncio.to_thread(self._locked_answer, request)
        except (LookupError, FileNotFoundError, NotADirectoryError):
            return _plain(404, "there is no such thing here")
        except (OSError, ConfigError) as error:
            return _plain(404, f"it cannot be read: {error}")
        except Exception:  # one request must not end the server
            _logger.exception("%s could not be answered", request.path)
            return _plain(500, "this could not be answered")

    def _refusal(self, request: Request) -> Response | None:
        if request.method not in ("GET", "HEAD"):
            return _plain(405, "this only shows; ask with GET", {"Allow": "GET, HEAD"})
        if not _is_own_name(request.headers.get("host", ""), self._host):
            return _plain(421, "this is not served under that name")
        site = request.headers.get("sec-fetch-site", "none")
        going = (
            request.headers.get("sec-fetch-mode") == "navigate" and request.headers.get("sec-fetch-dest") == "document"
        )
        if site not in ("none", "same-origin") and not going:
            return _plain(403, "this is not for other pages")
        return None

    def _locked_answer(self, request: Request) -> Response:
        parts = [unquote(part, errors="surrogateescape") for part in request.path.split("/")[1:]]
        after = _number(parse_qs(request.query).get("after", ["0"])[-1])
        with self._lock:
            if parts == [""]:
                return self._page()
            if self._run is not None:
                return self._of_run(self._run, parts, after, request)
            assert self._bench is not None
            return self._of_bench(self._bench, parts, after, request)

    def _page(self) -> Response:
        kind: Kind = "bench" if self._run is None else "run"
        title = self._run.title if self._run is not None else self._bench.source.title if self._bench else ""
        policy = f"{content_policy(kind, served=True)}; frame-ancestors 'none'"
        pieces = assemble(title=title, kind=kind, index={}, live="/")
        return Response(200, pieces, "text/html; charset=utf-8", {**_HEADERS, "Content-Security-Policy": policy})

    def _of_bench(self, bench: "_Bench", parts: list[str], after: int, request: Request) -> Response:
        match parts:
            case ["index"]:
                return _json(bench.index(after), request)
            case ["plot", name] if (data := bench_page.plot(bench.source, name)) is not None:
                return Response(200, data, "image/svg+xml", {**_HEADERS, "Content-Security-Policy": _SHUT_OFF})
            case ["attempt", number, "record"]:
                return Response(200, bench_page.record(bench.source, _place(number)), headers=_HEADERS)
            case ["attempt", number, *rest]:
                return self._of_run(bench.run(_place(number)), rest, after, request)
        raise LookupError(request.path)

    def _of_run(self, run: RunSource, parts: list[str], after: int, request: Request) -> Response:
        match parts:
            case ["index"]:
                run.advance()
                return _json(run.index(min(after, len(run.turns.rows))), request)
            case ["chunk", name]:
                return Response(200, run.chunk(name), headers=_HEADERS)
            case ["files", *path]:
                return _file(run.files_dir, "/".join(path), request)
        raise LookupError(request.path)


class _Bench:
    """A source of rows, with versions: what has changed since one is told by it."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._version = time.time_ns() // 1_000_000  # a page may outlive its server: later than all that went before
        self._versions: list[int] = []  # by row
        self._records: list[list[Any]] = []
        self._runs: OrderedDict[int, RunSource] = OrderedDict()
        self._compare()

    def index(self, after: int) -> dict[str, Any]:
        """What has changed since the version `after`; everything for 0, and for one of an earlier server."""
        if self.source.advance():
            self._version += 1
            self._compare()
        changed = [number for number, version in enumerate(self._versions) if version > after] if after else None
        return {**bench_page.index(self.source, changed), "version": self._version}

    def run(self, number: int) -> RunSource:
        if not 0 <= number < len(self.source.rows):
            raise LookupError(number)
        if number not in self._runs:
            self._runs[number] = RunSource(self.source.run_dir(number), root=self.source.directory)
            if len(self._runs) > _OPEN_RUNS:
                self._runs.popitem(last=False)
        self._runs.move_to_end(number)
        return self._runs[number]

    def _compare(self) -> None:
        records = [row.record() for row in self.source.rows]
        for number, told in enumerate(records):
            if number == len(self._versions):
                self._versions.append(self._version)
            elif told != self._records[number]:
                self._versions[number] = self._version
        self._records = records


def is_run(directory: Path) -> bool:
    """Whether the directory is that of a run."""
    return (directory / "events.jsonl").is_file()


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_own_name(header: str, host: str) -> bool:
    """Whether a Host header names this machine. A name that somebody else's server of names gave does not."""
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?", header)
    if found is None:
        return False
    name = found[1].strip("[]").lower()
    if name in ("localhost", host.lower()) or is_loopback(name):
        return True
    if is_loopback(host):
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name in (socket.gethostname().lower(), socket.getfqdn().lower())
    return True


def _json(value: Mapping[str, Any], request: Request) -> Response:
    body = to_json(value).encode()
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {**_HEADERS, "ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(304, b"", headers=headers)
    return Response(200, body, headers=headers)


def _file(folder: Path, path: str, request: Request) -> Response:
    """A file, or the part of it that is asked for. Raises OSError where there is none."""
    file = open_artefact(folder, path)
    size = file.seek(0, 2)
    framed = request.headers.get("sec-fetch-dest") == "iframe"
    policy = _IN_FRAME if framed else _SHUT_OFF
    headers = {**_HEADERS, "Content-Security-Policy": policy, "Accept-Ranges": "bytes"}
    part = _part(request.headers.get("range"), size)
    if part is None:
        file.close()
        return Response(416, b"", headers={**headers, "Content-Range": f"bytes */{size}"})
    start, end = part
    whole = part == (0, size)
    if not whole:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    if request.method == "HEAD":
        file.close()
    pieces = _pieces(file, start, end)
    return Response(200 if whole else 206, pieces, media_type(path), headers, end - start)


def _part(header: str | None, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last, of a Range header; all where it is none or asks for several parts."""
    found = _RANGE.fullmatch(header or "")
    if found is None or not (found[1] or found[2]):
        return 0, size
    if not found[1]:
        start, end = max(0, size - int(found[2])), size
    else:
        start, end = int(found[1]), min(size, int(found[2]) + 1 if found[2] else size)
    return (start, end) if start < end else None


def _pieces(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    with file:
        file.seek(start)
        while start < end:
            piece = file.read(min(_PIECE, end - start))
            if not piece:  # it was cut meanwhile
                raise ConnectionAbortedError("the file was cut while it was sent")
            start += len(piece)
            yield piece


def _plain(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        status, f"{text}\n".encode("utf-8", "replace"), "text/plain; charset=utf-8", {**_HEADERS, **(headers or {})}
    )


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,15}", text) else 0


def _place(text: str) -> int:
    """Raises LookupError for what is no number."""
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise LookupError(text)
    return int(text)
