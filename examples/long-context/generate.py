"""Writes the papers of an invented port into `documents/`: 40 files, 2 MB, always the same ones.

    python examples/long-context/generate.py [DIRECTORY]

`landings()` tells what is true in them, for the checker. Everything and everybody in them is made up.
"""

import random
import sys
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

from prose import FILLERS, IDLE_LETTERS, IDLE_MINUTES, PLACES, in_words

SEED = 18680101
FIRST, LAST = date(1868, 1, 1), date(1880, 12, 31)
ASKED = range(1870, 1878)


@dataclass(frozen=True)
class Ship:
    """A ship: from when it has which name, and from when it belongs to whom; `until` it was lost."""

    names: tuple[tuple[date, str], ...]
    owners: tuple[tuple[date, str], ...]
    captain: str
    until: date = LAST

    def name(self, day: date) -> str:
        return [name for begin, name in self.names if begin <= day][-1]

    def owner(self, day: date) -> str:
        return [owner for begin, owner in self.owners if begin <= day][-1]


def _ship(name: str, owner: str, captain: str, since: date = FIRST) -> Ship:
    return Ship(((since, name),), ((since, owner),), captain)


SHIPS = [
    replace(
        _ship("Kestrel", "Brandt", "Capt. Rowe"),
        names=((FIRST, "Kestrel"), (date(1871, 4, 2), "Adeline")),
        owners=((FIRST, "Brandt"), (date(1871, 3, 4), "Hallam"), (date(1876, 9, 18), "Orme")),
    ),
    replace(_ship("Petrel", "Hallam", "Capt. Quist"), until=date(1875, 11, 20)),
    replace(
        _ship("Marigold", "Tully", "Capt. Lowe"),
        owners=((FIRST, "Tully"), (date(1873, 6, 11), "Hallam")),
    ),
    _ship("Kestrel", "Orme", "Capt. Vane", date(1872, 2, 10)),  # another ship of a name that had become free
    replace(
        _ship("Swallow", "Hallam", "Capt. Mott"),
        names=((FIRST, "Swallow"), (date(1872, 2, 20), "Bremerland")),
        owners=((FIRST, "Hallam"), (date(1872, 1, 15), "Brandt"), (date(1877, 5, 3), "Hallam")),
    ),
    _ship("Osprey", "Orme", "Capt. Haig"),
    _ship("Good Intent", "Tully", "Capt. Penn"),
    _ship("Juno", "Strand", "Capt. Ibsen"),
    replace(
        _ship("Corncrake", "Brandt", "Capt. Yule"),
        names=((FIRST, "Corncrake"), (date(1874, 1, 20), "Patience")),
        owners=((FIRST, "Brandt"), (date(1869, 10, 8), "Hallam")),
    ),
    _ship("Fortune", "Tully", "Capt. Dacre"),
    _ship("Halcyon", "Orme", "Capt. Nye"),
    _ship("Two Brothers", "Strand", "Capt. Alder"),
]


@dataclass(frozen=True)
class Landing:
    """A landing of salt: `written` is what the journal says of the amount, `bushels` what it was."""

    day: date
    ship: Ship
    written: str
    bushels: int
    corrected: int | None = None

    @property
    def pounds(self) -> int:
        return self.bushels * (60 if self.day < date(1874, 1, 1) else 56)

    @property
    def counts(self) -> bool:
        return self.day.year in ASKED and self.ship.owner(self.day) == "Hallam"


def _salt(day: date, ship: Ship, dice: random.Random) -> Landing:
    amount = dice.randrange(110, 640)
    form = dice.randrange(6)
    if form == 0:
        return Landing(day, ship, f"{in_words(amount)} bushels", amount)
    if form == 1:
        sacks = amount // 3
        return Landing(day, ship, f"{sacks} sacks", sacks * (3 if day < date(1876, 7, 1) else 2))
    return Landing(day, ship, f"{amount} bushels", amount)


def _arrivals() -> tuple[list[Landing], dict[date, list[str]]]:
    """The landings of salt, and the sentences of the journal about ships, by day."""
    dice = random.Random(SEED)
    salt: list[Landing] = []
    said: dict[date, list[str]] = defaultdict(list)
    for ship in SHIPS:
        day = ship.names[0][0] + timedelta(days=dice.randrange(2, 30))
        while day <= ship.until:
            name, port = ship.name(day), dice.choice(PLACES)
            cargo = dice.randrange(10)
            if cargo < 5:
                landing = _salt(day, ship, dice)
                salt.append(landing)
                said[day].append(
                    f"The {name}, {ship.captain}, from {port}, landed {landing.written} of salt."
                    if cargo < 3
                    else f"Came in from {port} the {name} ({ship.captain}) and landed {landing.written} of salt."
                )
            elif cargo == 5:
                bushels = dice.randrange(100, 500)
                said[day].append(
                    f"The {name}, {ship.captain}, from {port}, put in for water with {bushels} bushels of salt aboard, "
                    "landed nothing, and went on to Little Ness."
                )
            else:
                goods = dice.choice(["barrels of tar", "planks of fir", "bales of wool", "casks of oil"])
                said[day].append(f"The {name}, {ship.captain}, from {port}, landed {dice.randrange(12, 90)} {goods}.")
            day += timedelta(days=dice.randrange(9, 42))
    salt.sort(key=lambda landing: (landing.day, landing.ship.name(landing.day)))
    return salt, said


