"""Runs to look at: directories as a run leaves them, made of events without a sandbox or a model."""

import base64
import hashlib
import json
import math
import struct
import wave
import zlib
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from workroom.sandbox.base import FileEntry
from workroom.trajectory import (
    AssistantTurn,
    Call,
    ContextTrimmed,
    Egress,
    EpisodeFinished,
    EpisodeStarted,
    Event,
    ModelWaiting,
    Reminder,
    TokenUsage,
    ToolFinished,
    TurnStarted,
)
from workroom.trajectory.events import EpisodeResumed, Picture
from workroom.trajectory.rundir import RunDirectory

PROMPT = "Count the pumps that failed in March, draw them, and write a short report about what you found."
START = 1_790_000_000.0


def write_run(
    directory: Path,
    events: Iterable[Event],
    files: Mapping[str, bytes] | None = None,
    *,
    prompt: str = PROMPT,
    documents: Mapping[str, str] | None = None,
    finish: bool = True,
) -> Path:
    """A run of these events, numbered in their order unless they have numbers, and files."""
    task = {
        "id": "pumps",
        "domain": "general",
        "prompt": prompt,
        "documents": {name: {"text": text} for name, text in (documents or {}).items()},
    }
    config = {"max_turns": {"value": 100, "origin": "default"}, "network": {"value": "packages", "origin": "default"}}
    with RunDirectory.create(directory, config, facts={"task": task, "model": "scripted/pumps"}) as run:
        run.durable = False
        for name, data in (files or {}).items():
            path = run.files_dir / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        for number, event in enumerate(events):
            event.seq = event.seq or number
            event.time, event.elapsed = START + number, float(number)
            run.record(event)
        if finish:
            entries = [
                FileEntry(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in (files or {}).items()
            ]
            run.finish(entries)
    return directory


def go_on(run: RunDirectory, events: list[Event]) -> None:
    """Records those of the events that the run has not yet, a second each."""
    for number, event in enumerate(events[len(run.events) :], len(run.events)):
        event.seq, event.elapsed = number, float(number)
        run.record(event)


def begun(prompt: str = PROMPT, documents: Iterable[str] = ()) -> EpisodeStarted:
    return EpisodeStarted(
        episode="e1",
        task="pumps",
        mode="sandbox",
        model="scripted/pumps",
        protocol="native",
        messages=[{"role": "system", "content": "You work with a computer."}, {"role": "user", "content": prompt}],
        tools=[{"type": "function", "function": {"name": "execute_bash"}}],
        documents=list(documents),
        sandbox={"backend": "bwrap", "image": "default", "network": "packages", "notices": []},
    )


def ended(answer: str | None = "58", turns: int = 1, **more: Any) -> EpisodeFinished:
    usage = TokenUsage(prompt=12_345, completion=678, cached=9000, reasoning=120, environment=400)
    told: dict[str, Any] = {"stop_reason": "submitted", "cost": 0.0123, "duration": 61.5, "model_seconds": 40.0}
    return EpisodeFinished(answer=answer, turns=turns, usage=usage, **(told | {"tool_seconds": 20.0} | more))


def turn(
    number: int,
    *calls: tuple[str, dict[str, Any] | str],
    content: str = "",
    reasoning: str | None = None,
    observations: Iterable[str | ToolFinished] = (),
) -> list[Event]:
    """A turn with its calls and what answered them. Arguments that are a text stand as they are."""
    made = [
        Call(id=f"c{number}-{place}", name=name, arguments=given if isinstance(given, str) else json.dumps(given))
        for place, (name, given) in enumerate(calls)
    ]
    events: list[Event] = [
        TurnStarted(turn=number, remaining={"turns": float(100 - number)}),
        AssistantTurn(
            turn=number,
            content=content,
            reasoning=reasoning,
            calls=made,
            usage=TokenUsage(prompt=900 + number * 150, completion=40 + number % 7 * 30, cached=800),
            duration=0.8 + number % 5 * 0.4,
        ),
    ]
    for call, seen in zip(made, observations, strict=False):
        events.append(seen if isinstance(seen, ToolFinished) else _answered(number, call, seen))
    return events


def _answered(number: int, call: Call, text: str) -> ToolFinished:
    facts = {"exit_code": 0} if call.name == "execute_bash" else {}
    return ToolFinished(turn=number, call_id=call.id, name=call.name, observation=text, duration=0.31, facts=facts)


def bash(number: int, command: str, output: str, content: str = "", **facts: Any) -> list[Event]:
    """A turn with one command."""
    told = {"exit_code": 0} | facts
    result = ToolFinished(
        turn=number,
        call_id=f"c{number}-0",
        name="execute_bash",
        observation=f"[exit code: {told['exit_code']}]\n[stdout]\n{output}",
        is_error=bool(told["exit_code"]),
        duration=0.42,
        facts=told,
    )
    return turn(number, ("execute_bash", {"command": command}), content=content, observations=[result])


def many(count: int) -> list[Event]:
    """An episode of so many turns."""
    events: list[Event] = [begun()]
    for number in range(1, count + 1):
        output = "\n".join(f"pump-{number % 9} line {line}: pressure {line * 7 % 13}" for line in range(number % 23))
        command = f"grep -c 'pump-{number % 9}' documents/day-{number}.log"
        events += bash(number, command, output, f"Day {number} is next.")
    return [*events, ended(turns=count)]


LIST = "# what is there?\nls -la /testbed/documents && head -n 3 \"$HOME/march.csv\" | tr 'a' 'b'"
LONG = "\n".join(f"{line:4d}  pump-{line % 7}  ERROR  seal temperature {line % 50 + 60}" for line in range(300))
THOUGHTS = "The heading is no row.\n" + "\n".join(f"Thought {line}: there is more to count." for line in range(20))
CREATE = {"command": "create", "path": "/testbed/plot.py", "file_text": "import csv\n\nprint(len(rows))\n"}
REPLACE = {
    "command": "str_replace",
    "path": "/testbed/plot.py",
    "old_str": "import csv\n\nprint(len(rows))",
    "new_str": "import csv\n\nrows = list(csv.reader(open('march.csv')))\nprint(len(rows) - 1)",
}
INSERT = {"command": "insert", "path": "/testbed/plot.py", "insert_line": 2, "new_str": "# the heading is no row"}
LOOK = {"command": "view", "path": "/testbed/output/pumps.png"}


def rich() -> list[Event]:
    """An episode with a bit of everything that a page shows."""
    edits = [("str_replace_editor", arguments) for arguments in (CREATE, REPLACE, INSERT)]
    picture = ToolFinished(
        turn=4,
        call_id="c4-0",
        name="str_replace_editor",
        observation="A picture of 64 x 40 pixels. You see it with this result.",
        duration=0.05,
        images=[Picture(media_type="image/png", data=base64.b64encode(png(64, 40)).decode())],
    )
    second = turn(
        2,
        ("execute_bash", {"command": "cat documents/march.csv"}),
        reasoning=THOUGHTS,
        content="I read the whole log.",
        observations=[f"[exit code: 0]\n[stdout]\n{LONG}"],
    )
    second.insert(1, ModelWaiting(turn=2, attempt=1, seconds=2.5, error="the provider asks to slow down"))
    events = [
        begun(documents=["march.csv", "notes/stations.txt"]),
        *bash(1, LIST, "march.csv\nnotes", "I look at the documents first."),
        *second,
        Egress(host="registry.example", port=443, verdict="refused", sent=120),
        *turn(3, *edits, content="Now a program.", observations=["Created.", "Replaced.", "Inserted."]),
        *turn(4, ("str_replace_editor", LOOK), content="I look at the picture.", observations=[picture]),
        *bash(5, "python plot.py --bad", "Traceback: no such option", "It fails.", exit_code=2),
        *bash(6, "echo lost", "lost", "This is put aside later."),
    ]
    for number, event in enumerate(events):
        event.seq = number
    kept = next(event.seq for event in events if event.type == "turn_started" and event.turn == 6) - 1
    sixth = bash(6, "python plot.py", "58", "Once more.")
    sixth.insert(1, ContextTrimmed(turn=6, observations=3, window=32_768))
    return [
        *events,
        EpisodeResumed(turn=5, after=kept, replayed=2),
        Reminder(turn=5, reason="resumed", text="The run went on. Look at what is there."),
        *sixth,
        *turn(7, content="I think that is all."),
        Reminder(turn=7, reason="no_tool_call", text="Your reply held no tool call. Go on with one."),
        *turn(8, ("submit", {}), observations=["Submitted."]),
        ended("**58** pumps failed.\n\nSee `pumps.png`.", turns=8),
    ]


HTML = b"""<!doctype html><style>h1 { color: rgb(0, 128, 0) }</style>
<h1>Pumps</h1><p style='color: rgb(0, 0, 255)'>58 failed.</p>"""


def files() -> dict[str, bytes]:
    """What such an episode may leave."""
    return {
        "pumps.png": png(320, 160),
        "tone.wav": tone(),
        "march.csv": b'pump,station,errors\n1,alder,14\n2,"birch, old",9\n3,cedar,35\n',
        "report/report.html": HTML,
        "report/summary.txt": b"58 pumps failed in March.\nMost of them at the station cedar.\n",
        "report/scan.pdf": b"%PDF-1.4\n%%EOF\n",
    }


def png(width: int, height: int) -> bytes:
    """A picture: a soft gradient."""
    line = [
        b"".join(bytes((60 + x * 120 // width, 120 + y * 90 // height, 190)) for x in range(width))
        for y in range(height)
    ]
    rows = b"".join(b"\0" + pixels for pixels in line)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tone() -> bytes:
    """A second of a tone as WAV."""
    data = BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"".join(struct.pack("<h", int(9000 * math.sin(place / 3))) for place in range(8000)))
    return data.getvalue()
