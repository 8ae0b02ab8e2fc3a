"""What an episode takes over from its conversation: what was said, which files go in, and what is not as it seems."""

import asyncio
from collections.abc import Container, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workroom.errors import SandboxError
from workroom.sandbox.base import DOCUMENTS_DIR, WORKING_DIR
from workroom.serve.ask import Ask, Attachment, Said, attached, fingerprint, without_links
from workroom.serve.errors import not_found, too_large
from workroom.serve.names import FreeNames, safe_name

if TYPE_CHECKING:
    from workroom.sandbox import Sandbox
    from workroom.serve.conversation import Conversation

_NEW = (
    "The sandbox is a new one: what earlier messages of this chat say of files and programs was in another one, and is "
    "gone, but for the files that the user attached."
)
_TAKEN_BACK = (
    "The user has taken back messages of this chat. The sandbox does not go back: files in it may come from what was "
    "done for messages that are gone."
)


def said_before(ask: Ask, conversation: "Conversation") -> list[Said]:
    """What was said before: as the client tells it; where it leaves that to the server, after what the server knows,
    unless it tells that too."""
    told = [Said(said.role, without_links(said.text), said.files) for said in ask.history]
    known = conversation.history
    if not ask.goes_on or fingerprint(told[: len(known)]) == fingerprint(known):
        return told
    return [*known, *told]


def note_for_model(ask: Ask, conversation: "Conversation") -> str:
    """What the model has to be told where the sandbox is not as the chat says; else empty."""
    known, told = conversation.history, ask.history
    if conversation.fresh:
        return _NEW if (known if ask.goes_on else told) else ""
    if ask.goes_on:
        return ""
    # Front ends rewrite messages, so that equal ones may differ; and some send the newest of them only.
    newest_only = told and fingerprint(told) == fingerprint(known[-len(told) :])
    return _TAKEN_BACK if len(told) < len(known) and not newest_only else ""


async def documents_for(
    ask: Ask, conversation: "Conversation", box: "Sandbox"
) -> tuple[dict[str, str], dict[str, Any]]:
    """The name inside of each attachment by its identity, and the contents to put in by their names.

    What came with the last message is put in again where the model has removed it. Raises ApiError (404) where an
    upload was deleted meanwhile.
    """
    names = dict(conversation.documents)
    new = [one for one in ask.attachments if one.latest or one.identity not in names]
    if not new:
        return names, {}
    try:
        inside = {name for _, _, name in await box.list_files(DOCUMENTS_DIR, levels=1)}
    except SandboxError:
        inside = set()  # the model has removed the directory
    return await asyncio.to_thread(_named, new, names, inside)


def prompt_for(ask: Ask, names: Mapping[str, str], new: Container[str]) -> str:
    """What the model is told of the message: with the names inside of its files but for the `new` ones, of which the
    model is told anyway. `names`: as of `documents_for`."""
    came = dict.fromkeys(names[one.identity] for one in ask.attachments if one.latest)
    if ask.files:
        return attached(came)
    there = [inside for inside in came if inside not in new]
    return f"{ask.prompt}\n\n[Attached, in {DOCUMENTS_DIR}: {', '.join(there)}]" if there else ask.prompt


def text_for(said: Said, names: Mapping[str, str]) -> str:
    """What the model is told of an earlier message: of one without a text the names that its files have inside."""
    inside = dict.fromkeys(names[identity] for identity in said.files if identity in names)
    return attached(inside) if inside else said.text


def _named(
    attachments: list[Attachment], names: dict[str, str], inside: set[str]
) -> tuple[dict[str, str], dict[str, Any]]:
    free = FreeNames(inside | set(names.values()))
    contents: dict[str, Any] = {}
    for one in attachments:
        if names.get(one.identity) in inside | contents.keys():
            continue
        if isinstance(one.content, Path) and not one.content.is_file():
            raise not_found(f"the file {one.name!r} was deleted meanwhile", "file_not_found", "file_id")
        if one.identity not in names:
            names[one.identity] = free.take(safe_name(one.name))
        contents[names[one.identity]] = one.content
    return names, contents


async def check_room(documents: dict[str, Any], box: "Sandbox", field: str) -> None:
    """Raises ApiError (413), which names the field of the request, where the sandbox has no room for the documents."""
    if not documents:
        return
    free = await box.exec(["stat", "-f", "-c", "%S %a", WORKING_DIR])
    try:
        block, blocks = map(int, free.stdout.split())
    except ValueError:
        return  # it cannot tell: whether they fit is seen when they are put in
    sizes = [len(one) if isinstance(one, bytes) else one.stat().st_size for one in documents.values()]
    if sum(-(-size // block) for size in sizes) > blocks:
        raise too_large(
            f"the attached files have {sum(sizes):,} bytes, and the sandbox, whose disk has "
            f"{box.facts.limits['disk']:,}, has room for {block * blocks:,}",
            field,
        )
