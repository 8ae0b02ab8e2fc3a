"""Any sequence of calls of the editor on any file, beside a plain account of what each call must make of the bytes.

The account is written apart from the editor. Where it knows how a file is encoded, the editor has to agree with it in
what is refused, too. Text in an old encoding is anybody's guess: there one of the likely readings must fit.
"""

import asyncio
import codecs
import contextlib
import itertools
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import SMALL
from tests.tools.helpers import use
from workroom.sandbox import Sandbox
from workroom.tools import EditorTool, Observation

MARKED = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}
OLD = ["cp1252", "cp1251", "latin-1"]
PIECES = ["a", "b", "ab", "a b", "x = 1", "\t", " ", "\n", "\n", "\n", "\r\n", "\r\n", "\r", "é", "мир", "中", "🎉"]
ODD = ["\u2028", "\x85", "\x0b", "\x0c", "\x1b[1m", "\x1c", "\ufeff", "e\u0301", "\\1", ".*"]
PLAIN = ["a", "b", "\t", " ", "\n", "\r\n", "\r"]
HUGE = ["x" * 100_000, "é" * 40_000]


def texts(pieces: list[str], size: int = 12) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(pieces), max_size=size).map("".join)


ANY = texts(PIECES) | texts(PIECES + ODD) | texts(PLAIN)
CRLF = texts(["a", "b", "\t", "мир", "\r\n", "\r\n"])
LONG = st.tuples(texts(PIECES, 3), st.sampled_from(HUGE), texts(PIECES, 3)).map("".join)
WRITTEN = st.one_of([ANY] * 5 + [CRLF] * 3 + [LONG])


def stored(text: str, codec: str, *, mark: bool) -> bytes:
    return (MARKED[codec] if mark else b"") + text.encode(codec, "ignore")


FILES: st.SearchStrategy[bytes | None] = (
    st.none()
    | WRITTEN.map(str.encode)
    | st.builds(stored, WRITTEN, st.sampled_from(list(MARKED)), mark=st.just(True))
    | st.builds(stored, WRITTEN, st.sampled_from(OLD), mark=st.just(False))
    | st.builds(lambda text, stray: text.encode() + stray, WRITTEN, st.sampled_from([b"\xff", b"\xe4\xb8", b"\x80\n"]))
    | st.binary(max_size=30)
)


class Reading(NamedTuple):
    """One way to read a file."""

    codec: str
    mark: bytes
    text: str


class Account:
    """What a file holds (None: there is none), and how it can be read; `certain` where that is no guess."""

    def __init__(self, data: bytes | None) -> None:
        self.data = data
        self.readings = []
        marks = [pair for pair in MARKED.items() if data is not None and data.startswith(pair[1])]
        codec, mark = max(marks, key=lambda pair: len(pair[1]), default=("utf-8", b""))
        rest = (data or b"")[len(mark) :]
        try:
            self.readings.append(Reading(codec, mark, rest.decode(codec)))
            self.certain = True
        except UnicodeDecodeError:
            self.certain = False
            for guess in [codec] if mark else ["utf-8", *OLD]:
                with contextlib.suppress(UnicodeDecodeError):
                    self.readings.append(Reading(guess, mark, rest.decode(guess, "surrogateescape")))

    def after(self, call: dict[str, Any]) -> list[bytes | None]:
        """What the file may hold after the call; None: it is refused."""
        if call["command"] == "create":
            return [call["file_text"].encode() if self.data is None else None]
        if self.data is None:
            return [None]
        possible: list[bytes | None] = [] if self.certain else [None]
        for codec, mark, text in self.readings:
            edited = None if "\0" in text else edit(text, call)
            try:
                possible.append(None if edited is None else mark + edited.encode(codec, "surrogateescape"))
            except UnicodeEncodeError:
                possible.append(None)
        return possible

    def numbers(self, first: int, last: int) -> list[str]:
        """The line numbers that a view shows."""
        count = len(lines(self.readings[0].text))
        return [str(number) for number in range(max(first, 1), (count if last == -1 else min(last, count)) + 1)]


