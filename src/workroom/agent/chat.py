"""A conversation: each message of its user is a task in the same sandbox, and what the model says last is the reply."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workroom.models.base import Message


@dataclass(frozen=True, slots=True)
class Chat:
    """What an episode takes over from a conversation.

    `prior`: what its user and the model said before. `instructions`: what the operator of the chat tells the model.
    `given`: its user has given files, with this message or an earlier one.

    In such an episode a turn of plain text without a tool call is the answer, and ends it as submitted. Where the model
    submits instead, or a limit ends the episode, the answer is `/testbed/answer.txt`, else what it said last. An answer
    file of an earlier episode is removed first.
    """

    prior: "tuple[Message, ...]" = ()
    instructions: str | None = None
    given: bool = False
