"""What the checkers of the examples share: criteria that say why not, and safe reading of what a run left.

A criterion is a function that takes the directory of the run, returns what it found in a few words, and raises `Wrong`
with the reason where the run does not meet it. The first line of its docstring is its name.
"""

import csv
import struct
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

Criterion = Callable[[Path], str]

LARGEST = 64 << 20  # bytes: no artefact of an example is near it
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
    width = height = 0
    packed = b""
    for kind, body in _chunks(content):
        if kind == b"IHDR":
            width, height = struct.unpack(">II", body[:8])
        elif kind == b"IDAT":
            packed += body
    need(0 < width <= 20_000 and 0 < height <= 20_000, f"the picture is {width} x {height}")
    raw = zlib.decompressobj().decompress(packed, 4 * LARGEST)
    length, rest = divmod(len(raw), height)
    need(length and not rest, "the picture is cut off")
    return width, height, len({raw[row * length : (row + 1) * length] for row in range(height)})


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
