"""What a client is told when its request cannot be done: the error object that OpenAI's clients expect."""

from typing import Any

from workroom.errors import ModelError, RateLimited, SandboxError, WorkroomError


class ApiError(Exception):
    """A request refused or failed. `status` is HTTP's; `param` names the field at fault; `retry_after` seconds."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.kind = kind
        self.retry_after = retry_after
        self.headers: dict[str, str] = {}

    @property
    def body(self) -> dict[str, Any]:
        """The object that goes to the client."""
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}

    @property
    def told(self) -> str:
        """What goes to the log: the message may quote what somebody said."""
        return " ".join(filter(None, (self.code or self.kind, self.param)))


def bad_request(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """The request itself is at fault."""
    return ApiError(400, message, param=param, code=code)


def unsupported(param: str, why: str) -> ApiError:
    """A parameter that OpenAI has and this server has not."""
    return ApiError(400, why, param=param, code="unsupported_parameter")


def not_found(what: str, code: str = "not_found", param: str | None = None) -> ApiError:
    return ApiError(404, what, code=code, param=param)


def no_conversation(name: str) -> ApiError:
    return not_found(f"there is no conversation {name!r} of this key", "conversation_not_found", "conversation")


def too_large(message: str, param: str | None = None) -> ApiError:
    return ApiError(413, message, code="request_too_large", param=param)


def busy(message: str, retry_after: int) -> ApiError:
    return ApiError(429, message, code="rate_limit_exceeded", kind="rate_limit_error", retry_after=retry_after)


def used_up(message: str) -> ApiError:
    return ApiError(429, message, code="insufficient_quota", kind="insufficient_quota")


def closing() -> ApiError:
    return ApiError(
        503, "the server is shutting down: try again later", code="shutting_down", kind="server_error", retry_after=30
    )


def not_stored(what: str, error: Exception) -> ApiError:
    """The server's disk failed, or is full."""
    why = error.strerror if isinstance(error, OSError) else "see the server's log"
    return ApiError(507, f"{what} could not be stored: {why}", code="storage_full", kind="server_error")


def client_gone() -> ApiError:
    """Nobody listens any more; it is for the log."""
    return ApiError(499, "the client closed the request", code="client_closed_request")


def internal(request: str) -> ApiError:
    """Something nobody foresaw; the log has it under the request's id."""
    return ApiError(500, f"internal error in request {request}", code="internal_error", kind="server_error")


def of_workroom(error: WorkroomError) -> ApiError:
    """A failure before the first step of the episode. Its sentence may name paths of the host: it goes to the log."""
    if isinstance(error, ModelError):
        return model_failed(error)
    if isinstance(error, SandboxError):
        return sandbox_failed()
    return ApiError(
        500, "the request could not be worked on: see the server's log", code="internal_error", kind="server_error"
    )


def model_failed(error: ModelError | None = None) -> ApiError:
    """The model behind the server failed."""
    if isinstance(error, RateLimited):
        return ApiError(
            503,
            "the model behind this server is overloaded",
            code="model_overloaded",
            kind="server_error",
            retry_after=int(error.retry_after or 10),
        )
    return ApiError(
        502, "the model behind this server failed: see the server's log", code="model_error", kind="server_error"
    )


def sandbox_failed() -> ApiError:
    """The sandbox could not start, or died."""
    return ApiError(503, "the sandbox failed: see the server's log", code="sandbox_error", kind="server_error")
