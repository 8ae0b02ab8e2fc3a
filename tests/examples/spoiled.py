"""How the artefacts of each example are spoiled, and the criterion that must say so (the beginning of its name)."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

Spoil = Callable[[Path], None]


def without(name: str) -> Spoil:
    """A file is missing."""
    return lambda run: (run / name).unlink()


def holding(name: str, content: str | bytes) -> Spoil:
    """A file has another content."""
    return lambda run: _write(run / name, content if isinstance(content, bytes) else content.encode())


def changed(name: str, pattern: str, new: str) -> Spoil:
    """What the pattern finds first is another text."""

    def spoil(run: Path) -> None:
        old = (run / name).read_text()
        spoiled = re.sub(pattern, new, old, count=1, flags=re.MULTILINE)
        assert spoiled != old, f"{pattern} changes nothing in {name}"
        _write(run / name, spoiled.encode())

    return spoil


def cut(name: str, share: float) -> Spoil:
    """Only the first part of the bytes is left."""
    return lambda run: _write(run / name, (run / name).read_bytes()[: int((run / name).stat().st_size * share)])


def valued(name: str, key: str, value: Any) -> Spoil:
    """A JSON object has another value."""
    return lambda run: _write(run / name, json.dumps(json.loads((run / name).read_text()) | {key: value}).encode())


def _write(path: Path, content: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(content)


SPOILED: dict[str, list[tuple[str, Spoil]]] = {
    "biomedicine": [
        ("Who is analysed", valued("files/results.json", "deaths_new", 64)),  # without the cut-off
        ("Who is analysed", valued("files/results.json", "analysed_new", "112")),
        ("Who is analysed", holding("files/results.json", "[1, 2]")),
        ("Medians", valued("files/results.json", "median_months_standard", 11.9)),  # rounded
        ("Log-rank", valued("files/results.json", "logrank_p", 0.0013)),
        ("Log-rank", without("files/results.json")),
        ("Hazard ratio", valued("files/results.json", "hazard_ratio", float("nan"))),
        ("A picture", cut("files/survival.png", 0.7)),
        ("The answer", changed("answer.txt", r"0\.57", "0.58")),
    ],
    "constrained-writing": [
        ("Rule 1", changed("answer.txt", r"water", "waters")),
        ("Rule 1", changed("answer.txt", r"this old", "thisold")),
        ("Rule 1", holding("answer.txt", "Only one line.\n")),
        ("Rule 2", changed("answer.txt", r"family", "lost")),
        ("Rule 3", changed("answer.txt", r"water", "petal")),
        ("Rule 3", changed("answer.txt", r"lighthouse", "Lighthouse")),
        ("Rule 4", changed("answer.txt", r"harbour", "glasses")),
        ("Rule 5", changed("answer.txt", r"captain", "teacher")),
        ("Rule 6", changed("answer.txt", r"^In", "To")),
        ("At least 20", changed("files/candidates.txt", r"lighthouse", "lighthouses")),
        ("At least 20", changed("answer.txt", r"hundred", "thousand")),
        ("At least 20", cut("files/candidates.txt", 0.3)),
    ],
    "long-context": [
        ("The table", changed("files/landings.csv", r"^1872-07-12,Adeline,154,9240\n", "")),
        ("The table", changed("files/landings.csv", r"^1872-07-12,Adeline,154,9240$", "1872-07-12,Adeline,244,14640")),
        ("The table", changed("files/landings.csv", r"\Z", "1877-12-30,Juno,100,5600\n")),
        ("The table", changed("files/landings.csv", r"^(1870-01-07.*\n)", r"\1\1")),
        ("The table", without("files/landings.csv")),
        ("The sum", changed("answer.txt", r"pounds: \d", "pounds: 4")),
        ("The number", changed("answer.txt", r"landings: 1", "landings: 2")),
        ("The ship", changed("answer.txt", "Patience", "Corncrake")),  # its name before
    ],
    "mathematics": [
        ("A colouring", changed("files/witness.txt", "RB", "RR")),
        ("A colouring", changed("files/witness.txt", "R", "B")),
        ("A colouring", changed("files/witness.txt", "B$", "")),
        ("A colouring", changed("files/witness.txt", "B", "G")),
        ("A proof", cut("files/proof.drup", 0.9)),
        ("A proof", holding("files/proof.drup", "0\n")),
        ("A proof", changed("files/proof.drup", r"\A", "1 0\n")),
        ("A proof", changed("files/proof.drup", r"\A", "47 0\n")),
        ("A proof", without("files/proof.drup")),
        ("A colouring", holding("answer.txt", "45\n")),
        ("A proof", holding("answer.txt", "45\n")),
        ("The answer", holding("answer.txt", "about 46\n")),
    ],
    "physics": [
        ("Six energies", changed("files/levels.csv", r"0\.48295865", "0.48295867")),
        ("Six energies", changed("files/levels.csv", r"^5,.*\n", "")),
        ("Six energies", changed("files/levels.csv", r"^3,.*", "3,nan")),
        ("The time", holding("answer.txt", "16574.3\n")),
        ("The time", holding("answer.txt", "16574.2209 units\n")),
        ("The four lowest", changed("files/states.csv", r"^0\.00,0\.0", "0.00,0.9")),
        ("The four lowest", changed("files/states.csv", r"^-9\.00,.*\n", "")),
        ("The four lowest", changed("files/states.csv", "psi0,psi1", "psi1,psi0")),
        ("A picture", without("files/tunnelling.png")),
        ("A picture", holding("files/tunnelling.png", b"\x89PNG\r\n\x1a\nno more")),
    ],
}
