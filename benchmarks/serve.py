"""`workroom serve` under load: many conversations at once with a scripted model that answers at once.

    python -m benchmarks.serve [--conversations 64] [--seconds 300] [--requests 3]

Each client makes one conversation after the other with the official `openai` client: a first request with a file in,
more in the same conversation (every second one streamed), each with a file out that is fetched and compared; then the
conversation is removed. A request is an episode of two turns: a command that reads the file and writes another, and the
answer. Every answer, file and conversation id is checked.

overhead   a request's time at the client, less the time of its episode's loop (model calls and tool calls) as the
           server tells it: HTTP, queue, opening the sandbox, saving its files, bringing files out. Client and server
           share the cores
beside     as many of the same episodes at a time in this process, without a server, each in a sandbox of its own
leaks      every five seconds: processes below the server, its memory and open files, sandboxes, entries of its state
           directory. Two fifths of the time are to warm up; then the median of the last fifth beside that of the third
after      what is left once the server was told to stop
"""

import argparse
import asyncio
import base64
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai

from workroom import arun
from workroom.sandbox.ledger import entries

COMMAND = "wc -c < documents/in.txt > output/out.txt; echo $RANDOM >> output/log.txt; cat output/out.txt"
CONTENT = b"x" * 20_000
EVERY = 5.0  # seconds between two samples
KEY = "sk-load-test"


def script() -> str:
    """One command, then the answer."""
    function = {"name": "execute_bash", "arguments": json.dumps({"command": COMMAND})}
    call = {"id": "c1", "type": "function", "function": function}
    lines: list[dict[str, Any]] = [
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "assistant", "content": "It is in out.txt."},
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


@dataclass
class Found:
    """What the clients saw. Times in seconds."""

    requests: list[float] = field(default_factory=list)
    overhead: list[float] = field(default_factory=list)
    conversations: int = 0
    errors: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Sample:
    """The server at one moment. `memory` in bytes."""

    time: float
    processes: int
    memory: int
    files: int
    sandboxes: int
    entries: int


async def converse(client: openai.AsyncOpenAI, requests: int, found: Found) -> None:
    """One conversation from its first request to its removal."""
    data = "data:text/plain;base64," + base64.b64encode(CONTENT).decode()
    part = {"type": "file", "file": {"filename": "in.txt", "file_data": data}}
    name = None
    for number in range(requests):
        text: Any = "How large is the file?"
        content = [{"type": "text", "text": text}, part] if number == 0 else text
        began = time.monotonic()
        message, facts, conversation = await ask(client, content, name, streamed=number % 2 == 1)
        spent = time.monotonic() - began
        if name not in (None, conversation):
            raise AssertionError("another conversation")
        name = conversation
        files = {file["filename"]: file["id"] for file in message["files"]}
        got = (await client.files.content(files["out.txt"])).content
        if got != f"{len(CONTENT)}\n".encode() or not message["content"].startswith("It is in out.txt."):
            raise AssertionError("a wrong answer")
        found.requests.append(spent)
        found.overhead.append(spent - facts["duration"])
    await client.delete(f"/conversations/{name}", cast_to=object)
    found.conversations += 1


async def ask(
    client: openai.AsyncOpenAI, content: Any, name: str | None, *, streamed: bool
) -> tuple[dict[str, Any], dict[str, Any], str]:
    """The message, what the server tells of the work, and the conversation's id."""
    asked: dict[str, Any] = {"model": MODEL[0], "messages": [{"role": "user", "content": content}]}
    if name is not None:
        asked["extra_body"] = {"conversation": name}
    if not streamed:
        whole = (await client.chat.completions.create(**asked)).model_dump()
        return whole["choices"][0]["message"], whole["workroom"], whole["conversation"]["id"]
    text = ""
    async for chunk in await client.chat.completions.create(**asked, stream=True):
        last = chunk.model_dump()
        text += last["choices"][0]["delta"].get("content") or ""
    return (
        {"content": text, "files": last["choices"][0]["delta"]["files"]},
        last["workroom"],
        last["conversation"]["id"],
    )


MODEL = [""]  # the name of the model, once it is known


async def load(
    url: str, conversations: int, seconds: float, requests: int, samples: list[Sample], pid: int, state: Path
) -> Found:
    found, end = Found(), time.monotonic() + seconds

    async def client_of_many() -> None:
        async with openai.AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0, timeout=120) as client:
            while time.monotonic() < end:
                try:
                    await converse(client, requests, found)
                except (openai.APIError, AssertionError, KeyError) as error:
                    found.errors[f"{type(error).__name__}: {error}"] += 1

    async def watch() -> None:
        began = time.monotonic()
        while True:
            samples.append(await asyncio.to_thread(sample, pid, state, began))
            await asyncio.sleep(EVERY)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(client_of_many() for _ in range(conversations)))
    watching.cancel()
    return found


def sample(pid: int, state: Path, began: float) -> Sample:
    """Counts what the server has now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return Sample(
        time.monotonic() - began,
        len(below(pid)),
        pages * os.sysconf("SC_PAGE_SIZE"),
        sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()),
        sum(entry.pid == pid for entry in entries()),
        sum(len(folders) + len(names) for _, folders, names in os.walk(state)),
    )


def below(pid: int) -> list[int]:
    """All processes that descend from one."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                stat = (path / "stat").read_text()
            except OSError:
                continue
            children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(path.name))
    found, left = [], [pid]
    while left:
        left += (new := children.get(left.pop(), []))
        found += new
    return found


