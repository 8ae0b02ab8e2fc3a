"""The sandbox: one isolated computer, whatever isolates it."""

import asyncio
import os
import posixpath
import socket
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from workroom.errors import ConfigError, SandboxGone, SandboxUnavailable, TransferError
from workroom.sandbox.backend import find_backend
from workroom.sandbox.base import (
    ANSWER_FILE,
    ANSWER_LIMIT,
    DOCUMENTS_DIR,
    OUTPUT_DIR,
    STATE_DIR,
    WORKING_DIR,
    ExecResult,
    FileEntry,
    LimitName,
    Limits,
    SandboxFacts,
    parse_size,
)
from workroom.sandbox.checkpoints import backend_of, parts
from workroom.sandbox.cleanup import collect_once
from workroom.sandbox.connection import Connection, Reply
from workroom.sandbox.ledger import forget, register
from workroom.sandbox.transfer import save_tree, walk_tree
from workroom.sandbox.waiting import finished
from workroom.sandbox.wire import (
    DISK_FULL,
    MAX_TIMEOUT,
    RUNNING,
    TIMED_OUT,
    WAITED,
    check,
    cstring,
    exec_request,
    with_gap,
)

if TYPE_CHECKING:
    from workroom.sandbox.backend import Counters, Guest, Recorder
    from workroom.sandbox.egress import EgressProxy, EgressRecord
    from workroom.sandbox.egress.policy import Policy
    from workroom.sandbox.ledger import Entry

CLOSED = "the sandbox was closed"
DURING_FORK = "ND"  # requests that a fork itself makes; all others wait for its end
START_TIMEOUT = 60.0  # seconds until the first sign of life
GRACE = 15.0  # seconds that the agent may be late with the end of a timed-out command
READ_LIMIT = 100 << 20
PIECE = 8 << 20  # bytes of a file that is brought out in one go
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/games",
    "HOME": "/root",
    "USER": "root",
    "LOGNAME": "root",
    "SHELL": "/bin/bash",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "PAGER": "cat",
    "GIT_PAGER": "cat",
    "DEBIAN_FRONTEND": "noninteractive",
    "PIP_ROOT_USER_ACTION": "ignore",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}


