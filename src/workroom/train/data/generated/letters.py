"""Letters with facts in their sentences."""

from random import Random

from workroom.train.data.generated import words
from workroom.train.data.generated.asking import Made, Question, choice, distinct

_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_TALK = (
    "The weather has been dull, and nobody goes out much.",
    "You asked how we are: well enough, if a little tired.",
    "I have read your last letter twice and laughed both times.",
    "There is little else to tell from here.",
    "Do not mind my handwriting, the lamp is nearly empty.",
    "We had soup again, and it was better than it sounds.",
    "Before I forget it, here is what you wanted to know.",
    "The children send their love and ask for stamps.",
)


def make(random: Random, count: int) -> Made:
    """One to four letters with two to four facts each: who keeps a key, what was paid for goods, when a visit is."""
    number = random.randint(1, 4)
    sizes = [random.randint(2, 4) for _ in range(number)]
    people = words.names(random, 2 * number + 2 * sum(sizes) + 2)
    writers = [(people.pop(), people.pop()) for _ in sizes]
    places = random.sample(words.PLACES, sum(sizes))
    goods = random.sample(words.GOODS, sum(sizes))
    keepers: dict[str, str] = {}
    paid: dict[str, int] = {}
    visits: dict[str, tuple[str, str]] = {}
    documents = {}
    for letter, (size, (writer, reader)) in enumerate(zip(sizes, writers, strict=True), 1):
        facts = []
        for fact in range(size):
            kind = fact % 3 if size > 2 else random.randrange(3)
            if kind == 0:
                place = places.pop()
                keepers[place] = people.pop()
                facts.append(f"If you need the key of the {place}, {keepers[place]} keeps it now.")
            elif kind == 1:
                item = goods.pop()
                paid[item] = random.randint(12, 990)
                facts.append(f"For the {item} we paid {paid[item]} crowns in the end.")
            else:
                visitor = people.pop()
                visits[visitor] = random.choice(_DAYS), random.choice(("morning", "afternoon", "evening"))
                facts.append(f"{visitor} will call on {visits[visitor][0]} in the {visits[visitor][1]}.")
        random.shuffle(facts)
        talk = random.sample(_TALK, size)
        lines = [
            f"{more} {fact}" if random.random() < 0.5 else f"{fact} {more}"
            for fact, more in zip(facts, talk, strict=True)
        ]
        documents[f"letter-{letter}.txt"] = "\n".join([f"Dear {reader},", "", *lines, "", f"Yours, {writer}"]) + "\n"

    def keeper(random: Random) -> Question:
        place = random.choice(sorted(keepers))
        look = f"grep -h 'key of the {place}' documents/*"
        return Question(f"Who keeps the key of the {place}?", keepers[place], (look,))

    def price(random: Random) -> Question:
        item = random.choice(sorted(paid))
        text = f"How many crowns were paid for the {item}?"
        return Question(text, str(paid[item]), (f"grep -h 'For the {item}' documents/*",))

    def day(random: Random) -> Question:
        visitor = random.choice(sorted(visits))
        right = visits[visitor][0]
        others = random.sample([other for other in _DAYS if other != right], 3)
        return choice(random, f"On which day will {visitor} call?", right, others, f"grep -h {visitor} documents/*")

    def time(random: Random) -> Question:
        visitor = random.choice(sorted(visits))
        text = f"Will {visitor} call in the morning, the afternoon or the evening?"
        return Question(text, visits[visitor][1], (f"grep -h {visitor} documents/*",))

    makers = [
        *([keeper] if keepers else []),
        *([price] if paid else []),
        *([day, time] if visits else []),
    ]
    return Made(documents, distinct(random, count, makers))