def lines(text: str) -> list[str]:
    """The lines with their ends; LF alone ends one."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def edit(text: str, call: dict[str, Any]) -> str | None:
    kept = lines(text)
    ended = [line for line in kept if line.endswith("\n")]
    windows = bool(ended) and all(line.endswith("\r\n") for line in ended)

    def own(written: str) -> str:
        return written.replace("\r\n", "\n").replace("\n", "\r\n") if windows else written

    if call["command"] == "view":
        first, last = call["view_range"]
        return text if (1 <= first <= len(kept) and (last == -1 or last >= first)) or not kept else None
    if call["command"] == "str_replace":
        old, new = own(call["old_str"]), own(call["new_str"])
        return new.join(text.split(old)) if old and old != new and text.count(old) == 1 else None
    after, new = call["insert_line"], own(call["new_str"])
    if not 0 <= after <= len(kept):
        return None
    end = "\r\n" if windows else "\n"
    if after == len(kept) and kept and not text.endswith("\n"):
        return text + end + (new or end)
    kept.insert(after, new if new.endswith("\n") else new + end)
    return "".join(kept)


@st.composite
def calls(draw: st.DrawFn, account: Account) -> dict[str, Any]:
    """A call that often fits the file."""
    text = account.readings[0][2] if account.readings else ""
    count = text.count("\n") + 1
    command = draw(st.sampled_from(["str_replace", "str_replace", "insert", "insert", "view", "create"]))
    if command == "create":
        return {"command": command, "file_text": draw(WRITTEN)}
    if command == "view":
        return {"command": command, "view_range": [draw(st.integers(0, count + 1)), draw(st.integers(-1, count + 1))]}
    if command == "insert":
        return {"command": command, "insert_line": draw(st.integers(-1, count + 1)), "new_str": draw(WRITTEN)}
    begin = draw(st.integers(0, len(text)))
    length = draw(st.integers(0, 8) | st.just(len(text)))
    old = draw(
        st.sampled_from([text[begin : begin + length], text[begin : begin + length].replace("\r\n", "\n")]) | ANY
    )
    return {"command": command, "old_str": old, "new_str": draw(WRITTEN)}


@pytest.fixture(scope="module")
def bench() -> Iterator[tuple[asyncio.Runner, Sandbox, Iterator[int]]]:
    with asyncio.Runner() as runner:
        box = runner.run(Sandbox.start("bwrap", limits=SMALL))
        yield runner, box, itertools.count()
        runner.run(box.close())


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(FILES, st.data())
def test_every_call_does_what_a_plain_account_says(
    bench: tuple[asyncio.Runner, Sandbox, Iterator[int]], before: bytes | None, data: st.DataObject
) -> None:
    runner, box, numbers = bench
    path = f"/testbed/file-{next(numbers)}"
    if before is not None:
        runner.run(box.write(path, before))
    account = Account(before)
    for _ in range(data.draw(st.integers(1, 6), "calls")):
        call = data.draw(calls(account), "call")
        seen, after = runner.run(ask(box, path, call))
        if seen.is_error:
            assert after == account.data, seen.text
            assert None in account.after(call), seen.text
        else:
            assert after in account.after(call), seen.text
            if call["command"] == "view" and len(account.readings[0].text) < 1000:
                assert re.findall(r"^ +(\d+)\t", seen.text, re.MULTILINE) == account.numbers(*call["view_range"])
        account = Account(after)


async def ask(box: Sandbox, path: str, call: dict[str, Any]) -> tuple[Observation, bytes | None]:
    """The answer, and what the file holds then."""
    seen = await use(EditorTool(), box, path=path, **call)
    try:
        return seen, await box.read(path)
    except FileNotFoundError:
        return seen, None