def _corrected(salt: list[Landing]) -> list[Landing]:
    """The landings, of which some were written down wrongly: the journal keeps the wrong figure."""
    dice = random.Random(SEED + 1)
    plain = [i for i, landing in enumerate(salt) if landing.written == f"{landing.bushels} bushels"]
    chosen = dice.sample([i for i in plain if salt[i].counts], 6) + dice.sample(
        [i for i in plain if not salt[i].counts], 8
    )
    for i in chosen:
        right = salt[i].bushels + dice.choice([-90, -40, 30, 60, 100])
        salt[i] = replace(salt[i], bushels=right, corrected=right)
    return salt


def landings() -> list[Landing]:
    """The landings that count, in order of date."""
    return [landing for landing in _corrected(_arrivals()[0]) if landing.counts]


def _dated(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def _letters(salt: list[Landing]) -> dict[date, list[str]]:
    """What the letters tell, by day: sales, losses and corrections."""
    told: dict[date, list[str]] = defaultdict(list)
    house = {"Hallam": "the house of Hallam", "Orme": "Messrs Orme", "Brandt": "Brandt and Sons"}
    for ship in SHIPS:
        for (_, seller), (day, buyer) in zip(ship.owners, ship.owners[1:], strict=False):
            before = ship.name(day)
            told[day + timedelta(days=3)].append(
                f"I have to report that the {before}, {ship.captain}, which was the property of {seller}, was sold to "
                f"{house[buyer]} and is theirs from {_dated(day)} on."
            )
        if ship.until < LAST:
            told[ship.until + timedelta(days=9)].append(
                f"The {ship.name(ship.until)} was lost on the Skerries, all hands saved."
            )
    for landing in salt:
        if landing.corrected is not None:
            told[landing.day + timedelta(days=40)].append(
                f"The journal is in error where it says, under {_dated(landing.day)}, that the "
                f"{landing.ship.name(landing.day)} landed {landing.written} of salt; the weigh-house has it at "
                f"{landing.corrected} bushels, which is right."
            )
    return told


def _minutes() -> dict[date, list[str]]:
    """What the minutes tell, by day: owners, new names and measures."""
    owners = "; ".join(f"the {s.name(FIRST)}, {s.owner(FIRST)}" for s in SHIPS if s.names[0][0] == FIRST)
    told: dict[date, list[str]] = defaultdict(list)
    told[date(1868, 1, 13)] += [
        f"The ships of the port and their owners were read out: {owners}.",
        "A bushel of salt is to be reckoned at 60 pounds, a sack of salt at 3 bushels, until we say otherwise.",
    ]
    told[date(1873, 11, 10)].append("From New Year's Day next a bushel of salt is to be reckoned at 56 pounds.")
    told[date(1876, 6, 5)].append(
        "The new sacks hold less: a sack of salt landed on 1 July 1876 or later is 2 bushels."
    )
    told[date(1872, 2, 5)].append("A new ship of Messrs Orme, Capt. Vane, may take the name Kestrel, which is free.")
    for ship in SHIPS:
        for (_, old), (day, new) in zip(ship.names, ship.names[1:], strict=False):
            told[day - timedelta(days=6)].append(
                f"Leave was given that the {old}, {ship.captain}, be called {new} from {_dated(day)} on."
            )
    return told


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=i) for i in range((last - first).days + 1)]


def _book(title: str, days: list[date], told: dict[date, list[str]], idle: list[str], every: int) -> str:
    """A book of letters or minutes: what is told on its day, amid what does not matter."""
    dice = random.Random(f"{SEED} {title}")
    parts = [title]
    for day in days:
        own = told.get(day, [])
        if own or dice.randrange(every) == 0:
            sentences = dice.sample(idle, dice.randrange(3, 7))
            for sentence in own:
                sentences.insert(dice.randrange(len(sentences) + 1), sentence)
            parts.append(f"{_dated(day)}. {' '.join(sentences)}")
    return "\n\n".join(parts) + "\n"


def _journal(title: str, days: list[date], said: dict[date, list[str]]) -> str:
    """A harbour journal: a paragraph a day."""
    dice = random.Random(f"{SEED} {title}")
    parts = [title]
    for day in days:
        sentences = dice.sample(FILLERS, dice.randrange(3, 9)) + said.get(day, [])
        dice.shuffle(sentences)
        parts.append(f"{day.day} {day:%B}. {' '.join(sentences)}")
    return "\n\n".join(parts) + "\n"


def main(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    salt, said = _arrivals()
    salt = _corrected(salt)
    letters, minutes = _letters(salt), _minutes()
    books: dict[str, str] = {}
    for year in range(FIRST.year, LAST.year + 1):
        for half, name, begin, end in ((1, "first", (1, 1), (6, 30)), (2, "second", (7, 1), (12, 31))):
            title = f"Journal of the harbour of Ness, {name} half of {year}"
            books[f"journal-{year}-{half}.txt"] = _journal(title, _days(date(year, *begin), date(year, *end)), said)
    for year in range(1868, 1877):
        days = _days(date(year, 1, 1), date(year, 12, 31))
        books[f"minutes-{year}.txt"] = _book(f"Minutes of the council of Ness, {year}", days, minutes, IDLE_MINUTES, 12)
    for first, last in ((1868, 1870), (1871, 1873), (1874, 1876), (1877, 1878), (1879, 1880)):
        days = _days(date(first, 1, 1), date(last, 12, 31))
        title = f"Letter book of the harbour master of Ness, {first} to {last}"
        books[f"letters-{first}-{last}.txt"] = _book(title, days, letters, IDLE_LETTERS, 10)
    for file, content in books.items():
        (target / file).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "documents")
