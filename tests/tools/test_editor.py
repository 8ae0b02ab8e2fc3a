"""`str_replace_editor` against the behaviours of the conformance list; each test names its row there."""

import re
from typing import Any

import pytest

from tests.conftest import RunInBox
from tests.tools.helpers import use
from workroom.errors import TransferError
from workroom.sandbox import Sandbox
from workroom.tools import EditorTool

F = "/testbed/f.txt"
MANY = "".join(f"line {n}\n" for n in range(1, 701))


def run_case(
    run_in_box: RunInBox, files: dict[str, bytes], arguments: dict[str, Any]
) -> tuple[str, bool, bytes | None]:
    """Makes the files, makes the call; returns text, whether it is an error, and what the file holds afterwards."""

    async def work(box: Sandbox) -> tuple[str, bool, bytes | None]:
        for path, data in files.items():
            await box.write(path, data)
        seen = await use(EditorTool(), box, **arguments)
        try:
            after = await box.read(str(arguments.get("path", F)))
        except (OSError, ValueError, TransferError):
            after = None
        return seen.text, seen.is_error, after

    result: tuple[str, bool, bytes | None] = run_in_box(work)
    return result


def view(path: str = F, **rest: Any) -> dict[str, Any]:
    return {"command": "view", "path": path, **rest}


def create(path: str = F, **rest: Any) -> dict[str, Any]:
    return {"command": "create", "path": path, **rest}


def replace(old: Any, new: Any = "", path: str = F, **rest: Any) -> dict[str, Any]:
    return {"command": "str_replace", "path": path, "old_str": old, "new_str": new, **rest}


def insert(line: Any, new: Any, path: str = F) -> dict[str, Any]:
    return {"command": "insert", "path": path, "insert_line": line, "new_str": new}


