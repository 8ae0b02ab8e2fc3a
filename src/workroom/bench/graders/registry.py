"""Which grader is meant by a name, as tasks and suites give it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

OWN: Final = "grader.py"  # a suite's own, in its folder
JUDGE: Final = "llm_judge"  # also with a variant, `llm_judge:VARIANT`
F1_OR_JUDGE: Final = "qa_f1_or_judge"  # the judge where there is one
_HERE = "workroom.bench.graders"


@dataclass(frozen=True, slots=True)
class Grader:
    """A grader that computes: `function` as `module:function`, the `libraries` that it needs, all of the extra `bench`,
    which of them are `loaded` beforehand (None: all), and whether it needs a reference answer."""

    function: str
    libraries: tuple[str, ...] = ()
    reference: bool = True
    loaded: tuple[str, ...] | None = None

    @property
    def loads(self) -> tuple[str, ...]:
        """The modules that are loaded before an answer is looked at, so that the time is not the answer's."""
        return self.libraries if self.loaded is None else self.loaded


_MATHEMATICS = Grader(f"{_HERE}.mathematics:grade", ("math_verify",))
# The package's own front door would load `datasets`, which no checker needs: 90 MiB for each worker.
INSTRUCTIONS: Final = Grader(
    f"{_HERE}.instructions:grade_by_name", ("if_verifiable",), reference=False, loaded=("nltk", "langdetect")
)

GRADERS: Final[Mapping[str, Grader]] = MappingProxyType(
    {
        "math_verify": _MATHEMATICS,
        "math_verify_or_eed": _MATHEMATICS,
        "mcq_letter": Grader(f"{_HERE}.choice:grade"),
        "label_yes_no_maybe": Grader(f"{_HERE}.label:grade"),
        "exact": Grader(f"{_HERE}.text:grade_exact"),
        "qa_em_f1": Grader(f"{_HERE}.text:grade_f1"),
        F1_OR_JUDGE: Grader(f"{_HERE}.text:grade_f1"),
        "rouge_l": Grader(f"{_HERE}.text:grade_rouge"),
        "instruct_pretrain": Grader(f"{_HERE}.mixed:grade", ("math_verify",)),
        "chemiq:exact_match": Grader(f"{_HERE}.chemiq:grade_number"),
        "chemiq:range": Grader(f"{_HERE}.chemiq:grade_range"),
        "chemiq:list_of_tuples": Grader(f"{_HERE}.chemiq:grade_mapping"),
        "chemiq:canonical_smi_match": Grader(f"{_HERE}.chemiq:grade_smiles"),
        "chemiq:opsin": Grader(f"{_HERE}.chemiq:grade_name"),
        "ifbench_loose": INSTRUCTIONS,
        "ifbench_strict": INSTRUCTIONS,
        "ifeval_loose": INSTRUCTIONS,
        "ifeval_strict": INSTRUCTIONS,
    }
)


def is_judged(name: str) -> bool:
    """Whether a grader of that name cannot do without a judge."""
    return name == JUDGE or name.startswith(f"{JUDGE}:")


def names() -> list[str]:
    """All names, for a message."""
    return sorted([*GRADERS, JUDGE, f"{JUDGE}:VARIANT", OWN])
