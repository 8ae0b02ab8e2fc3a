"""What a client asks for, whatever route it came by."""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from workroom.models.base import Sampling

# A link as the server puts it behind an answer: front ends send it back, and it is no part of what was said.
_TARGET = re.compile(r"\S*/files/file-[0-9a-f]{24}/[0-9a-f]{40}/\S*\)")
_MORE = re.compile(r"… and \d+ more files")
_LONGEST_LINK = 4096  # characters of a line


@dataclass(frozen=True, slots=True)
class Said:
    """An earlier message of the chat. `files`: the identities of its files where it has no text of its own, which then
    is `attached`."""

    role: Literal["user", "assistant"]
    text: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file for the model. `identity` is the same for the same content and name: each is put in once in a
    conversation. `latest`: it came with the last message."""

    name: str
    identity: str
    content: bytes | Path = field(repr=False)
    latest: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. `prompt` is the last user message, `files` as of `Said`; `history` what was said before, without
    system messages.

    `instructions`: the client's system message. `conversation`: its name as the client gave it, None where it gave
    none; `goes_on`: what was said in it so far comes before `history`, which else is all. `user`: whom the request is
    for, as the client calls them; conversations are found by their history only among those of the same user.
    """

    prompt: str
    files: tuple[str, ...] = ()
    history: tuple[Said, ...] = ()
    instructions: str | None = None
    attachments: tuple[Attachment, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    conversation: str | None = None
    goes_on: bool = False
    user: str = ""


def attached(names: Iterable[str]) -> str:
    """What stands for the text of a message that has files only."""
    return f"(attached: {', '.join(names)})"


def fingerprint(history: Iterable[Said], user: str = "") -> str:
    """The same for histories that differ in white space and in links to files only."""
    said = [(message.role, " ".join(without_links(message.text).split())) for message in history]
    return hashlib.sha256(json.dumps([user, said]).encode()).hexdigest()


def without_links(text: str) -> str:
    """The text without the lines that are the server's links to files."""
    if "/files/file-" not in text:
        return text
    return "\n".join(line for line in text.split("\n") if not _is_link(line)).rstrip()


def _is_link(line: str) -> bool:
    if len(line) > _LONGEST_LINK:
        return False
    line = line.strip()
    label, _, target = line.rpartition("](")
    return bool((label.startswith(("[", "![")) and _TARGET.fullmatch(target)) or _MORE.fullmatch(line))