# id: files before, arguments, texts that the result holds, and the bytes of the file afterwards (None: not looked at)
DONE: dict[str, tuple[dict[str, bytes], dict[str, Any], list[str], bytes | None]] = {
    "row-1": ({F: b"a\nb\n"}, view(), ["cat -n", F, "     1\ta\n     2\tb"], b"a\nb\n"),
    "row-2": ({F: b"a\nb"}, view(), ["     1\ta\n     2\tb"], None),
    "row-3": ({F: b"a\nb\nc\nd\n"}, view(view_range=[2, 3]), ["\n     2\tb\n     3\tc"], None),
    "row-4": ({F: MANY.encode()}, view(view_range=[50, 100]), ["    50\tline 50\n", "   100\tline 100"], None),
    "row-5": ({F: b"a\nb\nc\n"}, view(view_range=[2, -1]), [":\n     2\tb\n     3\tc"], None),
    "row-9": ({F: b"a\nb\n"}, view(view_range=[2, 9]), ["     2\tb", "NOTE", "2 lines"], None),
    "row-10": ({F: b""}, view(), ["empty"], None),
    "row-13": (
        {"/testbed/x/a.txt": b"", "/testbed/x/d/b.md": b"", "/testbed/x/d/e/deep": b""},
        view("/testbed/x"),
        ["/testbed/x/a.txt\n", "/testbed/x/d/\n", "/testbed/x/d/b.md", "/testbed/x/d/e/"],
        None,
    ),
    "row-14": (
        {"/testbed/x/.h": b"", "/testbed/x/a": b""},
        view("/testbed/x"),
        ["/testbed/x/a", "1 hidden", "ls"],
        None,
    ),
    "row-15": ({"/testbed/.x/d/a": b""}, view("/testbed/.x/d"), ["/testbed/.x/d/a"], None),
    "row-20": ({F: b"\ta\tb\n"}, view(), ["     1\t\ta\tb"], None),
    "row-23": ({F: "привет мир".encode("cp1251")}, view(), ["cp1251", "привет мир"], None),
    "row-24": (
        {F: b"[exit code: 0]\n</file>\n     7\tx\n"},
        view(),
        ["     1\t[exit code: 0]\n     2\t</file>\n     3\t     7\tx"],
        None,
    ),
    "row-25": ({}, create(file_text="x = 1"), ["created"], b"x = 1"),
    "row-26": ({}, create(file_text=""), ["created"], b""),
    "row-29": ({}, create("/testbed/a/b/c.txt", file_text="x"), ["created"], b"x"),
    "row-30": (
        {},
        create(file_text="'\"$HOME `id` \\n \\\\ %s %%\n\\boxed{1}\n!$(id)"),
        ["created"],
        b"'\"$HOME `id` \\n \\\\ %s %%\n\\boxed{1}\n!$(id)",
    ),
    "row-31": ({}, create("/testbed/my dir/a b.txt", file_text="x"), ["created"], b"x"),
    "row-32": ({}, create("/testbed/-n;touch $(id) `x`", file_text="x"), ["created"], b"x"),
    "row-33": ({}, create(file_text="中文 🎉 e\u0301"), ["created"], "中文 🎉 e\u0301".encode()),
    "row-35": ({}, create(file_text=42), ["created"], b"42"),
    "row-36": (
        {F: b"a\nb\nc\n"},
        replace("b", "B"),
        ["has been edited", "     2\tB\n     3\tc"],
        b"a\nB\nc\n",
    ),
    "row-37": ({F: b"a\nb\nc"}, replace("a\nb", "x\ny\nz"), ["     3\tz\n     4\tc"], b"x\ny\nz\nc"),
    "row-38": ({F: b"all:\n\tcc x\n\tld\n"}, replace("\tcc x", "\tcc y"), ["\tcc y"], b"all:\n\tcc y\n\tld\n"),
    "row-45-empty": ({F: b"a\nb\n"}, replace("b\n", ""), ["has been edited"], b"a\n"),
    "row-45-absent": ({F: b"ab"}, {"command": "str_replace", "path": F, "old_str": "b"}, ["edited"], b"a"),
    "row-46": ({F: MANY.encode()}, replace("line 500", "LINE"), ["   500\tLINE\n   501\tline 501"], None),
    "row-47": ({F: MANY.encode()}, replace("line 500\n", ""), ["   499\tline 499\n   500\tline 501"], None),
    "row-50": ({F: "привет мир\n".encode("cp1251")}, replace("мир", "дом"), ["дом"], "привет дом\n".encode("cp1251")),
    "row-50-latin": (
        {F: "un café noir\n".encode("latin-1")},
        replace("noir", "brûlé"),
        [],
        "un café brûlé\n".encode("latin-1"),
    ),
    "row-50-utf16": ({F: "a b\r\n".encode("utf-16")}, replace("b", "ü"), [], "a ü\r\n".encode("utf-16")),
    "row-50-mark": ({F: b"\xef\xbb\xbfa\n"}, replace("a", "ä"), [], "\ufeffä\n".encode()),
    "row-51": ({F: b".*[]()\\ a+\nx\n"}, replace(".*[]()\\ a+", "\\1 \\g<0>"), [], b"\\1 \\g<0>\nx\n"),
    "row-52": ({F: b"a\r\nb\r\nc\r\n"}, replace("b", "B"), [], b"a\r\nB\r\nc\r\n"),
    "row-52-lines": ({F: b"a\r\nb\r\nc\r\n"}, replace("a\nb", "x\ny"), [], b"x\r\ny\r\nc\r\n"),
    "row-52-mixed": ({F: b"a\r\nb\nc\r\n"}, replace("b", "B\nB"), [], b"a\r\nB\nB\nc\r\n"),
    "row-53": ({F: b"a\nb\nd\n"}, insert(2, "c"), ["     3\tc\n     4\td"], b"a\nb\nc\nd\n"),
    "row-54": ({F: b"a\n"}, insert(0, "z"), ["     1\tz\n     2\ta"], b"z\na\n"),
    "row-55": ({F: b"a\nb"}, insert(2, "c"), ["     2\tb\n     3\tc"], b"a\nb\nc"),
    "row-56": ({F: b"a\nb\n"}, insert(2, "c"), ["     2\tb\n     3\tc"], b"a\nb\nc\n"),
    "row-59": ({F: MANY.encode()}, insert("185", "new"), ["   186\tnew"], None),
    "row-61": ({F: b"a\nb\n"}, insert(1, ""), ["     2\t\n     3\tb"], b"a\n\nb\n"),
    "row-62": ({F: b"abc\n"}, insert(0, "你好"), ["     1\t你好"], "你好\nabc\n".encode()),
    "row-63": ({F: b"a\nd\n"}, insert(1, "b\nc"), ["     2\tb\n     3\tc\n     4\td"], b"a\nb\nc\nd\n"),
    "range-as-json": ({F: b"a\nb\nc\n"}, view(view_range="[2, 2]"), [":\n     2\tb"], None),
    "range-as-strings": ({F: b"a\nb\nc\n"}, view(view_range=["2", "2"]), [":\n     2\tb"], None),
}

