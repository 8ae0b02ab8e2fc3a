"""`workroom analyze`: what models did in the runs of a directory, as a table or JSON."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from workroom.cli.screen import Screen
from workroom.cli.text import cut, one_line

if TYPE_CHECKING:
    from workroom.analysis.summary import RunAnalysis, Summary
    from workroom.analysis.tokens import Consumption

_NAME = 40  # cells of a name in a table
_MOST = 10**15
_STEP = 100  # runs between two lines of progress


def analyze_verb(directory: Path, *, as_json: bool, evidence: bool) -> int:
    """Writes the tables, or one JSON line per run and per group. `evidence`: why each turn counts, too.

    Raises ConfigError where there is no run in or below the directory.
    """
    from workroom.analysis.summary import analyze, rules_version, run_record, summarize, summary_record

    screen = Screen(as_json=as_json)
    runs: list[RunAnalysis] = []

    def progress(done: int, total: int) -> None:
        if done % _STEP == 0:
            screen.view.progress(f"{done} of {total} runs")

    for run in analyze(directory, progress):
        runs.append(run)
        if as_json:
            screen.line({"type": "run", **run_record(run, evidence=evidence)})
        elif evidence:
            _show_evidence(run)
    summaries = summarize(runs)
    if as_json:
        for summary in summaries:
            screen.line({"type": "group", "rules": rules_version(), **summary_record(summary)})
    else:
        _show(summaries)
    return 0


def _show_evidence(run: "RunAnalysis") -> None:
    for one in run.use.evidence:
        excerpt = one_line(one.excerpt)
        sys.stdout.write(f"{run.path}:{one.turn}  {one.capability}/{one.rule}  {excerpt}\n")


def _show(summaries: "list[Summary]") -> None:
    from workroom.analysis.phrases import kinds
    from workroom.analysis.rules import CAPABILITIES

    names = [_names(summary) for summary in summaries]
    capabilities = [
        [
            f"{summary.use.episodes}",
            f"{summary.use.turns / summary.use.episodes:.1f}",
            *(_percent(summary.use.rate(name)) for name in CAPABILITIES),
            *(_percent(summary.use.share(name)) for name in CAPABILITIES),
        ]
        for summary in summaries
    ]
    _table(
        "Capabilities: % of turns, % of episodes",
        ["episodes", "turns", *CAPABILITIES, *(f"any {name}" for name in CAPABILITIES)],
        names,
        capabilities,
    )
    _table(
        "Tokens and time of an episode (mean)",
        ["prompt", "cached", "completion", "trajectory", "environment", "seconds", "in tools"],
        names,
        [_consumed(summary.consumption) for summary in summaries],
    )
    _table(
        "Phrases per response",
        list(kinds()),
        names,
        [[_number(summary.phrases.per_response(kind)) for kind in kinds()] for summary in summaries],
    )


def _consumed(used: "Consumption") -> list[str]:
    tokens = [used.prompt, used.cached, used.completion, used.total]
    return [
        *(_count(value // used.episodes) for value in tokens),
        _percent(used.environment_share),
        f"{used.seconds / used.episodes:,.1f}",
        _percent(used.tool_share),
    ]


def _names(summary: "Summary") -> list[str]:
    return [cut(one_line(part), _NAME) for part in summary.group]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _count(value: int) -> str:
    return f"{value:,}" if value < _MOST else "too many"  # a damaged or forged log says anything


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _table(title: str, columns: list[str], names: list[list[str]], rows: list[list[str]]) -> None:
    """Names to the left, figures to the right, each column as wide as it has to be."""
    heads = ["domain", "mode", "model"]
    lines = [[*heads, *columns], *([*name, *row] for name, row in zip(names, rows, strict=True))]
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    sys.stdout.write(f"{title}\n")
    for line in lines:
        cells = [
            text.ljust(width) if place < len(heads) else text.rjust(width)
            for place, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        sys.stdout.write("  " + "  ".join(cells).rstrip() + "\n")
    sys.stdout.write("\n")
