"""How well the rules for capabilities agree with hand-labelled calls: precision and recall of each capability.

    python -m benchmarks.capabilities [FILE.jsonl ...] [--misses]

A line of a sample is one call of `execute_bash`, in an episode of its own: `command`, whether it is `external`,
`files` and `computation`, and a `note`. Without a file: `tests/analysis/labelled.jsonl`, labelled without knowledge of
the rules, and `dev.jsonl` beside it, which they were made with.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workroom.analysis.calls import CallReader
from workroom.analysis.rules import CAPABILITIES, Capability

SAMPLES = Path(__file__).parents[1] / "tests" / "analysis"


@dataclass
class Agreement:
    """Calls of a capability: `right` in the labels and by the rules, `extra` by the rules alone, `missed` by them."""

    right: int = 0
    extra: int = 0
    missed: int = 0

    @property
    def precision(self) -> float:
        return self.right / (self.right + self.extra) if self.right + self.extra else 1.0

    @property
    def recall(self) -> float:
        return self.right / (self.right + self.missed) if self.right + self.missed else 1.0


def sample(path: Path) -> list[dict[str, Any]]:
    """The labelled calls of a file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def found(command: str) -> set[Capability]:
    """The capabilities of one call by the rules."""
    return {hit.capability for hit in CallReader().read("execute_bash", json.dumps({"command": command}))}


def agreement(rows: list[dict[str, Any]]) -> dict[Capability, Agreement]:
    """By capability, over all calls."""
    result = {name: Agreement() for name in CAPABILITIES}
    for row in rows:
        hits = found(row["command"])
        for name, one in result.items():
            one.right += row[name] and name in hits
            one.extra += not row[name] and name in hits
            one.missed += row[name] and name not in hits
    return result


def misses(rows: list[dict[str, Any]]) -> Iterator[str]:
    """The calls in which rules and labels do not agree, one a line."""
    for row in rows:
        hits = found(row["command"])
        for name in CAPABILITIES:
            if row[name] != (name in hits):
                command = " ".join(row["command"].split())
                yield f"{'missed' if row[name] else 'extra'} {name}: {command[:200]}  ({row['note']})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, default=[SAMPLES / "labelled.jsonl", SAMPLES / "dev.jsonl"])
    parser.add_argument("--misses", action="store_true", help="show the calls in which they do not agree")
    options = parser.parse_args()
    print("| sample | calls | capability | labelled | precision | recall |\n|---|---|---|---|---|---|")
    for file in options.files:
        rows = sample(file)
        for name, one in agreement(rows).items():
            labelled = one.right + one.missed
            print(f"| {file.stem} | {len(rows)} | {name} | {labelled} | {one.precision:.3f} | {one.recall:.3f} |")
    if options.misses:
        for file in options.files:
            print(*misses(sample(file)), sep="\n")


if __name__ == "__main__":
    main()
