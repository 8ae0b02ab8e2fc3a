"""How often the answers use words of verification, planning and the like."""

from workroom.bench.report.notes import notes
from workroom.bench.report.results import Results
from workroom.bench.report.table import Cell, Column, Table


def phrases(results: Results) -> Table:
    """A row for each suite and arm; a column for each kind of phrase, per response."""
    seen = {
        place: [observed for _, observed in results.seen(attempts) if observed.turns]
        for place, attempts in results.sound.items()
    }
    kinds = list(dict.fromkeys(kind for some in seen.values() for one in some for kind in one.phrases))
    rows: list[tuple[Cell, ...]] = []
    for (suite, mode), some in seen.items():
        if responses := sum(one.turns for one in some):
            counts = (sum(one.phrases.get(kind, 0) for one in some) for kind in kinds)
            rows.append((suite, mode, responses, *(count / responses for count in counts)))
    return Table(
        "phrases",
        "Behaviour in words",
        (
            Column("suite", "Suite"),
            Column("arm", "Arm"),
            Column("responses", "Responses", "count"),
            *(Column(kind, f"{kind.replace('_', ' ').capitalize()}, each", "number") for kind in kinds),
        ),
        tuple(rows),
        notes("phrases", "each" if rows else "empty"),
    )
