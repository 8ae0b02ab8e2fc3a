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


def replaced(name: str, old: bytes, new: bytes) -> Spoil:
    """Some bytes are others, where they come first."""

    def spoil(run: Path) -> None:
        content = (run / name).read_bytes()
        assert old in content
        _write(run / name, content.replace(old, new, 1))

    return spoil


def silenced(name: str) -> Spoil:
    """The last tenth of a sound is silent."""

    def spoil(run: Path) -> None:
        content = (run / name).read_bytes()
        silent = len(content) // 20 * 2
        _write(run / name, content[:-silent] + bytes(silent))

    return spoil


def sounding(name: str, sample: Callable[[int], int]) -> Spoil:
    """All samples of a sound are others, by their number."""

    def spoil(run: Path) -> None:
        content = (run / name).read_bytes()
        samples = (sample(number).to_bytes(2, "little", signed=True) for number in range((len(content) - 44) // 2))
        _write(run / name, content[:44] + b"".join(samples))

    return spoil


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
        ("The answer", changed("answer.txt", r"0\.57(.*)0\.41", r"0.41\g<1>0.57")),
        ("The answer", changed("answer.txt", r"(?s)months(.*)months", r"years\1years")),
    ],
    "chemistry": [
        ("Formulas", changed("files/properties.csv", "C9H8O4", "C9H10O4")),
        ("Formulas", changed("files/properties.csv", r"180\.16", "181.16")),
        ("Formulas", changed("files/properties.csv", r"^20,.*\n", "")),
        ("Donors", changed("files/properties.csv", r"^1,C9H8O4,180\.16,1,", "1,C9H8O4,180.16,2,")),
        ("InChIKeys", changed("files/properties.csv", "BSYNRYMUTXBXSQ", "BSYNRYMUTXBXSX")),
        ("Which rows", changed("files/same.csv", "^1,10,identical", "1,10,stereoisomers")),
        ("Which rows", changed("files/same.csv", r"^3,5,.*\n", "")),
        ("A picture", cut("files/structures.png", 0.5)),
        ("The answer", holding("answer.txt", "15,18\n")),
    ],
    "constrained-writing": [
        ("Rule 1", changed("answer.txt", r"water", "waters")),
        ("Rule 1", changed("answer.txt", r"this old", "thisold")),
        ("Rule 1", holding("answer.txt", "Only one line.\n")),
        ("Rule 1", changed("answer.txt", r"\n", "\u2028")),
        ("Rule 2", changed("answer.txt", r"family", "lost")),
        ("Rule 3", changed("answer.txt", r"water", "petal")),
        ("Rule 3", changed("answer.txt", r"lighthouse", "Lighthouse")),
        ("Rule 4", changed("answer.txt", r"harbour", "glasses")),
        ("Rule 5", changed("answer.txt", r"captain", "teacher")),
        ("Rule 6", changed("answer.txt", r"^In", "To")),
        ("At least 20", changed("files/candidates.txt", r"lighthouse", "lighthouses")),
        ("At least 20", changed("answer.txt", r"hundred", "thousand")),
        ("At least 20", changed("files/candidates.txt", r"\.\n(?=.)", ".\v")),
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
    "music": [
        ("A MIDI file", replaced("files/piece.mid", b"\xff\x51\x03\x09\x89\x68", b"\xff\x51\x03\x09\x27\xc0")),  # 100
        ("A MIDI file", cut("files/piece.mid", 0.9)),
        ("A MIDI file", replaced("files/piece.mid", b"\x91\x2d\x50", b"\x91\x2d\x01")),  # as soft as can be
        ("A MIDI file", replaced("files/piece.mid", b"\x87\x40\x82\x2d\0\0", b"\0\x82\x2d\0\x87\x40")),
        ("The melody", replaced("files/piece.mid", b"\x90\x45\x50", b"\x90\x46\x50")),  # its first note
        ("The chords", replaced("files/piece.mid", b"\x91\x2d\x50", b"\x91\x2e\x50")),
        ("The bass", replaced("files/piece.mid", b"\x92\x2d\x50", b"\x92\x39\x50")),
        ("The sound", cut("files/piece.wav", 0.9)),
        ("The sound", silenced("files/piece.wav")),
        ("The sound", sounding("files/piece.wav", lambda number: 1000)),
        ("On the first beats", sounding("files/piece.wav", lambda number: number * 7919 % 4001 - 2000)),  # noise
        ("On the first beats", sounding("files/piece.wav", lambda number: 8000 if number // 22 % 2 else -8000)),
        ("The sound", without("files/piece.wav")),
        ("The answer", holding("answer.txt", "41")),
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
    "poster": [
        ("An upright", changed("files/poster.svg", "297mm", "210mm")),
        ("An upright", changed("files/poster.svg", "</svg>", "<script>1</script></svg>")),
        ("An upright", changed("files/poster.svg", "</svg>", "<image href='http://example.org/x'/></svg>")),
        ("An upright", changed("files/poster.svg", "</svg>", "<style>text { fill: red }</style></svg>")),
        ("An upright", changed("files/poster.svg", "</svg>", "<circle fill='url(http://192.0.2.1/x)'/></svg>")),
        ("Every text", changed("files/poster.svg", "12 September", "13 September")),
        ("Every text stands", changed("files/poster.svg", "<text ", '<text visibility="hidden" ')),
        ("Every text stands", changed("files/poster.svg", "<text ", '<text style="display: none" ')),
        ("Every text has", changed("files/poster.svg", "<text ", '<text opacity="0" ')),
        ("Every text has", changed("files/poster.svg", r"(<text.*</text>)", r'<g opacity="0.2">\1</g>')),
        ("Every text stands", changed("files/poster.svg", r"(<text.*</text>)", r"<defs>\1</defs>")),
        (
            "Every text has",
            changed(
                "files/poster.svg",
                ">Night of the Tide Mills<",
                '>Night <tspan fill="#10203a">of the Tide Mills</tspan><',
            ),
        ),
        ("The title", changed("files/poster.svg", 'font-size="20"', 'font-size="14"')),
        ("Texts keep", changed("files/poster.svg", 'y="314"', 'y="296"')),
        ("Texts keep", changed("files/poster.svg", 'x="18"', 'x="180"')),
        (
            "Every text has",
            changed(
                "files/poster.svg", 'font-size="20" font-weight="bold" fill="#f7f1e1"', 'font-size="20" fill="#203a60"'
            ),
        ),
        ("There is a picture", changed("files/poster.svg", r"(?s)<circle.*<path", "<path")),
        ("The PNG", cut("files/poster.png", 0.5)),
        ("The PNG", replaced("files/poster.png", b"pHYs", b"pHYz")),
        ("The answer", holding("answer.txt", "A poster.")),
    ],
    "travel-map": [
        ("All that must", changed("files/itinerary.json", "Lighthouse", "Dune Path")),
        ("All that must", changed("files/itinerary.json", "Ropewalk", "Old Mill Quay")),
        ("Every way", changed("files/itinerary.json", '"leaves": "09:00"', '"leaves": "08:30"')),
        ("Every way", changed("files/itinerary.json", r'"arrive": "\d\d:', '"arrive": "08:')),
        ("Every way", changed("files/itinerary.json", r'"returns": "[^"]*"', '"returns": "19:00"')),
        ("One meal", changed("files/itinerary.json", "Garden Pavilion", "Dune Path")),
        ("The kilometres", changed("files/itinerary.json", r'"km": \d', '"km": 1')),
        ("The kilometres", without("files/itinerary.json")),
        (
            "The map",
            changed("files/map.html", "</body>|</html>", "<script src='http://192.0.2.1/x.js'></script></html>"),
        ),
        ("The map", changed("files/map.html", 'name="viewport"', 'name="view"')),
        ("It opens", changed("files/map.html", 'data-place="Tide Pools"', 'data-place="Tide"')),
        ("It opens", changed("files/map.html", "<script>", "<script>nothing.at.all();")),
        ("It opens", changed("files/map.html", r'(data-place="Lighthouse" cx="[^"]*" cy=")[^"]*', r"\g<1>600")),
        ("It opens", changed("files/map.html", r"part.style.display = [^;]*;", "0;")),
        ("It opens", changed("files/map.html", r'<g data-day="monday"><polyline[^>]*>', '<g data-day="monday">')),
        ("It opens", changed("files/map.html", r'<g data-day="sunday"', '<g data-route="sunday"')),
        ("It opens", changed("files/map.html", r'(<g data-day="monday"><polyline points=")[^"]*', r"\1 10,10 50,50")),
        ("It opens", changed("files/map.html", r'point.addEventListener\("click", tell\);', "")),
        ("It opens", changed("files/map.html", r'point.dataset.place \+ ": " \+', "")),
        ("It opens", changed("files/map.html", '"10:00 to 16:00, closed on Mondays", "Town', '"at ten", "Town')),
        ("The answer", holding("answer.txt", "12.00")),
    ],
    "video": [
        ("The angles", changed("files/angles.csv", r"^287,.*\n", "")),
        ("The angles", changed("files/angles.csv", r"^100,([^,]*),([^,]*),", r"100,\1,0.5,")),
        ("The angles", without("files/angles.csv")),
        ("The film", cut("files/pendulum.mp4", 0.95)),
        ("The film", replaced("files/pendulum.mp4", b"avc1\0", b"mp4v\0")),
        ("The film", replaced("files/pendulum.mp4", b"\x67\x64\0\x1f\xac", b"\x67\xf4\0\x1f\x91")),  # 4:4:4
        ("The film", replaced("files/pendulum.mp4", b"\x67\x64\0\x1f\xac", b"\x67\x6e\0\x1f\xa6")),  # 10 bits
        ("The film", replaced("files/pendulum.mp4", b"\x67\x64\0\x1f\xac", b"\x67\x64\0\x1f\xbc")),  # 4:2:2
        ("It plays", replaced("files/pendulum.mp4", b"avc1\0", b"mp4v\0")),
        ("The answer", holding("answer.txt", "2.5")),
    ],
}
