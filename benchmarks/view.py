"""How soon the pages of `workroom view` are there, by the browser's own performance entries.

    python -m benchmarks.view [--turns N] [--attempts N] [--rounds N] [--json]

paint     milliseconds from the start of the navigation to the first contentful paint
turns     to the first turn with its events
jump      from a link to the turn in the middle until its events are there
frame     95 of 100 frames took at most so long while the page was scrolled by 400 pixels a frame
sort      of a bench: from a click on the head of a column until the rows are in order
build     seconds that the page took to be written, and its megabytes

Medians of rounds, each in a browser of its own.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.view import benches
from tests.view.conftest import CHROMIUM
from tests.view.runs import many, write_run
from workroom.view import bench_page, run_page

GOAL = "goal: first paint within 1000 ms"
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
FRAMES = """async () => {
  const gaps = [];
  let last = performance.now();
  for (let count = 0; count < 120; count++) {
    scrollBy(0, 400);
    await new Promise(requestAnimationFrame);
    gaps.push(performance.now() - last);
    last = performance.now();
  }
  return gaps.sort((a, b) => a - b)[113];
}"""
JUMP = """async name => {
  const began = performance.now();
  location.hash = name;
  while (!document.querySelector(`#${name} .panel`)) await new Promise(requestAnimationFrame);
  return performance.now() - began;
}"""
SORT = """async () => {
  const began = performance.now();
  document.querySelector("[data-sort=turns]").click();
  await new Promise(requestAnimationFrame);
  return performance.now() - began;
}"""
Measure = Callable[[Page], dict[str, float]]


def opened(page: Path, measure: Measure, rounds: int) -> dict[str, float]:
    """Medians of what `measure` finds in the page, in so many new browsers."""
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            tab = chromium.new_page(viewport={"width": 1280, "height": 900})
            tab.goto(page.as_uri(), wait_until="commit")
            for name, value in measure(tab).items():
                found.setdefault(name, []).append(value)
            chromium.close()
    return {name: statistics.median(values) for name, values in found.items()}


def run_figures(turns: int, rounds: int, folder: Path) -> dict[str, float]:
    """The page of a run of so many turns."""
    write_run(folder / "run", many(turns))
    began = time.monotonic()
    page = run_page.write(folder / "run", folder / "run.html")
    figures = {"build": time.monotonic() - began, "megabytes": page.stat().st_size / 1e6}

    def measure(tab: Page) -> dict[str, float]:
        tab.wait_for_selector(".row .panel", state="attached")
        first = tab.evaluate("performance.now()")
        tab.wait_for_load_state("load")
        jump = tab.evaluate(JUMP, f"turn-{turns // 2}")
        return {"paint": tab.evaluate(PAINT), "turns": first, "jump": jump, "frame": tab.evaluate(FRAMES)}

    return opened(page, measure, rounds) | figures


def bench_figures(attempts: int, rounds: int, folder: Path) -> dict[str, float]:
    """The page of a bench of so many attempts, whose conversations are not there."""
    with benches.made(folder / "bench", benches.sums(attempts // 2)) as bench:
        for number in range(attempts // 2):
            for mode in ("llm", "sandbox"):
                benches.finish(bench, f"sum-{number}", mode, float(number % 2), turns=1 + number % 50)
    began = time.monotonic()
    page = bench_page.write(folder / "bench", folder / "bench.html")
    figures = {"build": time.monotonic() - began, "megabytes": page.stat().st_size / 1e6}

    def measure(tab: Page) -> dict[str, float]:
        tab.wait_for_selector(".attempts tr[data-place]", state="attached")
        first = tab.evaluate("performance.now()")
        tab.wait_for_load_state("load")
        return {"paint": tab.evaluate(PAINT), "rows": first, "sort": tab.evaluate(SORT)}

    return opened(page, measure, rounds) | figures


def main() -> None:
    """Measures, and prints a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--turns", type=int, default=5000)
    parser.add_argument("--attempts", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = {
            f"run of {asked.turns} turns": run_figures(asked.turns, asked.rounds, Path(folder)),
            f"bench of {asked.attempts} attempts": bench_figures(asked.attempts, asked.rounds, Path(folder)),
        }
    if asked.json:
        print(json.dumps(figures))
        return
    for name, found in figures.items():
        print(name)
        for what, value in found.items():
            print(f"  {what:10} {value:10.1f}")
    print(GOAL)


if __name__ == "__main__":
    main()
