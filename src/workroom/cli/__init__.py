"""The command line. `main` is the entry point; what a verb needs is loaded when it runs, so that `--help` is fast."""

import os
import sys
from collections.abc import Sequence
from typing import Any

from workroom.errors import ConfigError, WorkroomError

VERBS = (
    "run", "bench", "train", "serve", "replay", "view", "analyze", "export", "import", "sandbox", "models", "doctor",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line (default: the process's) and gives its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed, as by `>&-`; the next file to be opened would take its number
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal in an old locale must not end the run
    try:
        code = _dispatch(with_verb(given) if given else ["--help"])
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except WorkroomError as error:
        return complain(error)
    except Exception as error:  # noqa: BLE001 - the last resort: one sentence for the user, the traceback in a file
        from workroom.cli.crash import report_crash

        return report_crash(error)
    return code


def with_verb(arguments: Sequence[str]) -> list[str]:
    """`workroom "TASK"` means `workroom run "TASK"`. Raises ConfigError for what looks like a mistyped verb."""
    first = arguments[0]
    if first in VERBS or first in ("--help", "-h", "--version"):
        return list(arguments)
    if first.isalpha() and first.islower():
        import difflib

        close = difflib.get_close_matches(first, VERBS, n=1, cutoff=0.75)
        if close:
            raise ConfigError(f"there is no verb {first!r}; did you mean {close[0]!r}? As a task: workroom run {first}")
    return ["run", *arguments]


def complain(error: WorkroomError) -> int:
    """One sentence on stderr; gives the exit code."""
    from workroom.cli.text import one_line
    from workroom.redaction import Redactor

    sys.stderr.write(f"workroom: {one_line(Redactor().text(str(error)))}\n")
    return error.exit_code


def _dispatch(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        from workroom import __version__

        sys.stdout.write(f"workroom {__version__}\n")
        return 0
    import typer

    from workroom.cli.app import app

    usage_error: type[Exception] = typer.BadParameter.__mro__[2]  # ClickException; typer exports only its grandchild
    # Verbs are called directly: a group would first coerce its own flags, for which typer loads pydantic (0.1 s).
    command: Any = typer.main.get_command(app)
    path = ["workroom"]
    while arguments and arguments[0] in getattr(command, "commands", ()):
        path.append(arguments.pop(0))
        command = command.commands[path[-1]]
    try:
        result = command.main(arguments, prog_name=" ".join(path), standalone_mode=False)
    except usage_error as error:
        raise ConfigError(_usage_sentence(error)) from error
    except typer.Abort:
        return 130
    return int(result or 0)


def _usage_sentence(error: BaseException) -> str:
    text = error.format_message() if hasattr(error, "format_message") else str(error)
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "workroom"
    text = text[:1].lower() + text[1:].rstrip(".")
    if "unexpected extra argument" in text:
        text += "; put the task in quotes, it is one argument"
    return f"{text} (see {path} --help)"
