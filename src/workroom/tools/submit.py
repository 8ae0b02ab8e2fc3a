"""`submit`: ends the episode."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workroom.errors import ToolError, TransferError
from workroom.sandbox.base import ANSWER_FILE
from workroom.tools.arguments import check, text
from workroom.tools.base import Observation
from workroom.tools.specs import Wording, spec

if TYPE_CHECKING:
    from workroom.models.base import ToolSpec
    from workroom.sandbox import Sandbox

NAME = "submit"


class SubmitTool:
    """Ends the episode. Whether an answer is there is the loop's to check."""

    def __init__(self, *, wording: Wording = "standard") -> None:
        self.spec: ToolSpec = spec(NAME, wording)

    async def __call__(self, arguments: Mapping[str, Any], sandbox: "Sandbox") -> Observation:
        """`answer`, offered to small models only but taken from all, goes into the answer file."""
        check(arguments, NAME, known=("answer",))
        answer = text(arguments, "answer", NAME)
        if answer is not None and answer.strip():
            try:
                await sandbox.write(ANSWER_FILE, answer.encode())
            except (OSError, TransferError) as error:
                raise ToolError(f"the answer could not be written to {ANSWER_FILE}: {error}") from error
        return Observation("Submitted.", ends=True)
