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
_LINK = re.compile(r"\s*(!?\[.*\]\(\S*/files/file-[0-9a-f]{24}/[0-9a-f]{40}/\S*\)|… and \d+ more files)\s*")


@dataclass(frozen=True, slots=True)
class Said:
    """An earlier message of the chat."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file for the model. `identity` is the same for the same content: each is put in once in a conversation."""

    name: str
    identity: str
    content: bytes | Path = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. `prompt` is the last user message; `history` what was said before, without system messages.

    `instructions`: the client's system message. `conversation`: its name as the client gave it, None where it gave
    none. `user`: whom the request is for, as the client calls them; conversations are found by their history only among
    those of the same user.
    """

    prompt: str
    history: tuple[Said, ...] = ()
    instructions: str | None = None
    attachments: tuple[Attachment, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    conversation: str | None = None
    user: str = ""


def fingerprint(history: Iterable[Said], user: str = "") -> str:
    """The same for histories that differ in white space and in links to files only."""
    said = [(message.role, " ".join(without_links(message.text).split())) for message in history]
    return hashlib.sha256(json.dumps([user, said]).encode()).hexdigest()


def without_links(text: str) -> str:
    """The text without the lines that are the server's links to files."""
    if "/files/file-" not in text:
        return text
    return "\n".join(line for line in text.split("\n") if not _LINK.fullmatch(line)).rstrip()
