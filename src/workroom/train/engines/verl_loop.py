"""The agent loop that verl calls for a rollout: our loop and sandbox, with verl's server sampling.

This module is imported inside verl's processes only, and imports verl; `verl.py` starts them. Facts on verl are those
of 0.9.1, where agent loops are called experimental.

A rollout is one `AgentLoopOutput` for each of its rows. Rows after the first are there only where the agent edited its
context. verl counts such a rollout once in its group for the estimator `grpo` alone; for the others each row would
weigh as a rollout of its own in the baseline. There the last row goes to verl, which the answer came from, and a
warning says what was left out.

An episode of which the plant failed gives no output, and verl goes on with the others of the group.
"""

import asyncio
import logging
import shutil
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopMetrics, AgentLoopOutput

from workroom.errors import BadRequest, ConfigError, Overloaded
from workroom.train.chat import ChatTemplate
from workroom.train.config import TrainConfig
from workroom.train.engines.verl_data import Mode, from_json
from workroom.train.engines.verl_flags import agent_workers
from workroom.train.episode import Job, Places, play, settings
from workroom.train.policy import policy_model
from workroom.train.records import Rollout, TrainRow
from workroom.train.rewards import FULL, Reward
from workroom.train.sampler import Sampled

if TYPE_CHECKING:
    from workroom.models.base import Model

_ROW_BY_ROW: Final = "grpo"  # the estimator for which verl knows rows of one rollout
_log = logging.getLogger(__name__)


class ServerSampler:
    """verl's server as a sampler, for the turns of one episode. `stops` end a turn; `parameters` are verl's own.

    `versions` are those of the policy that it sampled with, as far as verl tells them.
    """

    def __init__(self, server: Any, episode: str, stops: Sequence[int], parameters: dict[str, Any]) -> None:
        self.versions: list[int] = []
        self.preempted = 0
        self._server = server
        self._episode = episode
        self._stops = sorted(stops)
        self._parameters = parameters

    async def sample(
        self, ids: Sequence[int], *, max_tokens: int, temperature: float = 1.0, seed: int | None = None
    ) -> Sampled:
        """See `Sampler.sample`. Calls of one episode go to one server, which has the turns before in its cache.

        Raises Overloaded where the server fails or was interrupted, BadRequest where it tells no log-probabilities.
        """
        parameters = self._parameters | {
            "max_tokens": max_tokens,
            "temperature": temperature,
            "stop_token_ids": self._stops,
            "logprobs": True,
        }
        if seed is not None:
            parameters["seed"] = seed
        try:
            output = await self._server.generate(
                request_id=self._episode, prompt_ids=list(ids), sampling_params=parameters
            )
        except Exception as error:
            raise Overloaded(f"verl's server failed: {error}") from error
        sampled = tuple(output.token_ids)
        if len(output.log_probs or ()) != len(sampled):
            raise BadRequest("verl's server does not tell the log-probability of each token")
        ended = bool(sampled) and sampled[-1] in self._stops
        if not ended and len(sampled) < max_tokens:
            raise Overloaded(f"verl's server broke off a turn ({output.stop_reason})")
        told = (output.extra_fields.get(name) for name in ("min_global_steps", "max_global_steps"))
        self.versions += [version for version in told if version is not None]
        self.preempted += max(output.num_preempted or 0, 0)
        return Sampled(sampled, tuple(output.log_probs or ()), "stop" if ended else "length")

    async def aclose(self) -> None:
        """Nothing to free: the server is verl's."""


