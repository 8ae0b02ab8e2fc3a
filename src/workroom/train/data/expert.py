"""What a scripted expert does on a generated task: it looks, and answers. For the warm start."""

import shlex

from workroom.errors import ConfigError
from workroom.sandbox.base import ANSWER_FILE
from workroom.task import Task


def expert(task: Task) -> list[str]:
    """The bash commands: those that show the answer, and the one that writes it.

    Raises ConfigError for a task that is not generated.
    """
    return [*_look(task), f"echo {shlex.quote(task.answer or '')} > {ANSWER_FILE}"]


def expert_turns(task: Task) -> list[str]:
    """The same as an assistant's turns in the `bash` protocol: a script each, and `submit ANSWER` as the last.

    Raises ConfigError for a task that is not generated.
    """
    return [_fenced(script) for script in (*_look(task), f"submit {task.answer}")]


def _look(task: Task) -> list[str]:
    look = (task.meta.get("training") or {}).get("look")
    if not look:
        raise ConfigError(
            f"there is no expert for the task {task.id}, only for generated ones: give the warm start data of its own"
        )
    return list(look)


def _fenced(script: str) -> str:
    return f"```bash\n{script}\n```"
