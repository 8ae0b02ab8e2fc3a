"""Says whether a run solved `task.md`: what is true is known to `generate.py`, which wrote the papers.

python examples/long-context/check.py RUN_DIR
"""

import csv
import re
import sys
from collections import Counter
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from checking import Wrong, main, need, text
from generate import landings

HEADER = ["date", "ship", "bushels", "pounds"]


def answer(run: Path, key: str) -> str:
    """What the answer says after `key: `."""
    found = re.findall(rf"^{key}:[ \t]*(.*?)[ \t]*$", text(run, "answer.txt"), re.MULTILINE)
    need(len(found) == 1, f"answer.txt has {len(found)} lines that begin with `{key}: `")
    return str(found[0])


def table(run: Path) -> str:
    """The table has each landing that counts, and no other"""
    lines = [line for line in csv.reader(text(run, "files/landings.csv").splitlines()) if line]
    need(lines and lines[0] == HEADER, f"the header of landings.csv is not {','.join(HEADER)}")
    need(all(len(line) == len(HEADER) for line in lines), "a row of landings.csv has not four cells")
    given = {(line[0], line[1]): (float(line[2]), float(line[3])) for line in lines[1:]}
    right = {(f"{x.day}", x.ship.name(x.day)): (x.bushels, x.pounds) for x in landings()}
    for what, keys in (("is missing", right.keys() - given.keys()), ("does not count", given.keys() - right.keys())):
        if keys:
            raise Wrong(f"{' '.join(min(keys))} {what}, the first of {len(keys)}")
    for key, amounts in right.items():
        need(given[key] == amounts, f"{' '.join(key)} is {amounts} in bushels and pounds, not {given[key]}")
    need(len(lines) == len(right) + 1, "landings.csv has a row twice")
    need(lines[1:] == sorted(lines[1:], key=lambda line: line[0]), "landings.csv is not in order of date")
    return f"{len(right)} rows"


def pounds(run: Path) -> str:
    """The sum of the pounds"""
    right = sum(landing.pounds for landing in landings())
    given = answer(run, "pounds").replace(",", "")
    need(given == str(right), f"the answer says {given}; it is {right}")
    return given


def count(run: Path) -> str:
    """The number of landings"""
    given, right = answer(run, "landings"), len(landings())
    need(given == str(right), f"the answer says {given}; it is {right}")
    return given


def most(run: Path) -> str:
    """The ship that landed the most"""
    sums: Counter[str] = Counter()
    for landing in landings():
        sums[landing.ship.name(date(1877, 12, 31))] += landing.pounds
    given, right = answer(run, "most").removeprefix("the ").removeprefix("The "), sums.most_common(1)[0][0]
    need(given == right, f"the answer says {given}; it is {right}")
    return given


if __name__ == "__main__":
    sys.exit(main([table, pounds, count, most]))
