"""How attempts ended, what is unscored and why, and where the arms differ most."""

from collections import Counter
from statistics import fmean

from workroom.bench import outcomes
from workroom.bench.report.notes import notes
from workroom.bench.report.results import Results
from workroom.bench.report.table import Cell, Column, Link, Table
from workroom.bench.store import Key

_SIDES = 8  # tasks that are shown of each suite and side


def stop_reasons(results: Results) -> Table:
    """A row for each suite and arm, a column for each stop reason that occurs."""
    reasons = [
        reason
        for reason, _ in Counter(attempt.stop_reason for attempt in results.bench.attempts.values()).most_common()
    ]
    rows: list[tuple[Cell, ...]] = []
    for (suite, mode), attempts in results.groups.items():
        counts = Counter(attempt.stop_reason for attempt in attempts)
        answered = sum(attempt.answered for attempt in attempts)
        again = sum(attempt.tries - 1 for attempt in attempts)
        rows.append((suite, mode, len(attempts), *(counts[reason] for reason in reasons), answered, again))
    return Table(
        "outcomes",
        "How attempts ended",
        (
            Column("suite", "Suite"),
            Column("arm", "Arm"),
            Column("attempts", "Attempts", "count"),
            *(Column(reason, reason.replace("_", " "), "count") for reason in reasons),
            Column("answered", "With an answer", "count"),
            Column("tried_again", "Tried again", "count"),
        ),
        tuple(rows),
        notes("outcomes", "limits" if rows else "empty"),
    )


def won_and_lost(results: Results) -> Table:
    """The tasks in which sandbox and llm differ most, with links to the attempts."""
    rows: list[tuple[Cell, ...]] = []
    counts = Counter[bool]()
    for suite in results.suites:
        ours = outcomes.scores_by_item(results.bench, suite, "sandbox")
        theirs = outcomes.scores_by_item(results.bench, suite, "llm")
        both = ((fmean(theirs[task]), fmean(ours[task]), task) for task in ours if task in theirs)
        changes = sorted(
            (before - after, before, after, task) for before, after, task in both if abs(before - after) > 1e-12
        )
        counts.update(change[0] < 0 for change in changes)
        won = [change for change in changes if change[0] < 0][:_SIDES]
        lost = [change for change in reversed(changes) if change[0] > 0][:_SIDES]
        rows += [
            (
                "won by the sandbox" if after > before else "lost by it",
                suite,
                task,
                before,
                after,
                after - before,
                _attempts(results, suite, task, "llm"),
                _attempts(results, suite, task, "sandbox"),
            )
            for _, before, after, task in (*won, *lost)
        ]
    return Table(
        "won_and_lost",
        "Tasks that the sandbox won and lost",
        (
            Column("side", "Side"),
            Column("suite", "Suite"),
            Column("task", "Task"),
            Column("llm", "llm, %", "share"),
            Column("sandbox", "Sandbox, %", "share"),
            Column("points", "Difference, points", "points"),
            Column("llm_attempts", "Attempts in llm"),
            Column("sandbox_attempts", "Attempts in sandbox"),
        ),
        tuple(rows),
        notes("won_and_lost", "counted" if rows else "empty", won=counts[True], lost=counts[False], most=_SIDES),
    )


def _attempts(results: Results, suite: str, task: str, mode: str) -> tuple[Link, ...]:
    keys = [key for key in results.bench.attempts if (key.suite, key.task, key.mode) == (suite, task, mode)]
    return tuple(results.link(key, str(key.repeat)) for key in sorted(keys, key=lambda key: key.repeat))


def unscored(results: Results) -> Table:
    """A row for each attempt without a score."""
    rows: list[tuple[Cell, ...]] = [
        (key.suite, key.mode, _link(results, key), key.repeat, reason)
        for key, reason in outcomes.unscored(results.bench)
    ]
    return Table(
        "unscored",
        "What is unscored, and why",
        (
            Column("suite", "Suite"),
            Column("arm", "Arm"),
            Column("task", "Task"),
            Column("repeat", "Repeat", "count"),
            Column("reason", "Reason"),
        ),
        tuple(rows),
        notes("unscored", "again" if rows else "empty"),
        shown=50,
    )


def _link(results: Results, key: Key) -> Link:
    return results.link(key, key.task)


def errors(results: Results) -> Table:
    """A row for each sentence that an attempt ended with."""
    counts: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], Key] = {}
    for key, attempt in results.bench.attempts.items():
        if attempt.error:
            place = (attempt.stop_reason, attempt.error)
            counts[place] += 1
            first.setdefault(place, key)
    rows: list[tuple[Cell, ...]] = [
        (reason, error, count, results.link(first[reason, error], first[reason, error].task))
        for (reason, error), count in counts.most_common()
    ]
    return Table(
        "errors",
        "Errors",
        (
            Column("stop_reason", "Stop reason"),
            Column("error", "Error"),
            Column("attempts", "Attempts", "count"),
            Column("first", "First of them"),
        ),
        tuple(rows),
        () if rows else notes("errors", "empty"),
        shown=50,
    )
