"""The bubblewrap backend: rootless, without a daemon, one process tree and one memory-backed overlay per sandbox.

    workroom ── guest launch (private mounts, sized tmpfs, unprivileged user) ── bwrap ── guest agent (process 1)

Nothing is left on the host but processes and a control group: what the sandbox writes lives in a tmpfs that only its
own mount namespace has, so it is gone when the last process is.

A fork seals what was written as one more read-only layer, upon which two new sandboxes are started; the layers stay on
a stage (see `guest/launch.c`) that the family shares. A checkpoint is a tar of the layers, as the overlay has them; one
of changes alone has a list of what to remove as well.
"""

import asyncio
import os
import signal
import socket
import stat
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from workroom.errors import ConfigError, SandboxGone, SandboxUnavailable, TransferError
from workroom.sandbox import checkpoints
from workroom.sandbox.backend import Counters, GuestFacts
from workroom.sandbox.base import Limits, parse_size
from workroom.sandbox.bwrap_command import STAGE, Files, Plan, command_line
from workroom.sandbox.bwrap_limits import bounds, empty_files, new_ids
from workroom.sandbox.cgroup import Cgroup, hierarchy, sweep
from workroom.sandbox.connection import Connection
from workroom.sandbox.guest import guest_binary
from workroom.sandbox.image import Image
from workroom.sandbox.spawn import spawn
from workroom.sandbox.waiting import finished, until_readable
from workroom.sandbox.watchdog import Watchdog
from workroom.sandbox.wire import exec_request

if TYPE_CHECKING:
    from workroom.sandbox.backend import Recorder

MAX_LAYERS = 100  # forks upon forks; the kernel takes a page of mount options
MERGED = 16  # layers of a checkpoint, from which on one is made of them: each restore adds another
MERGE = Path(__file__).with_name("merge_layers.py")
LEAST_SIZE, LEAST_INODES = 1 << 20, 1024  # of a fork, whatever its forebears have used up
_TAR = ("tar", "-C", "/mnt", "--xattrs", "--xattrs-include=user.*", "--numeric-owner")
PACK = (*_TAR, "--sparse", "--format=posix", "-cf", "-", ".")
UNPACK = (*_TAR, "--same-permissions", "--delay-directory-restore", "-xf", "-")
UPDATE = (*UNPACK, "--anchored", "--exclude=removed")
REMOVE = "tar -C /run -xf - --occurrence=1 removed && cd /mnt && xargs -0 -r rm -rf -- < /run/removed"
REPORT = 4096  # bytes of what tar says that are looked at
CHANGED_MEANWHILE = 1  # tar's exit code where a file changed while it was read


class BwrapBackend:
    """Starts guests with bubblewrap."""

    name = "bwrap"
    place = ""

    async def start(
        self, name: str, image: Image, limits: Limits, *, port: int | None, checkpoint: Sequence[Path] = ()
    ) -> "BwrapGuest":
        with new_ids(image) as ids, ExitStack() as files:
            plan = Plan(image, limits, empty_files(limits), ids, port=port)
            if not checkpoint:
                return await launch(name, plan)
            found = [files.enter_context(checkpoints.opened(path, self.name, image)) for path in checkpoint]
            try:
                layers = checkpoints.number(checkpoint[0], found[0][1], "layers", 1, MAX_LAYERS + 1)
                return await _restore(name, plan, [file.fileno() for file, _ in found], layers)
            except TransferError as error:
                raise ConfigError(f"the checkpoint {checkpoint[0]} is damaged or too large: {error}") from error

    def collect(self, name: str, place: str) -> None:  # noqa: ARG002 - there is but one
        """Its processes end with their owner; the control groups are what can be left."""
        where = hierarchy()
        for parent in set(where.parents.values()) if where else ():
            sweep(parent, name)


