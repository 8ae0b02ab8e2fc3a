"""The edits and encodings as pure functions, against what they promise for any file."""

import time

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from workroom.errors import ToolError
from workroom.tools.edits import insert_lines, replace_once, split_lines
from workroom.tools.encoding import decode

LINES = st.text(alphabet="ab \t\r\n.\\é", max_size=40)
LF_LINES = st.text(alphabet="ab \t\n.\\é", max_size=40)
FEW = settings(max_examples=50, deadline=None)
NAMES = ["utf-8", "utf-8-sig", "utf-16", "cp1251", "latin-1"]


@FEW
@given(LINES, LINES, LINES, LINES)
@example("a\r\n", "b", "c\r\nd", "")
def test_a_replacement_touches_nothing_else(before: str, old: str, after: str, new: str) -> None:
    content = before + old + after
    assume(old and old != new and content.count(old) == 1)
    crlf = "\r\n" in content and content.count("\r\n") == content.count("\n")
    assume(not crlf)
    edited, line, _ = replace_once(content, old, new, "f")
    start = content.index(old)
    assert edited == content[:start] + new + content[start + len(old) :]
    assert line == content[:start].count("\n") + 1


@FEW
@given(LF_LINES, LF_LINES, LF_LINES)
def test_a_text_that_is_not_there_once_is_refused(content: str, old: str, new: str) -> None:
    assume(content.count(old) != 1)
    with pytest.raises(ToolError, match="no replacement was made"):
        replace_once(content, old, new, "f")


@pytest.mark.parametrize(
    ("content", "old", "said"),
    [
        ("x" * (10 << 20), "x", r"lines \[1, 1, .*, …\]"),
        ("x\n" * (5 << 20), "x", r"lines \[1, 2, .*, 20, …\]"),
        ("a" * (10 << 20), "a" * (5 << 20) + "b", "did not appear"),
        ("a  b " * (2 << 20), "a b c", "did not appear"),
    ],
)
def test_the_largest_files_are_refused_as_fast_as_small_ones(content: str, old: str, said: str) -> None:
    began = time.monotonic()
    with pytest.raises(ToolError, match=said):
        replace_once(content, old, "y", "f")
    assert time.monotonic() - began < 5  # all episodes of a process wait for it


@FEW
@given(LF_LINES, LF_LINES, st.integers(0, 9))
def test_an_insertion_adds_its_lines_and_nothing_else(content: str, new: str, after: int) -> None:
    lines = split_lines(content)
    after = min(after, len(lines))
    edited, count = insert_lines(content, after, new)
    added = split_lines(new) or [""]
    assert split_lines(edited) == lines[:after] + added + lines[after:]
    assert count == len(added)
    if content and after < len(lines):
        assert edited.endswith("\n") == content.endswith("\n")


@FEW
@given(st.lists(st.text(alphabet="ab \t", max_size=5)), st.text(alphabet="cd\n", max_size=8), st.data())
def test_a_file_in_crlf_stays_in_crlf(lines: list[str], new: str, data: st.DataObject) -> None:
    content = "".join(line + "\r\n" for line in lines)
    assume(content)
    after = data.draw(st.integers(0, len(lines)))
    edited, _ = insert_lines(content, after, new)
    assert edited.count("\n") == edited.count("\r\n")
    assert edited.replace("\r\n", "\n") == insert_lines(content.replace("\r\n", "\n"), after, new)[0]


@FEW
@given(
    st.binary(max_size=200)
    | st.text(max_size=100).flatmap(lambda t: st.sampled_from(NAMES).map(lambda n: t.encode(n, "ignore")))
)
@example(b"")
@example(b"\xff\xfe")
@example(b"\xff\xfea")
@example(b"\xef\xbb\xbf")
@example("\ud800".encode("utf-8", "surrogatepass"))
def test_what_is_read_as_text_is_written_back_byte_for_byte(data: bytes) -> None:
    try:
        text, encoding = decode(data, "f")
    except ToolError:
        return
    assert encoding.encode(text) == data
    assert "\0" not in text


@pytest.mark.parametrize(
    ("text", "codec"),
    [("Привет, мир! Это проверка.", "cp1251"), ("déjà vu, naïve façade", "cp1252"), ("mit Prüfung", "cp1252")],
)
def test_old_encodings_are_told_apart(text: str, codec: str) -> None:
    assert decode(text.encode(codec), "f")[0] == text


@pytest.mark.parametrize("data", ["naïve 中文".encode() + b"\xff\n", "中".encode()[:2].join(["ы".encode()] * 9)])
def test_utf_8_with_a_few_other_bytes_stays_utf_8(data: bytes) -> None:
    text, encoding = decode(data, "f")
    assert encoding.damaged
    assert encoding.encode(text + "é") == data + "é".encode()
