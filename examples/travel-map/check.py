"""Says whether a run solved `task.md`: the plan is followed minute by minute, and the map is opened in a browser.

python examples/travel-map/check.py RUN_DIR
"""

import csv
import html
import json
import math
import re
import sys
from collections import Counter
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from browser import tried
from checking import UNREADABLE, Wrong, main, need, text

HERE = Path(__file__).parent
WEEKDAYS = ["sunday", "monday", "tuesday"]
HOTEL = "Hotel Meridian"
FIRST, LAST = 9 * 60, 18 * 60 + 30
MOST_KM, LEAST_PLACES = 13, 13
SPEED, DETOUR, EARTH = 4.5, 1.3, 6371
NEAR = 30  # pixels: a route need not go through the middle of a point
CLICKED, OPEN = "Ropewalk", (r"10", r"16|0?4")  # 10:00 to 16:00, however it is written
SHAPES = "circle, ellipse, path, polygon, rect, use"  # what a point is made of, where a name may stand beside it
# The middle of each point that one sees, and places along the lines of each day's route that one sees.
SEEN = """([shapes, days]) => {
    const seen = (part) => part.getClientRects().length &&
        part.checkVisibility({checkOpacity: true, checkVisibilityCSS: true});
    const points = {}, routes = {};
    for (const mark of document.querySelectorAll("svg [data-place]")) {
        const box = (mark.querySelector(shapes) ?? mark).getBoundingClientRect();
        if (box.width && seen(mark)) points[mark.dataset.place] ??= [box.x + box.width / 2, box.y + box.height / 2];
    }
    for (const day of days) {
        routes[day] = [];
        for (const line of document.querySelectorAll(`svg [data-day="${day}"], svg [data-day="${day}"] *`)) {
            if (!line.matches("path, line, polyline, polygon") || line.closest("defs") || !seen(line)) continue;
            const onScreen = line.getScreenCTM(), length = line.getTotalLength();
            for (let part = 0; length && part <= 500; part++) {
                const place = line.getPointAtLength(length * part / 500).matrixTransform(onScreen);
                routes[day].push([place.x, place.y]);
            }
        }
    }
    return {points, routes};
}"""


@cache
def places() -> dict[str, dict[str, str]]:
    with (HERE / "documents" / "places.csv").open(encoding="utf-8") as file:
        return {line["name"]: line for line in csv.DictReader(file)}


def minutes(value: Any) -> int:
    found = re.fullmatch(r"(\d\d):(\d\d)", value) if isinstance(value, str) else None
    if found is None or int(found[2]) > 59:
        raise Wrong(f"{value!r} is no time of the form HH:MM")
    return int(found[1]) * 60 + int(found[2])


def walk(one: str, other: str) -> float:
    """Kilometres on foot."""
    (a, b), (c, d) = ([math.radians(float(places()[name][at])) for at in ("lat", "lon")] for name in (one, other))
    haversine = math.sin((c - a) / 2) ** 2 + math.cos(a) * math.cos(c) * math.sin((d - b) / 2) ** 2
    return 2 * EARTH * math.asin(math.sqrt(haversine)) * DETOUR


@cache
def days(run: Path) -> list[dict[str, Any]]:
    """The plan, of the right form."""
    plan = json.loads(text(run, "files/itinerary.json"))
    found = plan.get("days") if isinstance(plan, dict) else None
    need(isinstance(found, list) and all(isinstance(day, dict) for day in found), "itinerary.json has no list of days")
    assert isinstance(found, list)
    need([day.get("weekday") for day in found] == WEEKDAYS, "the days are not sunday, monday and tuesday")
    for day in found:
        stops = day.get("stops")
        need(isinstance(stops, list) and stops, f"{day['weekday']} has no stops")
        assert isinstance(stops, list)
        need(
            all(isinstance(stop, dict) and stop.get("place") in places() for stop in stops),
            f"{day['weekday']} has a stop at no place of the table",
        )
        need(all(stop["place"] != HOTEL for stop in stops), f"{day['weekday']} has the hotel among its stops")
    return found


def visited(run: Path) -> list[str]:
    return [stop["place"] for day in days(run) for stop in day["stops"]]


