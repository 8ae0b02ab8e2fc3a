"""Logs of readings, a file for each day."""

from random import Random

from workroom.train.data.generated import words
from workroom.train.data.generated.asking import Made, Question, distinct, several


def make(random: Random, count: int) -> Made:
    """One to four days of four to twenty readings: `time station=NAME level=NUMBER`. No level is there twice."""
    stations = words.names(random, random.randint(2, 4))
    first, month = random.randint(1, 24), random.randint(1, 12)
    dates = [f"{2031}-{month:02}-{first + number:02}" for number in range(random.randint(1, 4))]
    sizes = [random.randint(4, 20) for _ in dates]
    levels = iter(random.sample(range(100, 1000), sum(sizes)))
    readings: list[tuple[str, str, str, int]] = []
    documents = {}
    for date, size in zip(dates, sizes, strict=True):
        times = sorted(random.sample(range(0, 24 * 60, 5), size))
        day = [(date, words.clock(time), random.choice(stations), next(levels)) for time in times]
        readings += day
        lines = [f"{time} station={station} level={level}" for _, time, station, level in day]
        documents[f"{date}.log"] = "\n".join([f"Readings of {date}", "", *lines]) + "\n"
    known = sorted({station for _, _, station, _ in readings})

    def reading(random: Random) -> Question:
        date, time, station, level = random.choice(readings)
        text = f"What level did the station {station} have on {date} at {time}?"
        return Question(text, str(level), (f"grep '^{time}' documents/{date}.log",))

    def highest(random: Random) -> Question:
        station = random.choice(known)
        right = max(level for _, _, there, level in readings if there == station)
        look = f"grep -h station={station} documents/* | sort -t= -k3 -n | tail -n 1"
        return Question(f"What is the highest level that the station {station} has in the logs?", str(right), (look,))

    def lowest(random: Random) -> Question:
        station = random.choice(known)
        date = min((level, date) for date, _, there, level in readings if there == station)[1]
        look = f"grep -H station={station} documents/* | sort -t= -k3 -n | head -n 1"
        text = f"On which date was the level of the station {station} lowest? Give the date as YYYY-MM-DD."
        return Question(text, date, (look,))

    def total(random: Random) -> Question:
        date, _, station, _ = random.choice(readings)
        right = sum(level for day, _, there, level in readings if day == date and there == station)
        look = f"grep station={station} documents/{date}.log | awk -F= '{{ sum += $3 }} END {{ print sum }}'"
        return Question(f"What is the sum of the levels of the station {station} on {date}?", str(right), (look,))

    def above(random: Random) -> Question:
        bound = random.choice(readings)[3] - 1
        right = sum(level > bound for _, _, _, level in readings)
        look = f"cat documents/* | awk -F= '$3 > {bound}' | wc -l"
        return Question(f"How many readings in all logs have a level above {bound}?", str(right), (look,))

    def when(random: Random) -> Question:
        date, _, station, _ = random.choice(readings)
        right = [time for day, time, there, _ in readings if day == date and there == station]
        wrong = [time for day, time, there, _ in readings if day == date and there != station]
        if len(right) < 2 or not wrong:
            return total(random)
        asked = random.sample(right, min(3, len(right))), random.sample(wrong, min(2, len(wrong)))
        text = f"At which of these times of {date} is there a reading of the station {station}? Give all."
        return several(random, text, *asked, f"grep station={station} documents/{date}.log")

    return Made(documents, distinct(random, count, [reading, highest, lowest, total, above, when]))
