"""`workroom view`."""

import asyncio
import sys
from pathlib import Path

from workroom.cli.screen import Screen
from workroom.cli.signals import Signals
from workroom.cli.text import one_line
from workroom.errors import ConfigError

_STEP = 100  # attempts between two lines of progress


def view_verb(directory: Path, out: Path | None, max_size: str, screen: Screen) -> int:
    """Writes the page of what is in the directory and its path to stdout; gives the exit code."""
    from workroom.sandbox.base import parse_size
    from workroom.view import bench_page, run_page
    from workroom.view.artefacts import EACH
    from workroom.view.server import is_run

    most = parse_size(max_size)
    _check(directory)
    target = out or directory / "view.html"
    try:
        is_directory = target.is_dir()
    except OSError as error:
        raise ConfigError(f"cannot write {str(target)[:100]}: {error.strerror}; choose another with -o FILE") from error
    if is_directory:
        raise ConfigError(f"{target} is a directory: name a file with -o FILE.html")

    def progress(done: int, total: int) -> None:
        if done % _STEP == 0:
            screen.view.progress(f"{done:,} of {total:,} attempts")

    with screen.warnings():
        if is_run(directory):
            run_page.write(directory, target, each=min(EACH, most), total=most)
        else:
            bench_page.write(directory, target, most=most, on_progress=progress)
    screen.view.close()
    sys.stdout.write(f"{one_line(str(target))}\n")
    return 0


def serve_verb(directory: Path, host: str, port: int | None, *, quiet: bool) -> int:
    """Serves what is in the directory until it is told to stop; gives the exit code."""
    _check(directory)
    signals = Signals()
    signals.take()
    screen = Screen(quiet=quiet)
    try:
        with screen.warnings():
            signals.hold()
            return asyncio.run(_serve(directory, host, port, signals, quiet=quiet))
    except KeyboardInterrupt:
        return 130
    finally:
        signals.ignore()
        screen.view.close()


async def _serve(directory: Path, host: str, port: int | None, signals: Signals, *, quiet: bool) -> int:
    from workroom.view.server import ViewServer, is_loopback

    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    signals.hand_over(lambda: loop.call_soon_threadsafe(stopping.set))
    server = await asyncio.to_thread(ViewServer, directory, host=host, port=port)
    async with server:
        sys.stdout.write(f"{server.address}\n")
        sys.stdout.flush()
        if not is_loopback(host):
            sys.stderr.write("workroom view: whoever reaches this address can read all of it; there is no key\n")
        if not quiet:
            sys.stderr.write("workroom view: open the address in a browser; Ctrl-C ends it\n")
        await stopping.wait()
    return 0


def _check(directory: Path) -> None:
    if not directory.is_dir():
        what = "is no directory" if directory.exists() else "does not exist"
        raise ConfigError(f"{directory} {what}; name a run, a bench, or a folder with runs")
