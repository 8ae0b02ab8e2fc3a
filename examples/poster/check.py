"""Says whether a run solved `task.md`: the SVG is read as XML, and its texts are measured roughly.

python examples/poster/check.py RUN_DIR
"""

import json
import re
import struct
import sys
import xml.etree.ElementTree as Xml
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from checking import Wrong, data, main, need, png, text
from colours import contrast_of

HERE = Path(__file__).parent
SPACE = "{http://www.w3.org/2000/svg}"
SHAPES = {"path", "circle", "ellipse", "polygon", "polyline", "line", "rect"}
ALLOWED = SHAPES | {
    "svg", "g", "text", "tspan", "title", "desc", "defs", "linearGradient", "radialGradient", "stop", "clipPath",
}  # fmt: skip
Placed = tuple[Xml.Element, dict[str, str], tuple[float, float]]  # an element, its style, how far it is moved
NARROW = 0.4  # of the font size: the mean width of a letter in narrow fonts, so that what surely overlaps is seen
MOST, MOST_TEXTS = 20_000, 500  # elements, and those of texts: each text is compared with each other one
WIDTH, HEIGHT, DOTS = 1754, 2480, 150


@dataclass(frozen=True)
class Box:
    """A rectangle in the poster's own units."""

    left: float
    top: float
    right: float
    bottom: float
    fill: str = ""

    def holds(self, x: float, y: float) -> bool:
        return self.left <= x <= self.right and self.top <= y <= self.bottom


@dataclass(frozen=True)
class Text:
    said: str
    size: float
    fills: frozenset[tuple[str, float]]  # with their opacity
    box: Box


@cache
def svg(run: Path) -> Xml.Element:
    """The root of the SVG. Raises Wrong where it is none."""
    content = text(run, "files/poster.svg")
    need("<!DOCTYPE" not in content and "<!ENTITY" not in content, "poster.svg has a document type")
    try:
        root = Xml.fromstring(content)
    except Xml.ParseError as error:
        raise Wrong(f"poster.svg is no XML: {error}") from None
    need(root.tag == f"{SPACE}svg", "poster.svg is no SVG")
    every = [element.tag for element in root.iter()]
    of_texts = every.count(f"{SPACE}text") + every.count(f"{SPACE}tspan")
    need(len(every) <= MOST, f"poster.svg has {len(every):,} elements, more than {MOST:,}")
    need(of_texts <= MOST_TEXTS, f"poster.svg has {of_texts:,} texts and parts of them, more than {MOST_TEXTS}")
    return root


def page(run: Path) -> Box:
    numbers = [float(number) for number in re.split(r"[\s,]+", svg(run).get("viewBox", "").strip()) if number]
    need(len(numbers) == 4, "there is no viewBox")
    return Box(numbers[0], numbers[1], numbers[0] + numbers[2], numbers[1] + numbers[3])


def styled(element: Xml.Element, inherited: dict[str, str]) -> dict[str, str]:
    """The attributes that count here, own ones before those of parents."""
    found = inherited | {"opacity": "1"}
    for name in ("font-size", "fill", "text-anchor", "visibility", "display", "opacity", "fill-opacity"):
        if (value := element.get(name)) is not None:
            found[name] = value
    for rule in (element.get("style") or "").split(";"):
        name, colon, value = rule.partition(":")
        if colon:
            found[name.strip()] = value.strip()
    # These two are not inherited: a child cannot be seen better than its parent.
    found["opacity"] = str(share(found, "opacity") * share(inherited, "opacity"))
    return found | ({"display": "none"} if inherited.get("display") == "none" else {})


def share(style: dict[str, str], name: str) -> float:
    found = number(style.get(name, "1"), name)
    need(0 <= found <= 1, f"{name} is {style.get(name)!r}")
    return found


def walk(element: Xml.Element, inherited: dict[str, str], moved: tuple[float, float]) -> Iterator[Placed]:
    """Every element with its style and how far it is moved."""
    style = styled(element, inherited)
    transform = element.get("transform", "")
    if transform:
        found = re.fullmatch(r"\s*translate\(\s*([-\d.]+)(?:[\s,]+([-\d.]+))?\s*\)\s*", transform)
        inside = any(child.tag in (f"{SPACE}text", f"{SPACE}tspan") for child in element.iter())
        need(found or not inside, f"a text is under transform={transform!r}: only translate can be followed here")
        if found:
            moved = (moved[0] + float(found[1]), moved[1] + float(found[2] or 0))
    yield element, style, moved
    for child in element:
        yield from walk(child, style, moved)