class _Desk:
    """What the episodes of one process share: settings, graders, and how many may be under way."""

    def __init__(self, place: Path) -> None:
        self.config = TrainConfig.model_validate_json((place / "config.json").read_bytes())
        self.place = place
        self.reward = Reward(self.config.reward)
        slots = -(-self.config.rollout.concurrency // agent_workers(self.config))
        self.places = Places(slots, ahead=slots)
        self.kept: Counter[int] = Counter()  # runs of each step that stay to be read
        self._chat: ChatTemplate | None = None

    def chat(self, tokenizer: Any) -> ChatTemplate:
        """Raises ConfigError where training cannot use the template."""
        if self._chat is None:
            model = self.config.model
            template = None if model.chat_template is None else model.chat_template.read_text(encoding="utf-8")
            self._chat = ChatTemplate(tokenizer, template=template, protocol=model.tool_protocol, name=model.path)
        return self._chat

    def policy(self, sampler: ServerSampler, chat: ChatTemplate, temperature: float) -> "Model":
        model, rollout = self.config.model, self.config.rollout
        return policy_model(
            model.path,
            sampler,
            chat,
            window=rollout.context,
            max_tokens=rollout.max_tokens,
            temperature=temperature,
            protocol=model.tool_protocol,
            prompt=model.prompt,
        )

    def keep(self, rollout: Rollout, step: int, name: str) -> None:
        """Moves the run below `samples/` where this step has too few of this process, else removes it."""
        if rollout.path is None:
            return
        if self.kept[step] >= self.config.output.samples:
            shutil.rmtree(rollout.path, ignore_errors=True)
            return
        self.kept[step] += 1
        target = self.place / "samples" / f"step-{step:05d}" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        rollout.path.rename(target)


_desk = cache(_Desk)  # one for the process: verl makes an agent loop for every rollout


class WorkroomAgentLoop(AgentLoopBase):  # type: ignore[misc] # verl is not there where types are checked
    """Made by verl for each rollout. `place` is the training's directory, with the `config.json` of `prepare`.

    Raises ConfigError for verl's older trainer, which takes exactly one output of every rollout, and where no
    log-probabilities are told.
    """

    def __init__(self, *arguments: Any, place: str, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if not self.config.trainer.use_v1:
            raise ConfigError(
                "verl's older trainer cannot leave out an episode whose sandbox failed: leave trainer.use_v1 at true"
            )
        if not self.rollout_config.calculate_log_probs:
            raise ConfigError(
                "training learns on the log-probabilities of what was sampled: leave "
                "actor_rollout_ref.rollout.calculate_log_probs at true"
            )
        self._desk = _desk(Path(place))

    async def run(self, sampling_params: dict[str, Any], **row: Any) -> list[AgentLoopOutput]:
        """One rollout of the row's task, see above. What ends it early is logged, never raised, but for settings with
        which nothing can be trained (ConfigError) and a disk that takes no more (WorkroomError)."""
        desk, task = self._desk, from_json(row["task"])
        mode: Mode = "llm" if row["mode"] == "llm" else "sandbox"
        sample, step = int(row.get("session_id", 0)), int(row.get("global_steps", 0))
        name = f"{row.get('uid', task.id)}-{sample}"
        chat = desk.chat(self.tokenizer)
        sampler = ServerSampler(self.server_manager, name, tuple(chat.stops), dict(sampling_params))
        temperature = float(sampling_params["temperature"])
        model = desk.policy(sampler, chat, temperature)
        resolved = settings(desk.config.rollout, model, mode=mode, temperature=temperature)
        rollout = await play(
            Job(task, sample),
            model,
            resolved,
            desk.reward,
            desk.place / "running" / name,
            places=desk.places,
        )
        await asyncio.to_thread(desk.keep, rollout, step, name)
        return self._outputs(rollout, sampler, step)

    def _outputs(self, rollout: Rollout, sampler: ServerSampler, step: int) -> list[AgentLoopOutput]:
        rows = rollout.rows
        if rollout.reward is None or not rows:
            why = rollout.error or f"no token was sampled ({rollout.stop_reason})"
            _log.warning("rollout %d of %s is left out: %s", rollout.sample, rollout.group, why)
            return []
        if len(rows) > 1 and self.config.algorithm.adv_estimator != _ROW_BY_ROW:
            _log.warning(
                "rollout %d of %s: only the last of its %d rows is trained on, since verl's %s takes rows for rollouts",
                rollout.sample,
                rollout.group,
                len(rows),
                self.config.algorithm.adv_estimator,
            )
            rows = rows[-1:]
        versions = sampler.versions or [step]
        return [_output(row, rollout, versions, sampler.preempted) for row in rows]


def _output(row: TrainRow, rollout: Rollout, versions: Sequence[int], preempted: int) -> AgentLoopOutput:
    """`reward_extra_info` has the same keys for every rollout: verl makes columns of them."""
    return AgentLoopOutput(
        prompt_ids=list(row.prompt_ids),
        response_ids=list(row.response_ids),
        response_mask=list(row.mask),
        response_logprobs=list(row.logprobs),
        reward_score=rollout.reward,
        num_turns=2 * rollout.turns,  # verl counts the messages of both sides
        metrics=AgentLoopMetrics(
            generate_sequences=rollout.model_seconds, tool_calls=rollout.sandbox_seconds, num_preempted=preempted
        ),
        extra_fields={
            "min_global_steps": min(versions),
            "max_global_steps": max(versions),
            "turn_scores": [],
            "tool_rewards": [],
            "reward_extra_info": {
                "acc": float((rollout.reward or 0.0) >= FULL),
                "turns": float(rollout.turns),
                "tool_calls": float(sum(rollout.tool_calls.values())),
                "submitted": float(rollout.stop_reason == "submitted"),
                "overlong": rollout.components.get("overlong", 0.0),
            },
        },
    )
