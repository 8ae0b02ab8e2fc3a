"""Graders by name: which one is meant, what is checked before a bench, and what of a judge."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from workroom.bench.graders import Graders, check, needs_judge
from workroom.bench.graders.registry import GRADERS
from workroom.bench.score import Score
from workroom.bench.suite import Suite
from workroom.errors import ConfigError, Overloaded
from workroom.task import Task


@dataclass
class Judge:
    """Says what it is told to, or fails."""

    verdict: Score | Exception
    asked: list[str] = field(default_factory=list)

    async def grade(self, suite: Suite, task: Task, answer: str) -> Score:
        self.asked.append(answer)
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict


def suite(folder: Path = Path("nowhere"), grader: str = "mcq_letter") -> Suite:
    return Suite(
        "some",
        folder,
        title="",
        description="",
        grader=grader,
        domains=(),
        network="none",
        repeats=1,
        limits={},
        sources=(),
        judge={},
        digest="",
    )


def grade(pairs: Sequence[tuple[Task, str]], judge: Judge | None = None, of: Suite | None = None) -> list[Score]:
    async def inside() -> list[Score]:
        graders = Graders(judge=judge)
        try:
            return list(await asyncio.gather(*(graders.grade(of or suite(), task, text) for task, text in pairs)))
        finally:
            await graders.aclose()

    return asyncio.run(inside())


def task(grader: str | None, answer: str | None = "B", **options: Any) -> Task:
    return Task("?", id="t1", grader=grader, answer=answer, **options)


def test_the_task_names_the_grader_and_else_the_suite() -> None:
    scores = grade(
        [
            (task(None), "The answer is (B)."),
            (task("exact", "Paris"), "paris"),
            (task("math_verify", "1/2"), r"\boxed{0.5}"),
            (task("math_verify_or_eed", "x+1"), r"\boxed{1+x}"),
            (task("label_yes_no_maybe", "no"), "No."),
            (task("qa_em_f1", "Paris"), "Answer: Paris"),
            (task("rouge_l", "the cat"), "the dog"),
            (task("instruct_pretrain", "A, C"), "AC"),
            (task("chemiq:exact_match", "3"), "3"),
            (task("chemiq:range", "3", meta={"answer_range": "(2, 4)"}), "3.5"),
            (task("chemiq:list_of_tuples", "[(0, 1)]"), "[(0, 1)]"),
            (task("chemiq:canonical_smi_match", "CCO"), "CCO"),
            (task("qa_f1_or_judge", "Paris"), "Paris"),
        ]
    )
    assert [score.value for score in scores] == [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]


def test_both_modes_get_the_same_score_for_the_same_answer() -> None:
    # A file of an answer alone, as the sandbox leaves it, and prose, as a plain completion is.
    prose = "Cisplatin binds DNA, and (A) does not fit.\n\n**Answer: (B)** because of the cross-links."
    assert [score.value for score in grade([(task(None), "B"), (task(None), prose)])] == [1.0, 1.0]


def test_hundreds_of_answers_at_once() -> None:
    tasks = [(task("mcq_letter"), "B" if number % 2 else "C") for number in range(200)]
    assert [score.value for score in grade(tasks)] == [float(number % 2) for number in range(200)]


def test_mathematics_that_never_ends_is_cut_short() -> None:
    async def inside() -> Score:
        graders = Graders(timeout=0.5)
        try:
            return await graders.grade(suite(), task("math_verify", "x+1"), r"\boxed{9^{9^{9^{9}}}}")
        finally:
            await graders.aclose()

    assert asyncio.run(inside()) == Score(None, "the grader took longer than 0.5 s")


def test_an_empty_answer_is_wrong_and_nobody_is_asked() -> None:
    judge = Judge(Score(1.0))
    scores = grade([(task("llm_judge"), " \n"), (task("ifbench_loose", None), "")], judge)
    assert [score.value for score in scores] == [0.0, 0.0]
    assert judge.asked == []


def test_a_judge_is_asked_where_there_is_one() -> None:
    judge = Judge(Score(0.25))
    some = [(task(name), "x") for name in ("llm_judge", "llm_judge:variant", "qa_f1_or_judge")]
    assert [score.value for score in grade(some, judge)] == [0.25] * 3
    assert [score.value for score in grade(some)] == [None, None, 0.0]


def physics(first: str = "math_verify") -> Suite:
    return replace(suite(grader="llm_judge:ugphysics"), judge={"ugphysics": {"first": first}})


def test_what_mathematics_finds_right_no_judge_is_asked_about() -> None:
    judge = Judge(Score(0.0))
    some = [(task(None, "1/2"), text) for text in (r"It is $\boxed{0.5}$.", r"$\boxed{0.6}$", "No box: half.")]
    right, other, prose = grade(some, judge, physics())
    assert (right.value, right.extracted, right.details) == (1.0, "0.5", {"found_by": "math_verify"})
    assert (other.value, prose.value) == (0.0, 0.0)
    assert sorted(judge.asked) == ["0.6", "No box: half."]


def test_without_a_judge_what_mathematics_finds_right_is_unscored_too() -> None:
    # Else right answers alone would be counted.
    assert grade([(task(None, "1/2"), r"\boxed{0.5}")], of=physics()) == [Score(None, "there is no judge")]


def test_a_judge_is_shown_the_same_of_a_file_and_of_prose() -> None:
    judge = Judge(Score(1.0))
    prose = "Candidates: 12, 13.\n\n**Answer:** 13 months\nfrom May"
    grade([(task("llm_judge"), "13 months\nfrom May"), (task("llm_judge"), prose)], judge)
    assert judge.asked == ["13 months\nfrom May"] * 2


def test_a_first_grader_that_is_none_is_found_before_anything_starts() -> None:
    check(physics(), [task(None)])
    with pytest.raises(
        ConfigError, match=r"suite.toml: `first` of \[judge\] is 'maths', which is none of: .*math_verify"
    ):
        check(physics("maths"), [task(None)])


def test_no_worker_loads_a_library_of_data_sets() -> None:
    # Some 90 MiB for each of them, and seconds.
    code = "import sys\ndef grade(task, answer): return 'datasets' not in sys.modules\n"
    meta = {"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}

    async def inside(folder: Path) -> list[Score]:
        (folder / "grader.py").write_text(code)
        graders = Graders(workers=1)
        try:
            followed = await graders.grade(suite(), task("ifeval_strict", None, meta=meta), "No commas here.")
            return [followed, await graders.grade(suite(folder), task("grader.py"), "x")]
        finally:
            await graders.aclose()

    with TemporaryDirectory() as folder:
        assert [score.value for score in asyncio.run(inside(Path(folder)))] == [1.0, 1.0]


def test_a_judge_that_fails_leaves_a_reason() -> None:
    (score,) = grade([(task("llm_judge"), "x")], Judge(Overloaded("no reply")))
    assert score == Score(None, "the judge failed: Overloaded: no reply")


def test_a_suite_may_bring_its_own_grader(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("WORD = 'magic'\n")
    (tmp_path / "grader.py").write_text(
        "from beside import WORD\n"
        "def grade(task, answer):\n"
        "    return 0.5 if WORD in answer and task.documents and task.meta['n'] == 1 else None\n"
    )
    own = suite(tmp_path, "grader.py")
    some = task(None, None, meta={"n": 1}, documents={"a.txt": "text"})
    check(own, [some])
    right, wrong = grade([(some, "the magic word"), (some, "")], of=own)
    assert right == Score(0.5)
    assert wrong == Score(None, "the grader gave no score")


def test_a_name_that_is_none_is_unscored() -> None:
    assert grade([(task("nothing"), "x")]) == [Score(None, "there is no grader 'nothing'")]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (task("mcq_leter"), "task 't1' of suite 'some' names the grader 'mcq_leter', which is none of: .*mcq_letter"),
        (task("math_verify", None), "has no answer, which its grader 'math_verify' compares with"),
        (task("llm_judge:variant", ""), "has no answer"),
        (task("grader.py"), r"is graded by nowhere/grader.py, which does not exist"),
        (task("ifbench_loose"), "task 't1' of suite 'some': the task is malformed: meta needs instruction_id_list"),
        (
            replace(task("ifbench_strict"), meta={"instruction_id_list": ["format:emojis"], "kwargs": [{}]}),
            "task 't1' of suite 'some': ifbench has no instruction 'format:emojis'; did you mean 'format:emoji'",
        ),
    ],
)
def test_what_cannot_be_graded_is_found_before_anything_starts(bad: Task, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check(suite(), [task("exact"), bad])


def test_a_missing_library_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs the package math_verify: pip install 'workroom\[bench\]'"):
        check(suite(), [task("math_verify")])


def test_who_needs_a_judge() -> None:
    assert needs_judge(suite(), [task("exact"), task("llm_judge:variant")])
    assert needs_judge(suite(grader="llm_judge"), [task(None)])
    assert not needs_judge(suite(), [task("exact"), task("qa_f1_or_judge"), task(None)])


def test_every_name_has_a_function() -> None:
    from workroom.bench.graders.worker import load

    for name, grader in GRADERS.items():
        assert callable(load(grader.function)), name


def test_every_reference_that_is_stated_is_right() -> None:
    from workroom.bench.graders.worker import load

    folder = Path(os.environ.get("WORKROOM_DATA") or Path(__file__).parents[2] / "../shared/data").resolve()
    paths = sorted(folder.glob("*/*.jsonl"))
    if not paths:
        pytest.skip(f"there is no data below {folder}: set WORKROOM_DATA")
    counts: Counter[str] = Counter()
    for line in (line for path in paths for line in path.read_text(encoding="utf-8").split("\n") if line):
        item = json.loads(line)
        name = item["grader"]
        # Mathematics has a test of its own; the others have no reference that could be stated, or want all of it.
        if name.startswith(("math", "if", "llm_judge", "rouge")) or name == "chemiq:opsin":
            continue
        choices = tuple(item.get("choices") or ())
        some = Task(item["question"], answer=item["answer"], choices=choices, meta=item["meta"])
        for said in (
            item["answer"],
            f"Let me see.\n\nThe answer is: {item['answer']}",
            f"**Answer:** {item['answer']}.",
        ):
            score = load(GRADERS[name].function)(some, said)
            assert score.value == 1.0, (item["id"], said, score)
        counts[name] += 1
    assert counts["mcq_letter"] > 100
    assert len(counts) >= 8