class Sandbox:
    """One isolated computer. Open it with `async with Sandbox.open(...) as box`, or `await Sandbox.start(...)`.

    Every method raises SandboxGone once the sandbox is closed or dead. Paths are absolute inside, or relative to
    `/testbed`. File methods raise the built-in exceptions (FileNotFoundError, IsADirectoryError, PermissionError, ...)
    for what the file system inside answers, TransferError for what is too large or no regular file.
    """

    def __init__(self, entry: "Entry", facts: SandboxFacts, limits: Limits, policy: "Policy | None") -> None:
        self._entry = entry
        self._policy = policy
        self._environment = dict(ENVIRONMENT)
        self._egress: EgressProxy | None = None
        self._closed = False
        self._stopping: asyncio.Task[None] | None = None
        self._reason = CLOSED
        self._exclusive = asyncio.Lock()  # for forks and checkpoints, one after the other
        self._open = asyncio.Event()  # cleared while a fork moves the sandbox
        self._open.set()
        self._recorder: Recorder | None = None
        self._recorded: Guest | None = None  # the guest that it records
        self._sealed = False
        self._executes = True
        self.facts = facts
        self.limits = limits
        self.on_egress: Callable[[EgressRecord], None] | None = None

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        backend: str = "bwrap",
        *,
        image: str | None = None,
        network: str = "none",
        limits: Limits | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        on_egress: "Callable[[EgressRecord], None] | None" = None,
    ) -> AsyncIterator["Sandbox"]:
        """Starts a sandbox and closes it at the end of the block. Arguments and errors as of `start`."""
        box = await cls.start(
            backend, image=image, network=network, limits=limits, checkpoint=checkpoint, on_egress=on_egress
        )
        try:
            yield box
        finally:
            await box.close()

    @classmethod
    async def start(
        cls,
        backend: str = "bwrap",
        *,
        image: str | None = None,
        network: str = "none",
        limits: Limits | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        on_egress: "Callable[[EgressRecord], None] | None" = None,
        progress: Callable[[str], None] | None = None,
    ) -> "Sandbox":
        """Starts a sandbox from the image (None: the default one, built when it is missing, told to `progress`).

        `network` is `none`, `packages`, `allow:HOST,...` or `open`; `on_egress` sees each request that wanted out.
        `checkpoint` is a file that `checkpoint` of a sandbox of the same backend and image has written, or the folder
        of a `Journal`.
        Raises ConfigError for an unknown backend or policy or a file that is no checkpoint of these,
        SandboxUnavailable where this host lacks a piece.
        """
        from workroom.sandbox.egress import EgressProxy, parse_policy
        from workroom.sandbox.image import ensure_image

        limits = limits or Limits()
        engine = find_backend(backend)
        policy = parse_policy(network)
        found = ensure_image(image, progress=progress)
        await collect_once()
        entry = register(backend, found.name, network, engine.place)
        port = EgressProxy.PORT if policy else None
        try:
            guest = await engine.start(
                entry.name, found, limits, port=port, checkpoint=() if checkpoint is None else parts(Path(checkpoint))
            )
        except BaseException:
            forget(entry.name)
            raise
        facts = SandboxFacts(
            backend=backend,
            image=f"{found.name}@{found.digest}",
            network=network,
            limits=guest.facts.limits,
            enforcement=guest.facts.enforcement,
            notices=(found.notice,) if found.notice else (),
            versions=guest.facts.versions,
        )
        box = cls(entry, facts, limits, policy)
        box.on_egress = on_egress
        await box._move_into(guest)
        return box

    async def fork(self) -> "Sandbox":
        """A second sandbox with the same files, limits and network policy, in milliseconds whatever their size.

        The two share no file from then on, but with all forks of one sandbox the user ids of the host, what the kernel
        counts by user, and the disk limit's account of what was written before. Running programs are not doubled: where
        some run in the background here, they go on undisturbed, and the files are copied, which takes longer the more
        was written. Commands that are given meanwhile wait.
        """
        forking = asyncio.create_task(self._fork())
        try:
            return await finished(forking)  # a half-made fork would lose this sandbox
        except asyncio.CancelledError:
            if not forking.cancelled() and forking.exception() is None:
                await forking.result().close()
            raise

    async def _fork(self) -> "Sandbox":
        async with self._exclusive:
            self._check_packing()
            self._open.clear()
            try:
                return await self._fork_alone()
            finally:
                self._open.set()

    async def _fork_alone(self) -> "Sandbox":
        entry = register(self._entry.backend, self._entry.image, self._entry.network, self._entry.place)
        branch = Sandbox(entry, self.facts, self.limits, self._policy)
        branch.on_egress = self.on_egress
        branch._environment = dict(self._environment)
        branch._sealed, branch._executes = self._sealed, self._executes
        try:
            others = (await self._request("N", b"")).code
            here, there = await self._guest.fork(
                entry.name, port=self._port, leave=self._leave if others == 0 else None
            )
        except BaseException:
            forget(entry.name)
            if self._connection.lost:
                await self.close()
            raise
        try:
            if here is not self._guest:
                await self._move_into(here)
        except BaseException:
            await there.stop()
            forget(entry.name)
            raise
        await branch._move_into(there)
        return branch

    async def seal(self) -> None:
        """Makes every file inside read-only for good, but for the answer file of at most 1 MiB, which is made where it
        is missing; nobody inside can undo that, root neither. Memory can be written as before.

        To be called before a program is started inside. Forks are sealed too; a checkpoint is of the files only, so
        what is restored from it is not. Raises ConfigError where the backend cannot do that, SandboxUnavailable where
        programs run inside or it fails: the sandbox is of no use then.
        """
        async with self._exclusive:
            self._alive()
            if self._sealed:
                return
            if (await self._request("N", b"")).code:
                raise SandboxUnavailable("programs run in the sandbox: seal it before they are started")
            with suppress(FileExistsError):
                await self.write(ANSWER_FILE, b"", exclusive=True)
            await self._guest.seal(ANSWER_FILE, ANSWER_LIMIT)
            self._sealed = True

    @property
    def sealed(self) -> bool:
        """Whether nothing but the answer file can be written."""
        return self._sealed

    def forbid_execution(self) -> None:
        """From now on nothing is run, whoever asks for it: not by `exec`, and where the backend would need a program of
        the sandbox for them (Docker), not by forks and checkpoints. Files are read and written by the sandbox's own
        program, which no file inside has an influence on."""
        self._executes = False

    @property
    def executes(self) -> bool:
        """Whether `exec` can be used."""
        return self._executes

    @classmethod
    async def restore(cls, checkpoint: str | os.PathLike[str], **options: Any) -> "Sandbox":
        """A new sandbox with the files of a checkpoint, on the backend that wrote it. `options` as of `start`."""
        return await cls.start(backend_of(parts(Path(checkpoint))[0]), checkpoint=checkpoint, **options)

    async def checkpoint(self, target: str | os.PathLike[str]) -> None:
        """Writes all that was changed over the image to a file, for `restore` and `start`; processes are not kept.

        The file is put in place whole or not at all; one that is there is replaced.
        """
        path = Path(target)
        partial = path.with_name(f"{path.name}.{self._entry.name}.partial")
        async with self._exclusive:
            self._check_packing()
            try:
                await self._guest.checkpoint(partial)
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)

    async def save(self, target: str | os.PathLike[str], *, whole: bool = True) -> bool:
        """Writes a checkpoint to a new file, quicker than `checkpoint`: it need not outlast a power failure.

        Unless `whole`, it has only what has changed since the last `save`, where the backend can do that. Returns
        whether it has everything. See `Journal`.
        """
        async with self._exclusive:
            self._check_packing()
            if self._recorded is not self._guest:
                await self._stop_recording()
                self._recorder, self._recorded = self._guest.recorder(), self._guest
            assert self._recorder is not None
            return await self._recorder.save(Path(target), whole=whole)

    async def _stop_recording(self) -> None:
        if self._recorder is not None:
            recorder, self._recorder, self._recorded = self._recorder, None, None
            await recorder.close()

    @property
    def alive(self) -> bool:
        """Whether the sandbox can be used."""
        return not self._closed and self._stopping is None

    @property
    def memory(self) -> int | None:
        """Bytes that the sandbox holds now, its files included; None where the host cannot tell."""
        return self._guest.memory()

    @property
    def memory_peak(self) -> int | None:
        """The most bytes that it held at one time; None where the host cannot tell."""
        return self._guest.memory_peak()

    async def exec(
        self,
        command: str | Sequence[str],
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        output: str | int | None = None,
    ) -> ExecResult:
        """Runs a command (text: by bash) in a process of its own and waits for its end.

        `timeout` in seconds (None: the limit of the sandbox) ends it with all its children, with exit code 124 and
        what it had written. `output` is the size that is kept of each stream (None: the limit of the sandbox).
        Background jobs survive a command that ends by itself. Raises ValueError for a NUL in it, ConfigError after
        `forbid_execution`.
        """
        if not self._executes:
            raise ConfigError("no program is run in this sandbox: execution is off")
        argv = ["/bin/bash", "-c", command] if isinstance(command, str) else list(command)
        seconds = min(self.limits.command_timeout if timeout is None else timeout, MAX_TIMEOUT)
        if not argv or seconds <= 0:
            raise ValueError("a command needs a program, and a time-out above 0")
        environment = {**self._environment, **(env or {})}
        cap = min(parse_size(self.limits.output if output is None else output), 0xFFFF_FFFF)
        payload = exec_request(
            argv,
            [f"{key}={value}" for key, value in environment.items()],
            _absolute(cwd or ""),
            has_input=bool(stdin),
            timeout=seconds,
            cap=cap,
        )
        before = self._guest.counters()
        reply = await self._request("X", payload, cap=cap, contents=stdin or None, timeout=seconds)
        return ExecResult(
            exit_code=reply.code,
            stdout_bytes=with_gap(reply.out, cap, reply.totals[0]),
            stderr_bytes=with_gap(reply.err, cap, reply.totals[1]),
            timed_out=bool(reply.flags & TIMED_OUT),
            truncated=len(reply.out) < reply.totals[0] or len(reply.err) < reply.totals[1],
            limits_hit=self._limits_hit(before, bool(reply.flags & DISK_FULL)),
            duration=reply.seconds,
            cpu_time=reply.cpu,
            left_running=bool(reply.flags & RUNNING),
            waited_for_input=bool(reply.flags & WAITED),
        )

    async def read(self, path: str, *, limit: int = READ_LIMIT) -> bytes:
        """The bytes of a regular file of at most `limit` bytes."""
        return await self._read(path, 0, limit, whole=True)

    async def _read(self, path: str, offset: int, limit: int, *, whole: bool) -> bytes:
        full = _absolute(path)
        part = offset.to_bytes(8, "little") + limit.to_bytes(8, "little") + bytes([whole])
        reply = await self._request("R", part + cstring(full), cap=limit)
        check(reply, full, limit)
        return bytes(reply.out)

    async def write(self, path: str, data: bytes, *, exclusive: bool = False) -> None:
        """Writes a file whole or not at all, making missing parent directories; the mode of an existing file is kept.

        With `exclusive`, FileExistsError where there is something already.
        """
        full = _absolute(path)
        payload = (b"\1" if exclusive else b"\0") + cstring(full)
        check(await self._request("W", payload, contents=data), full, ANSWER_LIMIT if self._sealed else 0)

    async def upload(self, source: str | os.PathLike[str], target: str) -> None:
        """Brings a host file, or all regular files below a host directory, to `target`. Links are not followed."""
        top = Path(source)
        if not top.is_dir():
            await self.write(target, top.read_bytes())
            return
        for relative, path in walk_tree(top):
            await self.write(posixpath.join(target, relative), path.read_bytes())

    async def list_files(self, path: str, *, max_entries: int = 100_000, levels: int = 0) -> list[tuple[str, int, str]]:
        """All that is below a directory, or so many levels of it, as (kind, size in bytes, relative path): kinds `f`,
        `d`, `l` (link) and `o` (other)."""
        full = _absolute(path)
        cap = max_entries * 4200
        bounds = max_entries.to_bytes(4, "little") + levels.to_bytes(4, "little")
        reply = await self._request("L", bounds + cstring(full), cap=cap)
        check(reply, full, max_entries)
        entries = []
        for record in bytes(reply.out).split(b"\0")[:-1]:
            kind, size, name = record.split(b" ", 2)
            entries.append((kind.decode(), int(size), os.fsdecode(name)))
        return entries

    async def download(
        self,
        source: str,
        target: str | os.PathLike[str],
        *,
        max_bytes: int = 2 << 30,
        max_files: int = 10_000,
        but: Collection[str] = (),
    ) -> list[FileEntry]:
        """Brings a file, or all regular files below a directory `but` for some names, to the host directory `target`,
        which is made.

        No links, devices or other special files come out; all modes are plain. Raises TransferError where there is
        more than the two bounds allow (what was brought until then stays), FileExistsError before overwriting.
        """
        full = _absolute(source)
        try:
            listed = await self.list_files(full, max_entries=max(4 * max_files, 1000))
            base = full
        except NotADirectoryError:
            base, name = posixpath.split(full)
            listed = [("f", 0, name)]
        found = sorted((name, size) for kind, size, name in listed if kind == "f" and name not in but)
        if len(found) > max_files:
            raise TransferError(f"{full} holds {len(found):,} files, more than the {max_files:,} that are brought out")

        async def pieces(name: str) -> AsyncIterator[bytes]:
            path, offset, size = posixpath.join(base, name), 0, PIECE
            while size == PIECE:
                piece = await self._read(path, offset, PIECE, whole=False)
                size = len(piece)
                offset += size
                yield piece

        return await save_tree(Path(target), found, pieces, max_bytes)

    async def kill_all(self) -> None:
        """Ends every process inside, background jobs included; the sandbox itself stays."""
        await self._request("S", b"")

    async def close(self) -> None:
        """Ends everything inside and removes everything. Safe to call twice, and on a dead sandbox."""
        self._closed = True
        await self._leave()
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._end())
        await finished(self._stopping)  # also where whoever closes it is cancelled

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def _port(self) -> int | None:
        from workroom.sandbox.egress import EgressProxy

        return EgressProxy.PORT if self._policy else None

    async def _move_into(self, guest: "Guest") -> None:
        """Makes a started guest the inside of this sandbox; closes the sandbox where that fails."""
        from workroom.sandbox.egress import EgressProxy

        self._guest = guest
        self._connection = Connection(guest.socket, self._on_lost)
        try:
            listener = await self._greeted()
            if self._policy is not None:
                used = self._egress.budget if self._egress else None
                self._egress = await EgressProxy.serve(listener, self._policy, self._tell_egress, used)
                self._environment |= self._egress.environment
            await self._prepare()
            if self._sealed:
                await guest.seal(ANSWER_FILE, ANSWER_LIMIT)
        except BaseException:
            await self.close()
            await guest.stop()  # where the sandbox was closed meanwhile, it was another one
            raise

    async def _leave(self) -> None:
        """Lets go of the guest without ending it."""
        if self._egress is not None:
            await self._egress.close()
        self._connection.close()

    async def _end(self) -> None:
        await self._stop_recording()
        await self._guest.stop()
        forget(self._entry.name)

    def _tell_egress(self, record: "EgressRecord") -> None:
        if self.on_egress is not None:
            self.on_egress(record)

    async def _greeted(self) -> socket.socket | None:
        try:
            async with asyncio.timeout(START_TIMEOUT):
                return await self._connection.hello
        except TimeoutError:
            raise SandboxUnavailable(f"the sandbox gave no sign of life in {START_TIMEOUT:.0f} s") from None
        except SandboxGone:
            words = self._guest.last_words()
            raise SandboxUnavailable(
                f"the sandbox did not start ({words or 'no message'}); `workroom doctor` looks for the cause"
            ) from None

    async def _prepare(self) -> None:
        """Makes the directories that every task expects, where the image has them not."""
        wanted = [WORKING_DIR, DOCUMENTS_DIR, OUTPUT_DIR, STATE_DIR]
        reply = await self._request("D", b"".join(map(cstring, wanted)))
        check(reply, WORKING_DIR, 0)

    async def _request(
        self, kind: str, payload: bytes, *, cap: int = 0, contents: bytes | None = None, timeout: float | None = None
    ) -> Reply:
        if kind not in DURING_FORK:
            await self._open.wait()
        self._alive()
        try:
            async with asyncio.timeout(None if timeout is None else timeout + GRACE):
                return await self._connection.request(kind, payload, cap=cap, contents=contents)
        except TimeoutError:
            self._reason = "the sandbox did not answer any more and was ended"
            self._connection.close()
            self._on_lost()
            raise SandboxGone(self._reason) from None
        except SandboxGone:
            raise SandboxGone(self._reason) from None

    def _check_packing(self) -> None:
        self._alive()
        if self._guest.packs_inside and not self._executes:
            raise SandboxUnavailable(
                f"the {self.facts.backend} backend packs files with a program of the sandbox, which is to run none"
            )

    def _alive(self) -> None:
        if not self.alive:
            raise SandboxGone(self._reason)

    def _limits_hit(self, before: "Counters", disk_full: bool) -> tuple[LimitName, ...]:
        now = self._guest.counters()
        hit: dict[LimitName, bool] = {
            "memory": now.oom_kills > before.oom_kills,
            "processes": now.refused_starts > before.refused_starts,
            "disk": disk_full or now.disk_stops > before.disk_stops,
        }
        return tuple(name for name, was_hit in hit.items() if was_hit)

    def _on_lost(self) -> None:
        """The other end is gone without our doing: whatever is left of it is ended at once."""
        if not self._closed and self._stopping is None:
            if self._reason == CLOSED:
                self._reason = "the sandbox died"
            if self._guest.counters().oom_kills:
                self._reason += " (it ran out of memory)"
            self._stopping = asyncio.create_task(self._end())


def _absolute(path: str) -> str:
    return posixpath.join(WORKING_DIR, path)
