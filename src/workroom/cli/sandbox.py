"""`workroom sandbox build|check`; the shell is in `shell.py`."""

import asyncio
import json
import sys
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
