"""The live view: what an episode does, line by line on stderr.

Lines only, so that a log file reads like the screen. On a terminal one more line at the bottom says what is going on
right now and is wiped before the next real one.
"""

import json
import shutil
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from workroom.cli.text import cut, fold, harmless, one_line
from workroom.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workroom.trajectory.events import (
        AssistantTurn,
        Call,
        EpisodeFinished,
        EpisodeStarted,
        Event,
        ModelDelta,
        TokenUsage,
        ToolFinished,
    )

THOUGHT_LINES = 24
COMMAND_LINES = 24
OUTPUT_LINES = 12
_TAIL = 400  # characters of the streamed answer that are kept for the status line

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


@dataclass
class View:
    """Writes events and progress to `stream`. `live` adds the status line; both it and `colour` need a terminal.

    With `quiet` it writes nothing.
    """

    stream: TextIO
    colour: bool = False
    live: bool = False
    quiet: bool = False
    max_turns: int | None = None
    width: int | None = None
    _redactor: Redactor = field(default_factory=Redactor)
    _calls: dict[str, "Call"] = field(default_factory=dict)
    _shown: set[str] = field(default_factory=set)
    _tokens: int = 0
    _doing: str = ""
    _since: float = 0.0
    _streamed: str = ""
    _status: bool = False
    _broken: bool = False

    def progress(self, message: str) -> None:
        """A step of the preparation (image, model, sandbox)."""
        self._line(self._paint("· " + cut(one_line(message), self._cells(2)), "dim"))
        self._now("")

    def notice(self, message: str) -> None:
        """Something that the user should know and that is no step."""
        self._line(self._paint("! " + one_line(message), "yellow"))

    def event(self, event: "Event") -> None:
        """Shows one event of the episode."""
        handler = getattr(self, f"_on_{event.type}", None)
        if handler is not None:
            handler(event)

    def take_up(self, events: "Iterable[Event]") -> None:
        """Counts what an earlier part of the run has used."""
        usages = (event.usage for event in events if event.type == "assistant")
        self._tokens += sum(usage.prompt + usage.completion for usage in usages)

    def tick(self) -> None:
        """Renews the status line; called a few times a second."""
        if not self.live or not self._doing:
            return
        seconds = time.monotonic() - self._since
        text = f"{self._doing} · {seconds:.0f} s"
        room = self._cells(len(text) + 3)
        tail = one_line(self._streamed)[-room:] if room > 0 else ""
        self._write("\r\x1b[2K" + self._paint(cut(f"{text} · {tail}" if tail else text, self._cells(1)), "dim"))
        self._status = True

    def status(self, text: str) -> None:
        """Renews the status line with a text of its own."""
        if self.live:
            self._write("\r\x1b[2K" + self._paint(cut(one_line(text), self._cells(1)), "dim"))
            self._status = True

    def close(self) -> None:
        """Wipes the status line."""
        self._now("")

    def _on_episode_started(self, event: "EpisodeStarted") -> None:
        names = event.documents
        if names:
            shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
            self.progress(f"{_count(len(names), 'document')}: {shown}")

    def _on_episode_resumed(self, event: Any) -> None:
        again = f", after {_count(event.replayed, 'tool call')} run again" if event.replayed else ""
        self.progress(f"going on after turn {event.turn}{again}" if event.turn else "beginning anew: no turn was whole")

    def _on_turn_started(self, event: Any) -> None:
        self._streamed = ""
        self._now(f"turn {event.turn} · waiting for the model")

    def _on_model_delta(self, event: "ModelDelta") -> None:
        if not self._streamed:
            self._now(f"turn {event.turn} · the model is writing")
        self._streamed = (self._streamed + event.text)[-_TAIL:]

    def _on_model_waiting(self, event: Any) -> None:
        if event.usage is not None:
            self._tokens += event.usage.prompt + event.usage.completion
        self.notice(f"{event.error}; trying again in {event.seconds:.0f} s (try {event.attempt})")
        self._now(f"turn {event.turn} · waiting to try again")

    def _on_assistant(self, event: "AssistantTurn") -> None:
        self._tokens += event.usage.prompt + event.usage.completion
        of = f"/{self.max_turns}" if self.max_turns else ""
        about = "~" if event.usage.estimated else ""
        head = (
            f"turn {event.turn}{of} · {event.duration:.1f} s · "
            f"{about}{event.usage.prompt:,} tokens in, {about}{event.usage.completion:,} out · "
            f"total {self._tokens:,} tokens, {event.elapsed:.1f} s"
        )
        self._line(self._paint(head, "bold"))
        for text, style in ((event.reasoning or "", "dim"), (event.content, "")):
            if text.strip():
                self._block(text.strip("\n"), THOUGHT_LINES, "  ", style)
        if event.finish_reason in ("length", "content_filter"):
            self.notice(f"the answer was cut by the model's server ({event.finish_reason})")
        self._calls.update((call.id, call) for call in event.calls)
        self._now("")

    def _on_tool_started(self, event: Any) -> None:
        self._show_call(event.call)
        self._streamed = ""
        self._now(f"turn {event.turn} · {one_line(event.call.name)} is running")

    def _on_tool(self, event: "ToolFinished") -> None:
        if event.call_id not in self._shown and event.call_id in self._calls:
            self._show_call(self._calls[event.call_id])
        self._shown.discard(event.call_id)
        self._block(event.observation, OUTPUT_LINES, "  │ ", "red" if event.is_error else "dim")
        if event.duration >= 1:
            self._line(self._paint(f"  └ {event.duration:.1f} s", "dim"))
        self._now("")

    def _on_reminder(self, event: Any) -> None:
        self._block(event.text, 3, "  » ", "yellow")

    def _on_context_trimmed(self, event: Any) -> None:
        what = _count(event.observations, "old observation") if event.observations else "earlier messages"
        self.notice(f"the context is full: {what} shortened")

    def _on_egress(self, event: Any) -> None:
        if event.verdict not in ("allowed", "ok"):
            self.notice(f"network: {event.host}:{event.port} {event.verdict}")

    def _on_episode_finished(self, event: "EpisodeFinished") -> None:
        cost = f" · ${event.cost:.4f}" if event.cost else ""
        good = event.stop_reason == "submitted"
        text = (
            f"{event.stop_reason.replace('_', ' ')} after {_count(event.turns, 'turn')} · {_usage(event.usage)} · "
            f"{event.duration:.1f} s (model {event.model_seconds:.1f}, tools {event.tool_seconds:.1f}){cost}"
        )
        self._line(self._paint(text, "green" if good else "yellow"))
        self._now("")

    def _show_call(self, call: "Call") -> None:
        self._shown.add(call.id)
        self._block(describe_call(call.name, call.arguments), COMMAND_LINES, "  ", "cyan")

    def _block(self, text: str, lines: int, indent: str, style: str) -> None:
        for line in fold(text, lines=lines, cells=self._cells(len(indent))):
            self._line(indent + self._paint(line, style))

    def _cells(self, used: int) -> int:
        width = self.width or shutil.get_terminal_size((120, 24)).columns
        return max(20, width - used)

    def _now(self, doing: str) -> None:
        self._doing = doing
        self._since = time.monotonic()
        if self._status:
            self._write("\r\x1b[2K")
            self._status = False

    def _paint(self, text: str, style: str) -> str:
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self.colour and style else text

    def _line(self, text: str) -> None:
        prefix = "\r\x1b[2K" if self._status else ""
        self._status = False
        self._write(prefix + text + "\n")

    def _write(self, text: str) -> None:
        """Nobody reading the view any more must not end the run."""
        if self._broken or self.quiet:
            return
        try:
            self.stream.write(self._redactor.text(text))
            self.stream.flush()
        except OSError:
            self._broken = True


