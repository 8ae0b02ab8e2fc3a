"""`workroom doctor`: the findings as text or JSON."""

import asyncio
import json
import sys
from dataclasses import asdict

from workroom.cli.text import one_line

_MARKS = {"ok": "ok     ", "warning": "warning", "missing": "MISSING", "info": "       "}


def show(*, as_json: bool) -> int:
    """Exit code 0 if a sandbox can run here, else 5."""
    from workroom.sandbox.doctor import examine

    findings = asyncio.run(examine())
    runs = not any(finding.name == "sandbox" and finding.status == "missing" for finding in findings)
    if as_json:
        json.dump({"sandbox_runs": runs, "findings": [asdict(finding) for finding in findings]}, sys.stdout)
        sys.stdout.write("\n")
        return 0 if runs else 5
    for finding in findings:
        sys.stdout.write(f"{_MARKS[finding.status]}  {finding.name}: {one_line(finding.detail)}\n")
        if finding.remedy and finding.status in ("warning", "missing"):
            sys.stdout.write(f"         → {one_line(finding.remedy)}\n")
    sys.stdout.write("A sandbox can run here.\n" if runs else "No sandbox can run here.\n")
    return 0 if runs else 5
