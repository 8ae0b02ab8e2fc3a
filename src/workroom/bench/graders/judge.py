"""A language model as the grader: it says whether an answer means the same as the reference, in several votes."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workroom.bench.graders.judge_cache import JudgeCache, Judgement, Question
from workroom.bench.graders.judge_prompt import JudgeTemplate, asked_again, cut, digest_of, find_template, variant_of
from workroom.bench.graders.verdict import Verdict
from workroom.bench.score import Score
from workroom.errors import ConfigError, ModelError
from workroom.models.base import Message, Model, Sampling, Usage
from workroom.models.messages import merged
from workroom.models.retry import RetryPolicy, complete

if TYPE_CHECKING:
    from workroom.agent.limits import Prices
    from workroom.bench.suite import Suite
    from workroom.task import Task

VOTES: Final = 3
_ATTEMPTS: Final = 2  # a reply without a verdict is asked for once more
_EXTRACT: Final = 1_000  # characters of an answer that its score repeats


def settings_of(suite: "Suite", grader: str) -> Mapping[str, Any]:
    """What the suite says in `[judge]` for this grader, `[judge.VARIANT]` going before: `votes`, and `first`, the
    grader that is asked before; what it finds right, no judge is asked about."""
    general = {name: value for name, value in suite.judge.items() if not isinstance(value, Mapping)}
    own = suite.judge.get(variant_of(grader))
    return general | dict(own) if isinstance(own, Mapping) else general


@dataclass
class Spent:
    """What calls used that were made and not found in the cache. `cost` in US dollars, None where one is unknown."""

    calls: int = 0
    usage: Usage = field(default_factory=Usage)
    cost: float | None = 0.0

    def add(self, judgement: Judgement) -> None:
        """Counts a call."""
        self.calls += 1
        self.usage += judgement.usage or Usage()
        self.cost = _sum([self.cost, judgement.cost])


@dataclass(frozen=True, slots=True)
class Vote:
    """What came of asking once. `verdict` is None for a void one, and `reason` then says why."""

    verdict: Verdict | None
    replies: tuple[Judgement, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Ballot:
    """What is asked about one answer: `left_out` characters of it are not shown."""

    votes: int
    sampling: Sampling
    template: JudgeTemplate
    prompt: str
    left_out: int


class Judge:
    """Asks `model`, with retries, several times about each answer, and keeps all that is said in `folder`.

    `votes`: None for what the suite says, else three. `sampling`: what it leaves open is the model's own; with a seed,
    each call about an answer has one of its own. `prices` tells what calls cost. `refresh`: ask anew, whatever was said
    before. `base_url` is written down with the model. Raises ConfigError where there is no vote.
    """

    def __init__(
        self,
        model: Model,
        folder: Path,
        votes: int | None = None,
        sampling: Sampling | None = None,
        *,
        prices: "Prices | None" = None,
        refresh: bool = False,
        retry: RetryPolicy | None = None,
        base_url: str | None = None,
    ) -> None:
        self.model = model
        self._base_url = base_url
        self.spent = Spent()
        if votes is not None and votes < 1:
            raise ConfigError(f"a judge needs at least one vote, not {votes}")
        self._votes = votes
        self._sampling = sampling
        self._prices = prices
        self._retry = retry
        self._cache = JudgeCache(folder, refresh=refresh)
        self._described: dict[str, Any] = {}

    def check(self, suite: "Suite", task: "Task") -> None:
        """Raises ConfigError, before anything is asked, where the judge's prompt could not be made."""
        self._prepare(suite, task, "answer")

    async def grade(self, suite: "Suite", task: "Task", answer: str) -> Score:
        """1.0 where more than half of the valid votes say correct, 0.0 else; a tie is not correct.

        Unscored where fewer than half of the votes are valid, or nothing can be asked. Raises WorkroomError only where
        the folder cannot be written.
        """
        answer = answer.strip()
        if not answer:
            return Score(0.0, "there is no answer")
        if not (task.answer or "").strip():
            return Score(None, "the task has no reference answer to judge by", _extract(answer))
        try:
            ballot = self._prepare(suite, task, answer)
            model = self.model.for_task(task.id)
        except ConfigError as error:
            return Score(None, str(error), _extract(answer))
        self._describe(suite, task, ballot)
        facts = {"suite": suite.name, "task": task.id}
        numbers = range(1, ballot.votes + 1)
        votes = await asyncio.gather(*(self._vote(model, ballot, number, facts) for number in numbers))
        details = {
            "judge": model.name,
            "votes": [vote.verdict for vote in votes],
            "void": [vote.reason for vote in votes if vote.verdict is None],
            "replies": [[reply.reply for reply in vote.replies] for vote in votes],
            "template": ballot.template.digest,
            "prompt": digest_of(ballot.prompt),
            "left_out": ballot.left_out,
            **_used([reply for vote in votes for reply in vote.replies]),
        }
        value, reason = _count(votes, model.name)
        return Score(value, reason, _extract(answer), details)

    def _prepare(self, suite: "Suite", task: "Task", answer: str) -> Ballot:
        grader = task.grader or suite.grader
        template = find_template(suite, grader)
        shown, left_out = cut(answer)
        votes = self._votes or settings_of(suite, grader).get("votes", VOTES)
        sampling = merged(self._sampling, self.model.hints.sampling)
        return Ballot(votes, sampling, template, template.render(task, shown), left_out)

    async def _vote(self, model: Model, ballot: Ballot, number: int, facts: Mapping[str, str]) -> Vote:
        replies: list[Judgement] = []
        texts: tuple[str, ...] = (ballot.prompt,)
        for attempt in range(1, _ATTEMPTS + 1):
            sampling = ballot.sampling
            if sampling.seed is not None:
                sampling = replace(sampling, seed=sampling.seed + number - 1 + ballot.votes * (attempt - 1))
            question = Question(model.name, sampling, ballot.template, texts, number, attempt)
            call = partial(complete, model, _conversation(texts), sampling=sampling, policy=self._retry)
            try:
                reply = await self._cache.ask(question, call, self._cost, facts)
            except (ModelError, ConfigError) as error:
                return Vote(None, tuple(replies), str(error))
            replies.append(reply)
            if reply.fresh:
                self.spent.add(reply)
            if reply.verdict is not None:
                return Vote(reply.verdict, tuple(replies))
            if reply.text.strip():
                texts += (reply.text, asked_again())
        cut_off = replies[-1].cut
        return Vote(None, tuple(replies), "its reply was cut off" if cut_off else "its reply holds no verdict")

    def _cost(self, usage: Usage) -> float | None:
        return None if self._prices is None else self._prices.cost(usage)

    def _describe(self, suite: "Suite", task: "Task", ballot: Ballot) -> None:
        name = f"{suite.name} {task.grader or suite.grader}"
        entry = {"votes": ballot.votes, "sampling": asdict(ballot.sampling), "template": ballot.template.digest}
        if self._described.get(name) != entry:
            self._described[name] = entry
            given = {"model": self.model.name, "base_url": self._base_url, "votes": self._votes}
            self._cache.describe({**given, "graders": self._described})


