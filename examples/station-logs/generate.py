"""Writes the logs of five pumping stations into `documents/`, always the same ones.

    python generate.py [DIRECTORY]

The logs are invented. `expected.txt` beside this file holds the correct answer to `task.md`.
"""

import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

SEED = 20250301
# Lines of each log, and how many in a thousand are errors.
STATIONS = {"alder": (620, 55), "birch": (760, 62), "cedar": (540, 48), "hazel": (590, 97), "willow": (680, 70)}
WARNINGS = ["filter pressure drop high", "seal temperature above set point", "flow below the plan", "clock drift"]
ERRORS = ["tripped: overcurrent", "did not start in 20 s", "level sensor gave no reading", "valve stuck half open"]


def log_lines(station: str, count: int, errors_per_mille: int, dice: random.Random) -> list[str]:
    """One line a reading: time, severity, pump, and what it said."""
    now = datetime(2025, 3, 1, tzinfo=UTC)
    lines = []
    for _ in range(count):
        now += timedelta(seconds=dice.randint(45, 260))
        head = f"{now:%Y-%m-%dT%H:%M:%SZ} {station}"
        pump = f"pump-{dice.randint(1, 4)}"
        draw = dice.randrange(1000)
        if draw < errors_per_mille:
            lines.append(f"{head} ERROR {pump} {dice.choice(ERRORS)}")
        elif draw < errors_per_mille + 110:
            lines.append(f"{head} WARN {pump} {dice.choice(WARNINGS)}")
        else:
            flow, pressure = dice.uniform(88, 131), dice.uniform(2.9, 4.2)
            lines.append(f"{head} INFO {pump} flow {flow:.1f} l/s pressure {pressure:.2f} bar")
    return lines


def main(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    dice = random.Random(SEED)
    for station, (count, errors_per_mille) in STATIONS.items():
        lines = log_lines(station, count, errors_per_mille, dice)
        (target / f"{station}.log").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "documents")
