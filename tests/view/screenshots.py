"""Takes the pictures of a run's page anew: `python -m tests.view.screenshots`. Look at them before you commit them.

The run is a real one of `examples/station-logs` by a scripted model, in a sandbox on the built image.
"""

import tempfile
from contextlib import chdir
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.cli.command import ROOT, call, script
from tests.view.conftest import CHROMIUM
from workroom import run
from workroom.view import run_page

PICTURES = ROOT / "docs" / "screenshots"
EXAMPLE = ROOT / "examples" / "station-logs"
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
    """Runs the example and photographs its page."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        page = example()
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            photograph(chromium.new_page(color_scheme="light"), page.as_uri(), "view-run-light")
            photograph(chromium.new_page(color_scheme="dark"), f"{page.as_uri()}#turn-4", "view-run-dark")
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


def photograph(tab: Page, address: str, name: str) -> None:
    """Takes the picture once everything near has come in."""
    tab.set_viewport_size({"width": 1180, "height": 1300})
    tab.goto(address)
    tab.wait_for_function("document.querySelector('.row .panel')")
    tab.wait_for_timeout(800)
    tab.screenshot(path=PICTURES / f"{name}.png")


if __name__ == "__main__":
    main()
