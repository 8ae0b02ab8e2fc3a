"""`execute_bash`: a command in bash, with working directory and exported environment carried from call to call."""

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from workroom.errors import ToolError, TransferError
from workroom.sandbox.base import STATE_DIR, ExecResult, LimitName, Limits
from workroom.tools import jobs
from workroom.tools.arguments import check, integer, number, text
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
PARAMETERS = ("command", "timeout", "wait", "job")
NEWLINE = "\n"
KEYS: dict[str, jobs.Kind] = {"C-c": "interrupt", "C-d": "end"}
LOOK = 5.0  # seconds to wait for news of a job, where the call does not say
QUIET = 0.5  # seconds without more news that end such a call
_ARGUMENT_LIMIT = 100_000  # bytes; the kernel takes 128 KiB in one argument
_SEALED = "IFS= read -r -d '' __workroom; exec </dev/null; eval \"$__workroom\""  # of any length
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "MANPAGER": "cat",
    "PYTHONUNBUFFERED": "1",  # else a Python program that times out takes all it has printed with it
}


class BashTool:
    """Runs commands. It holds no state of its own: what is carried over, and every job, lies in the sandbox."""

    def __init__(self, limits: Limits | None = None, *, wording: Wording = "standard", bounds: Bounds = BOUNDS) -> None:
        self._limit = (limits or Limits()).command_timeout
        self._bounds = bounds
        self.spec: ToolSpec = spec(NAME, wording, command_timeout=f"{self._limit:g}")
        self._offers_jobs = "job" in self.spec.parameters["properties"]

    async def __call__(self, arguments: Mapping[str, Any], sandbox: "Sandbox") -> Observation:
        """Arguments: `command`; `timeout` in seconds, at most the limit of the sandbox's commands; `wait` in seconds,
        after which the command becomes a job; `job`, the number of the job that `command` is input for."""
        job = integer(arguments, "job", NAME)
        check(arguments, NAME, known=PARAMETERS, required=("command",) if job is None else ())
        command = text(arguments, "command", NAME) or ""
        timeout = number(arguments, "timeout", NAME)
        wait = number(arguments, "wait", NAME)
        if wait is not None and wait < 0:
            raise ToolError(f"the parameter `wait` must be at least 0 and at most {self._limit:g} seconds")
        if sandbox.sealed and (job is not None or wait is not None):
            raise ToolError("`wait` and `job` need files, which cannot be written here; leave them out")
        if job is not None:
            return await self._talk(job, command, timeout, wait, sandbox)
        if "\0" in command:
            raise ToolError("the command holds a NUL character, which no command can; write $'\\0' or use printf")
        if timeout is not None and timeout <= 0:
            raise ToolError(f"the parameter `timeout` must be more than 0 and at most {self._limit:g} seconds")
        if wait is not None:
            return await self._start(command, timeout, wait, sandbox)
        result = await self._run(command, min(timeout or self._limit, self._limit), sandbox)
        return await self._observe(result, self._plain(result, timeout), sandbox)

    async def _run(self, command: str, timeout: float, sandbox: "Sandbox") -> ExecResult:
        if sandbox.sealed:
            argv = ["bash", "--noprofile", "--norc", "-c", _SEALED]  # nothing can be carried over
            return await sandbox.exec(argv, timeout=timeout, env=_ENVIRONMENT, stdin=command.encode())
        return await sandbox.exec(await _shell(command, sandbox), timeout=timeout, cwd="/", env=_ENVIRONMENT)

    def _plain(self, result: ExecResult, asked: float | None) -> list[str]:
        """What is said of a command that is no job."""
        timeout = min(asked or self._limit, self._limit)
        notes = []
        if result.timed_out:
            rather = "; or give `wait`, and go on with it as a job" if self._offers_jobs else ""
            notes.append(
                f"[timed out after {timeout:g} s: the command and all that it started were ended; what it wrote until "
                f"then follows. The most is {self._limit:g} s. Run what takes longer in the background: "
                f"nohup COMMAND > log.txt 2>&1 & and look at log.txt later{rather}]"
            )
        elif asked is not None and asked > self._limit:
            notes.append(f"[the timeout of {asked:g} s was lowered to {self._limit:g} s, the most there is]")
        if result.waited_for_input or (result.exit_code and b"EOFError: EOF when reading" in result.stderr_bytes):
            waited = "a process of it waited for input: there" if result.waited_for_input else "there"
            way = "give `wait`, then pass it on with `job`" if self._offers_jobs else "printf 'TEXT\\n' | COMMAND"
            notes.append(f"[{waited} is no standard input here; {way}]")
        return notes

    async def _start(self, command: str, timeout: float | None, wait: float, sandbox: "Sandbox") -> Observation:
        argv = await _shell(command, sandbox)
        least = min(wait, self._limit)
        result, job = await jobs.start(sandbox, argv, command, wait=least, timeout=timeout, env=_ENVIRONMENT)
        notes = []
        if wait > self._limit:
            notes.append(f"[the wait of {wait:g} s was lowered to {self._limit:g} s, the most there is]")
        if job is None or not job.running:
            if job is not None and job.timed_out:
                notes.append(f"[timed out after {timeout:g} s: the command and all that it started were ended]")
            return await self._observe(result, notes, sandbox)
        notes.append(
            f"[job {job.job} runs on after {result.duration:.3g} s; what it wrote until now follows. Call {NAME} with "
            f"job {job.job} and a line of input as `command` (empty: only look; C-c: interrupt; C-d: end of input)]"
        )
        return await self._observe(result, notes + _state(job), sandbox, job)

    async def _talk(
        self, number: int, command: str, timeout: float | None, wait: float | None, sandbox: "Sandbox"
    ) -> Observation:
        if timeout is not None:
            raise ToolError(
                "`timeout` ends a command and does not go with `job`; give `wait` to wait longer for the job"
            )
        if command == "C-z":
            raise ToolError("a job cannot be stopped with C-z; it runs on by itself, and C-c interrupts it")
        kind = KEYS.get(command, "input" if command else "look")
        line = f"{command.removesuffix(NEWLINE)}{NEWLINE}".encode() if kind == "input" else b""
        least = LOOK if wait is None else min(wait, self._limit)
        result, job = await jobs.talk(sandbox, number, kind, line, wait=least, quiet=QUIET if wait is None else 0)
        if job is None:
            raise ToolError(f"job {number} did not answer; look again with job {number} and an empty command")
        if job.unknown:
            found = [one.name for one in await jobs.running(sandbox) or () if one.job]
            raise ToolError(f"there is no job {number}; {'there are: ' + ', '.join(found) if found else 'none runs'}")
        if job.busy:
            raise ToolError(
                f"job {number} has not read the input of an earlier call yet ({job.unread} bytes are left), so this "
                "was not passed on; look at it with an empty command, or end it with C-c"
            )
        notes = _state(job)
        if job.running and not job.waiting:
            notes.insert(0, f"[job {number} is running]")
        if kind == "input" and job.running and job.closed:
            notes.append(f"[job {number} does not read its input any more; the line was not passed on]")
        if kind == "interrupt" and job.running and not job.waiting:
            notes.append(f"[job {number} runs on after the interrupt; kill -9 -{job.pid} ends it]")
        return await self._observe(result, notes, sandbox, job)

    async def _observe(
        self, result: ExecResult, notes: list[str], sandbox: "Sandbox", job: jobs.Report | None = None
    ) -> Observation:
        """`job`: the one that the call is about, unless it ended as any command does."""
        head = [] if job and (job.running or job.gone) else [f"[exit code: {result.exit_code}]"]
        head += notes
        head += [f"[{BROKE[name]}]" for name in result.limits_hit]
        if result.truncated:
            head.append("[there was more output than the sandbox keeps; only a part of it is left]")
        found = await jobs.running(sandbox) if result.left_running else []
        head += jobs.said(found, job.job if job else None)
        cut = False
        for name, data in (("stdout", result.stdout_bytes), ("stderr", result.stderr_bytes)):
            if data:
                shown, was_cut = await self._show(name, data, sandbox, job)
                cut = cut or was_cut
                head.append(f"[{name}]\n{shown}")
        if not result.stdout_bytes and not result.stderr_bytes:
            head.append("[no new output]" if job else "[no output]")
        facts: dict[str, Any] = {
            "exit_code": None if job and (job.running or job.gone) else result.exit_code,
            "timed_out": result.timed_out,
            "limits_hit": list(result.limits_hit),
            "truncated": result.truncated or cut,
            "stdout_bytes": len(result.stdout_bytes),
            "stderr_bytes": len(result.stderr_bytes),
            "duration": round(result.duration, 6),
            "cpu_time": round(result.cpu_time, 6),
        }
        if job:
            facts |= {"job": job.job, "waiting_for_input": bool(job.waiting)}
        if found:
            facts["running"] = [one.name for one in found if one.running]
        failed = not (job and job.running) and (result.exit_code != 0 or result.timed_out)
        return Observation(_join(head), is_error=failed, facts=facts)

    async def _show(self, name: str, data: bytes, sandbox: "Sandbox", job: jobs.Report | None) -> tuple[str, bool]:
        """The text of a stream within the bounds; where it is cut, the whole of it goes into a file of the sandbox."""
        shown = readable(data)
        if fits(shown, self._bounds):
            return shown, False
        path = f"{STATE_DIR}/{name}-{hashlib.sha256(data).hexdigest()[:10]}.txt"
        try:
            if job:
                path = f"{jobs.directory(job.job)}/{name}"
            else:
                await sandbox.write(path, data)
            rest = f"the whole text is in {path}"
        except (OSError, TransferError) as error:
            rest = f"the whole text could not be kept: {error}"

        def notice(lines: int, size: int) -> str:
            return f"[… {lines} lines, {size} bytes left out here; {rest} …]"

        return cut_middle(shown, self._bounds, notice).text, True


