"""verl: training on many GPUs and machines, with Ray and vLLM, around our loop and sandboxes.

verl lives in an environment of its own, whose interpreter is named: it holds transformers below what TRL needs, so that
the two cannot share one. There, verl's trainer is started with our settings as its own (`verl_flags`), our tasks as its
rows (`verl_data`) and our agent loop (`verl_loop`), which is imported from this package.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from workroom.errors import ConfigError, WorkroomError
from workroom.train.engines.verl_data import AGENT, write_data
from workroom.train.engines.verl_figures import entries, figures, next_log
from workroom.train.engines.verl_flags import flags
from workroom.trajectory.files import replace_file

if TYPE_CHECKING:
    from workroom.train.config import TrainConfig
    from workroom.train.data import Splits

__all__ = [
    "Environment",
    "command",
    "entries",
    "environment",
    "figures",
    "flags",
    "launch",
    "prepare",
    "trained",
    "write_data",
]

VARIABLE: Final = "WORKROOM_VERL_PYTHON"
VERSION: Final = "0.9"  # whose keys and agent loop these are
INSTALL: Final = "pip install 'verl[vllm]==0.9.1' cachetools uvicorn fastapi math-verify workroom"
_LOOP: Final = "workroom.train.engines.verl_loop.WorkroomAgentLoop"
_ASKING: Final = 300.0  # seconds to import torch, on a machine that is busy
_PROBE: Final = """
import importlib.metadata, importlib.util, json, sys
sys.path.append(sys.argv[1])
def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
gpus = 0
if importlib.util.find_spec("torch"):
    import torch
    gpus = torch.cuda.device_count()