async def beside(folder: Path, at_once: int, count: int) -> tuple[float, list[float]]:
    """Episodes a second in this process, and how long each took."""
    free, times = asyncio.Semaphore(at_once), []
    document = folder / "in.txt"
    document.write_bytes(CONTENT)
    # In a run the answer is a file.
    lines = script().splitlines()
    call = json.loads(lines[0])
    function = call["tool_calls"][0]["function"]
    function["arguments"] = json.dumps({"command": f"{COMMAND}; cp output/out.txt answer.txt"})
    end = {"id": "c2", "type": "function", "function": {"name": "submit", "arguments": "{}"}}
    (folder / "run.jsonl").write_text(json.dumps(call) + "\n" + json.dumps({**call, "tool_calls": [end]}) + "\n")

    async def one(number: int) -> None:
        async with free:
            began = time.monotonic()
            result = await arun(
                "How large is the file?", model=f"scripted/{folder}/run.jsonl", files=[document], network="none",
                out=folder / "runs" / str(number), checkpoints=False,
            )  # fmt: skip
            assert result.answer == str(len(CONTENT)), result.error
            times.append(time.monotonic() - began)

    began = time.monotonic()
    await asyncio.gather(*(one(number) for number in range(count)))
    return count / (time.monotonic() - began), times


def start(folder: Path, conversations: int) -> "tuple[subprocess.Popen[str], str]":
    """The server and its URL."""
    (folder / "script.jsonl").write_text(script())
    command = [sys.executable, "-m", "workroom", "serve", "-m", f"scripted/{folder}/script.jsonl", "--port", "0"]
    command += ["--network", "none", "--state", str(folder / "state"), "--concurrency", str(conversations)]
    with (folder / "log").open("w") as log:
        environment = {**os.environ, "WORKROOM_API_KEY": KEY}
        server = subprocess.Popen(command, env=environment, stderr=log, text=True, cwd=folder)
    end = time.monotonic() + 120
    while time.monotonic() < end and server.poll() is None:
        for line in (folder / "log").read_text().splitlines():
            if line.startswith("workroom serve: http"):
                return server, line.split()[2]
        time.sleep(0.1)
    raise SystemExit((folder / "log").read_text())


def milliseconds(values: list[float]) -> str:
    ordered = sorted(values)
    p99 = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    return f"{1000 * statistics.median(ordered):,.0f} | {1000 * p99:,.0f} | {1000 * ordered[-1]:,.0f}"


def report_leaks(samples: list[Sample]) -> None:
    fifth = max(1, len(samples) // 5)
    early, late = samples[2 * fifth : 3 * fifth] or samples, samples[-fifth:]
    print("\n| | third fifth, median | last fifth, median | most |")
    print("|---|--:|--:|--:|")
    for name in ("processes", "memory", "files", "sandboxes", "entries"):
        scale, unit = (2**20, " MiB") if name == "memory" else (1, "")
        of = [[getattr(one, name) / scale for one in part] for part in (early, late, samples)]
        values = (statistics.median(of[0]), statistics.median(of[1]), max(of[2]))
        print(f"| {name} | {' | '.join(f'{value:,.0f}{unit}' for value in values)} |")


def stop(server: "subprocess.Popen[str]", state: Path) -> None:
    children = below(server.pid)
    server.send_signal(signal.SIGTERM)
    code = server.wait(120)
    time.sleep(1)  # the last ones are still being buried
    left = [pid for pid in children if Path(f"/proc/{pid}").exists()]
    boxes = sum(entry.pid == server.pid for entry in entries())
    conversations = len(list((state / "conversations").iterdir()))
    print(
        f"\nafter SIGTERM: exit code {code}, {len(left)} processes, {boxes} sandboxes, "
        f"{conversations} conversations left"
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--requests", type=int, default=3)
    chosen = parser.parse_args(arguments)
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory(prefix="workroom-load-") as name:
        folder = Path(name)
        server, url = start(folder, chosen.conversations)
        state = folder / "state"
        try:
            with openai.OpenAI(base_url=url, api_key=KEY) as client:
                MODEL[0] = client.models.list().data[0].id
            work = load(url, chosen.conversations, chosen.seconds, chosen.requests, samples, server.pid, state)
            began = time.monotonic()
            found = asyncio.run(work)
            spent = time.monotonic() - began
        finally:
            if server.poll() is None:
                stop(server, state)
        count = min(max(len(found.requests) // 4, chosen.conversations), 1000)
        rate, times = asyncio.run(beside(folder, chosen.conversations, count))
    print(f"\n{chosen.conversations} clients, {spent:.0f} s: {found.conversations:,} conversations, ", end="")
    print(f"{len(found.requests):,} requests, {found.errors.total()} errors")
    for words, times_seen in found.errors.most_common(5):
        print(f"  {times_seen} × {words}")
    print("\n| ms | median | p99 | most | a second |")
    print("|---|--:|--:|--:|--:|")
    print(f"| a request at the client | {milliseconds(found.requests)} | {len(found.requests) / spent:.1f} |")
    print(f"| of it overhead | {milliseconds(found.overhead)} | |")
    print(f"| the same episode without a server | {milliseconds(times)} | {rate:.1f} |")
    report_leaks(samples)
    return 1 if found.errors else 0


if __name__ == "__main__":
    raise SystemExit(main())
