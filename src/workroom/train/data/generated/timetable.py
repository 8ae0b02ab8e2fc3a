"""A timetable, a file for each day."""

from random import Random

from workroom.train.data.generated import words
from workroom.train.data.generated.asking import Made, Question, choice, distinct

_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()


def make(random: Random, count: int) -> Made:
    """One to three days of six to twenty departures: `time  destination  platform`."""
    days = random.sample(_DAYS, random.randint(1, 3))
    towns = words.names(random, random.randint(4, 6))
    trains: dict[str, list[tuple[int, str, int]]] = {}
    documents = {}
    for day in days:
        times = sorted(random.sample(range(5 * 60, 23 * 60), random.randint(6, 20)))
        trains[day] = [(time, random.choice(towns), random.randint(1, 9)) for time in times]
        lines = [f"{words.clock(time)}  {town}  platform {platform}" for time, town, platform in trains[day]]
        documents[f"{day.lower()}.txt"] = "\n".join([f"Departures on {day}", "", *lines]) + "\n"

    def platform(random: Random) -> Question:
        day = random.choice(days)
        time, town, number = random.choice(trains[day])
        text = f"From which platform does the train to {town} at {words.clock(time)} on {day} leave?"
        return Question(text, str(number), (f"grep '^{words.clock(time)}' documents/{day.lower()}.txt",))

    def following(random: Random) -> Question:
        day = random.choice(days)
        time, town, _ = random.choice(trains[day])
        after = random.randint(4 * 60, time - 1)
        right = min(other for other, there, _ in trains[day] if there == town and other > after)
        text = f"When does the first train to {town} after {words.clock(after)} leave on {day}? Give the time as HH:MM."
        look = f'awk \'$1 > "{words.clock(after)}" && $2 == "{town}"\' documents/{day.lower()}.txt | head -n 1'
        return Question(text, words.clock(right), (look,))

    def number(random: Random) -> Question:
        _, town, _ = random.choice(trains[random.choice(days)])
        right = sum(there == town for day in days for _, there, _ in trains[day])
        text = f"How many trains to {town} do the timetables have, all days together?"
        return Question(text, str(right), (f"cat documents/* | grep -c {town}",))

    def where(random: Random) -> Question:
        day = random.choice(days)
        time, town, _ = random.choice(trains[day])
        text = f"Where does the train that leaves at {words.clock(time)} on {day} go?"
        others = random.sample([other for other in towns if other != town], 3)
        return choice(random, text, town, others, f"grep '^{words.clock(time)}' documents/{day.lower()}.txt")

    return Made(documents, distinct(random, count, [platform, following, number, where]))
