"""Instruction following: IFBench and IFEval, by the checkers of if-verifiable under the official protocol.

The protocol is that of the benchmarks' own `evaluation_lib.py` (google-research/instruction_following_eval and
allenai/IFBench, the same in both):

strict   the answer as it is, nothing stripped, follows the instruction
loose    one of eight variants does: the answer, without its first line, its last, both, and these four without `*`

An empty answer, and an empty variant, follow nothing. if-verifiable has the eight variants, but cuts everything up to
`</think>` out of an answer and leaves out instructions that it does not know, so that here only its checkers are used.

Where the official code would draw a number at random or end the whole evaluation, no verdict exists:
- a checker that is given no value draws one. Here such a task is unscored, since it is malformed;
- `keywords:letter_frequency` draws a letter where the task's is no letter (`#`, `!`). Here that character is counted;
- a checker that fails on the answer ends everything. Here the answer is unscored; failing on a mere variant of it, the
  checker has not found that the variant follows.
"""

import difflib
import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workroom.bench.graders.instruction_names import NAMES
from workroom.bench.graders.language_data import Benchmark, checkers, how_to_fetch, missing
from workroom.bench.score import Score
from workroom.task import Task


class _UnscoredError(Exception):
    """The answer cannot be graded; the text is the reason."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    """Whether one instruction is followed."""

    id: str
    strict: bool
    loose: bool


def grade_by_name(task: Task, answer: str) -> Score:
    """By the benchmark and the protocol that the task's grader names: `ifbench_loose`, `ifeval_strict`, ..."""
    return grade(task, answer, benchmark=_benchmark(task.grader), strict=(task.grader or "").endswith("_strict"))


def grade(task: Task, answer: str, *, benchmark: Benchmark, strict: bool) -> Score:
    """1.0 if the answer follows all instructions of the task, else 0.0, by the strict or the loose protocol.

    `task.meta` has `instruction_id_list` and, for each of them, the arguments of its checker in `kwargs` (null: not
    given). `details`: `prompt_strict` and `prompt_loose` (all followed), `instruction_strict` and `instruction_loose`
    (the share that is followed), and `instructions`, a verdict for each. Runs in this process, and can take long on a
    long answer. Unscored where the task is malformed, a resource is missing, or a checker fails.
    """
    try:
        verdicts = _judge(task, answer, benchmark)
    except _UnscoredError as error:
        return Score(None, str(error), answer)
    details = {
        **{f"prompt_{name}": all(_column(verdicts, name)) for name in ("strict", "loose")},
        **{f"instruction_{name}": sum(_column(verdicts, name)) / len(verdicts) for name in ("strict", "loose")},
        "instructions": [{"id": one.id, "strict": one.strict, "loose": one.loose} for one in verdicts],
    }
    followed = all(_column(verdicts, "strict" if strict else "loose"))
    broken = [one.id for one in verdicts if not (one.strict if strict else one.loose)]
    reason = f"not followed: {', '.join(broken)}" if broken else ""
    return Score(float(followed), reason, answer, details)


def malformed(task: Task, grader: str) -> str | None:
    """Why no answer to the task could ever be graded, as far as its own form tells; None where it can."""
    try:
        names, _ = _instructions(task)
        benchmark = _benchmark(grader)
        if not NAMES[benchmark].issuperset(names):  # another version of if-verifiable may know more
            _checkers(names, benchmark)
    except _UnscoredError as error:
        return str(error)
    return None


def variants(answer: str) -> list[str]:
    """The eight texts of the loose protocol, the answer itself first."""
    lines = answer.split("\n")
    shortened = ["\n".join(some).strip() for some in (lines[1:], lines[:-1], lines[1:-1])]
    texts = [answer, *shortened]
    return texts + [text.replace("*", "") for text in texts]


def _column(verdicts: Iterable[_Verdict], name: str) -> list[bool]:
    return [getattr(one, name) for one in verdicts]


def _judge(task: Task, answer: str, benchmark: Benchmark) -> list[_Verdict]:
    names, arguments = _instructions(task)
    known = _checkers(names, benchmark)
    if absent := missing(names):
        raise _UnscoredError(f"a checker needs NLTK's {', '.join(absent)}: {how_to_fetch(absent)}")
    texts = variants(answer)
    verdicts = []
    for name, given in zip(names, arguments, strict=True):
        checker = _build(known[name], name, given, task.prompt)
        followed = _follows(checker, name, answer)
        verdicts.append(_Verdict(name, followed, followed or any(_tolerant(checker, text) for text in texts[1:])))
    return verdicts


def _benchmark(grader: str | None) -> Benchmark:
    return "ifeval" if (grader or "").startswith("ifeval_") else "ifbench"


def _checkers(names: Iterable[str], benchmark: Benchmark) -> Mapping[str, type[Any]]:
    known = checkers(benchmark)
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            raise _UnscoredError(
                f"{benchmark} has no instruction {name!r}" + (f"; did you mean {close[0]!r}?" if close else "")
            )
    return known


def _instructions(task: Task) -> tuple[Sequence[str], list[dict[str, Any]]]:
    """The identifiers, and the arguments without nulls; whole numbers as such, which data sets may hold as 3.0."""
    names: Any = task.meta.get("instruction_id_list")
    given: Any = task.meta.get("kwargs")
    if not _list_of(str, names) or not _list_of(Mapping, given) or not 0 < len(names) == len(given):
        raise _UnscoredError("the task is malformed: meta needs instruction_id_list and kwargs, equally long")
    return names, [{key: _whole(value) for key, value in one.items() if value is not None} for one in given]


def _list_of(kind: type[Any], value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(one, kind) for one in value)


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _build(kind: type[Any], name: str, given: Mapping[str, Any], prompt: str) -> Any:
    """A checker for one instruction of one task."""
    checker = kind(name)
    parameters = inspect.signature(checker.build_description).parameters.values()
    wanted = {one.name for one in parameters if one.kind is not one.VAR_KEYWORD} - {"prompt"}
    if lacking := sorted(wanted - given.keys()):
        raise _UnscoredError(f"the task is malformed: {name} has no {', '.join(lacking)} in kwargs")
    try:
        checker.build_description(**given)
        used = checker.get_instruction_args() or {}
        if "prompt" in used:
            checker.build_description(prompt=prompt)
    except (TypeError, ValueError, AttributeError) as error:
        raise _UnscoredError(f"the task is malformed: {name} cannot be made: {error}") from error
    if name == "keywords:letter_frequency":
        vars(checker)["_letter"] = str(given["letter"]).lower()
        return checker
    for key, value in given.items():
        if key in used and _plain(used[key]) != _plain(value):
            raise _UnscoredError(f"{name} cannot check {key} = {value!r}: its checker would draw another at random")
    return checker


def _plain(value: Any) -> Any:
    """A value as checkers keep it: texts stripped, lists sorted."""
    if isinstance(value, str):
        return value.strip().lower()
    return sorted(set(value)) if isinstance(value, Sequence) else value


def _follows(checker: Any, name: str, text: str) -> bool:
    try:
        return bool(text.strip() and checker.check_following(text))
    except Exception as error:
        raise _UnscoredError(f"the checker of {name} failed on this answer: {type(error).__name__}: {error}") from error


def _tolerant(checker: Any, text: str) -> bool:
    try:
        return bool(text.strip() and checker.check_following(text))
    except Exception:  # noqa: BLE001 - what a checker raises on a text that nobody wrote tells nothing of the answer
        return False