def describe_call(name: str, arguments: str) -> str:
    """A tool call as a person reads it. `arguments` may be anything, as the model wrote it. Not made harmless yet."""
    try:
        values = json.loads(arguments)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        return f"{name} {arguments}".rstrip()
    if name == "execute_bash" and isinstance(values.get("command"), str):
        first, *rest = values["command"].rstrip("\n").split("\n")
        return "\n".join([f"$ {first}", *(f"> {line}" for line in rest)])
    if name == "str_replace_editor":
        return _describe_edit(values)
    if not values:
        return name
    return f"{name} {json.dumps(values, ensure_ascii=False)}"


def _describe_edit(values: dict[str, Any]) -> str:
    head = f"{values.get('command', '?')} {values.get('path', '?')}"
    if values.get("view_range") is not None:
        head += f" {values['view_range']}"
    if values.get("insert_line") is not None:
        head += f" after line {values['insert_line']}"
    lines = [head]
    for key, sign in (("old_str", "- "), ("new_str", "+ "), ("file_text", "+ ")):
        if isinstance(values.get(key), str):
            lines += [sign + line for line in values[key].rstrip("\n").split("\n")]
    return "\n".join(lines)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _usage(usage: "TokenUsage") -> str:
    about = "~" if usage.estimated else ""
    return f"{about}{usage.prompt + usage.completion:,} tokens ({usage.prompt:,} in, {usage.completion:,} out)"


def wants_colour(stream: TextIO, environment: "dict[str, str] | Any") -> bool:
    """Colours only on a terminal that has them, and never where NO_COLOR is set to something."""
    return stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


__all__ = ["View", "describe_call", "harmless", "wants_colour"]
