"""Text for people: nothing in it that a terminal obeys, nothing that hides or reorders."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workroom.cli.text import cut, fold, harmless, one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\n\ttext", "plain\n\ttext"),
        ("a\r\nb", "a\nb"),
        ("50 %\rforged", "50 %\\u{d}forged"),
        ("\x1b[31mred", "\\u{1b}[31mred"),
        ("\x9b31m", "\\u{9b}31m"),
        ("\x1b]52;c;aGk=\x07", "\\u{1b}]52;c;aGk=\\u{7}"),
        ("abc\u202edef", "abc\\u{202e}def"),
        ("a\u200bb\u2066c", "a\\u{200b}b\\u{2066}c"),
        ("tag\U000e0041", "tag\\u{e0041}"),
        ("\ufeffx\u2028y\u3164", "\\u{feff}x\\u{2028}y\\u{3164}"),
        ("\ud800", "\\u{d800}"),
        ("Grüße, 世界 🎉 é", "Grüße, 世界 🎉 é"),
    ],
)
def test_harmless(text: str, shown: str) -> None:
    assert harmless(text) == shown


@given(st.text())
def test_nothing_but_newlines_tabs_and_visible_characters_is_left(text: str) -> None:
    for char in harmless(text):
        assert char in "\n\t" or unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(st.text())
def test_one_line_is_one(text: str) -> None:
    assert len(one_line(text).splitlines()) <= 1


@pytest.mark.parametrize(
    ("text", "cells", "shown"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("世界世界", 5, "世界…"),
        ("世界世界", 4, "世…"),
        ("世界", 4, "世界"),
        ("e\u0301e\u0301e", 2, "e\u0301…"),
    ],
)
def test_cut_counts_cells(text: str, cells: int, shown: str) -> None:
    assert cut(text, cells) == shown


def test_fold_keeps_head_and_tail_and_counts_the_rest() -> None:
    lines = fold("\n".join(str(number) for number in range(1, 101)), lines=7, cells=80)
    assert lines == ["1", "2", "3", "4", "… 94 more lines …", "99", "100"]
    assert fold("a\tb\n", lines=3, cells=80) == ["a   b"]