def length(day: dict[str, Any]) -> float:
    way = [HOTEL, *(stop["place"] for stop in day["stops"]), HOTEL]
    return sum(walk(one, other) for one, other in pairwise(way))


def choice(run: Path) -> str:
    """All that must be seen, nothing twice, enough of it"""
    seen = visited(run)
    need(len(set(seen)) == len(seen), "a place is visited twice")
    missing = [name for name, place in places().items() if place["must"] == "yes" and name not in seen]
    need(not missing, f"{', '.join(missing)} must be visited")
    need(len(seen) >= LEAST_PLACES, f"{len(seen)} places are visited in place of {LEAST_PLACES}")
    return f"{len(seen)} places"


def times(run: Path) -> str:
    """Every way can be walked and every visit is within the opening hours"""
    for day in days(run):
        now, here = minutes(day.get("leaves")), HOTEL
        need(now >= FIRST, f"{day['weekday']} begins at {day['leaves']}")
        for stop in [*day["stops"], {"place": HOTEL, "arrive": day.get("returns"), "leave": day.get("returns")}]:
            name, arrive, leave = stop["place"], minutes(stop.get("arrive")), minutes(stop.get("leave"))
            needed = walk(here, name) / SPEED * 60
            need(
                arrive - now >= needed - 1,
                f"{day['weekday']}: {here} to {name} takes {needed:.0f} minutes, not {arrive - now}",
            )
            place = places()[name]
            need(place["closed_on"] != day["weekday"], f"{name} is closed on {day['weekday']}")
            opens, closes = minutes(place["opens"]), minutes(place["closes"])
            need(
                opens <= arrive and leave <= closes,
                f"{day['weekday']}: {name} is open {place['opens']} to {place['closes']}",
            )
            need(
                leave - arrive >= int(place["visit_minutes"]),
                f"{day['weekday']}: {name} takes {place['visit_minutes']} minutes",
            )
            now, here = leave, name
        need(now <= LAST, f"{day['weekday']} ends at {day['returns']}")
    return ", ".join(f"{day['leaves']}–{day['returns']}" for day in days(run))


def meals(run: Path) -> str:
    """One meal a day, at noon"""
    found = []
    for day in days(run):
        food = [stop for stop in day["stops"] if places()[stop["place"]]["kind"] == "food"]
        need(len(food) == 1, f"{day['weekday']} has {len(food)} meals")
        need(
            11 * 60 + 30 <= minutes(food[0]["arrive"]) <= 14 * 60, f"{day['weekday']}: one eats at {food[0]['arrive']}"
        )
        found.append(food[0]["place"])
    return ", ".join(found)


def distances(run: Path) -> str:
    """The kilometres are right, and no day has too many"""
    for day in days(run):
        right = length(day)
        need(
            abs(float(day.get("km", math.nan)) - right) <= 0.02,
            f"{day['weekday']} has {right:.2f} km, not {day.get('km')}",
        )
        need(right <= MOST_KM, f"{day['weekday']} has {right:.2f} km")
    return " + ".join(f"{length(day):.2f}" for day in days(run))


class _Marks(HTMLParser):
    """What leads outside, and whether the page is made for small screens too."""

    def __init__(self) -> None:
        super().__init__()
        self.outside: list[str] = []
        self.small = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.small = self.small or (tag == "meta" and ("name", "viewport") in attrs)
        for name, value in attrs:
            if (
                name in ("src", "href", "xlink:href", "srcset", "action")
                and value
                and not value.startswith(("#", "data:"))
            ):
                self.outside.append(f"<{tag} {name}={value[:60]}>")


def marks(run: Path) -> str:
    """The map is one file with every place and every day"""
    content = text(run, "files/map.html")
    found = _Marks()
    found.feed(content)
    need(not found.outside, f"it leads outside: {found.outside[:1]}")
    need(
        not re.search(r"@import|url\(\s*['\"]?https?:|\bfetch\(|XMLHttpRequest|import\(", content),
        "it fetches something",
    )
    # Its script may draw them: what is drawn is seen in the browser only.
    named = re.sub(r"\\u([0-9a-fA-F]{4})", lambda code: chr(int(code[1], 16)), content).replace("\\", "")
    missing = sorted(name for name in [*places(), *WEEKDAYS] if name not in html.unescape(named))
    need(not missing, f"{', '.join(missing)} are not on it")
    need("svg" in content and found.small, "it has no SVG, or nothing for small screens")
    return f"{len(content):,} characters"


