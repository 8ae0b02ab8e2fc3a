"""The body of `workroom train`."""

import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workroom.cli.screen import Screen
from workroom.cli.signals import Signals
from workroom.errors import ConfigError, WorkroomError
from workroom.train import directory as place
from workroom.train.config_file import load
from workroom.train.ledger import Progress

if TYPE_CHECKING:
    from workroom.train.config import TrainConfig
    from workroom.train.plan import Outcome, Plan
    from workroom.train.session import Session

_STOPPING = "stopping after the step under way and its checkpoint; once more stops at once"


def train_verb(
    file: Path, overrides: Sequence[str], out: Path | None, *, dry_run: bool, resume: bool, screen: Screen
) -> int:
    """Shows what would be done, or trains, and gives the exit code."""
    config = load(file, overrides)
    directory = _directory(config, file, out, resume=resume)
    place.check(directory, config, resume=resume)
    from workroom.train.session import Session

    progress = Progress(config.algorithm.steps)

    def on_metrics(record: dict[str, Any]) -> None:
        if screen.as_json:
            screen.line({"type": "metrics", **record})
        if text := progress.line(record):
            screen.view.progress(text)

    def open_session() -> "Session":
        return Session(config, directory, resume=resume, tell=screen.view.progress, on_metrics=on_metrics)

    if dry_run:
        with screen.warnings():
            _show(open_session().check(), screen)
        return 0
    with place.opened(directory, config, resume=resume):
        return _train(open_session, directory, screen)


def _directory(config: "TrainConfig", file: Path, out: Path | None, *, resume: bool) -> Path:
    """`-o`, else what the configuration says, else a new one below `runs/`, which is not made yet."""
    if found := out or config.output.dir:
        return found
    if resume:
        raise ConfigError("--resume wants the directory of the training: give it with -o DIR")
    return Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-train-{file.stem}"


def _show(plan: "Plan", screen: Screen) -> None:
    if screen.as_json:
        screen.line({"type": "plan", "plan": plan.record()})
    else:
        screen.answer("\n".join(plan.lines))


def _train(open_session: "Callable[[], Session]", directory: Path, screen: Screen) -> int:
    """Trains, and says how it went. The first signal stops after the step under way, the second at once."""
    signals = Signals()
    signals.take()
    again = f"go on: workroom train {directory / place.CONFIG} --resume"
    screen.view.progress(f"training in {directory}")
    try:
        with screen.warnings():
            session = open_session()
            _show_aside(session.check(), screen)
            _watch(session, signals, screen)
            outcome = session.run()
            signals.stop = lambda: None  # what is left to say takes a moment
    except KeyboardInterrupt:
        signals.stop = lambda: None
        screen.error(f"interrupted at once; {again}")
        _last_line(screen, directory, 130)
        return 130
    except WorkroomError as error:
        _last_line(screen, directory, error.exit_code)
        raise
    finally:
        signals.ignore()
        screen.view.close()
    return _end(outcome, directory, again, screen)


def _show_aside(plan: "Plan", screen: Screen) -> None:
    """The plan as activity: on standard output stands what comes of it."""
    if screen.as_json:
        screen.line({"type": "plan", "plan": plan.record()})
    for line in filter(str.strip, plan.lines):
        screen.view.progress(line)


def _watch(session: "Session", signals: Signals, screen: Screen) -> None:
    asked = False

    def stop() -> None:
        nonlocal asked
        if asked:
            signals.stop = lambda: None  # whoever presses once more must not break what cleans up
            raise KeyboardInterrupt
        asked = True
        session.request_stop()
        # Not from here: the signal may have come in the middle of another line, which its stream does not bear.
        threading.Thread(target=screen.view.notice, args=(_STOPPING,), daemon=True).start()

    signals.hand_over(stop)
    if screen.as_json:
        screen.on_gone = session.request_stop


def _end(outcome: "Outcome", directory: Path, again: str, screen: Screen) -> int:
    code = 130 if outcome.interrupted else 0
    screen.view.progress(f"report: {outcome.report}")
    if outcome.interrupted:
        screen.error(f"interrupted; {again}")
    else:
        screen.view.progress(f"model: {outcome.model}")
    _last_line(screen, directory, code, outcome)
    if not screen.as_json:
        from workroom.train.report import summary

        for line in summary(directory):
            sys.stdout.write(line + "\n")
    return code


def _last_line(screen: Screen, directory: Path, code: int, outcome: "Outcome | None" = None) -> None:
    """With `--json`, the line that closes the output, whatever happened."""
    if not screen.as_json:
        return
    record: dict[str, Any] = {"type": "result", "exit_code": code, "path": str(directory)}
    if outcome is not None:
        record |= {"report": str(outcome.report), "model": str(outcome.model)}
    screen.line(record)
