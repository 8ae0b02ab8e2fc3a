"""Says whether an answer to `task.md` is right: exit code 0 if it is, 1 if not.

    python check.py ANSWER_FILE

Right is an answer that holds the number in `expected.txt` and no other one.
"""

import re
import sys
from pathlib import Path


def numbers(path: Path) -> set[str]:
    """The numbers that stand in a text, without thousands separators."""
    return set(re.findall(r"(?<![\w.-])\d+(?:\.\d+)?", path.read_text(encoding="utf-8").replace(",", "")))


def main() -> int:
    return 0 if numbers(Path(sys.argv[1])) == numbers(Path(__file__).parent / "expected.txt") else 1


if __name__ == "__main__":
    sys.exit(main())
