"""`workroom sandbox shell`: commands line by line in a fresh sandbox, as the model's `execute_bash` would run them."""

import asyncio
import re
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workroom.cli.screen import Screen
from workroom.cli.text import harmless
from workroom.tools.bash import BashTool

if TYPE_CHECKING:
    from workroom.config import RunConfig
    from workroom.sandbox import Sandbox

_INTERRUPTED = 130


def shell(flags: Mapping[str, Any], inputs: Sequence[Path]) -> int:
    """Reads commands from standard input until it ends; the exit code is the last command's."""
    from workroom.config import resolve
    from workroom.inputs import collect_documents
    from workroom.sandbox.image import ensure_image

    screen = Screen()
    config = resolve(flags).config
    documents = collect_documents(inputs, screen.view.notice)
    ensure_image(config.image, progress=screen.view.progress)
    return asyncio.run(_serve(config, documents, screen))


async def _serve(config: "RunConfig", documents: Mapping[str, str | Path], screen: Screen) -> int:
    from workroom.sandbox import Sandbox
    from workroom.sandbox.base import DOCUMENTS_DIR

    prompt = ""
    if sys.stdin.isatty():
        import readline  # noqa: F401 - line editing and history for input()

        prompt = "sandbox$ "
    async with Sandbox.open(config.sandbox, image=config.image, network=config.network, limits=config.limits) as box:
        for name, source in documents.items():
            await box.upload(source, f"{DOCUMENTS_DIR}/{name}")
        for notice in box.facts.notices:
            screen.view.notice(notice)
        if prompt:
            screen.view.progress(f"network {config.network}; `exit` or Ctrl-D ends it, and nothing is kept")
        bash = _Bash(box)
        code = 0
        while (line := await _next_line(prompt)) is not None:
            if exits := re.fullmatch(r"\s*exit(?:\s+(\d{1,3}))?\s*", line):
                return int(exits[1]) & 0xFF if exits[1] else code
            if line.strip():
                code = await bash.run(line)
        return code


class _Bash(BashTool):
    """The model's tool, with its plain output for a person."""

    def __init__(self, box: "Sandbox") -> None:
        super().__init__(box.limits)
        self._box = box

    async def run(self, line: str) -> int:
        """Runs one line and shows its output; Ctrl-C ends all that runs in the sandbox. Gives the exit code."""
        task = asyncio.create_task(self._run(line, self._limit, self._box))
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, task.cancel)
        try:
            result = await task
        except asyncio.CancelledError:
            if not task.cancelled():
                raise
            await self._box.kill_all()
            return _INTERRUPTED
        finally:
            loop.remove_signal_handler(signal.SIGINT)
        for stream, text in ((sys.stdout, result.stdout), (sys.stderr, result.stderr)):
            stream.write(harmless(text))
            stream.flush()
        if result.timed_out:
            sys.stderr.write(f"ended after {self._limit:g} s (--command-timeout)\n")
        return result.exit_code


async def _next_line(prompt: str) -> str | None:
    """The next line of standard input, None at its end. Read in a thread that nobody waits for at the end."""
    loop = asyncio.get_running_loop()
    line: asyncio.Future[str | None] = loop.create_future()

    def answer(text: str | None) -> None:
        if not line.done():
            line.set_result(text)

    def read() -> None:
        try:
            text: str | None = input(prompt)
        except (EOFError, OSError):
            text = None
        loop.call_soon_threadsafe(answer, text)

    threading.Thread(target=read, daemon=True).start()
    return await line
