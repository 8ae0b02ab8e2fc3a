"""A conversation: what was said, and the sandbox that goes with it, open or saved."""

import asyncio
import shutil
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workroom._outcome import output_stamps
from workroom.errors import ConfigError, SandboxError, SandboxGone
from workroom.sandbox.base import parse_size
from workroom.sandbox.journal import Journal, saved_mark
from workroom.serve.ask import Said, fingerprint
from workroom.serve.errors import ApiError
from workroom.trajectory.files import replace_file, to_json
from workroom.trajectory.reader import read_json

if TYPE_CHECKING:
    from workroom.config import RunConfig
    from workroom.sandbox import Sandbox

RECORD = "conversation.json"
_SPARE = 64 << 20  # bytes that a save may have beyond what the sandbox may write
_MOST_WAITING = 10_000  # as many files as one run brings out
_MOST_PRINTS = 1000  # fingerprints of one conversation that outlast the server
_WRITTEN = (
    "id", "key", "user", "created", "used", "requests", "asked_for", "metadata", "mark", "response", "prints",
    "kept_documents", "waiting",
)  # fmt: skip


@dataclass(eq=False)
class Conversation:
    """One conversation of the key named `key`, on disk in `folder`. Times in seconds since the epoch.

    `requests` counts those that were worked on, failed ones too. `asked_for`: it was made by a request of its own, and
    is kept also where nothing has been worked on; `metadata` is what that one gave.

    `documents`: the name inside of each attachment, by its identity; `kept_documents` those that the saved sandbox has.
    `fresh`: its sandbox is a new one, in which nothing was done. `handed`: the stamps of the output files that the
    client has; `waiting` are those that it has not, in the saved sandbox, where files have other stamps. `response`:
    the id of the newest answer, where it has one. `prints`: fingerprints of all that was its history at some time.
    """

    id: str
    key: str
    folder: Path
    user: str = ""
    created: float = field(default_factory=time.time)
    used: float = field(default_factory=time.time)
    requests: int = 0
    asked_for: bool = False
    metadata: dict[str, str] = field(default_factory=dict)
    mark: int = 0
    response: str = ""
    history: list[Said] = field(default_factory=list)
    prints: list[str] = field(default_factory=list)
    documents: dict[str, str] = field(default_factory=dict)
    kept_documents: dict[str, str] = field(default_factory=dict)
    fresh: bool = False
    handed: dict[str, str] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    busy: bool = False
    notice: str = ""  # why the last save failed
    _alone: asyncio.Lock = field(default_factory=asyncio.Lock)  # held while the sandbox opens or closes
    _box: "Sandbox | None" = None
    _journal: Journal | None = None

    @classmethod
    def read(cls, folder: Path) -> "Conversation | None":
        """What was written down in the folder, None where that is missing or damaged."""
        record = read_json(folder / RECORD)
        try:
            history = [Said(said["role"], said["text"], tuple(said.get("files", ()))) for said in record["history"]]
            known = {name: record[name] for name in _WRITTEN if name in record}  # a later version may have more
            found = cls(folder=folder, history=history, **known)
        except (KeyError, TypeError):
            return None
        found.documents = dict(found.kept_documents)
        return found

    def write(self) -> None:
        """Raises WorkroomError where it cannot be written."""
        record: dict[str, Any] = {name: getattr(self, name) for name in _WRITTEN}
        record["prints"] = self.prints[-_MOST_PRINTS:]
        record["history"] = [asdict(said) for said in self.history]
        replace_file(self.folder / RECORD, to_json(record).encode())

    @property
    def is_empty(self) -> bool:
        """Whether nobody would miss it."""
        return not self.requests and not self.asked_for

    @property
    def runs(self) -> Path:
        """Where the run of each request is."""
        return self.folder / "runs"

    @property
    def is_open(self) -> bool:
        """Whether its sandbox is there now."""
        return self._box is not None

    def next_run(self) -> Path:
        """A folder for the next run; not made."""
        taken = [int(path.name) for path in self.runs.iterdir() if path.name.isdigit()] if self.runs.is_dir() else []
        return self.runs / f"{max(taken, default=0) + 1:04}"

    async def open(self, config: "RunConfig") -> "Sandbox":
        """Its sandbox: the one that is open, else the one that was saved, else a new one.

        Raises SandboxError where it cannot start, ApiError (409) where what was saved does not fit the server any more.
        """
        async with self._alone:
            if self._box is None or not self._box.alive:
                await self._open(config)
            assert self._box is not None
            return self._box

    async def _open(self, config: "RunConfig") -> None:
        from workroom.sandbox import Sandbox

        await self._drop()
        settings: dict[str, Any] = {"image": config.image, "network": config.network, "limits": config.limits}
        self.documents = dict(self.kept_documents)
        self.fresh = saved_mark(self._saved) is None
        if self.fresh:
            self.documents = {}
            box = await Sandbox.start(config.sandbox, **settings)
        else:
            try:
                box = await Sandbox.start(config.sandbox, checkpoint=self._saved, **settings)
            except ConfigError as error:
                raise ApiError(
                    409,
                    "the files of this conversation cannot be put back, because the server's sandbox image is another "
                    "one now or they are damaged: begin a new conversation",
                    code="conversation_not_restorable",
                    param="conversation",
                ) from error
        limit = max(parse_size(config.disk) + _SPARE, 1 << 30)
        self._box, self._journal = box, Journal(box, self._saved, limit=limit)
        there, waiting = await output_stamps(box), set(self.waiting)
        self.handed = {name: stamp for name, stamp in there.items() if name not in waiting}

    def forget_files(self) -> None:
        """Gives up what was saved of a sandbox that is not open: the next one begins anew, knowing of nothing."""
        shutil.rmtree(self._saved, ignore_errors=True)
        self.kept_documents, self.history, self.waiting = {}, [], []

    async def save(self) -> bool:
        """Keeps the sandbox's files, so that they outlast the server. False where that failed, which `notice` says."""
        assert self._box is not None
        assert self._journal is not None
        mark = max(self.mark, saved_mark(self._saved) or 0) + 1
        self.notice = ""
        waiting: list[str] = []
        try:
            there = await output_stamps(self._box)
            waiting = [name for name, stamp in there.items() if self.handed.get(name) != stamp]
            if not await self._journal.save(mark, at_once=True):
                self.notice = self._journal.notice
        except SandboxGone:
            self.notice = "the sandbox died"
            await self._drop()
        except (SandboxError, OSError) as error:
            self.notice = str(error)
        if not self.notice:
            self.mark, self.kept_documents = mark, dict(self.documents)
            self.waiting = waiting[:_MOST_WAITING]
        return not self.notice

    async def rest(self) -> None:
        """Saves and closes the sandbox, unless a request has come meanwhile. Where it cannot be saved, which `notice`
        says, it stays open. Raises WorkroomError where the record cannot be written."""
        async with self._alone:
            if self._box is None or self.busy:
                return
            if not self._box.alive or await self.save():
                await self._drop()
                self.write()

    async def remove(self) -> None:
        """Closes the sandbox and removes all that is kept."""
        await self.drop()
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)

    async def drop(self) -> None:
        """Closes the sandbox without saving it."""
        async with self._alone:
            await self._drop()

    def worked(self, history: list[Said] | None) -> None:
        """Writes down what the conversation has come to; None where the request failed, as if it had not been."""
        if history is not None:
            self.history = history
            print_ = fingerprint(history, self.user)
            if print_ not in self.prints:
                self.prints.append(print_)
        self.requests += 1
        self.fresh = False
        self.used = time.time()
        self.write()

    @property
    def _saved(self) -> Path:
        return self.folder / "sandbox"

    async def _drop(self) -> None:
        box, self._box, self._journal = self._box, None, None
        if box is not None:
            await box.close()
