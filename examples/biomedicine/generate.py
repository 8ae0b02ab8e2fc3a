"""Writes the records of an invented cancer trial into `documents/patients.csv`, always the same ones.

    python examples/biomedicine/generate.py [DIRECTORY]

The drug, the hospitals and the patients are made up. `protocol.md` beside the records says how they are to be analysed.
"""

import csv
import random
import sys
from datetime import date, timedelta
from pathlib import Path

SEED = 20241119
PATIENTS = 236
CUTOFF = date(2024, 6, 30)
HEADER = "patient,hospital,arm,received,stage,age,eligible,randomised,died,last_contact,entered".split(",")
# Deaths a day: of stage II on the standard treatment, and by what stage III and the new drug multiply them.
HAZARD, STAGE_III, NEW = 1 / 900, 1.9, 0.62


def patient(number: int, dice: random.Random) -> dict[str, str]:
    """One record. Half of the hospitals write dates as 2021-03-31, the others as 31.03.2021."""
    hospital = dice.choice(["Aster", "Bluff", "Cairn", "Dorn"])
    arm, stage = ("new", "standard")[number % 2], dice.choice(["II", "III", "III"])
    begun = date(2020, 2, 3) + timedelta(days=dice.randrange(1250))
    rate = HAZARD * (STAGE_III if stage == "III" else 1) * (NEW if arm == "new" else 1)
    end = begun + timedelta(days=1 + int(dice.expovariate(rate)))
    lost = begun + timedelta(days=30 + int(dice.expovariate(1 / 4000)))
    recorded = CUTOFF + timedelta(days=75)  # the records were drawn up later than the cut-off
    died = end if end <= min(lost, recorded) else None
    seen = died or min(lost, recorded - timedelta(days=dice.randrange(60)))

    def written(day: date | None) -> str:
        if day is None:
            return ""
        return f"{day:%Y-%m-%d}" if hospital in ("Aster", "Cairn") else f"{day:%d.%m.%Y}"

    crossed = arm == "standard" and dice.random() < 0.12
    values = [
        f"P{number:03}", hospital, arm, "new" if crossed else arm, stage, str(dice.randrange(41, 83)),
        "no" if dice.random() < 0.04 else "yes", written(begun), written(died), written(seen),
        f"{seen + timedelta(days=dice.randrange(2, 20)):%Y-%m-%d}",
    ]  # fmt: skip
    return dict(zip(HEADER, values, strict=True))


def first_entry(record: dict[str, str]) -> dict[str, str]:
    """The record as it was first entered: on the day of randomisation, without anything that came after."""
    day = record["randomised"]
    entered = "-".join(reversed(day.split("."))) if "." in day else day
    return {**record, "died": "", "last_contact": day, "entered": entered}


def main(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    dice = random.Random(SEED)
    records = [patient(number, dice) for number in range(1, PATIENTS + 1)]
    records += [first_entry(record) for record in dice.sample(records, 9)]
    dice.shuffle(records)
    with (target / "patients.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, HEADER, lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "documents")
