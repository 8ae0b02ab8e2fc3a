"""Section I of the list: files in and out of the sandbox, through the host's interface."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from workroom.errors import SandboxGone, TransferError
from workroom.sandbox import Sandbox

LARGE = bytes(range(256)) * (50 << 12)  # 50 MiB

# row, paths, bytes: written under the first path, read back under the last one
ROUND_TRIPS: list[tuple[int, tuple[str, ...], bytes]] = [
    (111, ("a.txt",), "one\ntwo é\n".encode()),
    (112, ("b.bin",), b"\xc3\x28\0\xff\0"),
    (113, ("large.bin",), LARGE),
    (114, ("new/er/c.txt", "/testbed/new/er/c.txt"), b"relative"),
    (114, ("/testbed/new/est/d.txt", "new/est/d.txt"), b"absolute"),
    (115, ("a.txt",), b"other"),
    (116, ("empty",), b""),
    (121, ("a name with blanks",), b"1"),
    (121, ("50%25:x/http:%2F%2Fhost/a?b#c",), b"2"),
    (121, ("-rf;$(id)`id`\"'\\\n",), b"3"),
]

Use = Callable[[Sandbox, Path], Awaitable[object]]

# row, what is done, the error, what its text names
REFUSED: list[tuple[int, Use, type[Exception], str]] = [
    (117, lambda box, _: box.read("/testbed/none"), FileNotFoundError, "/testbed/none"),
    (118, lambda box, _: box.read("/testbed"), IsADirectoryError, "/testbed"),
    (118, lambda box, _: box.write("/testbed/documents", b""), IsADirectoryError, "/testbed/documents"),
    (120, lambda box, _: box.read("large.bin", limit=1000), TransferError, "limit of 1,000"),
    (123, lambda box, host: box.upload(host / "none", "copied"), FileNotFoundError, "none"),
    (123, lambda box, _: box.read("copied"), FileNotFoundError, "copied"),
]


async def tree(box: Sandbox, host: Path) -> None:
    (host / "tree/deep").mkdir(parents=True)
    (host / "tree/a").write_bytes(b"a")
    (host / "tree/deep/b").write_bytes(b"b")
    await box.upload(host / "tree", "/testbed/got")
    assert (await box.exec("cd got && find . -type f | sort")).stdout == "./a\n./deep/b\n"
    assert await box.read("got/deep/b") == b"b"


async def standard_input(box: Sandbox, _: Path) -> None:
    for data in (b"text\n", b"", b"$(id) `id` \"'\\ %s\n", bytes(range(256)), LARGE):
        await box.exec(["sh", "-c", "cat > stdin"], stdin=data)
        assert await box.read("stdin") == data


async def directory(box: Sandbox, _: Path) -> None:
    assert (await box.exec("pwd; touch in-default")).stdout == "/testbed\n"
    assert await box.read("/testbed/in-default") == b""
    assert (await box.exec("pwd", cwd="/usr")).stdout == "/usr\n"
    assert (await box.exec("pwd", cwd="documents")).stdout == "/testbed/documents\n"


async def environment(box: Sandbox, _: Path) -> None:
    done = await box.exec("echo $X $PAGER", env={"X": "set", "PAGER": "other"})
    assert done.stdout == "set other\n"


async def closing(box: Sandbox, _: Path) -> None:
    await box.close()
    await box.close()
    for use in (box.read("a.txt"), box.write("a.txt", b""), box.exec("true")):
        with pytest.raises(SandboxGone, match="closed"):
            await use


OTHERS: list[tuple[int, Use]] = [
    (100, environment),
    (122, tree),
    (124, standard_input),
    (125, directory),
    (127, closing),
]
NUMBERS = {case[0] for case in (*ROUND_TRIPS, *REFUSED, *OTHERS)}
