"""Suites: those that come with the package, a user's own, and every mistake in a suite.toml.

After a wanted change of a prompt: `UPDATE_GOLDEN=1 pytest tests/bench/test_suite.py`, and read the difference.
"""

import os
from pathlib import Path
from typing import Literal

import pytest

from workroom.agent.prompts import render
from workroom.bench.data import load_tasks
from workroom.bench.listing import rows
from workroom.bench.new import create
from workroom.bench.suite import FOLDER, built_in, find_suite
from workroom.errors import ConfigError
from workroom.task import Task

GOLDEN = Path(__file__).parent / "golden"
DOCUMENT = {"letter.txt": "Dear Ada, the cat is grey. Yours, Tom"}
ITEMS = {
    "math": Task(r"Let $S = \{1, 2, 3\}$. How many subsets has it?"),
    "physics": Task("How fast is a stone after a fall of one second?", meta={"unit": r"\mathrm{m/s}"}),
    "physics-choice": Task("What has no mass?", choices=("A photon", "A proton"), grader="mcq_letter"),
    "chemistry": Task("Which is an acid?", choices=("HCl", "NaOH", "H2O", "CH4")),
    "chemistry-short": Task("How many carbon atoms has CCO?", grader="chemiq:exact_match"),
    "biomedicine": Task("Which organ?", choices=tuple(f"Organ {n}" for n in range(10))),
    "biomedicine-listed": Task("Which?\nAnswer Choices: (A)  One (B) Two", choices=("One", "Two")),
    "biomedicine-label": Task(
        "Is the cat grey?", choices=("yes", "no", "maybe"), grader="label_yes_no_maybe", documents=DOCUMENT
    ),
    "long_context": Task("Which colour has the cat?", documents={**DOCUMENT, "b.txt": "x"}),
    "long_context-summary": Task("What does Tom write?", documents=DOCUMENT, grader="rouge_l"),
    "instruction_following": Task("Write {{ two }} lines without the letter e. {% raw %}"),
    "context_qa": Task("Who wrote the letter?", documents=DOCUMENT),
}
MODES: tuple[Literal["sandbox", "llm"], ...] = ("sandbox", "llm")
SUITE = 'title = "T"\ngrader = "exact"\n'


def write_suite(folder: Path, text: str = SUITE, sandbox: str = "{{ question }}", llm: str = "{{ question }}") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "suite.toml").write_text(text, encoding="utf-8")
    (folder / "sandbox.j2").write_text(sandbox, encoding="utf-8")
    (folder / "llm.j2").write_text(llm, encoding="utf-8")
    return folder


def test_there_are_the_papers_six_domains_and_one_for_training() -> None:
    six = {"math", "physics", "chemistry", "biomedicine", "long_context", "instruction_following"}
    assert set(built_in()) == {*six, "context_qa"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ITEMS)
def test_prompt(name: str, mode: Literal["sandbox", "llm"]) -> None:
    path = GOLDEN / f"{name}.{mode}.txt"
    text = find_suite(name.partition("-")[0]).prompt(ITEMS[name], mode) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(set(ITEMS) - {"instruction_following"}))
def test_both_modes_ask_for_the_same_form_of_answer(name: str) -> None:
    suite, task = find_suite(name.partition("-")[0]), ITEMS[name]
    forms = [suite.prompt(task, mode).partition("Form of the answer:")[2] for mode in MODES]
    assert forms[0] == forms[1] != ""


def test_in_llm_mode_an_instruction_is_the_prompt_word_for_word() -> None:
    task = ITEMS["instruction_following"]
    asked = find_suite("instruction_following").task(task, "llm")
    assert render("llm", texts=[], prompt=asked.prompt) == task.prompt
    assert (asked.id, asked.meta) == (task.id, task.meta)


def test_a_suite_is_found_by_name_or_by_folder(tmp_path: Path) -> None:
    own = find_suite(str(write_suite(tmp_path / "mine")))
    assert (own.name, own.is_built_in, own.network, own.repeats) == ("mine", False, "packages", 1)
    assert own.prompt(Task("a {{ b }} {% c %} {# d #}"), "llm") == "a {{ b }} {% c %} {# d #}"
    assert find_suite("math").is_built_in
    copy = find_suite(str(write_suite(tmp_path / "math")))
    assert not copy.is_built_in


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("biomed", "'biomedicine'"),
        ("maths", "'math'"),
        ("MATH", "'math'"),
        ("instruct_follow", "'instruction_following'"),
    ],
)
def test_an_unknown_name_gets_the_nearest_and_the_list(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=f"no suite '{name}', did you mean {said}.*chemistry.*physics"):
        find_suite(name)


def test_a_folder_without_suite_toml_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no suite, it has no suite\.toml; make one with: workroom bench new"):
        find_suite(str(tmp_path))


