"""Names and values that no model has seen together."""

from random import Random
from typing import Final

_FIRST: Final = (
    "al bel bor cas dar del dor el fen fir gal gor hal hel ist jar kal kel kor lam lin lor mar mel mir nar nel nor "
    "ol or pel quin ral rin sal sel sor tal tom tor ul var vel vin wel yar zel"
).split()
_MIDDLE: Final = ("", "", "", "a", "e", "i", "o", "den", "len", "mi", "na", "ra", "ri", "sa", "ta", "vi")
_LAST: Final = (
    "ban bek bin dak den dra fin gar gin ka kin lan lek lik mak men min nak nia pek ram rek ric san sek tan tik ton "
    "vak vek vik vin wen zan"
).split()

PLACES: Final = (
    "archive attic bakery barn boathouse cellar chapel court dairy depot dock farm forge garden granary greenhouse "
    "hall harbour hostel library mill mine museum nursery orchard pantry pier quarry school stable station studio "
    "tannery tower vault vineyard warehouse wharf workshop yard"
).split()
GOODS: Final = (
    "anchors baskets bolts bottles bricks brooms brushes buckets cables candles chains clamps crates drums files "
    "gaskets gloves hammers handles hinges hooks hoses jars kettles ladders lamps latches levers mats mirrors nails "
    "needles nets pipes planks plates pulleys pumps ropes saws screws shovels sieves springs tiles valves wedges wheels"
).split()


def names(random: Random, count: int) -> list[str]:
    """So many names of syllables, such as Tomvik, none of which is in another: each can be searched for."""
    found: list[str] = []
    while len(found) < count:
        name = (random.choice(_FIRST) + random.choice(_MIDDLE) + random.choice(_LAST)).capitalize()
        if not any(name.lower() in other.lower() or other.lower() in name.lower() for other in found):
            found.append(name)
    return found


def codes(random: Random, count: int, digits: int = 5) -> list[str]:
    """So many different numbers of so many digits."""
    return [str(number) for number in random.sample(range(10 ** (digits - 1), 10**digits), count)]


def clock(minutes: int) -> str:
    """A time of day, such as 08:15."""
    return f"{minutes // 60:02}:{minutes % 60:02}"
