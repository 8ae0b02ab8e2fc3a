"""A suite: a folder of data. `suite.toml`, `sandbox.j2`, `llm.j2`, and, where it needs one of its own, `grader.py`.

A template is given `question`, `options` (a list of letter and text; empty where the question lists them itself),
`answer_format` (the text of `suite.toml` for the task's grader), `grader`, `documents` (their names) and `meta`. It can
include the template `options.j2`, which lists the options. Values are put in as they are: braces in a question mean
nothing.
"""

import difflib
import hashlib
import string
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from workroom.errors import ConfigError
from workroom.task import Task

if TYPE_CHECKING:
    import jinja2

FOLDER: Final = Path(__file__).parent / "suites"
PROMPTS: Final = ("sandbox.j2", "llm.j2")
OWN_GRADER: Final = "grader.py"


@dataclass(frozen=True, slots=True)
class Source:
    """Where tasks of a suite can be had: a data set of the Hugging Face hub, and what its columns are called here.

    `configs`: all of them are read, none for the default one. `fields` maps a field of a task to a column, `choices`
    also to a list of columns, and `meta` to one that holds an object. `grader`, `repeats`: of these tasks, where they
    are others than the suite's. `archive`: a ZIP file of the data set in which the documents are, and `archive_folder`
    where in it, with columns in braces.
    """

    name: str
    hub: str
    split: str
    licence: str
    configs: tuple[str, ...] = ()
    revision: str | None = None
    fields: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    grader: str | None = None
    repeats: int | None = None
    archive: str | None = None
    archive_folder: str = ""


@dataclass(frozen=True, slots=True)
class Suite:
    """`grader` grades tasks that name none. `domains`: the values of `domain` in data files that belong here (or all).

    `network`, `repeats` and `limits` (settings of a run) are recommended: they count where the user says nothing.
    `answer_format`: what both prompts say of the form of an answer, by grader, with `default`. `data`: a data file in
    the folder. `digest` is of all that makes the prompts.
    """

    name: str
    folder: Path
    title: str
    description: str
    grader: str
    domains: tuple[str, ...]
    network: str
    repeats: int
    limits: Mapping[str, Any]
    sources: tuple[Source, ...]
    judge: Mapping[str, Any]
    digest: str
    answer_format: Mapping[str, str] = field(default_factory=dict)
    data: Path | None = None

    @property
    def is_built_in(self) -> bool:
        """Whether it comes with the package."""
        return self.folder.parent == FOLDER

    def grader_of(self, task: Task) -> str:
        """The name of the grader of a task."""
        return task.grader or self.grader

    def prompt(self, task: Task, mode: Literal["sandbox", "llm"]) -> str:
        """What the model is asked in this mode. Raises ConfigError for a template that cannot be filled in."""
        import jinja2

        grader = self.grader_of(task)
        values: dict[str, Any] = {
            "question": task.prompt,
            "options": [] if is_listed(task) else lettered(task),
            "grader": grader,
            "documents": list(task.documents),
            "meta": dict(task.meta),
        }
        if (text := form_of(self.answer_format, grader)) is not None:
            values["answer_format"] = text
        try:
            return environment(self.folder).get_template(f"{mode}.j2").render(values).strip("\n")
        except (jinja2.TemplateError, TypeError, ValueError, LookupError) as error:
            raise ConfigError(f"{self.folder / mode}.j2 cannot be filled in for the task {task.id}: {error}") from error

    def task(self, task: Task, mode: Literal["sandbox", "llm"]) -> Task:
        """The task as it is asked in this mode."""
        return replace(task, prompt=self.prompt(task, mode))

    def source(self, name: str | None = None) -> Source | None:
        """The source of that name, the first one where none is named; None where the suite has none.

        Raises ConfigError for a name that is none.
        """
        if name is None:
            return self.sources[0] if self.sources else None
        for source in self.sources:
            if source.name == name:
                return source
        known = ", ".join(source.name for source in self.sources) or "none"
        raise ConfigError(f"the suite {self.name} has no source {name!r}; it has: {known}")

    def repeats_of(self, data: Path | str | None = None, source: str | None = None) -> int:
        """How often each task is tried where the user says nothing. A source may ask for more than a data file."""
        if data is not None or (source is None and self.data is not None):
            return self.repeats
        found = self.source(source)
        return self.repeats if found is None or found.repeats is None else found.repeats


def find_suite(name: str) -> Suite:
    """The suite of that name, or in the folder of that path.

    Raises ConfigError where there is none, or its files are not as they must be.
    """
    from workroom.bench.suite_file import read_suite

    if name in built_in():
        return read_suite(FOLDER / name)
    folder = Path(name).expanduser()
    if name and (folder / "suite.toml").is_file():
        return read_suite(folder.resolve())
    if name and folder.is_dir():
        raise ConfigError(f"{name} is no suite, it has no suite.toml; make one with: workroom bench new NAME")
    close = difflib.get_close_matches(name.lower(), built_in(), n=1, cutoff=0.45)
    nearest = f", did you mean {close[0]!r}?" if close else ""
    raise ConfigError(
        f"there is no suite {name!r}{nearest} (the suites: {', '.join(built_in())}, or the path of a suite's folder)"
    )


def built_in() -> list[str]:
    """The names of the suites that come with the package."""
    return sorted(path.parent.name for path in FOLDER.glob("*/suite.toml"))


def lettered(task: Task) -> list[tuple[str, str]]:
    """The options of a task with their letters, A to Z."""
    return list(zip(string.ascii_uppercase, task.choices, strict=False))


def is_listed(task: Task) -> bool:
    """Whether the question lists its options itself, as `(A) text`, so that a prompt must not repeat them."""
    question = " ".join(task.prompt.split())
    return all(f"({letter}) {' '.join(text.split())}" in question for letter, text in lettered(task))


def form_of(formats: Mapping[str, str], grader: str) -> str | None:
    """What is said of the form of an answer: for the grader, else for its family (`chemiq` of `chemiq:range`)."""
    for key in (grader, grader.partition(":")[0], "default"):
        if key in formats:
            return formats[key]
    return None


def digest_of(folder: Path, formats: Mapping[str, str]) -> str:
    """SHA-256 of the templates that prompts can be made of, and of the texts on the form of an answer."""
    digest = hashlib.sha256(repr(sorted(formats.items())).encode())
    templates = [path for path in folder.glob("*.j2") if not path.name.startswith("judge")]
    for path in sorted([*templates, FOLDER / "options.j2"], key=lambda path: path.name):
        digest.update(f"\0{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()


@cache
def environment(folder: Path) -> "jinja2.Environment":
    """Where the templates of a suite are found: in its folder, then among those that all suites share."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, FOLDER]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
