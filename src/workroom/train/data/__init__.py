"""The tasks of a training: questions with short answers whose context lies as files in the sandbox.

`sources` reads any set of contexts, questions and answers, `generated` makes them up, `layout` makes files of a
context, `splits` keeps training, validation and test apart by document, and `store` keeps what was made.
"""

from workroom.train.data.build import build
from workroom.train.data.expert import expert, expert_turns
from workroom.train.data.prompt import asked, suite
from workroom.train.data.splits import Splits, check_leaks
from workroom.train.data.store import read, write

__all__ = ["Splits", "asked", "build", "check_leaks", "expert", "expert_turns", "read", "suite", "write"]
