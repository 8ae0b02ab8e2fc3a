"""All conversations of the server: finding the one that a request goes on with, and letting go of those left alone."""

import hashlib
import logging
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workroom.errors import WorkroomError
from workroom.serve.ask import Ask, fingerprint
from workroom.serve.conversation import RECORD, Conversation
from workroom.serve.errors import ApiError, no_conversation, not_found, not_stored
from workroom.serve.forgotten import Forgotten
from workroom.serve.names import new_id
from workroom.serve.settings import Key

OURS = "conv_"  # what ids that the server gives begin with
_logger = logging.getLogger("workroom.serve")


class Conversations:
    """The conversations below `folder`; what a killed server was about to make or remove is removed.

    `forgotten` has the fingerprints of those that are gone.
    """

    def __init__(self, folder: Path, forgotten: Forgotten) -> None:
        self._folder = folder
        self._forgotten = forgotten
        self._all: dict[tuple[str, str], Conversation] = {}
        self._by_print: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        folder.mkdir(mode=0o700, exist_ok=True)
        for place in folder.iterdir():
            found = Conversation.read(place)
            if found is not None and place.name == _folder_name(found.key, found.id):
                self._all[found.key, found.id] = found
                self._note_prints(found)
            elif (place / RECORD).exists():
                _logger.warning("%s is damaged, or of another version: it is left as it is, and not used", place)
            else:
                shutil.rmtree(place, ignore_errors=True)

    def __iter__(self) -> Iterator[Conversation]:
        return iter(list(self._all.values()))

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._all)

    @property
    def open(self) -> int:
        """How many sandboxes are open."""
        return sum(conversation.is_open for conversation in self._all.values())

    def has(self, key: str, name: str) -> bool:
        """Whether the key of that name has such a conversation."""
        return (key, name) in self._all

    def get(self, key: Key, name: str) -> Conversation:
        """Raises ApiError (404) where this key has no such conversation."""
        try:
            return self._all[key.name, name]
        except KeyError:
            raise no_conversation(name) from None

    def make(self, key: Key, metadata: dict[str, str]) -> Conversation:
        """A new one that is kept also before its first request. Raises ApiError (507) where the disk fails."""
        return self._made(key, new_id(OURS), asked_for=True, metadata=metadata)

    def of_response(self, key: Key, name: str) -> Conversation:
        """The conversation whose newest answer is the response of that id. Raises ApiError (404) where there is none:
        a sandbox cannot go back to what it was before later answers."""
        for found in self:
            if found.key == key.name and found.response == name:
                return found
        raise not_found(
            f"there is no response {name[:100]!r} to go on from: it must be the newest of its conversation",
            "previous_response_not_found",
            "previous_response_id",
        )

    def take(self, key: Key, ask: Ask) -> Conversation:
        """The conversation that the request goes on with or begins; nobody else has it until `release`.

        A name that begins with `conv_` must be there; others are the client's own, and begin a conversation at their
        first use. Raises ApiError: 404, 409 where it is in use, 400 for what can be no name, 507 where the disk fails.
        """
        found = self._named(key, ask.conversation, ask.user) if ask.conversation else self._by_history(key, ask)
        if found.busy:
            raise ApiError(
                409,
                f"the conversation {found.id!r} has a request under way, or is being removed: wait for that",
                code="conversation_busy",
                param="conversation",
            )
        found.busy = True
        return found

    async def release(self, conversation: Conversation) -> None:
        """To be called when the request is over, also where it failed. A conversation without any work is removed."""
        if conversation.is_empty:
            await self.remove(conversation)
            return
        conversation.busy = False
        conversation.used = time.time()
        self._note_prints(conversation)

    async def remove(self, conversation: Conversation) -> None:
        """Removes a conversation that nobody has; until that is done, nobody gets one of its name."""
        conversation.busy = True
        self._forgotten.add(conversation.key, conversation.prints)
        try:
            await conversation.remove()
        finally:
            self._all.pop((conversation.key, conversation.id), None)
            for print_ in conversation.prints:
                same = self._by_print[conversation.key, print_]
                same.discard(conversation.id)
                if not same:
                    del self._by_print[conversation.key, print_]

    def _named(self, key: Key, name: str, user: str) -> Conversation:
        found = self._all.get((key.name, name))
        if found is not None:
            return found
        if name.startswith(OURS):
            raise no_conversation(name)
        return self._made(key, name, user=user)

    def _by_history(self, key: Key, ask: Ask) -> Conversation:
        """The one conversation that has had this history; a new one where there is none, where that one is in use, or
        where there are more, or were: two people behind one front end may have said the same, and must not meet in one
        sandbox."""
        if ask.history:
            print_ = fingerprint(ask.history, ask.user)
            same = self._by_print.get((key.name, print_), set())
            if len(same) == 1 and not self._forgotten.has(key.name, print_):
                found = self._all[key.name, next(iter(same))]
                if not found.busy:
                    return found
        return self._made(key, new_id(OURS), user=ask.user)

    def _made(self, key: Key, name: str, **facts: Any) -> Conversation:
        folder = self._folder / _folder_name(key.name, name)
        made = Conversation(name, key.name, folder, **facts)
        try:
            if folder.exists():  # damaged, see above
                folder.rename(folder.with_name(new_id(folder.name)))
            folder.mkdir(mode=0o700)
            made.write()
        except (OSError, WorkroomError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise not_stored("the conversation", error) from error
        self._all[key.name, name] = made
        return made

    def _note_prints(self, conversation: Conversation) -> None:
        for print_ in conversation.prints:
            self._by_print[conversation.key, print_].add(conversation.id)


def _folder_name(key: str, name: str) -> str:
    return hashlib.sha256(f"{key}\0{name}".encode()).hexdigest()[:32]