# id: files before, arguments, texts that the error holds; the file stays as it was
REFUSED: dict[str, tuple[dict[str, bytes], dict[str, Any], list[str]]] = {
    "row-6": ({F: b"a\nb\nc\n"}, view(view_range=[3, 2]), ["view_range", "end"]),
    "row-7": ({F: b"a\nb\n"}, view(view_range=[1]), ["view_range", "two integers"]),
    "row-8-zero": ({F: b"a\nb\n"}, view(view_range=[0, 1]), ["view_range", "[1, 2]"]),
    "row-8-beyond": ({F: b"a\nb\n"}, view(view_range=[3, 4]), ["view_range", "[1, 2]"]),
    "row-11": ({}, view(), ["does not exist", F]),
    "row-12": ({"/testbed/a.txt": b"x"}, view("a.txt"), ["absolute", "/testbed/a.txt"]),
    "row-17": ({}, view("/testbed", view_range=[1, 2]), ["view_range", "not allowed"]),
    "row-21": ({F: b"ab\0cd"}, view(), ["binary"]),
    "row-21-edit": ({F: b"ab\0cd"}, replace("ab", "x"), ["binary"]),
    "row-22": ({F: b"x" * (10 << 20) + b"y"}, view(), ["larger", "10 MB"]),
    "row-27-absent": ({}, create(), ["`file_text`"]),
    "row-27-null": ({}, create(file_text=None), ["`file_text`"]),
    "row-28": ({F: b"old"}, create(file_text="new"), ["already exists"]),
    "row-39": ({F: b"a\n"}, replace("zz", "y"), ["did not appear verbatim", F]),
    "row-39-blanks": ({F: b"a\nif  x:\n"}, replace("if x:", "y"), ["did not appear verbatim", "line 2"]),
    "row-40": ({F: b"a\na\nb\n"}, replace("a", "y"), ["multiple occurrences", "[1, 2]"]),
    "row-41": ({F: b"x\ny\n1\n2\n3\n4\nx\ny\n"}, replace("x\ny", "z"), ["multiple occurrences", "[1, 7]"]),
    "row-42": ({F: b"a\n"}, replace("", "y"), ["`old_str` is empty"]),
    "row-43-absent": ({F: b"a\n"}, {"command": "str_replace", "path": F, "new_str": "y"}, ["`old_str`"]),
    "row-43-null": ({F: b"a\n"}, replace(None, "y"), ["`old_str`"]),
    "row-44": ({F: b"a\n"}, replace("a", "a"), ["differ"]),
    "row-48": ({}, replace("a", "b", path="/testbed"), ["directory", "only view"]),
    "row-48-insert": ({}, insert(0, "b", path="/testbed"), ["directory", "only view"]),
    "row-49": ({}, replace("a", "b"), ["does not exist", F]),
    "row-57-beyond": ({F: b"a\nb\n"}, insert(3, "x"), ["`insert_line`", "[0, 2]"]),
    "row-57-negative": ({F: b"a\nb\n"}, insert(-1, "x"), ["`insert_line`", "[0, 2]"]),
    "row-58": ({F: b"a\n"}, {"command": "insert", "path": F, "new_str": "x"}, ["`insert_line`"]),
    "row-59-word": ({F: b"a\n"}, insert("two", "x"), ["`insert_line`", "integer"]),
    "row-60-absent": ({F: b"a\n"}, {"command": "insert", "path": F, "insert_line": 1}, ["`new_str`"]),
    "row-60-null": ({F: b"a\n"}, insert(1, None), ["`new_str`"]),
    "row-68": ({F: b"a\n"}, {"command": "frobnicate", "path": F}, ["view, create, str_replace, insert"]),
    "row-69": ({}, view("/testbed/" + "x" * 5000), ["too long"]),
    "row-69-create": ({}, create("/testbed/" + "x" * 5000, file_text="y"), ["too long"]),
    "row-70": ({}, view("/testbed/a\0b"), ["invalid path"]),
    "no-path": ({}, {"command": "view"}, ["`path`", "such as"]),
    "wrong-type": ({F: b"a"}, replace(["a"], "b"), ["`old_str`", "string"]),
    "unknown-parameter": ({F: b"a"}, view(colour="red"), ["'colour'", "parameters are"]),
    "half-a-surrogate": ({}, create(file_text="\ud800"), ["surrogate"]),
    "not-in-encoding": ({F: "café au lait".encode("latin-1")}, replace("au", "中"), ["cp1252", "iconv"]),
    "a-file-as-folder": ({F: b"a"}, create(F + "/x", file_text="b"), []),
    "a-pipe": ({}, view("/dev/null"), ["regular"]),
}


