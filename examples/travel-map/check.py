"""Says whether a run solved `task.md`: the plan is followed minute by minute, and the map is opened in a browser.

python examples/travel-map/check.py RUN_DIR
"""

import csv
import json
import math
import re
import sys
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
    """What the map marks, and what leads outside."""

    def __init__(self) -> None:
        super().__init__()
        self.marked: dict[str, set[str]] = {"data-place": set(), "data-day": set()}
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in self.marked and value:
                self.marked[name].add(value)
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
    missing = sorted(set(places()) - found.marked["data-place"])
    need(not missing, f"{', '.join(missing)} are not on it")
    need(set(WEEKDAYS) <= found.marked["data-day"], "it has not a route for each day")
    need("<svg" in content and 'name="viewport"' in content, "it has no SVG, or nothing for small screens")
    return f"{len(content):,} characters"


def works(run: Path) -> str:
    """It opens without an error, places are where they belong, and the buttons work"""
    try:
        for before in (choice, times, meals, distances, marks):
            before(run)
    except (Wrong, *UNREADABLE):
        raise Wrong("not tried, since something above is wrong") from None
    return tried(run / "files" / "map.html", _use)


def _use(page: Any) -> str:
    at = {}
    for name in places():
        box = page.locator(f'[data-place="{name}"]').first.bounding_box()
        need(box, f"{name} is not to be seen")
        at[name] = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    for name, place in places().items():
        for other, there in places().items():
            north = float(place["lat"]) - float(there["lat"])
            east = float(place["lon"]) - float(there["lon"])
            need(north < 0.002 or at[name][1] < at[other][1], f"{name} is not north of {other}")
            need(east < 0.003 or at[name][0] > at[other][0], f"{name} is not east of {other}")
    for day in WEEKDAYS:
        page.get_by_role("button", name=re.compile(day, re.IGNORECASE)).first.click()
        shown = {other: page.locator(f'[data-day="{other}"]').first.is_visible() for other in WEEKDAYS}
        need(
            shown == {other: other == day for other in WEEKDAYS},
            f"after the button {day} one sees {[other for other, yes in shown.items() if yes]}",
        )
    page.locator('[data-place="Ropewalk"]').first.click()
    need("10:00" in page.inner_text("body"), "a click on Ropewalk does not show when it is open")
    return "in Chromium"


def answer(run: Path) -> str:
    """The answer is the sum of the kilometres"""
    right = sum(length(day) for day in days(run))
    given = float(text(run, "answer.txt").strip())
    need(abs(given - right) <= 0.05, f"it is {given}, and should be {right:.2f}")
    return f"{given:.2f} km"


if __name__ == "__main__":
    sys.exit(main([choice, times, meals, distances, marks, works, answer]))
