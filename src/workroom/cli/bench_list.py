"""`workroom bench list` and `workroom bench new`."""

import json
import sys
from dataclasses import asdict
from pathlib import Path


def list_verb(*, as_json: bool) -> int:
    """The suites, one block each."""
    from workroom.bench.listing import rows

    found = rows()
    if as_json:
        sys.stdout.write(json.dumps([asdict(row) for row in found], indent=2) + "\n")
        return 0
    for row in found:
        sys.stdout.write(f"{row.name}\n  {row.title}; grader {row.grader}, network {row.network}\n")
        for source in row.sources:
            sys.stdout.write(f"  {source}\n")
    return 0


def new_verb(folder: Path) -> int:
    """A folder from the template, and what to do with it."""
    from workroom.bench.new import create

    create(folder)
    sys.stdout.write(f"{folder}\n")
    sys.stderr.write(f"try it: workroom bench run {folder} --data {folder / 'data.jsonl'}\n")
    return 0
