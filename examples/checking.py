"""What the checkers of the examples share: criteria that say why not, and safe reading of what a run left.

A criterion is a function that takes the directory of the run, returns what it found in a few words, and raises `Wrong`
with the reason where the run does not meet it. The first line of its docstring is its name.
"""

import csv
import struct
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

Criterion = Callable[[Path], str]

LARGEST = 64 << 20  # bytes: no artefact of an example is near it
MOST_CHUNKS = 20_000  # of a PNG
VALUES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a pixel, by the colours of a PNG
# Where the seven passes of an interlaced PNG begin, and in what steps they go: x, y, x, y.
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
# What reading an artefact raises that is not in its form.
UNREADABLE = (ValueError, TypeError, LookupError, ArithmeticError, RecursionError, csv.Error, struct.error, zlib.error)


class Wrong(Exception):
    """The criterion is not met; the text says why."""


def main(criteria: Sequence[Criterion], arguments: Sequence[str] | None = None) -> int:
    """Says for each criterion `ok` or `NO` and why; 0: all are met, 1: one is not, 2: there is no run."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        print("usage: python check.py RUN_DIR, the directory that `workroom run -o RUN_DIR` wrote", file=sys.stderr)
        return 2
    run = Path(arguments[0])
    met = True
    for criterion in criteria:
        name = (criterion.__doc__ or criterion.__name__).splitlines()[0].rstrip(".")
        try:
            mark, found = "ok", criterion(run)
        except Wrong as why:
            mark, found = "NO", str(why)
        except UNREADABLE as error:
            mark, found = "NO", f"it is not in the form asked for ({type(error).__name__}: {error})"
        met = met and mark == "ok"
        print(f"{mark}  {name}: {_harmless(found)}")
    return 0 if met else 1


def _harmless(words: str) -> str:
    """Words that may quote what a model wrote: on one line, not endless, and without what a terminal would obey."""
    cut = words if len(words) <= 300 else f"{words[:300]} ..."
    return "".join(letter if letter.isprintable() else " " for letter in cut)


def need(condition: object, why: str) -> None:
    """Raises Wrong with the reason where the condition does not hold."""
    if not condition:
        raise Wrong(why)


def data(run: Path, name: str) -> bytes:
    """The bytes of `answer.txt` or `files/NAME` of a run. Raises Wrong where there is no such file."""
    path = run / name
    if path.is_symlink() or not path.is_file():
        raise Wrong(f"there is no {name}")
    size = path.stat().st_size
    if not 0 < size <= LARGEST:
        raise Wrong(f"{name} has {size} bytes")
    return path.read_bytes()


def text(run: Path, name: str) -> str:
    """The text of a file of a run. Raises Wrong where it is missing or no UTF-8."""
    try:
        return data(run, name).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Wrong(f"{name} is no UTF-8 text") from None


def png(content: bytes) -> tuple[int, int, int]:
    """Width, height and number of different rows of a PNG. Raises Wrong where it is none or damaged."""
    need(content.startswith(b"\x89PNG\r\n\x1a\n"), "it is no PNG picture")
    chunks = list(islice(_chunks(content), MOST_CHUNKS + 1))
    need(len(chunks) <= MOST_CHUNKS, f"the picture is in more than {MOST_CHUNKS:,} parts")
    header = dict(chunks[:1]).get(b"IHDR", bytes(13))
    width, height, bits, colours, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    need(0 < width <= 20_000 and 0 < height <= 20_000, f"the picture is {width} x {height}")
    need(bits in (1, 2, 4, 8, 16) and colours in VALUES, f"the picture has {bits} bits of the colours {colours}")
    need(chunks[-1][0] == b"IEND", "the picture is cut off")
    packed = b"".join(body for kind, body in chunks if kind == b"IDAT")
    raw = zlib.decompressobj().decompress(packed, 4 * LARGEST)
    rows, at = [], 0
    for left, top, across, down in ADAM7 if interlaced else [(0, 0, 1, 1)]:
        columns, lines = len(range(left, width, across)), len(range(top, height, down))
        length = 1 + (columns * bits * VALUES[colours] + 7) // 8  # the first byte says how the row is filtered
        rows += [raw[at + row * length : at + (row + 1) * length] for row in range(lines)] if columns else []
        at += lines * length if columns else 0
    need(len(raw) == at, "the picture is cut off, or longer than it says")
    return width, height, len(set(rows))


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a PNG, whose checksums are checked."""
    at = 8
    while at + 12 <= len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        body = content[at + 4 : at + 8 + size]
        stored = content[at + 8 + size : at + 12 + size]
        need(zlib.crc32(body).to_bytes(4, "big") == stored, "the picture is damaged")
        yield body[:4], body[4:]
        at += 12 + size
