"""What a judge is asked: the suite's template, filled so that the candidate's answer stays data."""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from workroom.bench.suite import FOLDER
from workroom.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import jinja2

    from workroom.bench.suite import Suite
    from workroom.task import Task

LONGEST: Final = 20_000  # characters of an answer that a judge is shown
_VARIANT: Final = re.compile(r"[A-Za-z0-9_-]+")
# What a server's chat template may read as the end of a message: `<|im_end|>`, `</s>`, `<end_of_turn>`, `[/INST]`.
_CONTROL: Final = re.compile(r"<(?=[|｜][^<>\s]{1,40}[|｜]>|/?s>|(?:start|end)_of_turn>)|\[(?=/?INST\])")


@dataclass(frozen=True, slots=True)
class JudgeTemplate:
    """A template with the file it was read from. `digest`: SHA-256 of its text."""

    path: Path
    text: str
    digest: str

    def render(self, task: "Task", answer: str) -> str:
        """The prompt for this answer, shown as it is given. Raises ConfigError where that cannot be done.

        The template is given `question`, `reference`, `answer`, `choices`, `domain`, `meta` and `mark`. `mark` is made
        from the texts themselves, so that none of them can hold it.
        """
        import jinja2

        values: Mapping[str, object] = {
            "question": task.prompt,
            "reference": task.answer or "",
            "answer": without_control_tokens(answer),
            "choices": list(task.choices),
            "domain": task.domain,
            "meta": dict(task.meta),
            "mark": digest_of("\0".join((task.prompt, task.answer or "", answer)))[:16],
        }
        try:
            return _compiled(self.text).render(values).strip("\n")
        except (jinja2.TemplateError, TypeError, ValueError, LookupError, ArithmeticError) as error:
            raise ConfigError(f"{self.path} cannot be filled in for the task {task.id}: {error}") from error


def variant_of(grader: str) -> str:
    """The part of a grader's name after the colon: `ugphysics` of `llm_judge:ugphysics`, empty where there is none."""
    return grader.partition(":")[2]


def find_template(suite: "Suite", grader: str) -> JudgeTemplate:
    """`judge_VARIANT.j2` of the suite, else its `judge.j2`, else the general one.

    Raises ConfigError for a template that cannot be read and a variant that is no name.
    """
    variant = variant_of(grader)
    if variant and not _VARIANT.fullmatch(variant):
        raise ConfigError(f"{grader!r} is no grader: a judge's variant has letters, digits, - and _ only")
    names = [f"judge_{variant}.j2"] if variant else []
    candidates = [suite.folder / name for name in (*names, "judge.j2")]
    path = next((path for path in candidates if path.is_file()), FOLDER / "judge.j2")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the judge's prompt {path} cannot be read: {error}") from error
    return JudgeTemplate(path, text, digest_of(text))


def cut(text: str, longest: int = LONGEST) -> tuple[str, int]:
    """The text without its middle where it is longer, and how many characters were left out.

    The mark in their place comes on top of `longest`.
    """
    left_out = len(text) - longest
    if left_out <= 0:
        return text, 0
    head = (longest + 1) // 2
    return f"{text[:head]}\n{_general('judge_cut', count=left_out)}\n{text[head + left_out :]}", left_out


def asked_again() -> str:
    """What a judge is told that has given no verdict."""
    return _general("judge_again")


def without_control_tokens(text: str) -> str:
    """The text with a blank in each sequence that a server might take for the end of the message it stands in."""
    return _CONTROL.sub(lambda found: f"{found.group()} ", text)


def digest_of(text: str) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _general(name: str, **values: object) -> str:
    return _compiled((FOLDER / f"{name}.j2").read_text(encoding="utf-8")).render(values).strip("\n")


@cache
def _compiled(text: str) -> "jinja2.Template":
    import jinja2

    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    return environment.from_string(text)
