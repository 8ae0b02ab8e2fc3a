"""The sentences of the papers that do not matter, the ports, and numbers in words."""

from itertools import product

PLACES = ["Varnholm", "Skaw", "Ostmark", "Tessel Roads", "Corbie", "Great Anlow", "Brede", "Lindhaven"]

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()

_WEATHER = [
    f"{wind} {how}."
    for wind, how in product(
        ["Wind from the north", "Wind from the south-west", "A light easterly air", "Squalls out of the west"],
        [
            "until noon, then calm",
            "all day, with rain",
            "and a heavy sea on the bar",
            "falling towards evening",
            "with fog at dawn",
        ],
    )
]
_BOATS = [
    f"{who} {what}."
    for who, what in product(
        [
            "The herring boats",
            "Four small boats of the town",
            "The pilot cutter",
            "The ferry from Little Ness",
            "A stranger, a lugger,",
        ],
        [
            "lay in the roads until the tide served",
            "came in late and landed fish at the steps",
            "took shelter behind the mole",
            "asked for a berth at the old quay and had it",
            "went out on the morning tide and came back by dark",
        ],
    )
]
_WORKS = [
    f"{who} {what}."
    for who, what in product(
        ["The smith", "The carpenters", "Two men of the watch", "The harbour master"],
        [
            "mended the chain of the inner basin",
            "looked over the piles of the salt quay and found them sound",
            "set a new lamp on the mole",
            "counted the empty salt sacks in the store: none is missing",
            "cleared weed from the slip",
        ],
    )
]
FILLERS = [
    *_WEATHER,
    *_BOATS,
    *_WORKS,
    "Mr Hallam was at the quay and asked for news of his ships; there was none.",
    "A cart with salt for the curing house broke its axle at the gate; nothing was lost.",
    "The price of salt in the market is the same as last week.",
    "Brandt's clerk complained of the dues and was told to write to the council.",
    "No ship of the port came in.",
]
IDLE_MINUTES = [
    "The dues of the market were let for another year.",
    "A petition of the curers about the price of salt was read and laid aside.",
    "Mr Hallam, Mr Tully and Mrs Strand were present.",
    "The repair of the mole was put off until the spring.",
    "It was asked whether the bushel of oats should be changed; it was not.",
    "The schoolmaster thanked the council for coals.",
    "Messrs Orme offered stone for the road, and were thanked.",
    "The accounts of the ferry were found correct.",
    "A proposal that a sack of meal be reckoned at 4 bushels was voted down.",
    "The lamp at the steps is to be lit from September on.",
    "Nothing was decided about the names of the lanes.",
    "The bell of the watch house is to be recast.",
]
IDLE_LETTERS = [
    "I remain obliged to you for the rope, which is of the best kind.",
    "It is said that the house of Hallam would buy the Osprey; Messrs Orme tell me that she is not for sale.",
    "The Juno sails this season for the house of Hallam under charter, and remains the property of Mrs Strand.",
    "Of the buoy that broke loose nothing has been heard.",
    "The curers ask for coarser salt, and I have passed on their wish.",
    "Your question about the anchorage I have answered in my last letter.",
    "The pilot has been ill and is better.",
    "Brandt and Sons have paid the dues of the quarter.",
    "Please let me have two charts of the southern banks.",
    "I cannot say yet what the dredging will cost.",
    "Mr Tully thinks of a new ship, but he has thought of one for years.",
    "The tide gauge was read every day, as you asked.",
]


def in_words(number: int) -> str:
    """A number below 1,000 in words, as the journals write it."""
    if number >= 100:
        rest = number % 100
        return f"{_ONES[number // 100]} hundred" + (f" and {in_words(rest)}" if rest else "")
    if number >= 20:
        return _TENS[number // 10 - 2] + (f"-{_ONES[number % 10]}" if number % 10 else "")
    return _ONES[number]
