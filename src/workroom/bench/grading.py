"""Whether a suite's own grader and its judge's prompts are still those that the scores of a bench come from.

<bench>/grading.json    a digest by suite, written when the bench is begun, and when all of it is graded anew
"""

import hashlib
from typing import TYPE_CHECKING

from workroom.bench.store import BenchDirectory
from workroom.errors import ConfigError
from workroom.trajectory.files import replace_file, to_json
from workroom.trajectory.reader import read_json

if TYPE_CHECKING:
    from workroom.bench.plan import Plan
    from workroom.bench.suite import Suite

_NAME = "grading.json"


def record_grading(bench: BenchDirectory, plan: "Plan") -> None:
    """Writes down with what is graded now. Raises WorkroomError where that cannot be written."""
    digests = {name: _digest(suite) for name, suite in plan.suites.items()}
    replace_file(bench.path / _NAME, to_json(digests, indent=2).encode() + b"\n")


def check_grading(bench: BenchDirectory, plan: "Plan") -> None:
    """Raises ConfigError where scores of two graders would come together. A bench of an older version does not say."""
    before = read_json(bench.path / _NAME)
    for name, suite in plan.suites.items():
        if before.get(name, _digest(suite)) != _digest(suite):
            raise ConfigError(
                f"the grader of the suite {name} has changed since {bench.path} was graded: put it back, or grade all "
                f"of it anew with `workroom bench grade {bench.path}`"
            )


def _digest(suite: "Suite") -> str:
    digest = hashlib.sha256(repr(sorted(suite.judge.items())).encode())
    for path in sorted([*suite.folder.glob("*.py"), *suite.folder.glob("judge*.j2")]):
        digest.update(f"\0{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()
