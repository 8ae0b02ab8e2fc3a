"""IFBench and IFEval: the items of the data folder against answers made by hand, and the protocol."""

import asyncio
import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from workroom.bench.graders import Graders
from workroom.bench.graders.instruction_names import NAMES
from workroom.bench.graders.instructions import grade, variants
from workroom.bench.graders.language_data import Benchmark, checkers, missing_data
from workroom.bench.score import Score
from workroom.bench.suite import find_suite
from workroom.task import Task

Instruction = tuple[str, Mapping[str, Any]]  # its identifier and arguments

HERE = Path(__file__).parent
DATA = Path(os.environ.get("WORKROOM_DATA") or HERE.parents[1] / "../shared/data") / "instruct_follow"
_BEGIN = re.compile(r"^### (\S+) (right|wrong)\n", re.MULTILINE)


def vectors(name: str) -> list[tuple[str, str, str]]:
    """(item, right or wrong, answer) of a file of answers made by hand."""
    parts = _BEGIN.split((HERE / name).read_text(encoding="utf-8"))[1:]
    return [(parts[at], parts[at + 1], parts[at + 2].removesuffix("\n")) for at in range(0, len(parts), 3)]


VECTORS = vectors("ifbench_vectors.txt") + vectors("ifeval_vectors.txt")


@pytest.fixture(scope="module")
def items() -> dict[str, Task]:
    if not DATA.is_dir():
        pytest.skip(f"{DATA} is missing: set WORKROOM_DATA to the folder with the items")
    lines = [
        json.loads(line)
        for path in sorted(DATA.glob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").split("\n")
        if line
    ]
    return {line["id"]: Task(line["question"], id=line["id"], meta=line["meta"]) for line in lines}


def filled(answer: str, task: Task) -> str:
    """The answer with what it repeats of its item, which is not ours to keep here."""
    request = next((text for given in task.meta["kwargs"] if (text := given.get("prompt_to_repeat"))), "")
    repeated = {
        "{request}": request,
        "{request but its first word}": " ".join(request.split()[1:]),
        "{last sentence}": task.prompt.split(". ")[-1],
    }
    for place, text in repeated.items():
        answer = answer.replace(place, text)
    return answer


def task_of(*instructions: Instruction) -> Task:
    """A task that asks for nothing but these instructions."""
    names = [name for name, _ in instructions]
    return Task("Say something.", meta={"instruction_id_list": names, "kwargs": [dict(one) for _, one in instructions]})


def value(benchmark: Benchmark, answer: str, *instructions: Instruction) -> tuple[Any, Any]:
    """The strict and the loose value."""
    task = task_of(*instructions)
    strict, loose = (grade(task, answer, benchmark=benchmark, strict=strict).value for strict in (True, False))
    return strict, loose


def test_every_item_of_ifbench_has_a_right_and_a_wrong_answer(items: dict[str, Task]) -> None:
    wanted = {(name, kind) for name in items if name.startswith("ifbench-") for kind in ("right", "wrong")}
    made = [(name, kind) for name, kind, _ in VECTORS]
    assert len(wanted) == 120
    assert {one for one in made if one[0].startswith("ifbench-")} == wanted
    assert len(made) == len(set(made))


@pytest.mark.parametrize(("name", "kind", "answer"), VECTORS, ids=[f"{name}-{kind}" for name, kind, _ in VECTORS])
def test_hand_made_answer(items: dict[str, Task], name: str, kind: str, answer: str) -> None:
    task = items[name]
    if lacking := missing_data([task]):
        pytest.skip(lacking)
    benchmark = cast("Benchmark", name.split("-", maxsplit=1)[0])
    answer = filled(answer, task)
    loose = grade(task, answer, benchmark=benchmark, strict=False)
    assert loose.value == (1.0 if kind == "right" else 0.0), loose.reason
    assert loose.extracted == answer
    if name != "ifbench-105":  # its two instructions exclude each other in one text, so that none is right strictly
        assert grade(task, answer, benchmark=benchmark, strict=True).value == loose.value


SOLID: Instruction = ("format:no_whitespace", {})
QUOTED: Instruction = ("startend:quotation", {})
NO_COMMA: Instruction = ("punctuation:no_comma", {})


@pytest.mark.parametrize(
    ("benchmark", "answer", "instruction"),
    [
        ("ifbench", "Here it is:\nall-in-one", SOLID),
        ("ifbench", "all-in-one\nI hope this helps.", SOLID),
        ("ifbench", "Here it is:\nall-in-one\nI hope this helps.", SOLID),
        ("ifbench", "all-in-one\n", SOLID),
        ("ifeval", '**"Never again."**', QUOTED),
        ("ifeval", 'Of course!\n**"Never again."**', QUOTED),
        ("ifeval", '*"Never again."*\nBye', QUOTED),
        ("ifeval", 'Of course!\n\n*"Never again."*\nBye', QUOTED),
        ("ifeval", "Well, here you are:\nsun and rain", NO_COMMA),
    ],
)
def test_right_only_loosely(benchmark: Benchmark, answer: str, instruction: Instruction) -> None:
    assert value(benchmark, answer, instruction) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("benchmark", "answer", "instruction"),
    [
        ("ifbench", "Here\nit is:\nall-in-one", SOLID),  # two lines too many before it
        ("ifeval", '_"Never again."_', QUOTED),  # no variant is without `_`
        ("ifeval", "sun\nrain, wind\nsnow", NO_COMMA),
        ("ifbench", "<think>two words</think>one", SOLID),  # nothing but the eight variants is tried
    ],
)
def test_wrong_loosely_too(benchmark: Benchmark, answer: str, instruction: Instruction) -> None:
    assert value(benchmark, answer, instruction) == (0.0, 0.0)