def number(value: str | None, what: str) -> float:
    found = re.match(r"-?[\d.]+", (value or "").strip())
    need(found, f"{what} is {value!r}")
    assert found
    return float(found[0])


@cache
def texts(run: Path) -> list[Text]:
    """Every text, lines of one `<text>` joined, with the box that it fills at least."""
    found = []
    elsewhere = [hidden for name in ("defs", "clipPath") for hidden in svg(run).iter(f"{SPACE}{name}")]
    drawn_elsewhere = {text for hidden in elsewhere for text in hidden.iter(f"{SPACE}text")}
    for element, style, (right, down) in walk(svg(run), {}, (0, 0)):
        if element.tag != f"{SPACE}text":
            continue
        need(element not in drawn_elsewhere, "a text is in <defs> or <clipPath>, where it is not drawn")
        x, y = (number(element.get(name, "0"), f"{name} of a text") for name in ("x", "y"))
        boxes, said = [], element.text or ""
        lines = [(x, y, style, said)]
        for part in element:
            own = styled(part, style)
            x = number(part.get("x"), "x of a tspan") if part.get("x") else x
            y = number(part.get("y"), "y of a tspan") if part.get("y") else y
            size = number(own.get("font-size"), "the font size of a text")
            dy = part.get("dy", "0")
            y += number(dy, "dy") * (size if dy.endswith("em") else 1)
            lines += [(x, y, own, part.text or ""), (x, y, style, part.tail or "")]
            said += " " * any(part.get(name) for name in ("x", "y", "dy"))  # a new line
            said += (part.text or "") + (part.tail or "")
        for at, base, own, line in lines:
            if words := " ".join(line.split()):
                hidden = own.get("display") == "none" or own.get("visibility") in ("hidden", "collapse")
                need(not hidden, f"{words!r} is not to be seen")
                size = number(own.get("font-size"), f"the font size of {words!r}")
                width = NARROW * size * len(words)
                left = at - {"middle": width / 2, "end": width}.get(own.get("text-anchor", "start"), 0)
                box = Box(left + right, base - 0.7 * size + down, left + width + right, base + down)
                strength = share(own, "opacity") * share(own, "fill-opacity")
                boxes.append((size, (own.get("fill", "black"), strength), box))
        need(boxes, "a text is empty")
        whole = Box(
            min(box.left for *_, box in boxes), min(box.top for *_, box in boxes),
            max(box.right for *_, box in boxes), max(box.bottom for *_, box in boxes),
        )  # fmt: skip
        fills = frozenset(fill for _, fill, _ in boxes)
        found.append(Text(" ".join(said.split()), min(size for size, *_ in boxes), fills, whole))
    return found


def wanted() -> dict[str, str]:
    given: dict[str, Any] = json.loads((HERE / "documents" / "texts.json").read_text())
    lines = {f"programme {n}": line for n, line in enumerate(given.pop("programme"), 1)}
    return given | lines


def form(run: Path) -> str:
    """An upright A3 page of allowed elements only"""
    root, sheet = svg(run), page(run)
    size = (root.get("width"), root.get("height"))
    need(size == ("297mm", "420mm"), f"width and height are {size}")
    share = (sheet.right - sheet.left) / (sheet.bottom - sheet.top)
    need(abs(share - 297 / 420) < 0.002, f"the viewBox has the proportions {share:.4f} in place of {297 / 420:.4f}")
    for element in root.iter():
        name = str(element.tag).removeprefix(SPACE)
        need(name in ALLOWED, f"there is a <{name}>")
        for attribute, value in element.attrib.items():
            short = attribute.rpartition("}")[2].lower()
            need(not short.startswith("on") and short != "href", f"<{name}> has {short}")
            need(not re.search(r"url\((?!\s*['\"]?#)|javascript:|@import", value), f"<{name} {short}> leads outside")
    return "297 x 420 mm"


def all_texts(run: Path) -> str:
    """Every text stands on it, letter for letter"""
    said = [one.said for one in texts(run)]
    for name, line in wanted().items():
        need(line in said, f"the {name} is missing: {line!r}")
    return f"{len(said)} texts"