class BwrapGuest:
    """A running sandbox, as its host sees it."""

    packs_inside = False

    def __init__(
        self,
        name: str,
        plan: Plan,
        facts: GuestFacts,
        sock: socket.socket,
        process: "subprocess.Popen[bytes]",
        cgroup: Cgroup | None,
    ) -> None:
        self.socket = sock
        self.facts = facts
        self._name = name
        self._plan = plan
        self._process = process
        self._cgroup = cgroup
        stage = f"/proc/{process.pid}/root{STAGE}/{plan.files.upper}"
        self._watchdog = None if plan.data is None else Watchdog(process.pid, stage, plan.data)

    @property
    def pid(self) -> int:
        """The outer process on the host."""
        return self._process.pid

    def counters(self) -> Counters:
        watched = 0 if self._watchdog is None else self._watchdog.kills
        if self._cgroup is None:
            return Counters(watched)
        return Counters(self._cgroup.oom_kills() + watched, self._cgroup.refused_starts())

    def memory(self) -> int | None:
        return None if self._cgroup is None else self._cgroup.memory()

    def memory_peak(self) -> int | None:
        return None if self._cgroup is None else self._cgroup.memory_peak()

    def last_words(self) -> str:
        if self._process.stderr is None or self._process.stderr.closed:
            return ""
        os.set_blocking(self._process.stderr.fileno(), False)
        text = (self._process.stderr.read() or b"").decode("utf-8", "replace")
        return " ".join(text.split())[:500]

    async def fork(
        self, name: str, *, port: int | None, leave: Callable[[], Awaitable[None]] | None
    ) -> "tuple[BwrapGuest, BwrapGuest]":
        if len(self._plan.files.layers) >= MAX_LAYERS:
            raise SandboxUnavailable(f"this is the {MAX_LAYERS}th fork of a fork, and more are not possible")
        if leave is None:
            return self, await self._copy(name, port)
        with self.above() as above:
            plan = replace(above, port=port)
            await leave()
            await self._end()
            starts = (launch(self._name, plan), launch(name, plan))
            started = await asyncio.gather(*starts, return_exceptions=True)
        self._let_go()
        guests = [guest for guest in started if isinstance(guest, BwrapGuest)]
        for failure in started:
            if isinstance(failure, BaseException):
                for guest in guests:
                    await guest.stop()
                raise failure
        return guests[0], guests[1]

    async def _copy(self, name: str, port: int | None) -> "BwrapGuest":
        with (
            tempfile.TemporaryFile(dir=os.environ.get("TMPDIR", "/var/tmp")) as file,
            new_ids(self._plan.image) as ids,
        ):
            layers = await self._save(file.fileno())
            file.seek(0)
            plan = Plan(self._plan.image, self._plan.limits, empty_files(self._plan.limits), ids, port=port)
            return await _restore(name, plan, [file.fileno()], layers)

    async def seal(self, path: str, size: int) -> None:
        with ExitStack() as descriptors:
            inside = _first_child(self.pid, descriptors)
            if inside is None:
                raise SandboxGone("the sandbox is not running any more")
            numbers = [str(inside), str(_child_of(self.pid))]
            command = [str(guest_binary()), "seal", *numbers, path, str(size)]
            work = asyncio.to_thread(
                subprocess.run, command, env={}, capture_output=True, check=False, pass_fds=(inside,)
            )
            done = await finished(asyncio.create_task(work))  # it uses the descriptor until then
        if done.returncode != 0:
            words = " ".join(done.stderr.decode("utf-8", "replace").split())[:300]
            raise SandboxUnavailable(f"the sandbox could not be made read-only ({words})")

    async def checkpoint(self, target: Path) -> None:
        with checkpoints.created(target) as file:
            file.write(self.header())
            file.flush()
            await self._save(file.fileno())

    def header(self) -> bytes:
        """What a checkpoint of this guest begins with."""
        layers = len(self._plan.files.layers) + 1
        if layers > MAX_LAYERS + 1:
            raise SandboxUnavailable(f"a checkpoint of more than {MAX_LAYERS} forks of forks is not possible")
        return checkpoints.header(BwrapBackend.name, self._plan.image, layers=layers)

    def recorder(self) -> "Recorder":
        from workroom.sandbox.bwrap_recorder import BwrapRecorder

        return BwrapRecorder(self)

    async def stop(self) -> None:
        await self._end()
        self._let_go()

    def _let_go(self) -> None:
        if self._plan.ids is not None:
            self._plan.ids.let_go()
        self._plan = replace(self._plan, ids=None)

    async def _end(self) -> None:
        """Ends all of it and waits until the kernel has nothing left of it."""
        self.socket.close()
        if self._watchdog is not None:
            self._watchdog.stop()
        if self._process.returncode is None:  # not collected yet, so the pid is still this process's
            with ExitStack() as descriptors:
                inside = _first_child(self.pid, descriptors)
                os.kill(self.pid, signal.SIGKILL)
                outer = os.pidfd_open(self.pid)
                descriptors.callback(os.close, outer)
                await until_readable(outer)
                if inside is not None:
                    with suppress(OSError):  # a helper of a start that was cut short does not end with its parent
                        signal.pidfd_send_signal(inside, signal.SIGKILL)
                    await until_readable(inside)
            self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()
        if self._cgroup is not None:
            for pause in (0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2):
                if self._cgroup.remove_now():
                    break
                await asyncio.sleep(pause)

    @contextmanager
    def above(self) -> Iterator[Plan]:
        """The plan of a sandbox upon what this one has written, in the namespaces of its stage, which it keeps."""
        files = self._plan.files
        with ExitStack() as descriptors:
            users, mounts = (_open(f"/proc/{self.pid}/ns/{kind}", descriptors) for kind in ("user", "mnt"))
            used = os.statvfs(f"/proc/{self.pid}/root{STAGE}/{files.upper}")
            above = Files(
                size=max(LEAST_SIZE, files.size - (used.f_blocks - used.f_bfree) * used.f_frsize),
                inodes=max(LEAST_INODES, files.inodes - (used.f_files - used.f_ffree)),
                layers=(*files.layers, f"{files.upper}/upper"),
                number=files.number + 1,
            )
            yield replace(self._plan, files=above, join=(users, mounts))

    async def reader(self) -> "tuple[BwrapGuest, int]":
        """A sandbox of our own programs that has all layers below /mnt, and how many there are."""
        with self.above() as plan:
            reading = replace(plan, files=replace(plan.files, upkeep="read"), port=None)
            return await launch(f"{self._name}-save", reading), len(plan.files.layers)

    async def _save(self, target: int) -> int:
        """Packs all layers into the file `target`; returns how many there are."""
        helper, layers = await self.reader()
        # tar gets the file as its input, read and write, for that is what a request can hand over.
        async with upkeep(helper) as run:
            await run(["/bin/sh", "-c", f"exec {' '.join(PACK)} 1>&0"], target, accept=(0, CHANGED_MEANWHILE))
        return layers