def works(run: Path) -> str:
    """It opens without an error, places are where they belong, and the buttons work"""
    try:
        for before in (choice, times, meals, distances, marks):
            before(run)
    except (Wrong, *UNREADABLE):
        raise Wrong("not tried, since something above is wrong") from None
    return tried(run / "files" / "map.html", lambda page: _use(page, days(run)))


def _use(page: Any, plan: list[dict[str, Any]]) -> str:
    page.set_default_timeout(10_000)
    at = page.evaluate(SEEN, [SHAPES, WEEKDAYS])["points"]
    for name, place in places().items():
        need(name in at, f"{name} is not to be seen")
        for other, there in places().items():
            need(other in at, f"{other} is not to be seen")
            north = float(place["lat"]) - float(there["lat"])
            east = float(place["lon"]) - float(there["lon"])
            need(north < 0.002 or at[name][1] < at[other][1], f"{name} is not north of {other}")
            need(east < 0.003 or at[name][0] > at[other][0], f"{name} is not east of {other}")
    for day in plan:
        seen = _alone(page, day["weekday"])
        _goes_by(day, plan, seen["routes"][day["weekday"]], at | seen["points"])  # a place may be hidden now
    _alone(page, next(day["weekday"] for day in plan if any(stop["place"] == CLICKED for stop in day["stops"])))
    _tells(page)
    return "in Chromium"


def _alone(page: Any, day: str) -> dict[str, Any]:
    """What one sees after a click on the button of a day, which must be the route of that day alone."""
    page.get_by_role("button", name=re.compile(day, re.IGNORECASE)).first.click()
    shown: list[str] = []
    for _ in range(10):  # what fades away takes a moment
        seen: dict[str, Any] = page.evaluate(SEEN, [SHAPES, WEEKDAYS])
        shown = [other for other in WEEKDAYS if seen["routes"][other]]
        if shown == [day]:
            return seen
        page.wait_for_timeout(200)
    raise Wrong(f"after the button {day} one sees the routes of {shown}")


def _goes_by(day: dict[str, Any], plan: list[dict[str, Any]], route: list[Any], points: dict[str, Any]) -> None:
    """Raises Wrong where a day's route is not that of its stops."""
    by = {name for name, point in points.items() if any(math.dist(point, place) < NEAR for place in route)}
    for name in (HOTEL, *(stop["place"] for stop in day["stops"])):
        need(name in by, f"the route of {day['weekday']} does not go by {name}")
    every = {stop["place"] for other in plan for stop in other["stops"]}
    need(not every <= by, f"the route of {day['weekday']} goes by the stops of all days")


def _tells(page: Any) -> None:
    """Raises Wrong where a click on a point does not bring what was not there before: the name and both hours."""
    before = Counter(page.inner_text("body").splitlines())
    point = page.locator(f'svg [data-place="{CLICKED}"]').first
    shape = point.locator(SHAPES).first
    (shape if shape.count() else point).click(force=True)  # as a user does: what lies over it gets the click
    page.wait_for_timeout(500)
    told = "\n".join(Counter(page.inner_text("body").splitlines()) - before)
    need(CLICKED in told, f"a click on {CLICKED} does not show its name")
    need(
        all(re.search(rf"(?<!\d)(?:{hour})(?!\d)", told) for hour in OPEN),
        f"a click on {CLICKED} does not show when it is open",
    )


def answer(run: Path) -> str:
    """The answer is the sum of the kilometres"""
    right = sum(length(day) for day in days(run))
    numbers = re.findall(r"\d+(?:\.\d+)?", text(run, "answer.txt"))
    need(len(numbers) == 1, f"answer.txt has {len(numbers)} numbers in place of one")
    given = float(numbers[0])
    need(abs(given - right) <= 0.05, f"it is {given}, and should be {right:.2f}")
    return f"{given:.2f} km"


if __name__ == "__main__":
    sys.exit(main([choice, times, meals, distances, marks, works, answer]))