missing = [name for name in ("pydantic", "jinja2", "httpx2") if importlib.util.find_spec(name) is None]
print(json.dumps({"verl": version("verl"), "vllm": version("vllm"), "gpus": gpus, "missing": missing}))
"""


class Environment(NamedTuple):
    """Where verl is: its interpreter and version, and the GPUs of this machine."""

    python: str
    verl: str
    gpus: int


def environment(python: str | Path | None = None) -> Environment:
    """The environment of an interpreter: of `python`, else of the variable `WORKROOM_VERL_PYTHON`, else this one.

    Raises ConfigError where it has no verl, none that this package knows, no vLLM, or no GPU.
    """
    chosen = str(python or os.environ.get(VARIABLE) or sys.executable)
    remedy = f"make an environment for it ({INSTALL}) and name its python in {VARIABLE}"
    try:
        done = subprocess.run(
            [chosen, "-c", _PROBE, _sources()], capture_output=True, text=True, check=False, timeout=_ASKING
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"the interpreter {chosen} for verl cannot be run ({error}): {remedy}") from None
    try:
        found = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        words = done.stderr.strip().rpartition("\n")[2]
        raise ConfigError(f"the interpreter {chosen} for verl does not work ({words[:300]}): {remedy}") from None
    if found["verl"] is None:
        raise ConfigError(f"verl is not installed for {chosen}: {remedy}")
    if not found["verl"].startswith(f"{VERSION}."):
        raise ConfigError(f"verl {found['verl']} is installed for {chosen}, and this needs {VERSION}: {remedy}")
    if found["missing"]:
        raise ConfigError(f"{chosen} lacks what workroom needs ({', '.join(found['missing'])}): {remedy}")
    if not found["gpus"]:
        raise ConfigError('verl needs a GPU, and there is none: engine = "ppo" or "trl" trains on a CPU')
    if found["vllm"] is None:
        raise ConfigError(f"vLLM, with which verl samples, is not installed for {chosen}: {remedy}")
    return Environment(chosen, found["verl"], found["gpus"])


def prepare(config: "TrainConfig", splits: "Splits", directory: Path) -> None:
    """Puts into the directory what verl's processes read: `data/*.parquet`, `config.json` and `agent.yaml`.

    On several machines the directory, the model and this package must be at the same place on each.
    """
    place = directory.absolute()
    write_data(splits, place / "data", config.validation.modes)
    replace_file(place / "config.json", _whole(config).model_dump_json(indent=1).encode())
    agent = [{"name": AGENT, "_target_": _LOOP, "place": str(place)}]
    replace_file(place / "agent.yaml", json.dumps(agent).encode())  # JSON is YAML too


def command(config: "TrainConfig", directory: Path, where: Environment, *, resume: bool = False) -> list[str]:
    """What is to be run to train, in the directory. Raises ConfigError for settings that verl cannot train with."""
    handed = {
        "PYTHONPATH": os.pathsep.join([_sources(), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "VERL_FILE_LOGGER_PATH": str(next_log(directory.absolute())),
        "TENSORBOARD_DIR": str(directory.absolute() / "tensorboard"),
    }
    overrides = flags(config, directory, gpus=where.gpus, resume=resume, variables=handed)
    return [where.python, "-m", "verl.trainer.main_ppo", *overrides]


def launch(
    config: "TrainConfig",
    directory: Path,
    *,
    python: str | Path | None = None,
    tell: Callable[[str], None] = print,
    stopping: Callable[[], bool] = lambda: False,
) -> bool:
    """Trains with verl and waits for its end; what it prints goes where ours goes. Goes on from the last checkpoint
    where there is one. `figures` and `entries` read its metrics, which are in `tensorboard/` too; the trained policy is
    in `model/`. False where it was ended because it was `stopping`, which is asked every second.

    Raises ConfigError as `environment` and `flags` do, before anything is started, and WorkroomError where verl fails.
    An interrupt ends verl as well, and is raised again.
    """
    resume = _step(directory) is not None
    where = environment(python)
    line = command(config, directory, where, resume=resume)
    prepare(config, _splits(config, directory, tell), directory)
    tell(f"verl {where.verl} on {where.gpus} GPUs of this machine")
    with subprocess.Popen(line, cwd=directory, start_new_session=True) as process:
        try:
            while (code := _waited(process)) is None:
                if stopping():
                    _end(process)
                    return False
        except BaseException:
            _end(process)
            raise
    if code:
        raise WorkroomError(f"verl ended with exit code {code}: its last words are above")
    shutil.rmtree(directory / "model", ignore_errors=True)
    shutil.copytree(trained(directory), directory / "model", copy_function=_linked)
    return True


def trained(directory: Path) -> Path:
    """The newest trained policy, a folder in Hugging Face form. Raises ConfigError where there is none yet."""
    step = _step(directory)
    if step is None:
        raise ConfigError(f"verl has written no checkpoint into {directory / 'checkpoints'} yet")
    return directory / "checkpoints" / f"global_step_{step}" / "actor" / "huggingface"


def _splits(config: "TrainConfig", directory: Path, tell: Callable[[str], None]) -> "Splits":
    """The tasks: those of before where they are there already."""
    from workroom.train.data import build, read, write

    folder = directory / "data"
    if (folder / "test.jsonl").is_file():  # the last that is written
        return read(folder)
    splits = build(config.data, tell=tell)
    write(splits, folder)
    return splits


def _step(directory: Path) -> int | None:
    """Of verl's last checkpoint, None without one."""
    try:
        return int((directory / "checkpoints" / "latest_checkpointed_iteration.txt").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _waited(process: "subprocess.Popen[Any]") -> int | None:
    """The exit code, None where it works on after a second."""
    try:
        return process.wait(timeout=1.0)
    except subprocess.TimeoutExpired:
        return None


def _linked(source: str, target: str) -> str:
    """The same file under another name, so that weights are not there twice; a copy where there are no such links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def _end(process: "subprocess.Popen[Any]") -> None:
    """Asks verl to end, which ends Ray's processes with it, and makes it where it does not."""
    for signal_ in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, signal_)
            process.wait(timeout=30)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
        return


def _whole(config: "TrainConfig") -> "TrainConfig":
    """The configuration with whole paths: verl's processes work elsewhere."""
    template, custom = config.model.chat_template, config.reward.custom
    model = config.model.model_copy(update={"chat_template": template and template.absolute()})
    reward = config.reward.model_copy(update={"custom": custom and str(Path(custom).expanduser().absolute())})
    return config.model_copy(update={"model": model, "reward": reward})


def _sources() -> str:
    """Where this package is imported from."""
    return str(Path(__file__).parents[3])