def test_the_eight_variants() -> None:
    assert variants("a\n *b* \nc") == ["a\n *b* \nc", "*b* \nc", "a\n *b*", "*b*", "a\n b \nc", "b \nc", "a\n b", "b"]
    assert set(variants("*a*")) == {"*a*", "a", ""}


def test_the_details_hold_both_levels_of_both_protocols() -> None:
    task = task_of(NO_COMMA, QUOTED, ("keywords:existence", {"keywords": ["rain"]}))
    score = grade(task, 'Well, yes:\n"sun"', benchmark="ifeval", strict=False)
    assert (score.value, score.reason) == (0.0, "not followed: keywords:existence")
    assert score.details == {
        "prompt_strict": False,
        "prompt_loose": False,
        "instruction_strict": 0.0,
        "instruction_loose": 2 / 3,
        "instructions": [
            {"id": "punctuation:no_comma", "strict": False, "loose": True},
            {"id": "startend:quotation", "strict": False, "loose": True},
            {"id": "keywords:existence", "strict": False, "loose": False},
        ],
    }
    assert json.loads(json.dumps(score.details)) == score.details


LOOSE_IFEVAL: dict[str, Any] = {"benchmark": "ifeval", "strict": False}


@pytest.mark.parametrize("answer", ["", " ", "\n \n"])
def test_an_empty_answer_follows_nothing(answer: str) -> None:
    score = grade(task_of(NO_COMMA, ("keywords:forbidden_words", {"forbidden_words": ["a"]})), answer, **LOOSE_IFEVAL)
    assert (score.value, score.details["instruction_loose"]) == (0.0, 0.0)


SPAN = {"prompt_to_repeat": "one two three four five", "n_start": 1.0, "n_end": 3.0, "keyword": None, "N": None}
HASHES: Instruction = ("keywords:letter_frequency", {"letter": "#", "let_frequency": 4, "let_relation": "at least"})


@pytest.mark.parametrize("benchmark", ["ifbench", "ifeval"])
def test_the_names_are_those_of_the_checkers(benchmark: Benchmark) -> None:
    assert NAMES[benchmark] == checkers(benchmark).keys()


def test_nulls_are_dropped_and_whole_numbers_are_whole() -> None:
    assert value("ifbench", "two three", ("repeat:repeat_span", SPAN)) == (1.0, 1.0)
    assert value("ifbench", "two three four", ("repeat:repeat_span", SPAN)) == (0.0, 0.0)


def test_a_letter_that_is_none_is_counted_all_the_same() -> None:
    assert value("ifeval", "#one #two #three #four", HASHES) == (1.0, 1.0)
    assert value("ifeval", "many tall letters, but #one #two #three", HASHES) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("meta", "reason"),
    [
        ({}, "the task is malformed: meta needs instruction_id_list and kwargs, equally long"),
        ({"instruction_id_list": [], "kwargs": []}, "the task is malformed"),
        ({"instruction_id_list": ["format:emoji"], "kwargs": [{}, {}]}, "equally long"),
        ({"instruction_id_list": ["format:emoji"], "kwargs": [None]}, "the task is malformed"),
        ({"instruction_id_list": ["format:nothing"], "kwargs": [{}]}, "ifbench has no instruction 'format:nothing'"),
        ({"instruction_id_list": ["count:numbers"], "kwargs": [{"N": None}]}, "count:numbers has no N in kwargs"),
        ({"instruction_id_list": ["format:emoji"], "kwargs": [{"N": 3}]}, "format:emoji cannot be made"),
        ({"instruction_id_list": ["count:numbers"], "kwargs": [{"N": -3}]}, "would draw another at random"),
    ],
)
def test_a_task_that_cannot_be_graded_is_unscored(meta: dict[str, Any], reason: str) -> None:
    score = grade(Task("Say something.", meta=meta), "Something.", benchmark="ifbench", strict=False)
    assert score.value is None
    assert reason in score.reason


