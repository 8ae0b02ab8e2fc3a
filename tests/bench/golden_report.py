"""Writes the golden report anew: `python -m tests.bench.golden_report`. Look at the difference before you commit it."""

import tempfile
from pathlib import Path

from tests.bench.report_bench import add_attempt, make_bench
from workroom.bench.report import write_report
from workroom.bench.store import BenchDirectory, Key

GOLDEN = Path(__file__).parent / "golden" / "report.md"
SCORES: dict[tuple[str, str], list[list[float | None]]] = {
    ("math", "llm"): [[1, 0], [0, 0], [1, 1], [0, 0], [1, None], [0, 0]],
    ("math", "sandbox"): [[1, 1], [1, 0], [1, 1], [0, 1], [1, 1], [1, 1]],
    ("long_context", "llm"): [[0, 0], [1, 0], [1, 1]],
    ("long_context", "sandbox"): [[1, 1], [1, 0], [0, 0]],
    ("long_context", "sandbox+in_prompt"): [[0, 1], [0, 0], [0, 0]],
}


def golden_bench(path: Path) -> BenchDirectory:
    """Two suites, three arms, and a sandbox that did not start."""
    make_bench(path, SCORES, planned_items=6)
    with BenchDirectory.open(path) as bench:
        error = "the sandbox gave no sign of life in 60 s"
        add_attempt(
            bench, Key("long_context", "long_context-4", "sandbox", 1), stop_reason="sandbox_error", error=error
        )
    return BenchDirectory.load(path)


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        folder = write_report(golden_bench(Path(place) / "bench"))
        GOLDEN.write_bytes((folder / "report.md").read_bytes())
