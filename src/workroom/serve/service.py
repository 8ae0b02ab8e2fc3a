"""The service behind the routes: what all requests share, from start to end."""

import asyncio
import contextlib
import fcntl
import logging
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from workroom.agent.prices import ListPrices
from workroom.errors import ConfigError, WorkroomError
from workroom.sandbox import Sandbox
from workroom.sandbox.base import parse_size
from workroom.serve import errors
from workroom.serve.ask import Ask
from workroom.serve.conversation import Conversation
from workroom.serve.conversations import Conversations
from workroom.serve.exchange import Exchange
from workroom.serve.filestore import FileStore, read_secret
from workroom.serve.forgotten import Forgotten
from workroom.serve.ledger import Ledger
from workroom.serve.line import Line
from workroom.serve.metrics import Metrics
from workroom.serve.settings import Key, Settings

if TYPE_CHECKING:
    from workroom.agent.limits import Prices
    from workroom.config import Resolved
    from workroom.models.base import Model

_logger = logging.getLogger("workroom.serve")
_LONGEST_SWEEP = 5.0  # seconds between two looks for what was left alone
_OPEN = 8  # times as many sandboxes may be open as requests are worked on


class Service:
    """The state of one server, in `settings.folder`, which is locked for it. Close it with `close`.

    Raises ConfigError where another server uses the folder or it cannot be made.
    """

    def __init__(self, settings: Settings, resolved: "Resolved", model: "Model") -> None:
        self.settings = settings
        self.resolved = resolved
        self.model = model
        self.prices: Prices = resolved.config.pricing or ListPrices(model.name, resolved.config.base_url)
        self.closing = False
        self.sandbox_failed = ""  # why the last sandbox could not start
        folder = settings.folder
        self._lock = _locked(folder)
        try:
            for place in (*folder.glob("*.tmp.*"), *folder.glob("uploads/*")):
                place.unlink()
            (folder / "uploads").mkdir(mode=0o700, exist_ok=True)
            self.files = FileStore(folder / "files", read_secret(folder / "secret"), parse_size(settings.quota))
            self.ledger = Ledger(folder / "usage.json")
            self.conversations = Conversations(folder / "conversations", Forgotten(folder / "forgotten"))
        except ConfigError:
            os.close(self._lock)
            raise
        except OSError as error:
            os.close(self._lock)
            raise ConfigError(f"{folder} cannot be used: {error.strerror}; choose another with --state DIR") from error
        self.line = Line(settings.at_once, settings.queue)
        self._most_open = _OPEN * settings.at_once
        self.held = 0  # bytes of request bodies in memory
        self.exchanges: set[Exchange] = set()
        self.metrics = Metrics(self)
        self.started = int(time.time())
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def uploads(self) -> Path:
        """Where uploads are while they come in."""
        return self.settings.folder / "uploads"

    @property
    def model_names(self) -> tuple[str, ...]:
        """What clients may call the model, the first one being its name."""
        name = self.model.name
        return name, name.partition("/")[2]

    async def start(self) -> None:
        """Puts in order what a killed server left, and begins to look for what is left alone."""
        await self._recover()
        self._sweeper = asyncio.create_task(self._sweep())

    def begin(self, key: Key, ask: Ask) -> Exchange:
        """Takes a request in. Raises ApiError where it cannot be worked on: 404, 409, 429, 503."""
        if self.closing:
            raise errors.closing()
        self.ledger.left(key)
        place = self.line.join(key)
        try:
            conversation = self.conversations.take(key, ask)
        except BaseException:
            self.line.leave(place)
            raise
        exchange = Exchange(self, key, ask, conversation, place)
        self.exchanges.add(exchange)
        return exchange

    async def forget(self, conversation: Conversation) -> None:
        """Removes a conversation with its files. Raises ApiError (409) while it has a request under way."""
        if conversation.busy:
            raise errors.ApiError(409, "the conversation has a request under way", code="conversation_busy")
        self.files.remove(self.files.of_conversation(conversation.key, conversation.id))
        await self.conversations.remove(conversation)

    async def close(self, hurry: asyncio.Event) -> None:
        """Takes no more requests, lets those under way finish their step, saves and closes all sandboxes.

        `hurry` ends the waiting.
        """
        self.closing = True
        for exchange in list(self.exchanges):
            exchange.stop()
        under_way = asyncio.gather(*(exchange.wait() for exchange in list(self.exchanges)))
        hurried = asyncio.create_task(hurry.wait())
        await asyncio.wait((under_way, hurried), timeout=self.settings.grace, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        for exchange in list(self.exchanges):
            exchange.cancel()
        await under_way
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait([self._sweeper])
        for conversation in self.conversations:
            await self._put_to_rest(conversation)
            if conversation.is_open:
                _logger.warning("what is new in a conversation's sandbox is lost: %s", conversation.notice)
                await conversation.drop()
        await self.model.aclose()
        os.close(self._lock)

    async def _sweep(self) -> None:
        settings = self.settings
        while True:
            await asyncio.sleep(min(settings.idle / 4, settings.keep / 4, _LONGEST_SWEEP))
            for conversation in self.conversations:
                if conversation.busy:
                    continue
                alone = time.time() - conversation.used
                if alone > settings.keep:
                    await self._let_go(conversation)
                elif alone > settings.idle:
                    await self._put_to_rest(conversation)
            resting = sorted((found for found in self.conversations if found.is_open), key=lambda found: found.used)
            for conversation in resting[: -self._most_open]:
                await self._put_to_rest(conversation)
            if self.sandbox_failed:
                await self._try_sandbox()

    async def _let_go(self, conversation: Conversation) -> None:
        try:
            await self.forget(conversation)
        except (WorkroomError, OSError) as error:
            _logger.warning("a conversation could not be removed: %s", error)

    async def _put_to_rest(self, conversation: Conversation) -> None:
        try:
            await conversation.rest()
        except (WorkroomError, OSError) as error:
            _logger.warning("a conversation could not be written down: %s", error)

    async def _try_sandbox(self) -> None:
        """Whether a sandbox can be started again: nobody may send requests to a server that says it fails."""
        config = self.resolved.config
        try:
            async with Sandbox.open(config.sandbox, image=config.image, network=config.network, limits=config.limits):
                self.sandbox_failed = ""
        except WorkroomError as error:
            self.sandbox_failed = str(error)

    async def _recover(self) -> None:
        """Charges what requests had used that a killed server was working on, and removes what is left of them."""
        from workroom.agent.accounting import recorded
        from workroom.trajectory.reader import read_json
        from workroom.trajectory.rundir import RunDirectory

        for conversation in self.conversations:
            runs = conversation.runs.iterdir() if conversation.runs.is_dir() else ()
            for run in [run for run in runs if read_json(run / "run.json").get("status") in (None, "running")]:
                with contextlib.suppress(WorkroomError):
                    used = recorded(RunDirectory.load(run).events, self.prices)
                    self.ledger.charge(Key(conversation.key), used.usage.total, used.cost or 0.0)
                shutil.rmtree(run, ignore_errors=True)
            if conversation.is_empty:
                await self.conversations.remove(conversation)
        self.files.remove(
            file
            for file in self.files
            if file.conversation is not None and not self.conversations.has(file.key, file.conversation)
        )
        self.ledger.save()


def _locked(folder: Path) -> int:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be used: {error.strerror}; choose another with --state DIR") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise ConfigError(f"another server uses {folder}: stop it, or choose another with --state DIR") from None
    return lock