async def launch(name: str, plan: Plan) -> BwrapGuest:
    facts, cgroup = bounds(name, plan)
    bounded = cgroup is not None and "memory" in cgroup.controllers
    plan = replace(plan, procs=cgroup.procs if cgroup else [], data=None if bounded else parse_size(plan.limits.memory))
    host_end, guest_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    control = guest_end.fileno()
    if plan.ids is not None:
        plan.ids.hold()
    starting = asyncio.create_task(spawn(command_line(plan, control), passed=(control, *(plan.join or ()))))
    try:
        process = await finished(starting)
    except BaseException as error:
        if starting.done() and not starting.cancelled() and starting.exception() is None:
            await BwrapGuest(name, plan, facts, host_end, starting.result(), cgroup).stop()
            raise
        host_end.close()
        if cgroup is not None:
            cgroup.remove_now()
        if plan.ids is not None:
            plan.ids.let_go()
        if isinstance(error, OSError):
            raise SandboxUnavailable(f"the sandbox could not be started: {error.strerror}") from error
        raise
    finally:
        guest_end.close()
    return BwrapGuest(name, plan, facts, host_end, process, cgroup)


async def _restore(name: str, plan: Plan, sources: Sequence[int], layers: int) -> BwrapGuest:
    """Starts a guest upon the layers that are unpacked from the files `sources`: a whole one, and changes upon it."""
    # Each layer may be larger than its share of the disk by the least that every fork is given.
    size, inodes = plan.files.size + layers * LEAST_SIZE, plan.files.inodes + layers * 2 * LEAST_INODES
    # Changes upon a whole one need room for what was, beside what is.
    spare, spare_inodes = (plan.files.size, plan.files.inodes) if len(sources) > 1 else (0, 0)
    size, inodes = size + spare, inodes + spare_inodes
    writing = replace(plan, files=replace(plan.files, size=size, inodes=inodes, upkeep="write"), port=None)
    helper = await launch(f"{name}-load", writing)
    async with upkeep(helper) as run:
        await run(list(UNPACK), sources[0])
        for source in sources[1:]:
            await run(["/bin/sh", "-c", REMOVE], source)
            os.lseek(source, checkpoints.HEADER, os.SEEK_SET)
            await run(list(UPDATE), source)
        if layers >= MERGED:
            await run(["python3", "-I", "-c", MERGE.read_text(), str(layers)], sources[0])
            unpacked = f"/proc/{helper.pid}/root{STAGE}/{plan.files.upper}/layers"
            layers = sum(os.path.lexists(f"{unpacked}/{number}") for number in range(layers))
        with helper.above() as above:
            names = tuple(f"{plan.files.upper}/layers/{number}" for number in range(layers))
            for layer in names:
                _check_directory(f"/proc/{helper.pid}/root{STAGE}/{layer}")
            left = max(LEAST_SIZE, above.files.size - spare)
            left_inodes = max(LEAST_INODES, above.files.inodes - spare_inodes)
            files = replace(above.files, layers=names, upkeep="", size=left, inodes=left_inodes)
            return await launch(name, replace(above, files=files, port=plan.port))


