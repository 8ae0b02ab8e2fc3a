"""An Inspect AI sandbox provider: `sandbox="workroom"`. Inspect finds it by the entry point group `inspect_ai`.

A sample gets one sandbox, or several named ones, which have no network between them. Commands and relative paths start
in `/testbed`. No terminal can be attached to a sandbox from outside: `connection` is not supported.
"""

import asyncio
import errno
import math
import os
import stat
import tomllib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, overload

from inspect_ai.util import (
    ExecResult,
    OutputLimitExceededError,
    SandboxEnvironment,
    SandboxEnvironmentConfigType,
    SandboxEnvironmentLimits,
    SandboxUnavailableError,
    SandboxUserUnsupportedError,
    concurrency,
    sandboxenv,
)
from inspect_ai.util._subprocess import max_subprocesses_context_var
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from workroom.errors import ConfigError, SandboxGone, TransferError
from workroom.integrations.settings import SandboxSettings
from workroom.sandbox import Sandbox

NOT_EXECUTABLE = 126
# By absolute paths: what is before and around a command must not come from a PATH that the model can fill.
STAT = ("/usr/bin/stat", "-L", "--printf=%f %s", "--")
SETPRIV = "/usr/bin/setpriv"


class WorkroomSandboxConfig(SandboxSettings):
    """What the sandboxes of a sample are. `network` and the limits are written as on the command line of workroom.

    `others` are further sandboxes by name; the outermost one is the default one. In a file, this is TOML:
    `sandbox=("workroom", "sandbox.toml")`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    others: Mapping[str, "WorkroomSandboxConfig"] = {}

    @model_validator(mode="after")
    def _names_are_distinct(self) -> "WorkroomSandboxConfig":
        if "default" in self.others or any(other.others for other in self.others.values()):
            raise ValueError("`others` holds one level of sandboxes, none of them named default")
        return self

    def __hash__(self) -> int:
        return hash(self.model_dump_json())  # Inspect asks for it, and a mapping has none

    @property
    def all(self) -> dict[str, "WorkroomSandboxConfig"]:
        """Every sandbox by its name, the default one first."""
        return {"default": self, **self.others}


@sandboxenv(name="workroom")
class WorkroomSandboxEnvironment(SandboxEnvironment):
    """One sandbox. A command has no time limit but the one that Inspect asks for, and is never run a second time."""

    @classmethod
    async def task_init(cls, task_name: str, config: SandboxEnvironmentConfigType | None) -> None:
        """Finds mistakes in the configuration, and builds the image, before the first sample."""
        from workroom.sandbox.backend import find_backend
        from workroom.sandbox.egress import parse_policy
        from workroom.sandbox.image import ensure_image

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigError("workroom's sandboxes need Inspect's asyncio backend, not trio") from None
        for one in _resolve(config).all.values():
            find_backend(one.backend)
            parse_policy(one.network)
            await asyncio.to_thread(ensure_image, one.image, progress=print)

    @classmethod
    async def sample_init(
        cls, task_name: str, config: SandboxEnvironmentConfigType | None, metadata: dict[str, str]
    ) -> dict[str, SandboxEnvironment]:
        boxes: dict[str, SandboxEnvironment] = {}
        try:
            for name, one in _resolve(config).all.items():
                box = await Sandbox.start(one.backend, image=one.image, network=one.network, limits=one.limits)
                boxes[name] = cls(box)
        except BaseException:
            await _close(boxes)
            raise
        return boxes

    @classmethod
    async def sample_cleanup(
        cls,
        task_name: str,
        config: SandboxEnvironmentConfigType | None,
        environments: dict[str, SandboxEnvironment],
        interrupted: bool,
    ) -> None:
        await _close(environments)

    @classmethod
    async def cli_cleanup(cls, id: str | None) -> None:  # noqa: A002 - Inspect's name
        """Removes what killed processes have left behind; sandboxes of a living process are not touched."""
        from workroom.sandbox.cleanup import collect_abandoned

        _, problems = await asyncio.to_thread(collect_abandoned, id)
        for problem in problems:
            print(problem)

    @classmethod
    def config_deserialize(cls, config: dict[str, Any]) -> BaseModel:
        return WorkroomSandboxConfig(**config)

    def __init__(self, box: Sandbox) -> None:
        super().__init__()
        self.box = box
        self._possible_users: set[int] = set()

    def default_polling_interval(self) -> float:
        return 0.2  # a request costs about a millisecond

    async def exec(
        self,
        cmd: list[str],
        input: str | bytes | None = None,  # noqa: A002 - Inspect's name
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        user: str | None = None,
        timeout: int | None = None,
        timeout_retry: bool = True,
        concurrency: bool = True,
    ) -> ExecResult[str]:
        stdin = input.encode() if isinstance(input, str) else input or b""
        limit = SandboxEnvironmentLimits.MAX_EXEC_OUTPUT_SIZE
        with _inspect_errors():
            who = None if user is None else await self._user(user)
            if who is None and user is not None:
                return ExecResult(False, NOT_EXECUTABLE, "", f"there is no user {user!r} in the sandbox\n")
            command, environment = cmd, dict(env or {})
            if who is not None:
                command, environment = [*who.wrapper, *cmd], {**who.environment, **environment}
            async with _slot(concurrency):
                try:
                    done = await self.box.exec(
                        command,
                        timeout=math.inf if timeout is None else timeout,
                        cwd=cwd,
                        env=environment,
                        stdin=stdin,
                        output=limit,
                    )
                except ValueError as error:  # a model can put a NUL into a command
                    return ExecResult(False, NOT_EXECUTABLE, "", f"{error}\n")
        if done.timed_out:
            late = TimeoutError(f"the command was ended after {timeout} seconds")
            late.truncated_output = done.stdout + done.stderr  # type: ignore[attr-defined] # where Inspect looks for it
            raise late
        if done.truncated:
            kept = max(done.stdout_bytes, done.stderr_bytes, key=len)[:limit]
            size = SandboxEnvironmentLimits.MAX_EXEC_OUTPUT_SIZE_STR
            raise OutputLimitExceededError(size, kept.decode(errors="replace"))
        if done.exit_code == NOT_EXECUTABLE and done.stderr in _refusals(cmd[0]):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), cmd[0])
        return ExecResult(done.exit_code == 0, done.exit_code, done.stdout, done.stderr)

    async def write_file(self, file: str, contents: str | bytes) -> None:
        with _inspect_errors():
            facts = await self._facts(file)
            if facts is not None and stat.S_ISREG(facts.mode) and not facts.mode & stat.S_IWUSR:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), file)
            await self.box.write(file, contents.encode() if isinstance(contents, str) else contents)

    @overload
    async def read_file(self, file: str, text: Literal[True] = True) -> str: ...

    @overload
    async def read_file(self, file: str, text: Literal[False]) -> bytes: ...

    async def read_file(self, file: str, text: bool = True) -> str | bytes:
        limit = SandboxEnvironmentLimits.MAX_READ_FILE_SIZE
        with _inspect_errors():
            facts = await self._facts(file)
            if facts is not None and stat.S_ISREG(facts.mode):
                if not facts.mode & stat.S_IRUSR:
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), file)
                if facts.size > limit:
                    raise OutputLimitExceededError(SandboxEnvironmentLimits.MAX_READ_FILE_SIZE_STR, None)
            try:
                contents = await self.box.read(file, limit=limit)
            except NotADirectoryError as error:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), file) from error
        return contents.decode() if text else contents

    async def _facts(self, file: str) -> "_Facts | None":
        """Mode and size of what is at a path, None where that cannot be told.

        The file layer works as root and asks no permission bits, which Inspect's providers do of the file's owner.
        """
        done = await self.box.exec([*STAT, file])
        if done.exit_code != 0:
            return None
        mode, size = done.stdout.split()
        return _Facts(int(mode, 16), int(size))

    async def _user(self, user: str) -> "_User | None":
        """How to become a user, by name or number; None where there is no such user.

        Raises SandboxUserUnsupportedError where this sandbox has no such number, as one with a single user has not.
        """
        if user in ("root", "0"):
            return ROOT
        try:
            passwd = (await self.box.read("/etc/passwd")).decode(errors="replace")
        except OSError:
            passwd = ""
        who = _find_user(user, passwd)
        if who is None or who.uid == 0 or who.uid in self._possible_users:
            return who
        tried = await self.box.exec([*who.wrapper, "/bin/true"])
        if tried.exit_code != 0:
            raise SandboxUserUnsupportedError(f"this sandbox cannot run commands as {user!r}: {tried.stderr.strip()}")
        self._possible_users.add(who.uid)
        return who


class _Facts(NamedTuple):
    mode: int
    size: int


class _User(NamedTuple):
    """A user inside. One without an entry in /etc/passwd has no name and no home."""

    uid: int
    gid: int
    name: str = ""
    home: str = "/"

    @property
    def wrapper(self) -> list[str]:
        if self.uid == 0:
            return []
        groups = "--init-groups" if self.name else "--clear-groups"
        return [SETPRIV, f"--reuid={self.uid}", f"--regid={self.gid}", groups, "--"]

    @property
    def environment(self) -> dict[str, str]:
        names = {"USER": self.name, "LOGNAME": self.name} if self.name else {}
        return {"HOME": self.home, **names}


ROOT = _User(0, 0, "root", "/root")


def _find_user(user: str, passwd: str) -> _User | None:
    for line in passwd.splitlines():
        name, _, uid, gid, _, home, *_ = [*line.split(":"), *[""] * 7]
        if user in (name, uid) and uid.isdecimal() and gid.isdecimal():
            return _User(int(uid), int(gid), name, home or "/")
    return _User(int(user), 0) if user.isdecimal() else None


def _refusals(program: str) -> tuple[str, str]:
    """What is written on standard error where a program may not be executed, without and with another user."""
    reason = os.strerror(errno.EACCES)
    return f"{program}: {reason}\n", f"setpriv: failed to execute {program}: {reason}\n"


def _resolve(config: SandboxEnvironmentConfigType | None) -> WorkroomSandboxConfig:
    """The configuration from what a task gives: nothing, our model, or the path of a TOML file."""
    if config is None:
        return WorkroomSandboxConfig()
    if isinstance(config, WorkroomSandboxConfig):
        return config
    if not isinstance(config, str):
        raise ConfigError(f"the sandbox wants a WorkroomSandboxConfig or a TOML file, not a {type(config).__name__}")
    try:
        return WorkroomSandboxConfig(**tomllib.loads(Path(config).read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"the sandbox's configuration {config} cannot be read: {error.strerror}") from error
    except (ValidationError, ValueError) as error:
        raise ConfigError(f"the sandbox's configuration {config} is wrong: {error}") from error


async def _close(environments: Mapping[str, SandboxEnvironment]) -> None:
    boxes = [environment.as_type(WorkroomSandboxEnvironment).box for environment in environments.values()]
    await asyncio.gather(*(box.close() for box in boxes))


@asynccontextmanager
async def _slot(wanted: bool) -> AsyncIterator[None]:
    """One of the commands that may run at a time on this machine: `--max-subprocesses`."""
    if not wanted:
        yield
        return
    async with concurrency("subprocesses", max_subprocesses_context_var.get(), resizable=True):
        yield


@contextmanager
def _inspect_errors() -> Iterator[None]:
    try:
        yield
    except SandboxGone as error:
        raise SandboxUnavailableError(str(error)) from error
    except TransferError as error:
        raise OSError(errno.EINVAL, str(error)) from error