def order(run: Path) -> str:
    """The title is the largest, then date and place; nothing is too small"""
    sizes = {one.said: one.size for one in texts(run)}
    given = wanted()
    need(all(line in sizes for line in given.values()), "texts are missing")
    first = {name: sizes[line] for name, line in given.items()}
    title, date, place = first.pop("title"), first.pop("date"), first.pop("place")
    need(title > max(date, place), f"the title has {title:g}, date and place {date:g} and {place:g}")
    need(
        min(date, place) > max(first.values()),
        f"date and place have {date:g} and {place:g}, others {max(first.values()):g}",
    )
    sheet = page(run)
    least = (sheet.right - sheet.left) / 60
    need(min(sizes.values()) >= least, f"a text has {min(sizes.values()):g}, less than {least:g}")
    return f"{title:g}, {date:g}, {place:g} … {min(sizes.values()):g}"


def places(run: Path) -> str:
    """Texts keep the margin and do not overlap"""
    sheet, found = page(run), texts(run)
    need(found, "there are no texts")
    margin = 0.04 * (sheet.right - sheet.left)
    for one in found:
        inside = (
            one.box.left >= sheet.left + margin and one.box.right <= sheet.right - margin
            and one.box.top >= sheet.top + margin and one.box.bottom <= sheet.bottom - margin
        )  # fmt: skip
        need(inside, f"{one.said!r} is too near to the edge, or beyond it")
    for one, other in combinations(found, 2):
        apart = (
            one.box.right <= other.box.left or other.box.right <= one.box.left
            or one.box.bottom <= other.box.top or other.box.bottom <= one.box.top
        )  # fmt: skip
        need(apart, f"{one.said!r} and {other.said!r} overlap")
    return f"a margin of {margin:g} or more"


def contrast(run: Path) -> str:
    """Every text has a contrast of at least 4.5"""
    rects = []
    for element, style, (right, down) in walk(svg(run), {}, (0, 0)):
        if element.tag == f"{SPACE}rect" and style.get("fill", "black") != "none":
            sheet = page(run)
            whole = {"width": sheet.right - sheet.left, "height": sheet.bottom - sheet.top}
            w, h = (
                whole[name] if element.get(name) == "100%" else number(element.get(name), f"{name} of a rect")
                for name in ("width", "height")
            )
            x, y = number(element.get("x", "0"), "x") + right, number(element.get("y", "0"), "y") + down
            rects.append(Box(x, y, x + w, y + h, style.get("fill", "black")))
    sheet = page(run)
    need(
        rects and rects[0].holds(sheet.left, sheet.top) and rects[0].holds(sheet.right, sheet.bottom),
        "the first rect is not the whole page",
    )
    least = 99.0
    for one in texts(run):
        middle = ((one.box.left + one.box.right) / 2, (one.box.top + one.box.bottom) / 2)
        behind = [rect for rect in rects if rect.holds(*middle)][-1]
        for fill, strength in one.fills:
            found = contrast_of(fill, strength, behind.fill)
            need(found >= 4.5, f"{one.said!r} has {found:.1f}: {fill} on {behind.fill}")
            least = min(least, found)
    return f"{least:.1f} at least"


def picture(run: Path) -> str:
    """There is a picture of at least ten shapes"""
    shapes = sum(str(element.tag).removeprefix(SPACE) in SHAPES - {"rect"} for element in svg(run).iter())
    need(shapes >= 10, f"there are {shapes} shapes")
    return f"{shapes} shapes"


def pixels(run: Path) -> str:
    """The PNG has 1754 x 2480 pixels at 150 dots an inch"""
    content = data(run, "files/poster.png")
    width, height, different = png(content)
    need((width, height) == (WIDTH, HEIGHT), f"it is {width} x {height}")
    at = content.find(b"pHYs")
    need(at > 0, "no resolution is written in it")
    across, down, unit = struct.unpack(">IIB", content[at + 4 : at + 13])
    dots = [found * 0.0254 for found in (across, down)]
    need(unit == 1 and all(abs(found - DOTS) < 1 for found in dots), f"it says {dots[0]:.1f} dots an inch")
    need(different > 300, f"only {different} of its rows differ: hardly anything is drawn")
    return f"{different} different rows"


def answer(run: Path) -> str:
    """The answer is a sentence"""
    said = text(run, "answer.txt").strip()
    need(len(said.split()) >= 6 and "\n" not in said, f"it is {said[:60]!r}")
    return said[:60]


if __name__ == "__main__":
    sys.exit(main([form, all_texts, order, places, contrast, picture, pixels, answer]))
