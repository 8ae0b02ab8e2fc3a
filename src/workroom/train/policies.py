"""The policy of a training: weights that are trained, a sampler of them, and the rollouts made with it."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workroom.errors import ConfigError
from workroom.train.chat import ChatTemplate
from workroom.train.config import TrainConfig
from workroom.train.evaluation import Line, Mode, line_of
from workroom.train.policy import policy_model
from workroom.train.rollouts import Job, Rollouts, prune

if TYPE_CHECKING:
    from workroom.models.base import Completion, Model
    from workroom.task import Task
    from workroom.train.meter import Meter
    from workroom.train.records import Rollout, TrainRow
    from workroom.train.rewards import Reward
    from workroom.train.sampler import Sampler


class Policy:
    """`model` and `tokenizer` as transformers has them, and episodes played with them.

    Belongs to one event loop, as the reward does.
    """

    def __init__(
        self, model: Any, tokenizer: Any, config: TrainConfig, directory: Path, reward: "Reward", tell: Any
    ) -> None:
        from workroom.train.hf_sampler import HfSampler

        self.model = model
        self.tokenizer = tokenizer
        self._config = config
        self._directory = directory
        self._reward = reward
        self._tell = tell
        self._chat = ChatTemplate(tokenizer, protocol=config.model.tool_protocol, name=config.model.path)
        self._sampler = HfSampler(model, tokenizer, batch=config.rollout.concurrency, dtype=config.model.dtype)
        self._training = Rollouts(self.speaker(self._sampler, config.rollout.temperature), config, reward, directory)
        held_out = self.speaker(self._sampler, config.validation.temperature)
        self._held_out = Rollouts(held_out, config, reward, directory)

    @classmethod
    def load(
        cls, config: TrainConfig, directory: Path, reward: "Reward", *, warmed: Path | None, tell: Callable[[str], None]
    ) -> "Policy":
        """The policy to begin with, or the one that the warm start left in the folder `warmed`."""
        import torch

        from workroom.train.hf_model import load

        section = config.model if warmed is None else config.model.model_copy(update={"path": str(warmed)})
        model, tokenizer = load(section, tell=tell)
        if torch.cuda.is_available():
            model.to("cuda")
        return cls(model, tokenizer, config, directory, reward, tell)

    @property
    def meter(self) -> "Meter":
        """What held up the last batch of rollouts for training."""
        return self._training.meter

    def sandbox_seconds(self) -> float:
        """Seconds of the last batch for training in which nothing but sandboxes was waited for."""
        return self.meter.wall * self.meter.share("sandbox")

    async def rollouts(self, tasks: "Sequence[Task]", *, seed: str, name: str) -> "list[Rollout]":
        """One for each task, which stands in it as often as it is to be tried, with trajectories kept to be read."""
        counts: dict[str, int] = {}
        jobs = []
        for task in tasks:
            counts[task.id] = sample = counts.get(task.id, 0) + 1
            jobs.append(Job(task, sample, _seed(seed, task.id, sample)))
        return await self._training.collect(jobs, keep=self._config.output.samples, name=name)

    async def evaluate(self, tasks: "Sequence[Task]", mode: Mode, *, repeats: int, name: str) -> list[Line]:
        """Every task `repeats` times, at the temperature of the validation. Every run is looked at, few are kept."""
        from workroom.train.data import asked

        jobs = [
            Job(asked(task, mode), repeat, _seed("held out", task.id, repeat))
            for task in tasks
            for repeat in range(1, repeats + 1)
        ]
        temperature = self._config.validation.temperature
        rollouts = await self._held_out.collect(jobs, keep=len(jobs), mode=mode, temperature=temperature, name=name)
        lines = [await asyncio.to_thread(line_of, rollout, mode) for rollout in rollouts]
        await asyncio.to_thread(prune, self._directory / "samples" / name, self._config.output.samples)
        return lines

    async def expert_rows(self, tasks: "Sequence[Task]") -> "list[TrainRow]":
        """The rows of episodes that an expert plays on the tasks, in real sandboxes; those that succeed."""
        played = Rollouts(_Experts(self, tasks), self._config, self._reward, self._directory)
        jobs = [Job(task, 1) for task in tasks]
        rollouts = await played.collect(jobs, keep=self._config.output.samples, name="expert")
        return [row for rollout in rollouts if rollout.reward == 1.0 for row in rollout.rows]

    def changed(self) -> None:
        """To be told after each change of the weights."""
        self._sampler.policy_changed()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """The weights for the caller alone; they count as changed afterwards."""
        with self._sampler.exclusive():
            try:
                yield
            finally:
                self._sampler.policy_changed()

    def save_plain(self, folder: Path) -> None:
        """Writes the weights as a folder in Hugging Face form."""
        from workroom.train.save import save

        save(self.model, self.tokenizer, folder)

    def save(self, folder: Path) -> None:
        """The same, with what `workroom run -m local/FOLDER` needs beside it."""
        from workroom.train.gguf import to_gguf
        from workroom.train.save import GGUF, save, save_hints

        save(self.model, self.tokenizer, folder)
        settings = {"temperature": self._config.validation.temperature, "max_tokens": self._config.rollout.max_tokens}
        save_hints(self._config.model, settings, folder)
        try:
            to_gguf(folder, folder / GGUF)
        except ConfigError as error:
            self._tell(f"{folder} is in Hugging Face form only: {error}")

    def load_weights(self, folder: Path) -> None:
        """Takes the weights of a checkpoint."""
        from transformers import AutoModelForCausalLM

        other = AutoModelForCausalLM.from_pretrained(folder, dtype=self.model.dtype, local_files_only=True)
        self.model.load_state_dict(other.state_dict())
        self.changed()

    async def aclose(self) -> None:
        await self._sampler.aclose()

    def speaker(self, sampler: "Sampler", temperature: float = 1.0) -> "Model":
        """The model for the agent's loop, whoever samples."""
        rollout = self._config.rollout
        return policy_model(
            self._config.model.path,
            sampler,
            self._chat,
            window=rollout.context,
            max_tokens=rollout.max_tokens,
            temperature=temperature,
            protocol=self._config.model.tool_protocol,
            prompt=self._config.model.prompt,
        )


class _Experts:
    """Speaks, in the episode of each task, with the words of that task's expert."""

    def __init__(self, policy: Policy, tasks: "Sequence[Task]") -> None:
        from workroom.train.warm_start import ExpertSampler

        self._policy = policy
        self._tasks = {task.id: task for task in tasks}
        self._plain = policy.speaker(ExpertSampler(policy.tokenizer, ()))
        self.name = self._plain.name
        self.window = self._plain.window
        self.hints = self._plain.hints

    def for_task(self, task_id: str) -> "Model":
        """The expert of one task."""
        from workroom.train.data import expert_turns
        from workroom.train.warm_start import ExpertSampler

        return self._policy.speaker(ExpertSampler(self._policy.tokenizer, expert_turns(self._tasks[task_id])))

    async def complete(self, *arguments: Any, **options: Any) -> "Completion":
        """What an expert without a task says: nothing."""
        return await self._plain.complete(*arguments, **options)

    async def aclose(self) -> None:
        """There is nothing to free."""


def _seed(*parts: object) -> int:
    """A number of 31 bits that is always the same for the same parts."""
    import hashlib

    text = "\0".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
