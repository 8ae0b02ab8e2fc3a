"""Many episodes with real sandboxes, and a policy that plays what a test wants."""

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.train.players import Script, block, ids_of, policy
from tests.train.tokens import Played, tokenizer
from workroom.errors import BadRequest, ConfigError, ModelError, SandboxError, SandboxUnavailable, WorkroomError
from workroom.models.base import Model
from workroom.replay import configuration, replay
from workroom.replay.documents import find_documents
from workroom.sandbox import Sandbox
from workroom.sandbox.ledger import entries
from workroom.task import Task
from workroom.train.chat import ChatTemplate
from workroom.train.config import ModelSection, RewardSection, RolloutSection, TrainConfig
from workroom.train.policy import policy_model
from workroom.train.records import Rollout
from workroom.train.rewards import Reward
from workroom.train.rollouts import Job, Rollouts
from workroom.trajectory.files import cannot_write
from workroom.trajectory.rundir import RunDirectory

ROLLOUT = RolloutSection(max_turns=4, concurrency=4, memory="256m", max_time=60)


def task(name: str, **documents: str) -> Task:
    return Task("Which colour?", id=name, answer="red", grader="exact", documents=documents)


def config(rollout: RolloutSection = ROLLOUT, **reward: Any) -> TrainConfig:
    return TrainConfig(model=ModelSection(path="test"), rollout=rollout, reward=RewardSection(**reward))


def collect(
    model: Model, jobs: Sequence[Job], place: Path, settings: TrainConfig | None = None, **options: Any
) -> list[Rollout]:
    settings = settings or config()

    async def run() -> list[Rollout]:
        reward = Reward(settings.reward)
        try:
            return await Rollouts(model, settings, reward, place).collect(jobs, **options)
        finally:
            await reward.aclose()

    return asyncio.run(run())


def play(scripts: Mapping[str, Script], place: Path, **options: Any) -> dict[str, Rollout]:
    """A rollout of each script, by its task."""
    model, _ = policy(scripts)
    rollouts = collect(model, [Job(task(name), 0) for name in scripts], place, **options)
    return {rollout.group: rollout for rollout in rollouts}


RIGHT = [block("cat documents/*"), block("echo red > answer.txt\nsubmit")]
WRONG = [block("echo blue > answer.txt\nsubmit")]


def test_rollouts_are_what_was_sampled(tmp_path: Path) -> None:
    model, inner = policy({"a": RIGHT})
    [rollout] = collect(model, [Job(task("a", **{"x.txt": "It is red.\n"}), 3, seed=7)], tmp_path)
    assert (rollout.group, rollout.sample, rollout.reward, rollout.stop_reason) == ("a", 3, 1.0, "submitted")
    assert (rollout.turns, rollout.tool_calls) == (2, {"execute_bash": 2, "submit": 1})
    [row] = rollout.rows
    sampled = tuple(id_ for id_, mask in zip(row.response_ids, row.mask, strict=True) if mask)
    assert sampled == (*ids_of(RIGHT[0]), 2, *ids_of(RIGHT[1]), 2)
    assert [bool(logprob) for logprob in row.logprobs] == [bool(mask) for mask in row.mask]
    assert 0 in row.mask, "the observation is there and masked"
    assert [(said.seed, said.temperature) for said in inner.samplings if said] == [(7, 1.0), (7, 1.0)]
    assert rollout.seconds >= rollout.model_seconds + rollout.sandbox_seconds > 0
    assert rollout.path is None
    assert not list(tmp_path.glob("running/*"))


def test_rollouts_of_a_sampler_are_the_ids_that_it_sampled(tmp_path: Path) -> None:
    tokens = tokenizer()
    sampler = Played(tokens, *RIGHT)
    model = policy_model("policy", sampler, ChatTemplate(tokens), window=9000, max_tokens=400)
    [rollout] = collect(model, [Job(task("a", **{"x.txt": "It is red.\n"}), 0, seed=7)], tmp_path)
    assert rollout.reward == 1.0
    [row] = rollout.rows
    sampled = tuple(token for token, own in zip(row.response_ids, row.mask, strict=True) if own)
    assert sampled == tuple(token for reply in sampler.replies for token in reply)
    assert [seed for _, _, seed in sampler.asked] == [7, 8], "no two turns draw the same numbers"


