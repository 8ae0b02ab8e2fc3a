"""`workroom sandbox build|check|ls|gc`; the shell is in `shell.py`."""

import asyncio
import json
import sys
import time
from dataclasses import asdict

from workroom.cli.screen import Screen
from workroom.cli.text import one_line


def build(image: str | None) -> int:
    """Builds the image unless it is up to date, with progress on stderr; name, digest and place go to stdout."""
    from workroom.sandbox.image import build_image

    ready = build_image(image, progress=Screen().view.progress)
    sys.stdout.write(f"{ready.name} {ready.digest} {ready.root}\n")
    return 0


def check(backend: str | None, image: str | None, *, as_json: bool) -> int:
    """Tries the promises; exit code 0 where all are kept, else 5."""
    from workroom.cli.promises import Verdict, check_promises
    from workroom.config import resolve
    from workroom.sandbox.image import ensure_image

    config = resolve({"sandbox": backend, "image": image}).config
    ensure_image(config.image, progress=Screen().view.progress)

    def show(verdict: Verdict) -> None:
        mark = "kept  " if verdict.kept else "BROKEN"
        detail = f": {one_line(verdict.detail)}" if verdict.detail else ""
        sys.stdout.write(f"{mark}  {verdict.promise}  {verdict.claim}{detail}\n")
        sys.stdout.flush()

    verdicts = asyncio.run(check_promises(config.sandbox, config.image, None if as_json else show))
    broken = sum(not verdict.kept for verdict in verdicts)
    if as_json:
        json.dump({"kept": broken == 0, "verdicts": [asdict(verdict) for verdict in verdicts]}, sys.stdout)
        sys.stdout.write("\n")
    else:
        sys.stdout.write(f"{len(verdicts) - broken} of {len(verdicts)} kept\n")
    return 5 if broken else 0


def ls(*, as_json: bool) -> int:
    """The sandboxes of this user, oldest first, with the process that each belongs to."""
    from workroom.sandbox.ledger import entries

    rows = list(entries())
    if as_json:
        json.dump([{**asdict(entry), "abandoned": entry.abandoned} for entry in rows], sys.stdout)
        sys.stdout.write("\n")
        return 0
    for entry in rows:
        state = "abandoned" if entry.abandoned else f"of process {entry.pid}"
        age = f"{max(0.0, time.time() - entry.created):,.0f} s"
        sys.stdout.write(f"{entry.name}  {entry.backend}  {entry.image}  {one_line(entry.network)}  {age}  {state}\n")
    if any(entry.abandoned for entry in rows):
        sys.stderr.write("`workroom sandbox gc` removes what is abandoned\n")
    return 0


def gc() -> int:
    """Removes what dead processes left of their sandboxes, and images that have no name any more."""
    from workroom.sandbox.cleanup import collect_abandoned
    from workroom.sandbox.image import collect_garbage

    gone, problems = collect_abandoned()
    images = collect_garbage()
    sys.stdout.write(f"removed {len(gone)} abandoned sandbox{'' if len(gone) == 1 else 'es'} and {images} old image")
    sys.stdout.write("\n" if images == 1 else "s\n")
    for problem in problems:
        sys.stderr.write(f"{one_line(problem)}\n")
    return 5 if problems else 0
