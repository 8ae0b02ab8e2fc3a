"""The easiest kind: one record's value in one of several small files, which the question does not name."""

from random import Random

from workroom.train.data.generated import words
from workroom.train.data.generated.asking import Made, Question, distinct

_WHATS = ("access code", "badge number", "locker code", "member number", "parcel number")


def make(random: Random, count: int) -> Made:
    """Two to four files of a title and two to four records."""
    what = random.choice(_WHATS)
    sizes = [random.randint(2, 4) for _ in range(random.randint(2, 4))]
    sizes += [4] * max(0, (count - sum(sizes) + 3) // 4)  # worked examples ask for other records
    names = words.names(random, sum(sizes))
    values = dict(zip(names, words.codes(random, len(names)), strict=True))
    left = iter(names)
    documents = {}
    for place, size in zip(random.sample(words.PLACES, len(sizes)), sizes, strict=True):
        lines = [f"The {what} of {name} is {values[name]}." for _, name in zip(range(size), left, strict=False)]
        documents[f"{place}.txt"] = "\n".join([f"{place.capitalize()}, {what}s", "", *lines]) + "\n"

    def ask(random: Random) -> Question:
        name = random.choice(names)
        return Question(f"What is the {what} of {name}?", values[name], (f"grep -h {name} documents/*",))

    return Made(documents, distinct(random, count, [ask]))
