"""What the sandboxes took of their host, as far as it was measured."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from workroom.bench.report.notes import notes
from workroom.bench.report.observed import Observed
from workroom.bench.report.results import Results
from workroom.bench.report.table import Cell, Column, Table
from workroom.bench.report.tables.throughput import most_at_once, quantile

_MIB = 1 << 20
_BYTES = ("memory", "disk", "output")  # limits that are sizes


def infrastructure(results: Results) -> Table:
    """A row for each fact and value of it: whatever the attempts in a sandbox recorded."""
    attempts = [one for (_, mode), some in results.groups.items() if mode != "llm" for one in some]
    seen = [observed for _, observed in results.seen(attempts)]
    rows: list[tuple[Cell, ...]] = [
        *_images(seen),
        *_memory(seen),
        *([("sandboxes at once, at most", most_at_once(attempts), "", len(attempts))] if attempts else []),
        *_facts(seen),
    ]
    return Table(
        "infrastructure",
        "What the sandboxes took",
        (
            Column("fact", "Fact"),
            Column("value", "Value"),
            Column("unit", "Unit"),
            Column("episodes", "Episodes", "count"),
        ),
        tuple(rows),
        notes("infrastructure", *(("measured", "at_once") if rows else ("empty",))),
    )


def _images(seen: Sequence[Observed]) -> Iterator[tuple[Cell, ...]]:
    """The images, and the size of those that are still here."""
    images = Counter(str(one.sandbox["image"]) for one in seen if "image" in one.sandbox)
    for image, count in images.most_common():
        name, _, digest = image.partition("@")
        yield "image", f"{name}@{digest[:12]}", "", count
        if (size := _size(name, digest)) is not None:
            yield "size of the image, shared by all sandboxes", round(size / 1e6, 1), "MB on disk", count


def _size(name: str, digest: str) -> int | None:
    """Bytes of an image, where it is on this host as it was then."""
    from workroom.errors import WorkroomError
    from workroom.sandbox.image.store import find

    try:
        image = find(name)
    except WorkroomError:
        return None
    return image.size if image is not None and image.digest == digest and image.size else None


def _memory(seen: Sequence[Observed]) -> Iterator[tuple[Cell, ...]]:
    for when, words in (("start", "at the start"), ("peak", "at the peak")):
        values = [one.memory[when] / _MIB for one in seen if one.memory.get(when)]
        if values:
            yield f"memory {words}, median", round(median(values), 1), "MiB a sandbox", len(values)
            if when == "peak":
                yield f"memory {words}, p95", round(quantile(values, 0.95), 1), "MiB a sandbox", len(values)
            yield f"memory {words}, highest", round(max(values), 1), "MiB a sandbox", len(values)


def _facts(seen: Sequence[Observed]) -> Iterator[tuple[Cell, ...]]:
    """Backend, network, limits, how they were enforced, versions: each value with the number of its episodes."""
    found: Counter[tuple[str, str, str]] = Counter()
    for one in seen:
        found.update(_named(one.sandbox))
    for (fact, value, unit), count in sorted(found.items(), key=lambda entry: (entry[0][0], -entry[1], entry[0])):
        yield fact, value, unit, count


def _named(sandbox: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name in ("backend", "network"):
        if name in sandbox:
            yield name, str(sandbox[name]), ""
    for name, value in _table(sandbox, "limits"):
        if name in _BYTES and isinstance(value, int):
            yield f"limit: {name}", f"{value / _MIB:,.0f}", "MiB"
        elif value is not None:
            yield f"limit: {name.replace('_', ' ')}", f"{value:,}" if isinstance(value, int) else str(value), ""
    for name, value in _table(sandbox, "enforcement"):
        yield f"enforced: {name}", str(value), ""
    for name, value in _table(sandbox, "versions"):
        yield f"version: {name}", str(value), ""


def _table(sandbox: Mapping[str, Any], name: str) -> Iterator[tuple[str, Any]]:
    value = sandbox.get(name)
    if isinstance(value, Mapping):
        yield from value.items()
