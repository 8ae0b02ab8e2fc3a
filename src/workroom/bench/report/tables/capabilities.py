"""What the model used the sandbox for, and where one can see it."""

from collections import Counter

from workroom.bench.report.notes import notes
from workroom.bench.report.observed import Example, Observed
from workroom.bench.report.results import Results
from workroom.bench.report.table import Cell, Column, Table
from workroom.bench.store import Attempt

CAPABILITIES = {"external": "External", "files": "Files", "computation": "Computation"}
_EXAMPLES = 3  # for each suite, arm and capability


def capabilities(results: Results) -> Table:
    """A row for each suite and arm of the sandbox."""
    rows: list[tuple[Cell, ...]] = []
    for (suite, mode), attempts in results.sound.items():
        seen = [observed for _, observed in results.seen(attempts)]
        turns = sum(observed.turns for observed in seen)
        if mode == "llm" or not turns:
            continue
        by_turn = [sum(one.capabilities.get(name, 0) for one in seen) / turns for name in CAPABILITIES]
        by_episode = [sum(bool(one.capabilities.get(name)) for one in seen) / len(seen) for name in CAPABILITIES]
        idle = sum(not any(one.capabilities.values()) for one in seen) / len(seen)
        rows.append((suite, mode, len(seen), turns / len(seen), *by_turn, *by_episode, idle))
    return Table(
        "capabilities",
        "What the sandbox was used for",
        (
            Column("suite", "Suite"),
            Column("arm", "Arm"),
            Column("episodes", "Episodes", "count"),
            Column("turns", "Mean turns", "number"),
            *(Column(f"{name}_turns", f"{title}, % of turns", "share") for name, title in CAPABILITIES.items()),
            *(Column(f"{name}_episodes", f"{title}, % of episodes", "share") for name, title in CAPABILITIES.items()),
            Column("none_episodes", "None of them, % of episodes", "share"),
        ),
        tuple(rows),
        notes("capabilities", *(("kinds", "turns", "rules") if rows else ("empty",))),
    )


def evidence(results: Results) -> Table:
    """A few calls for each suite, arm and capability, of different episodes."""
    rows: list[tuple[Cell, ...]] = []
    for (suite, mode), attempts in results.sound.items():
        seen = list(results.seen(attempts)) if mode != "llm" else []  # what is called there is not run
        for name in CAPABILITIES:
            shown = [(attempt, example) for attempt, one in seen if (example := _first(one, name)) is not None]
            rows.extend(_row(results, attempt, example, mode, suite) for attempt, example in shown[:_EXAMPLES])
    return Table(
        "evidence",
        "Evidence of what it was used for",
        (
            Column("suite", "Suite"),
            Column("arm", "Arm"),
            Column("capability", "Capability"),
            Column("episode", "Episode"),
            Column("turn", "Turn", "count"),
            Column("rule", "Rule"),
            Column("excerpt", "What the model wrote"),
        ),
        tuple(rows),
        notes("evidence", "first" if rows else "empty", episodes=_EXAMPLES),
    )


def _first(observed: Observed, capability: str) -> Example | None:
    return next((example for example in observed.examples if example.capability == capability), None)


def _row(results: Results, attempt: Attempt, example: Example, mode: str, suite: str) -> tuple[Cell, ...]:
    link = results.link(attempt.key, f"{attempt.task}, {attempt.repeat}", "events.jsonl")
    return (suite, mode, CAPABILITIES[example.capability], link, example.turn, example.rule, example.excerpt)


def hosts(results: Results) -> Table:
    """A row for each suite, arm and host that something in a sandbox asked for."""
    rows: list[tuple[Cell, ...]] = []
    for (suite, mode), attempts in results.groups.items():
        requests: Counter[tuple[str, str]] = Counter()
        episodes: Counter[tuple[str, str]] = Counter()
        for _, observed in results.seen(attempts):
            for asked, count in observed.egress.items():
                host, _, verdict = asked.partition(" ")
                requests[host, verdict] += count
                episodes[host, verdict] += 1
        rows.extend(
            (suite, mode, host, verdict, count, episodes[host, verdict])
            for (host, verdict), count in sorted(requests.items(), key=lambda entry: (-entry[1], entry[0]))
        )
    return Table(
        "hosts",
        "Hosts that were asked for from a sandbox",
        (
            Column("suite", "Suite"),
            Column("arm", "Arm"),
            Column("host", "Host"),
            Column("verdict", "Verdict of the proxy"),
            Column("requests", "Requests", "count"),
            Column("episodes", "Episodes", "count"),
        ),
        tuple(rows),
        notes("hosts", "proxy" if rows else "empty"),
        shown=50,
    )