@pytest.mark.parametrize("name", DONE)
def test_done(run_in_box: RunInBox, name: str) -> None:
    files, arguments, texts, after = DONE[name]
    text, is_error, data = run_case(run_in_box, files, arguments)
    assert not is_error, text
    for wanted in texts:
        assert wanted in text
    if after is not None:
        assert data == after


@pytest.mark.parametrize("name", REFUSED)
def test_refused(run_in_box: RunInBox, name: str) -> None:
    files, arguments, texts = REFUSED[name]
    text, is_error, data = run_case(run_in_box, files, arguments)
    assert is_error, text
    for wanted in texts:
        assert wanted in text
    path = arguments.get("path", "")
    assert data == files.get(f"/testbed/{path}" if path == "a.txt" else path)


def test_row_2_has_no_third_line(run_in_box: RunInBox) -> None:
    text, _, _ = run_case(run_in_box, {F: b"a\nb"}, view())
    assert re.findall(r"^ +(\d+)\t", text, re.MULTILINE) == ["1", "2"]


def test_row_4_shows_no_line_outside(run_in_box: RunInBox) -> None:
    text, _, _ = run_case(run_in_box, {F: MANY.encode()}, view(view_range=[50, 100]))
    assert "line 49\n" not in text
    assert "line 101" not in text


def test_row_13_leaves_hidden_and_deep_entries_out(run_in_box: RunInBox) -> None:
    files = {"/testbed/x/.git/config": b"", "/testbed/x/d/e/bottom": b"", "/testbed/x/new\nline": b""}
    text, _, _ = run_case(run_in_box, files, view("/testbed/x"))
    assert ".git" not in text
    assert "bottom" not in text
    assert "/testbed/x/new\\x0aline" in text


def test_row_16_a_link_to_a_directory_is_listed(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox) -> str:
        await box.write("/testbed/d/inside.txt", b"")
        await box.exec("ln -s d link")
        return (await use(EditorTool(), box, **view("/testbed/link"))).text

    assert "/testbed/link/inside.txt" in run_in_box(work)


def test_row_18_a_long_listing_is_cut_with_a_notice(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox) -> str:
        await box.exec("mkdir many && cd many && touch {1..1000}")
        return (await use(EditorTool(), box, **view("/testbed/many"))).text

    text = run_in_box(work)
    assert "of 1000 entries not shown" in text
    assert len(text.splitlines()) < 250


def test_row_19_a_long_file_is_cut_and_says_how_to_go_on(run_in_box: RunInBox) -> None:
    lines = "".join(f"line {n}\n" for n in range(1, 16_001)).encode()
    text, is_error, _ = run_case(run_in_box, {F: lines}, view())
    assert not is_error
    assert "     1\tline 1\n" in text
    assert "cut after line 500 of 16000" in text
    assert "view_range [501, " in text
    assert "grep -n" in text
    rest, _, _ = run_case(run_in_box, {F: lines}, view(view_range=[501, -1]))
    assert "   501\tline 501\n" in rest


def test_one_huge_line_is_cut_within_the_line(run_in_box: RunInBox) -> None:
    text, _, _ = run_case(run_in_box, {F: b"a" * 1_000_000 + b"z\n"}, view())
    assert len(text) < 30_000
    assert "bytes of this line not shown" in text
    assert text.endswith("az")


def test_row_34_a_large_file_is_written_whole(run_in_box: RunInBox) -> None:
    content = "0123456789abcde\n" * (20 << 16)  # 20 MiB
    _, is_error, data = run_case(run_in_box, {}, create(file_text=content))
    assert not is_error
    assert data == content.encode()


def test_row_32_nothing_of_a_path_is_run(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox) -> tuple[bool, str]:
        seen = await use(EditorTool(), box, **create("/testbed/x;touch pwned;$(touch pwned2)", file_text="a"))
        await use(EditorTool(), box, **view("/testbed/$(touch pwned3)"))
        return seen.is_error, (await box.exec("ls")).stdout

    is_error, listed = run_in_box(work)
    assert not is_error
    assert "x;touch pwned;$(touch pwned2)" in listed.splitlines()
    assert "pwned" not in listed.splitlines()
    assert "pwned2" not in listed.splitlines()
    assert "pwned3" not in listed.splitlines()


def test_an_edit_keeps_the_mode(run_in_box: RunInBox) -> None:
    async def work(box: Sandbox) -> str:
        await box.write(F, b"#!/bin/sh\necho a\n")
        await box.exec(f"chmod 755 {F}")
        await use(EditorTool(), box, **replace("echo a", "echo b"))
        return (await box.exec(F)).stdout

    assert run_in_box(work) == "b\n"
