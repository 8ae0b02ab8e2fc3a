"""AdamW with a warm-up, a bound on the gradient, and a state that can be kept."""

import math
from typing import Any


class Optimizer:
    """Changes the parameters of `module` that ask for a gradient.

    `warmup`: steps over which the rate grows to `lr`. `decay`: of matrices alone, not of biases and norms. `clip`: the
    bound on the gradient's norm.
    """

    def __init__(self, module: Any, lr: float, *, warmup: int, decay: float, clip: float) -> None:
        import torch

        self._parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self._rate, self._warmup, self._clip = lr, warmup, clip
        matrices = [parameter for parameter in self._parameters if parameter.dim() > 1]
        others = [parameter for parameter in self._parameters if parameter.dim() < 2]
        groups = [{"params": matrices, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
        self._adam = torch.optim.AdamW(groups, lr=lr)

    @property
    def lr(self) -> float:
        """The rate of the last change."""
        return float(self._adam.param_groups[0]["lr"])

    def apply(self, step: int) -> float:
        """Changes the parameters by the gradient that was summed up, and forgets it; `step` counts from 0.

        Returns the gradient's norm before it was bounded; where it is not finite, nothing is changed.
        """
        import torch

        rate = self._rate * min(1.0, (step + 1) / max(self._warmup, 1))
        for group in self._adam.param_groups:
            group["lr"] = rate
        norm = float(torch.nn.utils.clip_grad_norm_(self._parameters, self._clip))
        if math.isfinite(norm):
            self._adam.step()
        self._adam.zero_grad()
        return norm

    def state(self) -> dict[str, Any]:
        """What `restore` takes."""
        state: dict[str, Any] = self._adam.state_dict()
        return state

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from a state."""
        self._adam.load_state_dict(state)
