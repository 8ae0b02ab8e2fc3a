"""What a provider's error means: HTTP status, body and headers in, one `ModelError` of the right class out."""

import json
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

from workroom.errors import AuthError, BadRequest, ContextOverflow, ImagesRefused, ModelError, Overloaded, RateLimited
from workroom.models.vision import pictures_refused

_LONGEST = 500
_LONGEST_WAIT = 365 * 86400.0  # seconds; who asks for more only makes the sentences long
_SECRET = re.compile(r"\b(?:sk|gsk|xai)[-_][\w*.-]{8,}|\bAIza[\w-]{10,}|\bBearer\s+\S+")
_RETRY_STATUS = frozenset({408, 409, 425})
_QUOTA = re.compile(
    r"insufficient_quota|exceeded_current_quota|insufficient.balance|credit.balance|billing", re.IGNORECASE
)
_TRY_AGAIN = re.compile(
    r"(?:try again|retry) in (?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)\s?(ms|s))?", re.IGNORECASE
)

# The types of Anthropic's error events, which come inside a stream that began with status 200.
_STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}

# The wordings of OpenAI, vLLM, SGLang, llama.cpp, DeepSeek, OpenRouter, Anthropic, Gemini, Mistral, Kimi, MiniMax, xAI.
_OVERFLOW = re.compile(
    r"context_length_exceeded|exceed_context_size|model_max_prompt_tokens_exceeded"
    r"|maximum (?:context|prompt|model|allowed) length"
    r"|maximum number of tokens allowed"
    r"|context (?:length|size|window|limit)\b.{0,60}(?:exceed|limit|only)"
    r"|(?:exceed|longer|larger|greater|too long|too large|beyond).{0,80}context"
    r"|(?:prompt|input|request) is too long"
    r"|input tokens? exceed|exceeded model token limit|prompt exceeds|prompt token count"
    r"|too many (?:input )?tokens|reduce the length of|inputs?`? tokens \+",
    re.IGNORECASE | re.DOTALL,
)
_WINDOW = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"maximum (?:context|prompt|model|allowed) length (?:is|of)?\s*\(?([\d,]+)",
        r"context (?:length|size|window)(?: of only)? \(?([\d,]+)",
        r"> ([\d,]+) maximum",
        r"context limit: [\d,]+ \+ [\d,]+ > ([\d,]+)",
        r"configured limit of ([\d,]+)",
        r"tokens allowed \(([\d,]+)\)",
        r"token limit: ([\d,]+)",
        r"([\d,]+) maximum context length",
        r"must be <= ([\d,]+)",
        r"exceeds the limit of ([\d,]+)",
    )
)
_PROMPT = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\(([\d,]+) in the messages",
        r"your request has ([\d,]+) input tokens",
        r"([\d,]+) tokens from the input messages",
        r"context limit: ([\d,]+) \+",
        r"([\d,]+) of text input",
    )
)

# vLLM, llama.cpp, Ollama, OpenRouter, Groq, OpenAI and their like on a model or a server without tool calls.
_NO_TOOLS = re.compile(
    r"enable-auto-tool-choice|tool-call-parser|requires --jinja"
    r"|(?:not|n't) support(?:ed)?\W+(?:the\W+)?(?:use\W+of\W+)?(?:tool|function)"
    r"|support tool use"
    r"|\b(?:tool|function)s?(?:[ _](?:use|choice|call(?:ing|s)?))?\W+(?:parameter\W+)?(?:is|are) (?:not|un)\W*support"
    r"|unsupported parameter: '?tools",
    re.IGNORECASE,
)


class ToolsUnsupported(BadRequest):
    """The server has no native tool calls for this model; a text protocol can do instead."""


class NotFound(BadRequest):
    """The server knows no such model, or no such path."""


