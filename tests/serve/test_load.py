"""The load of `benchmarks/serve.py` for a few seconds: nothing fails and nothing is left. The figures do not matter."""

import asyncio
from dataclasses import replace
from pathlib import Path

from benchmarks.serve import as_facts, lines, measure
from benchmarks.serve_process import Sample, flatness


def test_a_load_is_served_without_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    report = asyncio.run(measure(4, 5, 0.3, 1, tmp_path))
    assert report.served.errors == report.direct.errors == []
    assert report.served.conversations >= 4
    assert min(report.served.overheads) > 0
    assert max(sample.sandboxes for sample in report.samples) <= 4
    assert (report.after.sandboxes, report.after.processes, report.left, report.exit_code) == (0, 1, 0, 0)
    assert not list((tmp_path / "state" / "conversations").iterdir())
    assert not list((tmp_path / "state" / "files").iterdir())
    assert as_facts(report)["errors"] == []
    assert lines(report, 4, 6.0)[-1] == "it ended with 0 and left 0 sandboxes"


def test_a_leak_is_told_from_what_comes_and_goes() -> None:
    calm = Sample(processes=100, memory=80 << 20, files=300, sandboxes=64, directories=900)
    busy = replace(calm, processes=104, files=310)
    assert all(row["flat"] for row in flatness([calm, busy] * 30).values())
    leaking = [replace(calm, files=300 + 4 * number, memory=(80 + number) << 20) for number in range(60)]
    assert {name for name, row in flatness(leaking).items() if not row["flat"]} == {"files", "memory"}
