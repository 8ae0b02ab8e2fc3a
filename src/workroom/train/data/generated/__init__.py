"""Made-up contexts with questions on them: as many as are wanted, the same for the same seed.

`generated:facts` is a mix of all kinds, and each kind is a source of its own; `generated:lookup` is the easiest. Names
are of syllables, so that no model knows them; no record stands in the first two lines of a file, which a compact
prompt shows.
"""

from collections.abc import Mapping
from random import Random
from typing import Final

from workroom.errors import ConfigError
from workroom.task import Task
from workroom.train.config import DataSection
from workroom.train.data.generated import directory, inventory, letters, lookup, readings, timetable
from workroom.train.data.generated.asking import Kind
from workroom.train.data.sources import Entry

KINDS: Final[Mapping[str, Kind]] = {
    "lookup": lookup.make,
    "directory": directory.make,
    "inventory": inventory.make,
    "timetable": timetable.make,
    "readings": readings.make,
    "letters": letters.make,
}
MIX: Final = "facts"


def entries(source: str, count: int, section: DataSection) -> list[Entry]:
    """At least `count` questions of a source, each context with as many as the worked examples need.

    Raises ConfigError for a kind that does not exist.
    """
    kind = source.partition(":")[2]
    if kind != MIX and kind not in KINDS:
        raise ConfigError(f"there is no source {source!r}; generated are: {', '.join((MIX, *KINDS))}")
    each = section.examples + 1
    found: list[Entry] = []
    for number in range(-(-count // each) + 2):  # a split may use a context in part: two are over
        random = Random(f"{section.seed} {source} {number}")
        name = kind if kind != MIX else list(KINDS)[number % len(KINDS)]
        made = KINDS[name](random, each)
        for index, question in enumerate(made.questions, 1):
            task = Task(
                question.text,
                id=f"{kind}-{section.seed}-{number}" + (f"-{index}" if each > 1 else ""),
                domain="generated",
                documents=made.documents,
                answer=question.answer,
                choices=question.choices,
                grader=section.grader or question.grader,
            )
            found.append(Entry(task, f"{source}, context {number}", source, name, question.look))
    return found
