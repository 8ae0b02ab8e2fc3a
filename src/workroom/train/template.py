"""Chat templates: whether one suits a training, and the project's own for models without one that does.

One suits when what it rendered once is never rendered otherwise later: only then are the ids of a turn the beginning of
those of the next.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workroom.errors import ConfigError

CHATML = Path(__file__).parent / "templates" / "chatml.jinja"
CHATML_TOKENS = ("<|im_start|>", "<|im_end|>")
_MARKS = re.compile(r"\{%-?\s*(end)?generation\s*-?%\}")  # what transformers alone knows: which words the model wrote
_TOOL = {
    "type": "function",
    "function": {
        "name": "look_about",
        "description": "Looks about.",
        "parameters": {"type": "object", "properties": {"where": {"type": "string"}}},
    },
}


def read_template(path: Path) -> str:
    """The template in a file. Raises ConfigError where there is none, or it is no Jinja, or does not suit."""
    try:
        text = path.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the chat template {path} cannot be read: {error}") from error
    if fault := fault_of(text):
        raise ConfigError(f"the chat template {path} cannot be trained with: {fault}")
    return text


def fault_of(template: str, *, tools: bool = False, tokens: dict[str, str] | None = None) -> str:
    """Why a template does not suit, in words; empty where it does.

    `tools`: it must tell the model of tools, too. `tokens`: special tokens that it may name (`bos_token`).
    """
    import jinja2

    system, user = {"role": "system", "content": "Be S."}, {"role": "user", "content": "Ask A."}
    answer, more = {"role": "assistant", "content": "Say B."}, {"role": "user", "content": "Ask C."}
    last = {"role": "assistant", "content": "Say D."}
    try:
        asked = render(template, [system, user], generation=True, tokens=tokens)
        answered = render(template, [system, user, answer], tokens=tokens)
        again = render(template, [system, user, answer, more], generation=True, tokens=tokens)
        whole = render(template, [system, user, answer, more, last], tokens=tokens)
        offered = render(template, [system, user], tools=[_TOOL], generation=True, tokens=tokens) if tools else ""
    except (jinja2.TemplateError, TypeError, KeyError, AttributeError) as error:
        return f"it cannot be rendered: {error}"
    if any(text not in whole for text in ("Be S.", "Ask A.", "Say B.", "Ask C.", "Say D.")):
        return "it leaves out messages"
    if not (answered.startswith(asked + "Say B.") and again.startswith(answered) and whole.startswith(again)):
        return "it renders earlier turns otherwise once later ones are there"
    if tools and "look_about" not in offered:
        return "it has no place for tools"
    return ""


def render(
    template: str,
    messages: Sequence[dict[str, Any]],
    *,
    tools: Sequence[dict[str, Any]] | None = None,
    generation: bool = False,
    tokens: dict[str, str] | None = None,
) -> str:
    """A conversation as text, as transformers renders it. Raises `jinja2.TemplateError` where it cannot be."""
    import json
    from datetime import UTC, datetime

    import jinja2
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def fail(reason: str) -> None:
        raise jinja2.TemplateError(reason)

    def as_json(value: Any, indent: int | None = None) -> str:
        return json.dumps(value, ensure_ascii=False, indent=indent)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = as_json
    environment.globals["raise_exception"] = fail
    environment.globals["strftime_now"] = lambda form: datetime.now(UTC).strftime(form)
    values = {"messages": list(messages), "tools": tools and list(tools), "add_generation_prompt": generation}
    return environment.from_string(_MARKS.sub("", template)).render(**values, **(tokens or {}))
