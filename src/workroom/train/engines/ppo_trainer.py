"""Our own trainer: one process, one device, CPU or GPU; PPO with a value head, and the algorithms without one.

    rollouts ─▶ Batch ─▶ old log-probabilities, advantages, returns ─▶ epochs x minibatches of updates

The losses are those of `losses`, the forward pass is that of `scoring`; an update is the sum of its micro-batches.
"""

import copy
import math
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from workroom.errors import ConfigError
from workroom.train.batch import Batch, make_batch
from workroom.train.engines.checkpoint import read_checkpoint, write_checkpoint
from workroom.train.engines.figures import Figures
from workroom.train.engines.optimizer import Optimizer
from workroom.train.losses import (
    Aggregation,
    explained_variance,
    gae,
    group_relative,
    kl_estimates,
    leave_one_out,
    policy_losses,
    token_weights,
    value_losses,
    whiten,
)
from workroom.train.scoring import Scored, head_is_all, score

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from workroom.train.config import Algorithm, TrainConfig
    from workroom.train.records import Rollout

_AGGREGATION: "dict[Algorithm, Aggregation]" = {
    "paper": "seq-mean-token-sum",
    "grpo": "seq-mean-token-mean",
    "ppo": "token-mean",
}


class _Targets(NamedTuple):
    """What the updates of one step aim at, all of shape (rows, tokens); the last three are 0 where not used."""

    old: "Tensor"
    advantages: "Tensor"
    values: "Tensor"
    returns: "Tensor"
    reference: "Tensor"


