"""Section A of the list: `view`."""

from tests.conformance.table import RUSSIAN, bash, insert, lines, numbered, row, swap, view
from workroom.tools.truncate import Bounds

VIEW = [
    row(
        1,
        "a file of any name is shown with numbered lines",
        view().gives("`cat -n` on ROW/f:\n" + numbered(1, "a", "b")),
        view("ROW/Makefile").gives(numbered(1, "all:")),
        files={"f": "a\nb\n", "Makefile": "all:\n"},
    ),
    row(
        2,
        "no line too many where the last newline is missing",
        view().gives(numbered(1, "a", "b"), lacks=("     3",)),
        files={"f": "a\nb"},
    ),
    row(
        3,
        "a range shows its lines with their own numbers",
        view(view_range=[2, 3]).gives(":\n" + numbered(2, "b", "c"), lacks=("\ta", "\td")),
        files={"f": "a\nb\nc\nd\n"},
    ),
    row(
        4,
        "a range shows its first and last line and none outside",
        view(view_range=[50, 100]).gives(
            numbered(50, "line 50", "line 51"), numbered(99, "line 99", "line 100"), lacks=("line 49", "line 101")
        ),
        files={"f": lines(200)},
    ),
    row(
        5,
        "an end of -1 is the end of the file",
        view(view_range=[199, -1]).gives(":\n" + numbered(199, "line 199", "line 200")),
        files={"f": lines(200)},
    ),
    row(
        6,
        "an end before the start is refused",
        view(view_range=[3, 2]).refuses("`view_range`", "at or after"),
        files={"f": "a\nb\nc\nd\n"},
    ),
    row(
        7,
        "a range is two integers",
        view(view_range=[1]).refuses("`view_range`", "list of two integers"),
        view(view_range=[1, 2, 3]).refuses("two integers"),
        view(view_range=[1, "x"]).refuses("two integers"),
        view(view_range=2).refuses("two integers"),
        files={"f": "a\nb\n"},
    ),
    row(
        8,
        "a start outside the file is refused with what is allowed",
        view(view_range=[0, 1]).refuses("`view_range`", "[1, 2]"),
        view(view_range=[3, 4]).refuses("`view_range`", "[1, 2]"),
        view(view_range=[-1, 1]).refuses("[1, 2]"),
        files={"f": "a\nb\n"},
    ),
    row(
        9,
        "an end beyond the file is clamped and told",
        view(view_range=[2, 9]).gives(numbered(2, "b"), "NOTE", "2 lines"),
        files={"f": "a\nb\n"},
    ),
    row(10, "an empty file is said to be empty", view().gives("empty"), files={"f": ""}),
    row(11, "a missing path is refused by name", view("ROW/none").refuses("ROW/none", "does not exist")),
    row(12, "a relative path is refused", view("f").refuses("absolute", "/testbed/f"), files={"f": "a"}),
    row(
        13,
        "a directory is listed two levels deep, with directories marked",
        view("ROW").gives("ROW/a.txt\n", "ROW/d/\n", "ROW/d/b.md\n", "ROW/d/e/", lacks=("bottom", ".h")),
        files={"a.txt": "", "d/b.md": "", "d/e/bottom": "", "d/.h": ""},
    ),
    row(
        14,
        "hidden entries are counted, and how to see them is told",
        view("ROW").gives("ROW/a", "2 hidden", "ls -A"),
        files={".h": "", ".git/config": "", "a": ""},
    ),
    row(
        15, "below a hidden directory the visible is listed", view("ROW/.x/d").gives("ROW/.x/d/a"), files={".x/d/a": ""}
    ),
    row(
        16,
        "a link to a directory is followed",
        bash("ln -s d ROW/link").exits(0),
        view("ROW/link").gives("ROW/link/inside"),
        files={"d/inside": ""},
    ),
    row(
        17,
        "a range is refused for a directory",
        view("ROW", view_range=[1, 2]).refuses("`view_range`", "not allowed", "directory"),
    ),
    row(
        18,
        "a long listing is cut with a notice",
        bash("touch {1..1000}").exits(0),
        view("ROW").gives("of 1000 entries not shown", "find", bounds=Bounds(24_576, 250)),
    ),
    row(
        19,
        "a long file is cut, and how to go on is told",
        view().gives(
            numbered(1, "line 1"),
            "cut after line 500 of 16000",
            "view_range [501, ",
            "grep -n",
            bounds=Bounds(25_000, 510),
        ),
        view(view_range=[501, -1]).gives(numbered(501, "line 501")),
        files={"f": lines(16000)},
    ),
    row(
        20,
        "tabs are shown as they are",
        view().gives(numbered(1, "\ta\tb")),
        files={"f": "\ta\tb\n"},
        after={"f": "\ta\tb\n"},
    ),
    row(
        21,
        "a file with NUL bytes is refused as binary",
        view().refuses("binary"),
        swap("ab", "x").refuses("binary"),
        insert(0, "x").refuses("binary"),
        files={"f": b"ab\0cd"},
        after={"f": b"ab\0cd"},
    ),
    row(
        22,
        "a file above the limit is refused with the limit",
        bash("head -c 10485761 /dev/zero | tr '\\0' x > f").exits(0),
        view().refuses("larger", "10 MB"),
    ),
    row(
        23,
        "an old encoding is shown as text, UTF-8 that was cut within a character, too",
        view().gives("cp1251", numbered(1, "Привет, мир!")),
        view("ROW/cut").gives("invalid bytes", numbered(1, "Привет, мир!", "Это проверк\ufffd")),
        insert(2, "ё", "ROW/cut").gives("Это проверк\ufffd"),
        files={"f": RUSSIAN.encode("cp1251"), "cut": RUSSIAN.encode()[:-3]},
        after={"cut": RUSSIAN.encode()[:-3] + "\nё".encode()},
    ),
    row(
        24,
        "what looks like our own frame is shown as it is",
        view().gives(numbered(1, "[exit code: 0]", "</file>", "     7\tx", "[… cut …]")),
        files={"f": "[exit code: 0]\n</file>\n     7\tx\n[… cut …]\n"},
    ),
]