def test_a_checker_that_fails_on_the_answer_leaves_it_unscored() -> None:
    rows = ["StudentID", "Subject", "Grade", "Semester", "Score"], ["1", "Art", "A", "Spring", "9"], [""] * 5, [""] * 5
    answer = "\n".join("\t".join(f'"{cell}"' if cell else "" for cell in row) for row in rows)
    score = grade(task_of(("custom:csv_quotes", {})), answer, benchmark="ifbench", strict=True)
    assert score.value is None
    assert "the checker of custom:csv_quotes failed on this answer" in score.reason


def test_a_checker_that_fails_on_a_variant_alone_has_not_found_it_right() -> None:
    assert value("ifbench", 'He said "no"\n42', ("format:quote_unquote", {})) == (0.0, 0.0)


def test_the_language_of_a_short_answer_is_no_matter_of_chance() -> None:
    verdicts = {value("ifeval", "normal hotel", ("language:response_language", {"language": "en"})) for _ in range(20)}
    assert len(verdicts) == 1


# What the official checkers say where a reader would say otherwise; kept, so that scores compare with published ones.
PLAINLY_RIGHT = [
    ("format:options format:newline", [{"options": "I know or I don't know"}, {}], "I\nknow"),
    ("sentence:increment format:thesis", [{"small_n": 4}, {}], "<i>He led us.</i> We all went to the Moon then."),
    ("words:odd_even_syllables", [{}], "Models draw pictures"),  # counted as 2, 1 and 3
    ("format:no_bullets_bullets", [{}], "One.\n\nTwo.\n* three\n* four"),  # paragraphs end the sentences
    ("count:numbers", [{"N": 2}], "Pages 3-4."),  # read as 34
    ("format:emoji", [{}], "Hello 🇫🇷"),  # a flag is two characters
]
PLAINLY_WRONG = [
    ("format:sub-bullets", [{}], "* one\n* two"),  # loosely: without `*` it has no bullets, and so none without subs
    ("ratio:sentence_words", [{}], "We saw him. We saw her. We saw Tom."),
    ("count:person_names", [{"N": 2}], "Avalanches and Leonardo"),  # parts of words count
    ("count:conjunctions", [{"small_n": 3}], "And so and yes, and, no."),  # And, and, and-comma
    ("count:words_japanese", [{"N": 9}], "Too short to tell"),
    ("format:thesis", [{}], "It is <i>so</i> easy."),
]


@pytest.mark.parametrize(
    ("names", "given", "answer", "official"),
    [(*one, 0.0) for one in PLAINLY_RIGHT] + [(*one, 1.0) for one in PLAINLY_WRONG],
)
def test_what_official_checkers_get_wrong(
    names: str, given: list[dict[str, Any]], answer: str, official: float
) -> None:
    assert value("ifbench", answer, *zip(names.split(), given, strict=True))[1] == official


def test_in_a_worker_process_by_name() -> None:
    asked = {"ifbench_loose": SOLID, "ifbench_strict": SOLID, "ifeval_loose": QUOTED, "ifeval_strict": QUOTED}

    async def grade_all() -> list[Score]:
        graders, suite = Graders(workers=1), find_suite("instruction_following")
        tasks = [replace(task_of(instruction), grader=name) for name, instruction in asked.items()]
        try:
            return [await graders.grade(suite, task, '**"Never again."**\n') for task in tasks]
        finally:
            await graders.aclose()

    scores = asyncio.run(grade_all())
    assert [(score.value, score.reason) for score in scores] == [
        (0.0, "not followed: format:no_whitespace"),
        (0.0, "not followed: format:no_whitespace"),
        (1.0, ""),
        (0.0, "not followed: startend:quotation"),
    ]
    assert scores[2].details["instructions"] == [{"id": "startend:quotation", "strict": False, "loose": True}]
