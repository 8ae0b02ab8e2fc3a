"""Python code as what it calls and computes."""

import pytest

from workroom.analysis.python_code import Sight, read
from workroom.analysis.python_names import Names


def names(source: str) -> list[str]:
    return [sight.name for sight in read(source) if sight.kind == "call"]


def kinds(source: str) -> set[str]:
    return {str(sight.kind) for sight in read(source)} - {"call"}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import numpy as np\nnp.linalg.solve(a, b)", ["numpy.linalg.solve"]),
        ("from scipy.optimize import minimize as m\nm(f)", ["scipy.optimize.minimize"]),
        ("import os.path\nos.walk('x')", ["os.walk"]),
        ("import requests\ns = requests.Session()\ns.get(u)", ["requests.Session", "requests.Session.get"]),
        ("import pandas as pd\nd = pd.read_csv(f)\nd['x'].mean()", ["pandas.read_csv", "pandas.read_csv.mean"]),
        (
            "import pathlib\nfor p in pathlib.Path('d').glob('*'):\n    p.read_text()",
            ["pathlib.Path.glob", "pathlib.Path", "pathlib.Path.glob.read_text"],
        ),
        ("unknown.mean()", ["?.mean"]),
        ("with open('x') as f:\n    f.read()", ["open", "open.read"]),
        ("'a,b'.split(',')", ["str"]),
    ],
)
def test_names_are_resolved(source: str, expected: list[str]) -> None:
    assert names(source) == expected


def test_the_text_and_the_mode_of_a_call_are_told() -> None:
    source = "from pathlib import Path\np = Path('a.txt')\np.open('w')\nopen(p, mode='r')\nopen('b' + x)\nopen(y)"
    found = [(sight.name, sight.text, sight.mode) for sight in read(source)]
    assert found[1:] == [
        ("pathlib.Path.open", "a.txt", "w"),
        ("open", "a.txt", "r"),
        ("open", "b", None),
        ("open", None, None),
    ]


@pytest.mark.parametrize(
    "source",
    [
        "print(17 * 23)",
        "for n in range(9):\n    total = total + n",
        "total = 0\nfor line in open(f):\n    total += float(line)",
        "x = b**2 - 4*a*c",
        "m = {'C': 12.011}\nprint(m['C'] * 2)",
        "print([n*n for n in range(5)])",
        "while n != 1:\n    n //= 2",
        "k = lat[int(.95 * len(lat))]",
    ],
)
def test_arithmetic(source: str) -> None:
    assert kinds(source) == {"arithmetic"}


@pytest.mark.parametrize(
    "source",
    [
        "print('=' * 60)",
        "print('a' + name)",
        "print('%s' % x)",
        "rows = [0] * n",
        "for i in range(0, len(t), 100):\n    print(t[i:i+100])",
        "i += 1",
        "print(i + 1, line)",
        "from pathlib import Path\np = Path('a') / name",
        "import time\ns = time.time()\nprint(time.time() - s)",
        "def f(x: int | None) -> None: ...",
        "for line in open(f):\n    if len(line) > 80:\n        print(line)",
        "if len(sys.argv) > 1:\n    print(1)",
        "size = os.path.getsize(f) / 1024",
        "# 2 * 3\n'''4 * 5'''",
    ],
)
def test_what_is_no_calculation(source: str) -> None:
    assert kinds(source) == set()


@pytest.mark.parametrize(
    "source",
    [
        "text = 'a b c'\nprint(len(text.split()))",
        "assert len(words) == 10",
        "print(all(len(w) == 5 for w in words))",
        "s = ['one', 'two']\nfor x in s:\n    if len(x) == 3:\n        print(x)",
        "print('strawberry'.count('r'))",
        "t = open('/testbed/answer.txt').read()\nprint([len(x) for x in t.split('.')])",
    ],
)
def test_checks(source: str) -> None:
    assert kinds(source) == {"check"}


@pytest.mark.parametrize(
    ("source", "command"),
    [
        ("import subprocess as sp\nsp.run(['pip', 'install', 'a b'])", "pip install 'a b'"),
        ("import subprocess, sys\nsubprocess.run([sys.executable, '-m', 'pip', x])", "python3 -m pip $x"),
        ("import os\nos.system('ls | wc')", "ls | wc"),
    ],
)
def test_commands(source: str, command: str) -> None:
    assert [sight.text for sight in read(source) if sight.kind == "command"] == [command]


def test_broken_code_is_read_by_its_tokens() -> None:
    source = "import numpy as np\nfrom sympy import solve as s, nsolve\nx = (np.linalg.det(a)\ns(x)\nnsolve(y)\n"
    source += "b.mean()\nprint 'x"
    assert names(source)[:4] == ["numpy.linalg.det", "sympy.solve", "sympy.nsolve", "?.mean"]


@pytest.mark.parametrize(
    "source",
    [
        "(" * 10_000,
        "-" * 100_000 + "1",
        "1+" * 30_000 + "1",
        "\0",
        "\ud800",
        "'''",
        "x = 9" + "9" * 5000,
        "[" * 90 + "x" + "]" * 90,
    ],
)
def test_whatever_it_is_nothing_is_raised(source: str) -> None:
    assert all(isinstance(sight, Sight) for sight in read(source))


def test_a_name_does_not_grow_for_ever() -> None:
    sights = read("x = y.a\n" + "x = x.next.next\n" * 500 + "x.last()")
    assert sights[-1].name.startswith("?.a.next")
    assert len(sights[-1].name) < 300


def test_names_know_lists_of_texts_and_numbers() -> None:
    import ast

    known = Names()
    for statement in ast.parse("a = ['x', 'y']\nb = [1, 2]\nc = [z.strip() for z in a]\nd, e = 'u', 5").body:
        known.learn(statement)
    parts = [known.name(ast.parse(name, mode="eval").body) for name in "abcde"]
    assert parts == ["str", "num", "str", "str", "num"]
