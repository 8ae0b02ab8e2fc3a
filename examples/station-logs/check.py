"""Says whether an answer to `task.md` is right: exit code 0 if it is, 1 if not.

    python check.py ANSWER_FILE

Right is an answer that names what `expected.txt` names, a station and a number, and no other station and no other number.
"""

import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
STATIONS = {path.stem for path in (HERE / "documents").glob("*.log")}


def facts(text: str) -> tuple[set[str], set[str]]:
    """The stations and the numbers that a text names."""
    words = set(re.findall(r"[a-z]+|\d+(?:\.\d+)?", text.lower().replace(",", "")))
    return words & STATIONS, {word for word in words if word[0].isdigit()}


def main() -> int:
    answer = Path(sys.argv[1]).read_text(encoding="utf-8")
    return 0 if facts(answer) == facts((HERE / "expected.txt").read_text(encoding="utf-8")) else 1


if __name__ == "__main__":
    sys.exit(main())
