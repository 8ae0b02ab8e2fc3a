"""Section B of the list: `create`."""

from tests.conformance.table import bash, create, numbered, row, swap, view

VERBATIM = "'\"$HOME `id` \\n \\\\ %s %%\n\\boxed{1}\n!$(id) !! ${x}\n"
WORLD = "中文 🎉 e\u0301 \u2028 עברית\n"
LARGE = "0123456789abcde\n" * (3 << 16)  # 3 MiB
SNIPPET = "has been edited"

CREATE = [
    row(
        25,
        "a file holds exactly the text",
        create(file_text="x = 1").gives("created"),
        create("ROW/g", file_text="a\r\n\tb\n\n").gives("created"),
        after={"f": "x = 1", "g": "a\r\n\tb\n\n"},
    ),
    row(26, "an empty text makes an empty file", create(file_text="").gives("created"), after={"f": b""}),
    row(
        27,
        "without a text nothing is made",
        create().refuses("`file_text`"),
        create(file_text=None).refuses("`file_text`"),
        after={"f": None},
    ),
    row(
        28,
        "an existing file is left alone",
        create(file_text="new").refuses("ROW/f", "already exists"),
        bash("ln -s nowhere link").exits(0),
        create("ROW/link", file_text="x").refuses("already exists"),
        files={"f": "old"},
        after={"f": "old", "nowhere": None},
    ),
    row(
        29,
        "missing directories are made",
        create("ROW/a/b/c.txt", file_text="x").gives("created"),
        after={"a/b/c.txt": "x"},
    ),
    row(30, "nothing in a text is special", create(file_text=VERBATIM).gives("created"), after={"f": VERBATIM}),
    row(
        31,
        "a path may hold blanks",
        create("ROW/my dir/a b.txt", file_text="x").gives("created"),
        view("ROW/my dir/a b.txt").gives(numbered(1, "x")),
        swap("x", "y", "ROW/my dir/a b.txt").gives(SNIPPET),
        after={"my dir/a b.txt": "y"},
    ),
    row(
        32,
        "nothing of a path is run",
        create("ROW/-n;touch pwned;$(touch pwned) `x`", file_text="x").gives("created"),
        view("ROW/$(touch pwned)").refuses("does not exist"),
        create("ROW/-rf", file_text="y").gives("created"),
        view("ROW/-rf").gives(numbered(1, "y")),
        after={"-n;touch pwned;$(touch pwned) `x`": "x", "pwned": None, "-rf": "y"},
    ),
    row(
        33,
        "any script and emoji come through",
        create(file_text=WORLD).gives("created"),
        view().gives(WORLD.rstrip("\n")),
        after={"f": WORLD},
    ),
    row(
        34,
        "a large text is written whole",
        create(file_text=LARGE).gives("created", "3,145,728 bytes"),
        after={"f": LARGE},
    ),
    row(35, "a number is stored as its text", create(file_text=42).gives("created"), after={"f": "42"}),
]