SOURCE = '[[source]]\nname = "s"\nhub = "h"\nsplit = "test"\nlicence = "MIT"\n'
MISTAKES = {
    'title = "T"': "`grader` is missing",
    'grader = "exact"': "`title` is missing",
    SUITE + 'grader = "x"': "not valid TOML",
    SUITE + 'tilte = "x"': "no key `tilte`; did you mean `title`",
    SUITE + "xyzzy = 1": "no key `xyzzy`; the keys are title",
    SUITE + "repeats = 0": "`repeats` must be a whole number of at least 1",
    SUITE + "repeats = true": "`repeats` must be a whole number",
    SUITE + 'domains = "math"': "`domains` must be a list of texts",
    SUITE + "description = 3": "`description` must be text",
    SUITE + 'network = "all"': "`network` is wrong: .*none, packages, open",
    SUITE + "[limits]\nmax_turns = 0": "`limits`: `max_turns` is wrong",
    SUITE + '[limits]\nmodel = "m"': "`limits`: there is no key `model`",
    SUITE + 'limits = "few"': "`limits` must be a table",
    SUITE + "[answer_format]\ndefault = 1": "`answer_format`.default must be text",
    SUITE + "[judge]\nvotes = 0": "`judge`: `votes` must be a whole number",
    SUITE + "[judge.x]\nmodel = 1": "`judge`.x: there is no key `model`",
    SUITE + "[source]\nname = 1": "`source` must be an array of tables",
    SUITE + SOURCE: "`source` number 1: `fields` is missing",
    SUITE + SOURCE + 'fields = { id = "i" }': "`source` number 1: `fields` names no column for `question`",
    SUITE + SOURCE + 'fields = { q = "i" }': "`fields`: there is no key `q`",
    SUITE + SOURCE + 'fields = { question = "i", choices = [1] }': "`choices` must be a list of texts",
    SUITE + (SOURCE + 'fields = { question = "i" }\n') * 2: "two of its .*source.* have the same `name`",
    SUITE.replace("exact", "mine.py"): "`grader` is 'mine.py'; a grader of your own must be named grader.py",
    SUITE.replace("exact", "grader.py"): "`grader` is 'grader.py', but there is no such file",
    SUITE + 'data = "d.jsonl"': "`data` is 'd.jsonl', but there is no such file",
}


@pytest.mark.parametrize(("text", "said"), MISTAKES.items())
def test_a_mistake_is_told_with_file_and_key(tmp_path: Path, text: str, said: str) -> None:
    folder = write_suite(tmp_path / "mine", text)
    with pytest.raises(ConfigError, match=rf"^{folder}/suite\.toml.*{said}") as raised:
        find_suite(str(folder))
    assert "\n" not in str(raised.value) or "TOML" in said


def test_a_template_that_is_none_is_told_with_its_line(tmp_path: Path) -> None:
    folder = write_suite(tmp_path / "mine", llm="a\n{% if %}")
    with pytest.raises(ConfigError, match=r"llm\.j2, line 2 is no template"):
        find_suite(str(folder))
    (folder / "llm.j2").unlink()
    with pytest.raises(ConfigError, match=r"llm\.j2 is missing"):
        find_suite(str(folder))


def test_a_template_with_an_unknown_value_is_an_error_and_no_gap(tmp_path: Path) -> None:
    suite = find_suite(str(write_suite(tmp_path / "mine", llm="{{ question }} {{ answer_format }}")))
    assert suite.prompt(Task("q"), "sandbox") == "q"
    with pytest.raises(ConfigError, match=r"llm\.j2 cannot be filled in for the task 7: 'answer_format' is undefined"):
        suite.prompt(Task("q", id="7"), "llm")


def test_the_digest_is_of_what_makes_the_prompts(tmp_path: Path) -> None:
    def digest(**parts: str) -> str:
        return find_suite(str(write_suite(tmp_path / "mine", **parts))).digest

    first = digest()
    assert digest(text=SUITE.replace("T", "Another") + "repeats = 3") == first
    assert digest(llm="{{ question }}!") != first
    assert digest(text=SUITE + '[answer_format]\ndefault = "x"') != first
    (tmp_path / "mine" / "judge.j2").write_text("x", encoding="utf-8")
    assert digest() == first
    (tmp_path / "mine" / "part.j2").write_text("x", encoding="utf-8")
    assert digest() != first


def test_a_source_may_ask_for_more_repeats_than_data_of_ones_own() -> None:
    math = find_suite("math")
    assert (math.repeats_of(), math.repeats_of("data.jsonl"), math.repeats_of(None, "math500")) == (16, 1, 1)
    with pytest.raises(ConfigError, match="the suite math has no source 'x'; it has: paper, original, math500"):
        math.source("x")


def test_a_new_suite_runs_as_it_is(tmp_path: Path) -> None:
    made = create(tmp_path / "mine")
    suite = find_suite(str(tmp_path / "mine"))
    tasks = load_tasks(suite)
    assert [task.id for task in tasks] == ["sum", "longest"]
    assert suite.repeats_of() == 1
    assert "Form of the answer" in suite.prompt(tasks[0], "sandbox")
    module: dict[str, object] = {}
    exec((tmp_path / "mine" / suite.grader).read_text(encoding="utf-8"), module)
    grade = module["grade"]
    assert callable(grade)
    assert (grade(tasks[0], "Hm.\nAnswer: 5050."), grade(tasks[0], "5051")) == (1.0, 0.0)
    assert all(path.is_file() for path in made)


def test_a_new_suite_never_writes_over_anything(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="is not empty"):
        create(tmp_path)
    with pytest.raises(ConfigError, match="math is the name of a suite that comes with workroom"):
        create(tmp_path / "math")
    with pytest.raises(ConfigError, match="cannot make the suite in"):
        create(tmp_path / "note" / "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["note"]


def test_the_list_tells_grader_and_licences() -> None:
    listed = {row.name: row for row in rows()}
    assert list(listed) == built_in()
    assert (listed["math"].grader, listed["math"].repeats) == ("math_verify", 16)
    assert str(listed["math"].sources[1]) == "original: math-ai/aime25, licence Apache-2.0"
    assert all(row.title and row.description and row.sources for row in listed.values())


def test_no_prompt_of_a_suite_is_in_code() -> None:
    assert all((FOLDER / name / f"{mode}.j2").is_file() for name in built_in() for mode in MODES)
