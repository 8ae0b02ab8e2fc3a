"""`execute_bash`: a command in bash, with working directory and exported environment carried from call to call."""

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from workroom.errors import ToolError, TransferError
from workroom.sandbox.base import STATE_DIR, ExecResult, LimitName, Limits
from workroom.tools.arguments import check, number, text
from workroom.tools.base import Observation
from workroom.tools.specs import Wording, spec
from workroom.tools.truncate import Bounds, cut_middle, fits, readable

if TYPE_CHECKING:
    from workroom.models.base import ToolSpec
    from workroom.sandbox import Sandbox

NAME = "execute_bash"
BOUNDS = Bounds(size=16_384, lines=400)  # of each stream, as shown to the model
BROKE: dict[LimitName, str] = {
    "memory": "a process was killed because the sandbox's memory was used up: use less, or work in parts",
    "processes": "the start of a process was refused because the sandbox has too many of them: end some first",
    "disk": "the disk of the sandbox is full: remove what is not needed, or write less",
}
_ARGUMENT_LIMIT = 100_000  # bytes; the kernel takes 128 KiB in one argument
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "MANPAGER": "cat",
    "PYTHONUNBUFFERED": "1",  # else a Python program that times out takes all it has printed with it
}


class BashTool:
    """Runs commands. It holds no state of its own: what is carried over lies in the sandbox."""

    def __init__(self, limits: Limits | None = None, *, wording: Wording = "standard", bounds: Bounds = BOUNDS) -> None:
        self._limit = (limits or Limits()).command_timeout
        self._bounds = bounds
        self.spec: ToolSpec = spec(NAME, wording, command_timeout=f"{self._limit:g}")

    async def __call__(self, arguments: Mapping[str, Any], sandbox: "Sandbox") -> Observation:
        """Arguments: `command`, and `timeout` in seconds, at most the limit of the sandbox's commands."""
        check(arguments, NAME, known=("command", "timeout"), required=("command",))
        command = text(arguments, "command", NAME) or ""
        asked = number(arguments, "timeout", NAME)
        if "\0" in command:
            raise ToolError("the command holds a NUL character, which no command can; write $'\\0' or use printf")
        if asked is not None and asked <= 0:
            raise ToolError(f"the parameter `timeout` must be more than 0 and at most {self._limit:g} seconds")
        timeout = min(asked or self._limit, self._limit)
        result = await self._run(command, timeout, sandbox)
        return await self._observe(result, timeout, asked, sandbox)

    async def _run(self, command: str, timeout: float, sandbox: "Sandbox") -> ExecResult:
        argument = command or " "
        if len(command.encode()) > _ARGUMENT_LIMIT:
            try:
                await sandbox.write(f"{STATE_DIR}/command", command.encode())
            except (OSError, TransferError) as error:
                raise ToolError(f"the command could not be stored in the sandbox: {error}") from error
            argument = ""
        argv = ["bash", "--noprofile", "--norc", "-c", _prelude(), "bash", argument, STATE_DIR]
        return await sandbox.exec(argv, timeout=timeout, cwd="/", env=_ENVIRONMENT)

    async def _observe(
        self, result: ExecResult, timeout: float, asked: float | None, sandbox: "Sandbox"
    ) -> Observation:
        head = [f"[exit code: {result.exit_code}]"]
        if result.timed_out:
            head.append(
                f"[timed out after {timeout:g} s: the command and all that it started were ended; what it wrote until "
                f"then follows. The most is {self._limit:g} s. Run what takes longer in the background: "
                "nohup COMMAND > log.txt 2>&1 & and look at log.txt later]"
            )
        elif asked is not None and asked > self._limit:
            head.append(f"[the timeout of {asked:g} s was lowered to {self._limit:g} s, the most there is]")
        head += [f"[{BROKE[name]}]" for name in result.limits_hit]
        if result.truncated:
            head.append("[there was more output than the sandbox keeps; only a part of it is left]")
        cut = False
        for name, data in (("stdout", result.stdout_bytes), ("stderr", result.stderr_bytes)):
            if data:
                shown, was_cut = await self._show(name, data, sandbox)
                cut = cut or was_cut
                head.append(f"[{name}]\n{shown}")
        if not result.stdout_bytes and not result.stderr_bytes:
            head.append("[no output]")
        facts = {
            "exit_code": result.exit_code,
            "timed_out": result.timed_out,
            "limits_hit": list(result.limits_hit),
            "truncated": result.truncated or cut,
            "stdout_bytes": len(result.stdout_bytes),
            "stderr_bytes": len(result.stderr_bytes),
            "duration": round(result.duration, 6),
        }
        return Observation(_join(head), is_error=result.exit_code != 0 or result.timed_out, facts=facts)

    async def _show(self, name: str, data: bytes, sandbox: "Sandbox") -> tuple[str, bool]:
        """The text of a stream within the bounds; where it is cut, the whole of it goes into a file of the sandbox."""
        shown = readable(data)
        if fits(shown, self._bounds):
            return shown, False
        path = f"{STATE_DIR}/{name}-{hashlib.sha256(data).hexdigest()[:10]}.txt"
        try:
            await sandbox.write(path, data)
            rest = f"the whole text is in {path}"
        except (OSError, TransferError) as error:
            rest = f"the whole text could not be kept: {error}"

        def notice(lines: int, size: int) -> str:
            return f"[… {lines} lines, {size} bytes left out here; {rest} …]"

        return cut_middle(shown, self._bounds, notice).text, True


def _join(parts: list[str]) -> str:
    """One part a line. A stream that does not end with a newline gets one only where something follows it."""
    return "".join(part if part.endswith("\n") else f"{part}\n" for part in parts[:-1]) + parts[-1]


@cache
def _prelude() -> str:
    """The prelude on one line, see its comments."""
    lines = files(__package__).joinpath("prelude.sh").read_text("utf-8").splitlines()
    return " ".join(line.strip() for line in lines if not line.startswith("#"))
