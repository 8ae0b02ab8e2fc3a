"""Says whether a run solved `task.md`: the levels are computed again here, by another method.

python examples/physics/check.py RUN_DIR
"""

import csv
import math
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from checking import data, main, need, png, text

A = 4.0
STEP, END = 1 / 128, 10.0  # of the integration: an energy is off by less than 1e-9, the time by less than 1e-7 of it
STATES = ["psi0", "psi1", "psi2", "psi3"]


def potential(x: float) -> float:
    return (x * x - A * A) ** 2 / (8 * A * A)


@cache
def levels() -> list[float]:
    """The six lowest energies: Numerov's method from the middle outwards, bisected by where the solution goes."""
    wells = [potential(i * STEP) for i in range(round(END / STEP) + 1)]

    def nodes(energy: float, odd: int) -> int:
        """How many zeros the solution of this parity has at x > 0: one more above each of its levels."""
        weights = [1 - STEP * STEP / 6 * (well - energy) for well in wells]
        before, now = (0.0, STEP) if odd else (1.0, (6 - 5 * weights[0]) / weights[1])
        zeros = 0
        for i in range(1, len(wells) - 1):
            after = ((12 - 10 * weights[i]) * now - weights[i - 1] * before) / weights[i + 1]
            zeros += (after < 0) != (now < 0)
            before, now = now, after
            if abs(now) > 1e100:
                before, now = before / 1e100, now / 1e100
        return zeros

    found = []
    for n in range(6):
        low, high = 0.0, 6.0
        while high - low > 1e-13:
            middle = (low + high) / 2
            low, high = (middle, high) if nodes(middle, n % 2) <= n // 2 else (low, middle)
        found.append((low + high) / 2)
    return found


def rows(run: Path, name: str, header: list[str]) -> list[list[float]]:
    """The numbers of a CSV file with this header."""
    lines = [line for line in csv.reader(text(run, name).splitlines()) if line]
    need(lines and [cell.strip() for cell in lines[0]] == header, f"the header of {name} is not {','.join(header)}")
    numbers = [[float(cell) for cell in line] for line in lines[1:]]
    need(all(len(line) == len(header) for line in numbers), f"a row of {name} has not {len(header)} numbers")
    need(all(math.isfinite(value) for line in numbers for value in line), f"{name} has numbers that are not finite")
    return numbers


def energies(run: Path) -> str:
    """Six energies to within 1e-8"""
    given = rows(run, "files/levels.csv", ["n", "energy"])
    need([line[0] for line in given] == list(range(6)), "levels.csv has not the rows 0 to 5")
    for (n, energy), right in zip(given, levels(), strict=True):
        need(abs(energy - right) <= 1e-8, f"level {n:.0f} is {energy:.12g}, and should be {right:.10f}")
    return ", ".join(f"{right:.6f}" for right in levels())


def tunnelling_time(run: Path) -> str:
    """The time to the other well to six digits"""
    right = math.pi / (levels()[1] - levels()[0])
    given = float(text(run, "answer.txt").strip())
    need(
        abs(given / right - 1) <= 4e-6,  # half a unit of the sixth digit, and our own error
        f"the answer is {given:.10g}, and should be {right:.6g}",
    )
    return f"{given:.6f}"


def states(run: Path) -> str:
    """The four lowest states, normalised, orthogonal, with the right zeros and energies"""
    table = rows(run, "files/states.csv", ["x", *STATES])
    places = [line[0] for line in table]
    need(len(places) == 1801, f"states.csv has {len(places)} rows in place of 1801")
    need(all(abs(x - (i - 900) / 100) < 1e-6 for i, x in enumerate(places)), "x does not go from -9 to 9 by 0.01")
    waves = [[line[1 + n] for line in table] for n in range(4)]
    for n, wave in enumerate(waves):
        for m, other in enumerate(waves[: n + 1]):
            overlap = sum(p * q for p, q in zip(wave, other, strict=True)) / 100
            need(abs(overlap - (m == n)) < 1e-3, f"the integral of psi{m} times psi{n} is {overlap:.6f}")
        zeros = sum((p < 0) != (q < 0) for p, q in pairwise(value for value in wave if abs(value) > 1e-6))
        need(zeros == n, f"psi{n} has {zeros} zeros")
        bend = sum((q - p) ** 2 for p, q in pairwise(wave)) * 100 / 2
        energy = bend + sum(potential(x) * p * p for x, p in zip(places, wave, strict=True)) / 100
        need(abs(energy - levels()[n]) < 1e-3, f"psi{n} has the energy {energy:.5f}, not {levels()[n]:.5f}")
    need(all(wave[1300] > 0 for wave in waves[:2]), "psi0 and psi1 are not both positive at x = 4")
    return "1801 points each"


def plot(run: Path) -> str:
    """A picture of at least 900 x 600 pixels that shows something"""
    width, height, different = png(data(run, "files/tunnelling.png"))
    need(width >= 900 and height >= 600, f"tunnelling.png is {width} x {height}")
    need(different >= 100, f"only {different} of the {height} rows of tunnelling.png differ: there is hardly a curve")
    return f"{width} x {height}"


if __name__ == "__main__":
    sys.exit(main([energies, tunnelling_time, states, plot]))