async def _shell(command: str, sandbox: "Sandbox") -> list[str]:
    """The program and arguments that run a command with what was carried over."""
    argument = command or " "
    if len(command.encode()) > _ARGUMENT_LIMIT:
        try:
            await sandbox.write(f"{STATE_DIR}/command", command.encode())
        except (OSError, TransferError) as error:
            raise ToolError(f"the command could not be stored in the sandbox: {error}") from error
        argument = ""
    return ["bash", "--noprofile", "--norc", "-c", _prelude(), "bash", argument, STATE_DIR]


def _state(job: jobs.Report) -> list[str]:
    """What is special about a job, in words."""
    notes = []
    where = jobs.directory(job.job)
    if job.gone:
        return [f"[job {job.job} is gone: all its processes were ended, or the sandbox was restarted or copied since]"]
    if not job.running:
        why = "reached its timeout and was ended with all that it started" if job.timed_out else "has ended"
        return [f"[job {job.job} {why}]"]
    if job.waiting:
        notes.append(f"[job {job.job} {'waits' if job.waiting == 1 else 'seems to wait'} for input]")
    if job.unread:
        notes.append(f"[job {job.job} has not read {job.unread} bytes of its input yet]")
    if job.lost:
        notes.append(f"[{job.lost} bytes that job {job.job} wrote before are not shown; what is kept is in {where}]")
    return notes


def _join(parts: list[str]) -> str:
    """One part a line. A stream that does not end with a newline gets one only where something follows it."""
    return "".join(part if part.endswith("\n") else f"{part}\n" for part in parts[:-1]) + parts[-1]


@cache
def _prelude() -> str:
    """The prelude on one line, see its comments."""
    lines = files(__package__).joinpath("prelude.sh").read_text("utf-8").splitlines()
    return " ".join(line.strip() for line in lines if not line.startswith("#"))