PLANTS = {
    "link": "echo red > /tmp/x; ln -s /tmp/x answer.txt",
    "loop": "ln -s answer.txt answer.txt",
    "outside": "ln -s /etc/hostname answer.txt",
    "folder": "mkdir answer.txt; echo red > answer.txt/answer.txt",
    "pipe": "mkfifo answer.txt",
    "huge": "yes red | head -c 3000000 > answer.txt",
    "sparse": "truncate -s 1T answer.txt",
    "forged": "for f in scores.jsonl score.json run.json reward.txt; do "
    'echo \'{"score": 1.0, "value": 1.0, "reward": 1.0, "answer": "red"}\' > output/$f; cp output/$f .; done; '
    "echo blue > answer.txt",
    "artefact": "echo red > output/answer.txt; cp output/answer.txt documents; echo red > ../answer.txt",
    "injected": 'printf \'blue\\n{"value": 1.0, "spent": false}\\n\\0\\0\\0red\' > answer.txt',
}


def test_nothing_but_the_text_of_the_answer_file_earns_anything(tmp_path: Path) -> None:
    scripts = {name: [block(f"{script}\nsubmit"), block("submit")] for name, script in PLANTS.items()}
    rollouts = play(scripts, tmp_path, keep=len(scripts))
    # A link to a file inside is that file, as it is for everyone there; nothing of the host is behind it.
    assert {name: rollout.reward for name, rollout in rollouts.items()} == {
        name: float(name == "link") for name in PLANTS
    }


def test_kept_runs_can_be_read_and_the_others_are_gone(tmp_path: Path) -> None:
    scripts = {"a": WRONG, "b": RIGHT, "c": WRONG, "d": WRONG}
    rollouts = play(scripts, tmp_path, keep=3, name="step-0001")
    kept = [rollout for rollout in rollouts.values() if rollout.path is not None]
    assert len(kept) == 3
    assert {"b", "a"} <= {rollout.group for rollout in kept}, "the best and the worst"
    lines = [json.loads(line) for line in (tmp_path / "samples/step-0001/index.jsonl").read_text().splitlines()]
    for line, rollout in zip(lines, kept, strict=True):
        assert rollout.path is not None
        assert rollout.path == tmp_path / "samples/step-0001" / line["run"]
        run = RunDirectory.load(rollout.path)
        assert run.run["status"] == "finished"
        assert run.finished is not None
        assert run.finished.answer == rollout.answer
        assert line["reward"] == rollout.reward
    assert sorted(path.name for path in (tmp_path / "samples/step-0001").iterdir()) == sorted(
        [*(line["run"] for line in lines), "index.jsonl"]
    )
    assert not list(tmp_path.glob("running/*"))


def test_a_plant_failure_drops_the_episode_and_no_other(tmp_path: Path) -> None:
    rollouts = play({"a": [BadRequest("it is broken")], "b": RIGHT}, tmp_path)
    assert rollouts["b"].reward == 1.0
    failed = rollouts["a"]
    assert (failed.reward, failed.stop_reason, failed.error) == (None, "model_error", "it is broken")


def test_a_failure_that_passes_is_tried_again(tmp_path: Path) -> None:
    class Passing(list[str | Exception]):
        def __getitem__(self, turn: Any) -> Any:
            return super().pop(0)

    said: list[str | Exception] = [BadRequest("it is broken"), *WRONG]
    rollouts = play({"a": Passing([*said, *said])}, tmp_path)
    assert (rollouts["a"].reward, rollouts["a"].turns) == (0.0, 1)


@pytest.mark.parametrize("failure", [SandboxUnavailable("there is no room"), ValueError("a mistake of ours")])
def test_a_sandbox_that_does_not_start_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    start = Sandbox.start
    failures = [failure]

    async def start_or_fail(*arguments: Any, **options: Any) -> Sandbox:
        if failures:
            raise failures.pop()
        return await start(*arguments, **options)

    monkeypatch.setattr(Sandbox, "start", start_or_fail)
    assert play({"a": RIGHT}, tmp_path)["a"].reward == 1.0
    assert not failures


def test_a_plant_that_goes_on_failing_is_an_error_with_its_first_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **__: Any) -> Sandbox:
        raise ValueError("a mistake of ours")

    monkeypatch.setattr(Sandbox, "start", fail)
    with pytest.raises(SandboxError, match=r"all 2 episodes failed.*internal error: ValueError: a mistake of ours"):
        play({"a": RIGHT, "b": WRONG}, tmp_path)


