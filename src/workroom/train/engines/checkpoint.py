"""Checkpoints of our own trainer: a model in Hugging Face form, with `trainer.pt` beside it.

A folder that is there is whole: it is written under another name and renamed.
"""

import shutil
from pathlib import Path
from typing import Any

from workroom.errors import ConfigError
from workroom.train.save import save

_STATE = "trainer.pt"


def write_checkpoint(directory: Path, model: Any, tokenizer: Any, state: dict[str, Any]) -> None:
    """Writes `directory`, in place of what was there; torch's own random states go with `state`."""
    import torch

    part = save(model, tokenizer, directory.with_name(f".{directory.name}.part"))
    random = {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()}
    torch.save({**state, "random": random}, part / _STATE)
    shutil.rmtree(directory, ignore_errors=True)
    part.rename(directory)


def read_checkpoint(directory: Path, model: Any) -> dict[str, Any]:
    """Puts the weights into `model` and sets torch's random states; returns the rest.

    Raises ConfigError where there is no such checkpoint, or of another model.
    """
    import torch

    path = directory / _STATE
    if not path.is_file():
        raise ConfigError(f"{directory} is no checkpoint of the engine ppo: begin a new directory")
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    kept = type(model).from_pretrained(directory, dtype=model.dtype, local_files_only=True)
    try:
        model.load_state_dict(kept.state_dict())
    except RuntimeError as error:
        raise ConfigError(
            f"{directory} holds another model than the configuration names: begin a new directory"
        ) from error
    random = state.pop("random")
    torch.set_rng_state(random["cpu"])
    if random["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(random["cuda"])
    return state
