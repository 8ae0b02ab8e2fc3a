"""An inventory, a table for each place."""

from random import Random

from workroom.train.data.generated import words
from workroom.train.data.generated.asking import Made, Question, choice, distinct


def make(random: Random, count: int) -> Made:
    """One to three tables of five to fourteen goods: `item,shelf,quantity,price`."""
    places = random.sample(words.PLACES, random.randint(1, 3))
    sizes = [random.randint(5, 14) for _ in places]
    goods = random.sample(words.GOODS, sum(sizes))
    shelves = {item: random.choice("ABC") + str(random.randint(1, 3)) for item in goods}
    quantities = dict(zip(goods, random.sample(range(3, 400), len(goods)), strict=True))
    prices = dict(zip(goods, random.sample(range(2, 90), len(goods)), strict=True))
    held: dict[str, list[str]] = {}
    documents = {}
    left = iter(goods)
    for place, size in zip(places, sizes, strict=True):
        held[place] = [item for _, item in zip(range(size), left, strict=False)]
        lines = [f"{item},{shelves[item]},{quantities[item]},{prices[item]}" for item in held[place]]
        documents[f"{place}.csv"] = (
            "\n".join([f"# inventory of the {place}", "item,shelf,quantity,price", *lines]) + "\n"
        )

    def quantity(random: Random) -> Question:
        item = random.choice(goods)
        return Question(f"How many {item} are in stock?", str(quantities[item]), (f"grep -h '^{item},' documents/*",))

    def total(random: Random) -> Question:
        place = random.choice(places)
        look = f"awk -F, 'NR > 2 {{ sum += $3 }} END {{ print sum }}' documents/{place}.csv"
        text = f"What is the sum of all quantities in the inventory of the {place}?"
        return Question(text, str(sum(quantities[item] for item in held[place])), (look,))

    def on_a_shelf(random: Random) -> Question:
        place = random.choice(places)
        shelf = shelves[random.choice(held[place])]
        look = f"awk -F, '$2 == \"{shelf}\" {{ sum += $3 }} END {{ print sum }}' documents/{place}.csv"
        text = f"How many pieces of all goods together are on shelf {shelf} of the {place}?"
        return Question(text, str(sum(quantities[item] for item in held[place] if shelves[item] == shelf)), (look,))

    def dearest(random: Random) -> Question:
        place = random.choice(places)
        item = max(held[place], key=lambda item: prices[item])
        look = f"tail -n +3 documents/{place}.csv | sort -t, -k4 -n | tail -n 1"
        return Question(f"Which item of the {place} has the highest price?", item, (look,))

    def value(random: Random) -> Question:
        item = random.choice(goods)
        look = f"awk -F, '$1 == \"{item}\" {{ print $3 * $4 }}' documents/*"
        text = f"What are all {item} in stock worth together, quantity times price?"
        return Question(text, str(quantities[item] * prices[item]), (look,))

    def most(random: Random) -> Question:
        place = random.choice(places)
        asked = random.sample(held[place], 4)
        right = max(asked, key=lambda item: quantities[item])
        look = f"grep -hE '^({'|'.join(sorted(asked))}),' documents/* | sort -t, -k3 -n | tail -n 1"
        text = f"Of which of these items are there the most in the {place}?"
        return choice(random, text, right, [item for item in asked if item != right], look)

    return Made(documents, distinct(random, count, [quantity, total, on_a_shelf, dearest, value, most]))