class PpoTrainer:
    """Updates `model`, a causal language model of transformers, in place; its owner samples from it between steps.

    The value head is a linear map of the policy's last hidden states, which learn from its loss only where
    `algorithm.value_gradient` says so. With `algorithm.kl` above 0 the model as it is given is kept as the reference.
    Raises ConfigError for a model whose logits are not those of its head.
    """

    def __init__(self, model: Any, tokenizer: Any, config: "TrainConfig") -> None:
        import torch

        if not head_is_all(model):
            raise ConfigError(
                'the engine "ppo" cannot train this model, which changes its logits after the head: use engine = "trl"'
            )
        self.model, self.tokenizer, self.config = model, tokenizer, config
        self.steps = 0
        algorithm = config.algorithm
        device = next(model.parameters()).device
        self.value_head: Any = None
        if algorithm.name == "ppo":
            self.value_head = torch.nn.Linear(model.get_input_embeddings().embedding_dim, 1, device=device)
            torch.nn.init.zeros_(self.value_head.weight)
            torch.nn.init.zeros_(self.value_head.bias)
        self._reference = copy.deepcopy(model).requires_grad_(False) if algorithm.kl else None
        if config.model.gradient_checkpointing:
            model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
        self._order = torch.Generator().manual_seed(config.seed)
        shared: dict[str, Any] = {
            "warmup": algorithm.warmup_steps,
            "decay": algorithm.weight_decay,
            "clip": algorithm.max_grad_norm,
        }
        self._actor = Optimizer(model, algorithm.lr, **shared)
        self._critic = self.value_head and Optimizer(self.value_head, algorithm.value_lr, **shared)

    def step(self, rollouts: "Sequence[Rollout]") -> dict[str, float]:
        """One step of training on a batch of rollouts; returns its figures, without those that could not be measured.

        Rollouts without a reward or without a sampled token take no part. `loss` (all of it), `policy_loss`,
        `value_loss`, `entropy` and `kl` (nats a token; of the policy from the one that sampled), `reference_kl`,
        `clip_fraction`, `grad_norm` and `value_grad_norm` (before they are bounded), `explained_variance`,
        `sampler_gap` (the largest difference between the sampler's log-probabilities and the trainer's before any
        change), `learning_rate`, `updates`, and `failed_updates`, left out as their gradient was not finite.
        """
        used = [rollout for rollout in rollouts if rollout.reward is not None and rollout.sampled]
        figures = Figures()
        if used:
            padding = self.tokenizer.pad_token_id
            batch = make_batch(used, 0 if padding is None else padding)
            targets = self._targets(batch, used, figures)
            for _ in range(self.config.algorithm.epochs):
                for rows in self._minibatches(batch):
                    self._update(batch, targets, rows, figures)
        self.steps += 1
        return figures.result() | {"learning_rate": self._actor.lr}

    def save(self, directory: Path) -> None:
        """Writes model and tokenizer in the usual form, and beside them what `load` needs to go on as if nothing had
        been: optimisers, value head, random states and the number of steps."""
        state = {
            "steps": self.steps,
            "order": self._order.get_state(),
            "actor": self._actor.state(),
            "critic": self._critic and self._critic.state(),
            "value_head": self.value_head and self.value_head.state_dict(),
        }
        write_checkpoint(directory, self.model, self.tokenizer, state)

    def load(self, directory: Path) -> None:
        """Goes on from what `save` wrote.

        Raises ConfigError where it is missing, or of another model or algorithm.
        """
        state = read_checkpoint(directory, self.model)
        if (state["value_head"] is None) != (self.value_head is None):
            raise ConfigError(
                f"{directory} was trained by another algorithm, of which ppo alone has a value head: "
                "begin a new directory"
            )
        self.steps = state["steps"]
        self._order.set_state(state["order"])
        self._actor.restore(state["actor"])
        if self.value_head is not None:
            self.value_head.load_state_dict(state["value_head"])
            self._critic.restore(state["critic"])

    def measure(self, batch: Batch, model: Any = None) -> "tuple[Tensor, Tensor]":
        """Log-probabilities and values (0 without a head) of a batch, (rows, tokens) each; `model`: in place of the
        policy."""
        import torch

        logprobs, values = torch.zeros_like(batch.mask), torch.zeros_like(batch.mask)
        for rows in self._micro_batches(batch, torch.arange(len(batch.ids))):
            part = batch.trimmed(rows)
            with torch.no_grad():
                scored, value = self._score(self.model if model is None else model, part)
            width = part.ids.shape[1]
            logprobs[rows, :width] = part.grid(scored.logprobs)
            values[rows, :width] = part.grid(value)
        return logprobs, values

    def _targets(self, batch: Batch, rollouts: "list[Rollout]", figures: Figures) -> _Targets:
        """Looks at the rewards, and once at the batch with the policy as it is where the algorithm asks for that."""
        import torch

        algorithm = self.config.algorithm
        rewards = torch.tensor([rollout.reward for rollout in rollouts], dtype=torch.float32)
        groups = [rollout.group for rollout in rollouts]
        old, nothing = batch.logprobs, torch.zeros_like(batch.mask)
        reference = nothing if self._reference is None else self.measure(batch, self._reference)[0]
        # Sampler and trainer round differently in bfloat16. Several updates must start from a ratio of 1; one alone
        # takes the sampler's word for what was sampled.
        again = self.config.model.dtype == "bfloat16" and algorithm.epochs * algorithm.minibatches > 1
        values = nothing
        if again or self.value_head is not None:
            measured, values = self.measure(batch)
            old = measured if again else old
        if self.value_head is None:
            relative = leave_one_out if algorithm.name == "paper" else group_relative
            advantages = relative(rewards, groups)[batch.rollouts].unsqueeze(1) * batch.mask
            return _Targets(old, advantages, values, nothing, reference)
        line = batch.line_mask()
        earned = torch.zeros_like(line)
        earned[torch.arange(len(rewards)), line.sum(1).long() - 1] = rewards  # at the last token that was sampled
        in_line = batch.in_line(values)
        advantages, returns = gae(earned, in_line, line, gamma=algorithm.gamma, lam=algorithm.lam)
        figures.add("explained_variance", explained_variance(in_line, returns, line))
        return _Targets(old, batch.from_line(whiten(advantages, line)), values, batch.from_line(returns), reference)

    def _update(self, batch: Batch, targets: _Targets, rows: "Tensor", figures: Figures) -> None:
        """Changes the policy, and the value head, by some of the rows.

        Rows that could only add a gradient of 0 are counted where means are made, and not computed.
        """
        import torch

        algorithm = self.config.algorithm
        weights = torch.zeros_like(batch.mask)
        weights[rows] = token_weights(batch.mask[rows], _AGGREGATION[algorithm.name], batch.rollouts[rows])
        means = torch.zeros_like(batch.mask)
        means[rows] = token_weights(batch.mask[rows], "token-mean")
        if self.value_head is None and not algorithm.kl and not algorithm.entropy:
            rows = rows[targets.advantages[rows].any(1)]
        if not len(rows):
            return
        self.model.train(self.config.model.gradient_checkpointing)
        sums: defaultdict[str, float] = defaultdict(float)
        for micro in self._micro_batches(batch, rows):
            part = batch.trimmed(micro)
            width = part.ids.shape[1]
            aim = _Targets(*(target[micro, :width] for target in targets))
            parts = self._losses(part, aim, weights[micro, :width], means[micro, :width], figures)
            sum(parts.values()).backward()
            for name, value in parts.items():
                sums[name] += float(value.detach())
        self.model.eval()
        for name, value in sums.items():
            figures.add(name, value)
        figures.add("loss", sum(sums.values()))
        norms = {"grad_norm": self._actor.apply(self.steps)}
        if self._critic:
            norms["value_grad_norm"] = self._critic.apply(self.steps)
        for name, norm in norms.items():
            figures.add(name, norm)
        figures.updates += 1
        figures.failed += not all(map(math.isfinite, norms.values()))

    def _losses(
        self, part: Batch, aim: _Targets, weights: "Tensor", means: "Tensor", figures: Figures
    ) -> "dict[str, Tensor]":
        """What a micro-batch adds to the loss of its update, each with its sign and coefficient."""
        algorithm, mask = self.config.algorithm, part.mask
        scored, value = self._score(self.model, part)
        logprobs, entropy = part.grid(scored.logprobs), part.grid(scored.entropies)
        losses, clipped = policy_losses(
            logprobs, aim.old, aim.advantages, mask, clip_low=algorithm.clip_low, clip_high=algorithm.clip_high
        )
        parts = {"policy_loss": (losses * weights).sum()}
        if algorithm.entropy:
            parts["entropy_loss"] = -algorithm.entropy * (entropy * weights).sum()
        if algorithm.kl:
            divergence = kl_estimates(logprobs, aim.reference, mask)
            parts["kl_loss"] = algorithm.kl * (divergence * weights).sum()
            figures.add_tokens("reference_kl", divergence, mask)
        if self.value_head is not None:
            errors = value_losses(part.grid(value), aim.values, aim.returns, mask, clip=algorithm.value_clip)
            parts["value_loss"] = (errors * means).sum()
        figures.add_tokens("entropy", entropy, mask)
        figures.add_tokens("kl", kl_estimates(aim.old, logprobs, mask), mask)
        figures.add_tokens("clip_fraction", clipped, mask)
        if not figures.updates:
            figures.peak("sampler_gap", float((logprobs - part.logprobs).detach().abs().max()))
        return parts

    def _score(self, model: Any, part: Batch) -> "tuple[Scored, Tensor]":
        """What the model and the value head say of a batch; values are of the state before each sampled token."""
        import torch

        config = self.config
        device = next(model.parameters()).device.type
        with torch.autocast(device, dtype=torch.bfloat16, enabled=config.model.dtype == "bfloat16"):
            scored = score(
                model,
                part,
                temperature=config.rollout.temperature,
                entropy_gradient=config.algorithm.entropy > 0,
            )
        if self.value_head is None:
            return scored, torch.zeros_like(scored.logprobs)
        hidden = scored.hidden.float() if config.algorithm.value_gradient else scored.hidden.detach().float()
        return scored, self.value_head(hidden).squeeze(-1)

    def _minibatches(self, batch: Batch) -> "Iterator[Tensor]":
        """Rows of the updates of one epoch; the rows of a rollout stay together."""
        import torch

        count = self.config.algorithm.minibatches
        if count == 1:
            yield torch.arange(len(batch.ids))
            return
        order = torch.randperm(int(batch.rollouts.max()) + 1, generator=self._order)
        for chosen in order.tensor_split(min(count, len(order))):
            yield torch.isin(batch.rollouts, chosen).nonzero().squeeze(1)

    def _micro_batches(self, batch: Batch, rows: "Tensor") -> "Iterator[Tensor]":
        """The rows in pieces of about one length, so that little is padding."""
        lengths = batch.real[rows].sum(1)
        yield from rows[lengths.argsort(descending=True, stable=True)].split(self.config.algorithm.micro_batch)