@dataclass(frozen=True, slots=True)
class Provider:
    """Who is spoken to, for the sentences: the model's full name, the server's host, the variable of the key."""

    model: str
    host: str
    key_name: str
    key: str = field(default="", repr=False)

    def words(self, text: str) -> str:
        """The text of a server on one line: no key in it, and not too long."""
        if len(self.key) > 3:
            text = text.replace(self.key, "***")
        text = " ".join(_SECRET.sub("***", text).split())
        return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def classify(provider: Provider, status: int, body: Any, headers: Mapping[str, str]) -> ModelError:
    """The error that a reply means. `body` is decoded JSON or text; `status` below 400: it came inside a stream."""
    details = _details(body)
    if status < 400:
        status = _status_in_stream(details)
    raw = _message(body)
    words = provider.words(raw) or "no explanation"
    wait = _retry_after(headers, raw)
    marks = f"{details.get('code')} {details.get('type')} {raw}"
    told = f"(HTTP {status}: {words})"
    who, host = provider.model, provider.host
    if status in (401, 403):
        return AuthError(f"{who}: {host} refused the API key {told}; check {provider.key_name}")
    if status == 407:
        return AuthError(f"{who}: the proxy on the way to {host} wants a login {told}; set it in HTTPS_PROXY")
    if status == 402 or (status == 429 and _QUOTA.search(marks)):
        return AuthError(f"{who}: the account has no credit or quota left {told}; top it up or use another key")
    if _too_long(status, marks):
        return ContextOverflow(f"{who}: the messages do not fit the model's context {told}", _window(details, raw))
    if status == 429:
        return RateLimited(f"{who}: {host} asks to slow down {told}", wait)
    if status != 408 and (status < 500 or "image input" in raw) and (refused := pictures_refused(raw)):
        return ImagesRefused(f"{who}: {host} does not take the pictures {told}; use --vision off", *refused)
    if _NO_TOOLS.search(raw):
        return ToolsUnsupported(
            f"{who}: the server has no native tool calls for this model {told}; use --tool-protocol json"
        )
    if status in _RETRY_STATUS or (status >= 500 and status != 501):
        return Overloaded(f"{who}: {host} failed {told}", wait)
    if status == 404:
        return NotFound(f"{who}: {host} has no such model or path {told}; check the model's name and --base-url")
    return BadRequest(f"{who}: {host} refuses the request {told}")


def room(error: ContextOverflow) -> int | None:
    """How many tokens are left for the completion, where the server told both the window and the prompt's size."""
    prompt = _number(_PROMPT, str(error))
    return None if prompt is None or error.window is None else error.window - prompt


def _too_long(status: int, marks: str) -> bool:
    if status == 429:  # a request larger than a whole minute's allowance: waiting cannot help, a shorter one can
        return re.search(r"request too large", marks, re.IGNORECASE) is not None
    return status == 413 or (status in (400, 422, 500) and _OVERFLOW.search(marks) is not None)


def _window(details: Mapping[str, Any], text: str) -> int | None:
    told = details.get("n_ctx")  # llama.cpp
    return told if isinstance(told, int) else _number(_WINDOW, text)


def _number(patterns: tuple[re.Pattern[str], ...], text: str) -> int | None:
    for pattern in patterns:
        if (found := pattern.search(text)) and (digits := found[1].replace(",", "")):
            try:
                return int(digits)
            except ValueError:  # more digits than Python reads
                return None
    return None


def _status_in_stream(details: Mapping[str, Any]) -> int:
    code = details.get("code")
    if isinstance(code, str) and re.fullmatch(r"[45]\d\d", code):
        code = int(code)
    if isinstance(code, int) and 400 <= code < 600:
        return code
    if code == "context_length_exceeded":
        return 400
    return _STATUS_OF_TYPE.get(str(details.get("type")), 500)


def _details(body: Any) -> Mapping[str, Any]:
    if not isinstance(body, Mapping):
        return {}
    inner = body.get("error")
    return inner if isinstance(inner, Mapping) else body


def _message(body: Any) -> str:
    """The words of an error, whichever of the usual shapes the body has."""
    if isinstance(body, str):
        if not re.match(r"\s*<(?:!doctype|html)", body, re.IGNORECASE):
            return body
        title = re.search(r"<title[^>]*>(.*?)</title>", body, re.IGNORECASE | re.DOTALL)
        return title[1] if title else "an HTML page"
    if not isinstance(body, Mapping):
        return ""
    for key in ("message", "error", "detail", "msg"):
        value = body.get(key)
        if isinstance(value, str):
            return value
        if isinstance(value, Mapping):
            # OpenRouter puts the upstream's own words into metadata.raw, and only "Provider returned error" here.
            raw = (value.get("metadata") or {}).get("raw") if isinstance(value.get("metadata"), Mapping) else None
            return f"{_message(value)} {raw or ''}".strip()
        if value:
            return json.dumps(value)
    return ""


def _retry_after(headers: Mapping[str, str], text: str) -> float | None:
    """Seconds to wait: from `retry-after-ms`, `Retry-After` (seconds or a date), else the words of the message."""
    try:
        return _seconds(float(headers["retry-after-ms"]) / 1000)
    except (KeyError, ValueError):
        pass
    told = headers.get("retry-after")
    if told is not None:
        try:
            return _seconds(float(told))
        except ValueError:
            pass
        try:
            return _seconds(parsedate_to_datetime(told).timestamp() - time.time())
        except (ValueError, OverflowError):
            pass
    found = _TRY_AGAIN.search(text)
    if not found or not any(found.groups()):
        return None
    hours, minutes, number, unit = found.groups()
    seconds = float(number or 0) / (1000 if unit == "ms" else 1)
    return _seconds(float(hours or 0) * 3600 + float(minutes or 0) * 60 + seconds)


def _seconds(value: float) -> float | None:
    return min(max(0.0, value), _LONGEST_WAIT) if math.isfinite(value) else None
