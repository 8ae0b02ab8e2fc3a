"""Every exception of the package, in one tree.

    WorkroomError                   something the user is told in one sentence; carries the process exit code
    ├── ConfigError                 2  a wrong flag, file, key or name; nothing was started
    ├── ModelError                  4  the model's provider failed
    │   ├── RateLimited                429; wait for `retry_after` seconds
    │   ├── Overloaded                 5xx, no connection, time-out, cut stream, unreadable reply; worth a retry
    │   ├── ContextOverflow            the prompt does not fit; `window` is the size in tokens where the server told it
    │   ├── BadRequest                 the server refuses the request as such; a retry cannot help
    │   │   └── ImagesRefused          it takes no pictures, or at most `most` in one request
    │   └── AuthError                  missing, wrong or forbidden key
    ├── SandboxError                5  the sandbox could not start, or died
    │   ├── SandboxUnavailable         this host lacks a piece, or the image is missing; the message names the remedy
    │   ├── SandboxGone                it was there and is not any more; never shown to the model as command output
    │   └── TransferError              a file operation was refused (too large, wrong type, outside the target)
    └── ToolError                   -  told to the model in words; never leaves the loop

A limit that is reached (turns, tokens, cost, time) is an outcome of an episode, not an exception.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workroom.models.base import Usage


class WorkroomError(Exception):
    """Base of all errors that are shown as one sentence. `exit_code` is the process exit code of the command line."""

    exit_code = 1


class ConfigError(WorkroomError):
    """A usage or configuration mistake, found before anything was started."""

    exit_code = 2


class ModelError(WorkroomError):
    """The model's provider failed. `usage`: what the failed call used all the same, where that is known.

    A prompt of 0 tokens is one that the server did not tell.
    """

    exit_code = 4
    usage: "Usage | None" = None


class RateLimited(ModelError):
    """The provider asks to slow down. `retry_after`: seconds to wait as the server said, or None."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Overloaded(ModelError):
    """The provider is unreachable, overloaded or answered nonsense; a later try may succeed.

    `retry_after`: seconds to wait as the server said, or None.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ContextOverflow(ModelError):
    """The messages do not fit the model's window. `window`: its size in tokens where known.

    `final`: they are not to be shortened, the episode ends.
    """

    def __init__(self, message: str, window: int | None = None, *, final: bool = False) -> None:
        super().__init__(message)
        self.window = window
        self.final = final


class BadRequest(ModelError):
    """The provider refuses the request as such."""


class ImagesRefused(BadRequest):
    """The provider does not take the pictures of the request.

    `most`: how many it takes, 0 for a model that cannot see, None where only these pictures are at fault.
    """

    def __init__(self, message: str, most: int | None = 0) -> None:
        super().__init__(message)
        self.most = most


class AuthError(ModelError):
    """The key is missing, wrong or not allowed to use the model."""


class SandboxError(WorkroomError):
    """The sandbox could not start or died."""

    exit_code = 5


class SandboxUnavailable(SandboxError):
    """This host lacks a piece that the sandbox needs; the message names it and the remedy."""


class SandboxGone(SandboxError):
    """The sandbox was closed or has died."""


class TransferError(SandboxError):
    """A file could not be brought in or out."""


class ToolError(WorkroomError):
    """A tool call that cannot be done; the text is for the model."""
