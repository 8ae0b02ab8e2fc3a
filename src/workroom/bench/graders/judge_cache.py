"""What judges were asked and said, kept so that nothing is asked and paid for twice.

<bench>/judge/judgements.jsonl       a line per answered call, appended; the last line of a key counts
<bench>/judge/prompts/<digest>.txt   each template that was used, named by SHA-256
<bench>/judge/judge.json             the judge that was last at work: its model and settings
"""

import asyncio
import errno
import json
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final
from weakref import WeakValueDictionary

from workroom.bench.graders.judge_prompt import JudgeTemplate, digest_of
from workroom.bench.graders.verdict import Verdict, read_verdict
from workroom.models.base import Completion, Sampling, Usage
from workroom.trajectory.files import cannot_write, replace_file, to_json

_CUT: Final = ("length", "content_filter")  # what ends a reply before the judge has ended it


@dataclass(frozen=True, slots=True)
class Judgement:
    """A judge's reply. `reply` is the SHA-256 of its text, which else is in the file alone.

    `verdict` is None where the reply tells none or was `cut` off. `usage` is None where the server reported none,
    `cost` (US dollars) where it is unknown. `text`: the reply itself where there is no verdict in it, for asking again.
    `fresh`: it was asked for now, and not found.
    """

    verdict: Verdict | None
    cut: bool
    reply: str
    usage: Usage | None
    cost: float | None
    text: str = ""
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """What one call asks. `texts`: the rendered prompt; in a second attempt the reply to it and what is said to that,
    too. `vote` and `attempt` count from 1."""

    model: str
    sampling: Sampling
    template: JudgeTemplate
    texts: tuple[str, ...]
    vote: int
    attempt: int

    @property
    def key(self) -> str:
        """SHA-256 of all that the reply may depend on."""
        return digest_of(to_json([self.model, asdict(self.sampling), self.texts, self.vote, self.attempt]))


class JudgeCache:
    """A judge's folder, which belongs to who holds the lock of the bench. Nothing is read or written before it is used.

    `refresh`: what earlier instances have written is kept, but asked anew.
    """

    def __init__(self, folder: Path, *, refresh: bool = False) -> None:
        self.folder = folder
        self._path = folder / "judgements.jsonl"
        self._refresh = refresh
        self._known: dict[str, Judgement] | None = None
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._templates: set[str] = set()

    async def ask(
        self,
        question: Question,
        call: Callable[[], Awaitable[Completion]],
        cost: Callable[[Usage], float | None],
        facts: Mapping[str, Any],
    ) -> Judgement:
        """The reply that is known, else that of `call`, written down. Who asks the same meanwhile waits for it.

        `facts` are more to be in its line. Raises what `call` raises, which nobody remembers, and WorkroomError where
        the folder cannot be written.
        """
        key = question.key
        async with self._locks.setdefault(key, asyncio.Lock()):
            if known := self._load().get(key):
                return known
            completion = await call()
            reply = completion.message.content
            price = None if completion.usage is None else cost(completion.usage)
            said = _judgement(reply, completion.finish_reason, completion.usage, price)
            line = {
                "key": key,
                **facts,
                "model": question.model,
                "served": completion.model,
                "sampling": asdict(question.sampling),
                "template": question.template.digest,
                "prompt": digest_of(question.texts[0]),
                "vote": question.vote,
                "attempt": question.attempt,
                "verdict": said.verdict,
                "reply": reply,
                "finish_reason": completion.finish_reason,
                "usage": completion.usage and asdict(completion.usage),
                "cost": price,
                "seconds": round(completion.duration, 3),
                "time": round(time.time(), 3),
            }
            self._keep_template(question.template)
            self._append(line)
            self._load()[key] = said
            return replace(said, fresh=True)

    def describe(self, facts: Mapping[str, Any]) -> None:
        """Writes `judge.json`. Raises WorkroomError where it cannot."""
        self._make(self.folder)
        replace_file(self.folder / "judge.json", f"{to_json(dict(facts), indent=2)}\n".encode())

    def _load(self) -> dict[str, Judgement]:
        if self._known is None:
            self._known = {} if self._refresh else dict(_read(self._path))
        return self._known

    def _keep_template(self, template: JudgeTemplate) -> None:
        if template.digest not in self._templates:
            self._make(self.folder / "prompts")
            replace_file(self.folder / "prompts" / f"{template.digest}.txt", template.text.encode())
            self._templates.add(template.digest)

    def _make(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(folder, error) from error

    def _append(self, line: Mapping[str, Any]) -> None:
        data = to_json(dict(line)).encode() + b"\n"
        try:
            with self._path.open("a+b", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                if size and os.pread(file.fileno(), 1, size - 1) != b"\n":
                    data = b"\n" + data  # a crash left half a line, which must not spoil this one
                whole = file.write(data) == len(data)
                if not whole:
                    os.ftruncate(file.fileno(), size)
        except OSError as error:
            raise cannot_write(self._path, error) from error
        if not whole:
            raise cannot_write(self._path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))


def _judgement(reply: str, finish_reason: str, usage: Usage | None, cost: float | None) -> Judgement:
    """What the reply means by the present rules, whenever it was given."""
    cut = finish_reason in _CUT
    verdict = None if cut else read_verdict(reply)
    return Judgement(verdict, cut, digest_of(reply), usage, cost, reply if verdict is None else "")


def _read(path: Path) -> Iterator[tuple[str, Judgement]]:
    """What the lines hold; a line that a crash has damaged is as good as none, and its question is asked again."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        for data in file:
            try:
                line = json.loads(data)
                usage = None if line["usage"] is None else Usage(**line["usage"])
                yield line["key"], _judgement(line["reply"], line["finish_reason"], usage, line["cost"])
            except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
                continue