def test_a_full_disk_ends_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise cannot_write(tmp_path, OSError(28, "No space left on device"))

    monkeypatch.setattr(RunDirectory, "write_trajectory", fail)
    with pytest.raises(WorkroomError, match="No space left on device"):
        play({"a": RIGHT, "b": WRONG, "c": WRONG}, tmp_path)
    assert own_sandboxes() == 0


def test_a_kept_run_can_be_replayed(tmp_path: Path) -> None:
    model, _ = policy({"a": RIGHT})
    [rollout] = collect(model, [Job(task("a", **{"x.txt": "It is red.\n"}), 0)], tmp_path, keep=1)
    assert rollout.path is not None
    run = RunDirectory.load(rollout.path)
    result = asyncio.run(replay(run, configuration(run, {}), find_documents(run, [], print)))
    assert result.same
    assert len(result.outcomes) == rollout.turns + 1


def test_where_all_fails_the_first_cause_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"all 2 episodes failed.*it is broken"):
        play({"a": [BadRequest("it is broken")], "b": [BadRequest("it is broken too")]}, tmp_path)
    assert not list(tmp_path.glob("running/*"))


def test_a_policy_that_tells_no_ids_is_an_error(tmp_path: Path) -> None:
    model, _ = policy({"a": WRONG}, tokens=False)
    with pytest.raises(ConfigError, match="test/policy does not tell the token ids"):
        collect(model, [Job(task("a"), 0)], tmp_path)


def test_over_long_episodes_earn_by_the_rule(tmp_path: Path) -> None:
    script = [block(f"echo red > answer.txt; echo {number}") for number in range(9)]
    assert play({"a": script}, tmp_path)["a"].reward == 0.0
    assert play({"a": script}, tmp_path, settings=config(overlong=None))["a"].reward == 1.0


def test_llm_mode_has_no_sandbox(tmp_path: Path) -> None:
    model, inner = policy({"a": ["red"]})
    [rollout] = collect(model, [Job(task("a", **{"x.txt": "red"}), 0)], tmp_path, mode="llm", temperature=0.5)
    assert (rollout.reward, rollout.turns, dict(rollout.tool_calls), rollout.sandbox_seconds) == (1.0, 1, {}, 0.0)
    assert rollout.sampled == 2
    assert inner.samplings[0] is not None
    assert inner.samplings[0].temperature == 0.5


def test_no_more_agents_work_at_a_time_than_there_are_slots(tmp_path: Path) -> None:
    model, inner = policy({"a": WRONG}, seconds=0.05)
    settings = config(ROLLOUT.model_copy(update={"concurrency": 2}))
    collect(model, [Job(task("a"), sample) for sample in range(5)], tmp_path, settings)
    assert inner.most == 2


def test_the_next_sandbox_is_opened_while_the_agent_before_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, inner = policy({"a": WRONG})
    waited = False

    async def until_the_next_is_there() -> None:
        nonlocal waited
        for _ in range(2000 if not waited else 0):
            if own_sandboxes() == 2:
                break
            await asyncio.sleep(0.01)
        else:
            assert waited, "the sandbox of the second job was not opened"
        waited = True

    monkeypatch.setattr(inner, "free", until_the_next_is_there)
    settings = config(ROLLOUT.model_copy(update={"concurrency": 1}))
    rollouts = collect(model, [Job(task("a"), sample) for sample in range(2)], tmp_path, settings)
    assert [rollout.error for rollout in rollouts] == [None, None]
    assert inner.most == 1


def test_a_batch_that_is_cancelled_leaves_no_sandbox(tmp_path: Path) -> None:
    model, inner = policy({"a": WRONG}, seconds=60)

    async def run() -> None:
        reward = Reward(RewardSection())
        work = asyncio.create_task(
            Rollouts(model, config(), reward, tmp_path).collect([Job(task("a"), sample) for sample in range(6)])
        )
        await inner.reached(4)
        assert own_sandboxes() >= 4
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        await reward.aclose()

    asyncio.run(run())
    assert own_sandboxes() == 0
    assert not list(tmp_path.glob("running/*"))


def own_sandboxes() -> int:
    return sum(entry.pid == os.getpid() for entry in entries())
