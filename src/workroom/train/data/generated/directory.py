"""A staff directory, a file for each department."""

from random import Random

from workroom.train.data.generated import words
from workroom.train.data.generated.asking import Made, Question, choice, distinct, several

_DEPARTMENTS = (
    "accounts design kitchen legal logistics personnel planning repairs research sales security training".split()
)


def make(random: Random, count: int) -> Made:
    """One to four files of four to fifteen people: `name | room | extension | since`."""
    departments = random.sample(_DEPARTMENTS, random.randint(1, 4))
    sizes = [random.randint(4, 15) for _ in departments]
    names = words.names(random, sum(sizes))
    rooms = {name: f"{random.randint(1, 4)}{random.randint(1, 40):02}" for name in names}
    extensions = dict(zip(names, words.codes(random, len(names), 4), strict=True))
    since = {name: random.randint(2001, 2030) for name in names}
    people: dict[str, list[str]] = {}
    documents = {}
    left = iter(names)
    for department, size in zip(departments, sizes, strict=True):
        people[department] = [name for _, name in zip(range(size), left, strict=False)]
        lines = [f"{name} | {rooms[name]} | {extensions[name]} | {since[name]}" for name in people[department]]
        title = [f"Staff of the department: {department}", "name | room | extension | here since"]
        documents[f"staff-{department}.txt"] = "\n".join([*title, *lines]) + "\n"

    def extension(random: Random) -> Question:
        name = random.choice(names)
        return Question(f"What is the extension of {name}?", extensions[name], (f"grep -h {name} documents/*",))

    def room(random: Random) -> Question:
        name = random.choice(names)
        return Question(f"In which room is {name}?", rooms[name], (f"grep -h {name} documents/*",))

    def newcomers(random: Random) -> Question:
        department, year = random.choice(departments), random.randint(2005, 2025)
        number = sum(since[name] > year for name in people[department])
        look = f"awk -F' [|] ' 'NR > 2 && $4 > {year}' documents/staff-{department}.txt | wc -l"
        text = f"How many people of the department {department} have been here since a year later than {year}?"
        return Question(text, str(number), (look,))

    def extension_choice(random: Random) -> Question:
        name, *others = random.sample(names, 4)
        text = f"Which of these people has the extension {extensions[name]}?"
        return choice(random, text, name, others, f"grep -h {extensions[name]} documents/*")

    def on_a_floor(random: Random) -> Question:
        floor = random.choice(sorted({rooms[name][0] for name in names}))
        right = [name for name in names if rooms[name][0] == floor]
        wrong = [name for name in names if rooms[name][0] != floor]
        if len(right) < 2 or len(wrong) < 2:
            return room(random)
        asked = random.sample(right, random.randint(2, min(3, len(right)))), random.sample(wrong, 2)
        text = f"Which of these people have a room on floor {floor}, so that its number begins with {floor}? Give all."
        return several(random, text, *asked, _rooms(sorted(asked[0] + asked[1])))

    return Made(documents, distinct(random, count, [extension, room, newcomers, extension_choice, on_a_floor]))


def _rooms(names: list[str]) -> str:
    return f"grep -hE '{'|'.join(names)}' documents/*"
