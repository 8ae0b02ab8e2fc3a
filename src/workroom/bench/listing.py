"""The suites that come with the package, as rows of a list."""

from dataclasses import dataclass

from workroom.bench.suite import built_in, find_suite


@dataclass(frozen=True, slots=True)
class Row:
    """A suite as `workroom bench list` shows it. `sources`: name, data set and licence of each."""

    name: str
    title: str
    description: str
    grader: str
    network: str
    repeats: int
    sources: tuple[tuple[str, str, str], ...]


def rows() -> list[Row]:
    """All suites by name."""
    return [_row(name) for name in built_in()]


def _row(name: str) -> Row:
    suite = find_suite(name)
    return Row(
        name=suite.name,
        title=suite.title,
        description=" ".join(suite.description.split()),
        grader=suite.grader,
        network=suite.network,
        repeats=suite.repeats_of(),
        sources=tuple((source.name, source.hub, source.licence) for source in suite.sources),
    )