def _check_directory(layer: str) -> None:
    """A link in the place of a layer would be followed in the host's own tree when the layers are mounted."""
    try:
        is_directory = stat.S_ISDIR(os.lstat(layer).st_mode)
    except OSError:
        is_directory = False
    if not is_directory:
        raise TransferError(f"layer {layer.rpartition('/')[2]} is no directory")


class Step(Protocol):
    """Runs a command with a file; raises TransferError where its exit code is none to `accept`."""

    async def __call__(self, argv: Sequence[str], file: int, *, accept: Sequence[int] = (0,)) -> None: ...


@asynccontextmanager
async def upkeep(helper: BwrapGuest) -> AsyncIterator[Step]:
    """Yields a function that runs commands in a sandbox of our own programs, which is ended after the block."""
    connection = Connection(helper.socket, lambda: None)

    async def run(argv: Sequence[str], file: int, *, accept: Sequence[int] = (0,)) -> None:
        request = exec_request(argv, ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"], "/mnt", has_input=True)
        reply = await connection.request("X", request, cap=REPORT, contents=file)
        if reply.code not in accept:
            words = " ".join(bytes(reply.err[:300]).decode("utf-8", "replace").split())
            raise TransferError(f"the files of the sandbox could not be packed or unpacked: {words}")

    try:
        await connection.hello
        yield run
    except SandboxGone:
        raise SandboxUnavailable(f"the sandbox's files could not be moved: {helper.last_words()}") from None
    finally:
        connection.close()
        await helper.stop()


def _open(path: str, descriptors: ExitStack) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    descriptors.callback(os.close, descriptor)
    return descriptor


def _first_child(pid: int, descriptors: ExitStack) -> int | None:
    """A descriptor of process 1 of the sandbox: when that has ended, the kernel has ended all below it."""
    with suppress(OSError, IndexError):
        descriptor = os.pidfd_open(_child_of(pid))
        descriptors.callback(os.close, descriptor)
        return descriptor
    return None


def _child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
