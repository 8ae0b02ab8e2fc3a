"""Takes the pictures of the pages anew: `python -m tests.view.screenshots`. Look at them before you commit them.

The run of `examples/station-logs` and the bench of `examples/bench` are real ones by scripted models, in sandboxes on
the built image.
"""

import subprocess
import sys
import tempfile
from contextlib import chdir
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, sync_playwright

from tests.cli.command import ROOT, call, script
from tests.view.conftest import CHROMIUM
from workroom import run
from workroom.view import bench_page, run_page

PICTURES = ROOT / "docs" / "screenshots"
EXAMPLE = ROOT / "examples" / "station-logs"
BENCH = (
    "bench run math,context_qa --data examples/bench/tasks.jsonl -m scripted/examples/bench/model --repeats 2 --json -o"
)
COUNT = """import collections, glob, re
import matplotlib.pyplot as plt

errors = collections.Counter()
for path in sorted(glob.glob('documents/*.log')):
    for line in open(path):
        if re.search(r'ERROR pump-3\\b', line):
            errors[path[10:-4]] += 1
plt.figure(figsize=(7, 3))
plt.bar(errors.keys(), errors.values(), color='#4a7ba7')
plt.title('Errors of pump-3 by station')
plt.savefig('output/errors.png', dpi=110, bbox_inches='tight')
with open('output/errors.csv', 'w') as file:
    file.write('station,errors\\n')
    file.writelines(f'{name},{count}\\n' for name, count in errors.items())
print(dict(errors), sum(errors.values()))
"""
TURNS = [
    (
        "I look at what there is first.",
        call("execute_bash", command="ls -la documents && head -n 4 documents/alder.log"),
    ),
    (
        "The lines have a time, a station, a level and a pump. A first count, station by station.",
        call("execute_bash", command="# lines that report an ERROR of pump-3\ngrep -c 'ERROR pump-3' documents/*.log"),
    ),
    (
        "`pump-3` may also be the beginning of `pump-30`, so I count with a program, and draw the result.",
        call("str_replace_editor", command="create", path="/testbed/count.py", file_text=COUNT.replace(r"\b", "")),
    ),
    (
        "The name has to end there.",
        call(
            "str_replace_editor",
            command="str_replace",
            path="/testbed/count.py",
            old_str="if re.search(r'ERROR pump-3', line):",
            new_str=r"if re.search(r'ERROR pump-3\b', line):",
        ),
    ),
    ("", call("execute_bash", command="python3 count.py")),
    ("Both ways agree.", call("execute_bash", command="echo 58 > answer.txt && cat answer.txt")),
    ("", call("submit")),
]


def main() -> None:
    """Runs the examples and photographs their pages."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        page = example()
        table = bench(Path(folder)).as_uri()
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            photograph(chromium, page.as_uri(), "view-run-light", 1180, 1300)
            photograph(chromium, f"{page.as_uri()}#turn-4", "view-run-dark", 1180, 1300, theme="dark")
            photograph(chromium, table, "view-bench", 1280, 860)
            pair = "#view=pairs&pair=second&attempt=math%2Fdigits%2Fsandbox%2F1"
            photograph(chromium, table + pair, "view-pair", 1280, 860)
            chromium.close()


def example() -> Path:
    """The page of a run of the example in the working directory."""
    messages = [{"role": "assistant", "content": text, "tool_calls": [one]} for text, one in TURNS]
    script(Path("station-logs.jsonl"), *messages)
    task = (EXAMPLE / "task.md").read_text()
    documents = sorted((EXAMPLE / "documents").iterdir())
    done = run(task, model="scripted/station-logs.jsonl", files=documents, out="run", network="none")
    assert done.answer == (EXAMPLE / "expected.txt").read_text().strip(), done
    return run_page.write(Path("run"), Path("run.html").resolve())


def bench(folder: Path) -> Path:
    """The page of the example's bench."""
    subprocess.run([sys.executable, "-m", "workroom", *BENCH.split(), folder / "bench"], cwd=ROOT, check=True)
    return bench_page.write(folder / "bench", folder / "bench.html")


def photograph(
    chromium: Browser, address: str, name: str, width: int, height: int, theme: Literal["light", "dark"] = "light"
) -> None:
    """Takes the picture once everything near has come in."""
    tab = chromium.new_page(color_scheme=theme, viewport={"width": width, "height": height})
    tab.goto(address)
    tab.locator(".row .panel, tr[data-place]").first.wait_for()
    tab.wait_for_timeout(800)
    tab.screenshot(path=PICTURES / f"{name}.png")


if __name__ == "__main__":
    main()
