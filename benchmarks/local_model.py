"""What the local model solves: dev items of two domains, in sandbox mode and in LLM mode.

    python -m benchmarks.local_model [--items 20] [--max-turns 8] [--max-time S] [--out DIR]

Reads two files of each domain below WORKROOM_DATA (default ../shared/data), the same number of items from the start of
each; the third file of context_qa has long documents, which would take a small CPU too long. Prints a table and leaves
every run directory. Two rates are told, neither of which is a benchmark score: *equal* (the answer is the reference,
after case, punctuation, articles and number format are evened out) and *holds* (the reference stands in the answer as
whole words, which a talkative model gets more easily).
"""

import argparse
import asyncio
import itertools
import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from workroom import RunResult, Task, arun

DOMAINS = {"context_qa": ("wikitablequestions_train", "xquad_en"), "math": ("gsm8k", "math500")}
MODES = ("sandbox", "llm")
PLANT_FAILURES = ("model_error", "sandbox_error")


@dataclass
class Tally:
    """One row of the table."""

    items: int = 0
    equal: int = 0
    holds: int = 0
    submitted: int = 0
    failures: int = 0
    turns: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, reference: str, result: RunResult) -> None:
        answer = normal(result.answer or "")
        wanted = normal(reference)
        self.items += 1
        self.equal += answer == wanted
        self.holds += f" {wanted} " in f" {answer} "
        self.submitted += result.stop_reason == "submitted"
        self.failures += result.stop_reason in PLANT_FAILURES
        self.turns.append(result.turns)
        self.tokens.append(result.usage.prompt + result.usage.completion)
        self.seconds.append(result.duration)

    def row(self, domain: str, mode: str) -> str:
        mean = self.items or 1
        cells = [
            *(domain, mode, f"{self.items}", f"{self.equal}", f"{self.holds}", f"{self.submitted}", f"{self.failures}"),
            *(f"{sum(self.turns) / mean:.1f}", f"{sum(self.tokens) / mean:,.0f}", f"{sum(self.seconds) / mean:.1f}"),
        ]
        return "| " + " | ".join(cells) + " |"


def normal(text: str) -> str:
    """Lower case, no markup, articles or punctuation, plain numbers: `$1,999.0$` and `the 1999` are both `1999`."""
    boxed = re.search(r"\\boxed\{(.*)\}", text)
    text = (boxed[1] if boxed else text).lower().replace("$", " ").replace("\\%", " ").replace("\\left", "")
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text.replace("\\right", ""))
    text = re.sub(r"\b(\d+)\.0+\b", r"\1", text)
    text = re.sub(r"\b(a|an|the)\b", " ", text)
    return " ".join(re.sub(r"[^\w\\{}^+/*=.-]|[.](?!\d)", " ", text).split())


def items(domain: str, count: int, data: Path) -> Iterator[Task]:
    """The first items of each file of the domain in turn, `count` in all."""
    files = [(data / domain / f"{name}.jsonl").read_text(encoding="utf-8").split("\n") for name in DOMAINS[domain]]
    rows = (line for lines in itertools.zip_longest(*files) for line in lines if line)
    for line in itertools.islice(rows, count):
        row = json.loads(line)
        documents = {document["name"]: document["text"] for document in row.get("documents") or []}
        yield Task(row["question"], id=row["id"], domain=domain, documents=documents, answer=row["answer"])


async def measure(options: argparse.Namespace, data: Path) -> None:
    """One item of each domain and mode after the other, so that a run that is broken off has as many of each."""
    tasks = {domain: list(items(domain, options.items, data)) for domain in DOMAINS}
    tallies = {cell: Tally() for cell in itertools.product(DOMAINS, MODES)}
    try:
        for number in range(options.items):
            for (domain, mode), tally in tallies.items():
                task = tasks[domain][number]
                result = await arun(
                    task,
                    model=options.model,
                    out=Path(options.out) / domain / mode / task.id,
                    mode=mode,
                    network="none",
                    max_turns=options.max_turns,
                    max_time=options.max_time,
                    seed=options.seed,
                )
                tally.add(task.answer or "", result)
    finally:
        print("| domain | mode | items | equal | holds | submitted | plant failures | turns | tokens | seconds |")
        print("|---|---|---|---|---|---|---|---|---|---|")
        for (domain, mode), tally in tallies.items():
            print(tally.row(domain, mode))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=20, help="of each domain")
    parser.add_argument("--model", default=None)
    parser.add_argument("--max-turns", type=int, default=8)
    parser.add_argument("--max-time", type=float, default=None, help="seconds an episode")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", default=f"runs/local-model-{time.strftime('%Y%m%d-%H%M%S')}")
    data = Path(os.environ.get("WORKROOM_DATA", "../shared/data"))
    if not data.is_dir():
        raise SystemExit(f"{data} is missing: set WORKROOM_DATA to the folder with the items")
    asyncio.run(measure(parser.parse_args(), data))


if __name__ == "__main__":
    main()