def _conversation(texts: Sequence[str]) -> list[Message]:
    """The texts as messages, the user's and the judge's in turn."""
    return [Message("assistant" if place % 2 else "user", text) for place, text in enumerate(texts)]


def _count(votes: Sequence[Vote], judge: str) -> tuple[float | None, str]:
    """The score of the votes, and what is to be said of it."""
    valid = [vote.verdict for vote in votes if vote.verdict is not None]
    if 2 * len(valid) < len(votes):
        reason = next(vote.reason for vote in votes if vote.verdict is None)
        return None, f"{len(valid)} of {len(votes)} votes of the judge {judge} are valid: {reason}"
    correct = valid.count("correct")
    if 2 * correct == len(valid):
        return 0.0, f"the votes of the judge are tied, {correct} to {correct}, which is not correct"
    return float(2 * correct > len(valid)), ""


def _used(replies: Sequence[Judgement]) -> dict[str, Any]:
    """Tokens and US dollars of the replies, whenever they were asked for; None where unknown."""
    usages = [reply.usage for reply in replies]
    known = [usage for usage in usages if usage is not None]
    total = asdict(sum(known, Usage())) if len(known) == len(usages) else None
    return {"usage": total, "cost": _sum([reply.cost for reply in replies])}


def _sum(costs: Sequence[float | None]) -> float | None:
    known = [cost for cost in costs if cost is not None]
    return sum(known, 0.0) if len(known) == len(costs) else None


def _extract(answer: str) -> str:
    return cut(answer, _EXTRACT)[0]
