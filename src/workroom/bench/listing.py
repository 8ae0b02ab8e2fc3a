"""The suites that come with the package, as rows of a list."""

from dataclasses import dataclass

from workroom.bench.suite import built_in, find_suite


@dataclass(frozen=True, slots=True)
class Listed:
    """A source of data: its name, the data set of the hub, and the licence of that."""

    name: str
    hub: str
    licence: str

    def __str__(self) -> str:
        return f"{self.name}: {self.hub}, licence {self.licence}"


@dataclass(frozen=True, slots=True)
class Row:
    """A suite as `workroom bench list` shows it. `repeats` are those of its first source."""

    name: str
    title: str
    description: str
    grader: str
    network: str
    repeats: int
    sources: tuple[Listed, ...]


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
        sources=tuple(Listed(source.name, source.hub, source.licence) for source in suite.sources),
    )
