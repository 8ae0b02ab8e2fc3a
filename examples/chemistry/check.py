"""Says whether a run solved `task.md`: what is right is in `expected.csv`, computed with RDKit 2026.09 and looked over.

python examples/chemistry/check.py RUN_DIR
"""

import csv
import sys
from itertools import combinations
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from checking import data, main, need, png, text

HERE = Path(__file__).parent
HEADER = ["id", "formula", "mass", "donors", "acceptors", "rings", "stereocentres", "inchikey"]
NEAR = 0.02  # of a mass: libraries have slightly different weights of the elements
BROKEN = "15,16,18"  # log P of oleic and elaidic acid and of DDT is over 5


def expected() -> list[dict[str, str]]:
    with (HERE / "expected.csv").open() as file:
        return list(csv.DictReader(file))


def table(run: Path, name: str, header: list[str]) -> list[dict[str, str]]:
    """The rows of a CSV file with this header."""
    lines = [[cell.strip() for cell in line] for line in csv.reader(text(run, name).splitlines()) if line]
    need(lines and lines[0] == header, f"the header of {name} is not {','.join(header)}")
    need(all(len(line) == len(header) for line in lines), f"a row of {name} has not {len(header)} values")
    return [dict(zip(header, line, strict=True)) for line in lines[1:]]


def properties(run: Path) -> list[dict[str, str]]:
    given = table(run, "files/properties.csv", HEADER)
    ids = [row["id"] for row in expected()]
    need([row["id"] for row in given] == ids, "properties.csv has not the ids 1 to 20 in order")
    return given


def compare(run: Path, *columns: str) -> str:
    for given, right in zip(properties(run), expected(), strict=True):
        for column in columns:
            found, wanted = given[column], right[column]
            what = f"compound {right['id']}: {column} is {found!r}, and should be {wanted}"
            near = NEAR if column == "mass" else 0
            need(
                found == wanted if column in ("formula", "inchikey") else abs(float(found) - float(wanted)) <= near,
                what,
            )
    return f"{len(expected())} compounds"


def formulas(run: Path) -> str:
    """Formulas and masses"""
    return compare(run, "formula", "mass")


def counts(run: Path) -> str:
    """Donors, acceptors, rings and stereocentres"""
    return compare(run, "donors", "acceptors", "rings", "stereocentres")


def keys(run: Path) -> str:
    """InChIKeys"""
    return compare(run, "inchikey")


def same(run: Path) -> str:
    """Which rows are the same compound, or stereoisomers"""
    right = {}
    for one, other in combinations(expected(), 2):
        if one["inchikey"] == other["inchikey"]:
            right[one["id"], other["id"]] = "identical"
        elif one["inchikey"][:14] == other["inchikey"][:14]:
            right[one["id"], other["id"]] = "stereoisomers"
    rows = table(run, "files/same.csv", ["first", "second", "how"])
    given = {(row["first"], row["second"]): row["how"] for row in rows}
    need(len(given) == len(rows), "a pair is there twice")
    for pair in sorted(right.keys() | given.keys(), key=lambda pair: [int(number) for number in pair]):
        found, wanted = given.get(pair), right.get(pair)
        need(
            found == wanted,
            f"rows {' and '.join(pair)} are {found or 'not there'}, and should be {wanted or 'not there'}",
        )
    return f"{len(right)} pairs"


def picture(run: Path) -> str:
    """A picture of at least 1000 x 800 pixels that shows something"""
    width, height, different = png(data(run, "files/structures.png"))
    need(width >= 1000 and height >= 800, f"structures.png is {width} x {height}")
    need(different >= 200, f"only {different} of its rows differ: hardly anything is drawn")
    return f"{width} x {height}"


def answer(run: Path) -> str:
    """The answer names those that break one of Lipinski's rules"""
    given = text(run, "answer.txt").strip().replace(" ", "")
    need(given == BROKEN, f"it is {given[:40]!r}, and should be {BROKEN}")
    return given


if __name__ == "__main__":
    sys.exit(main([formulas, counts, keys, same, picture, answer]))
