"""Writes the golden help pages anew: `python -m tests.cli.golden`. Look at the difference before you commit it."""

import tempfile
from pathlib import Path

from tests.cli.command import workroom
from tests.cli.test_help import GOLDEN, PAGES

if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        for verb in PAGES:
            page = workroom(Path(place), *verb, "--help").stdout
            (GOLDEN / f"{'-'.join(('workroom', *verb))}.txt").write_text(page)
