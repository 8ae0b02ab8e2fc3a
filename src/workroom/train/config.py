"""What a training is made of: one TOML file, checked as a whole before anything heavy starts."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Engine = Literal["trl", "ppo", "verl"]
Algorithm = Literal["grpo", "paper", "ppo"]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Above0 = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A table of the file: unknown keys are errors, and nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModelSection(Section):
    """The policy to begin with.

    `path`: a folder in Hugging Face form, a GGUF file, or a name of `workroom models` (`local/smollm2-135m`).
    `chat_template`: a Jinja file, where the model's own is missing or cannot do what is wanted. `tool_protocol`: how
    tools are called, as of `workroom run`. `dtype`: of the weights while training; bfloat16 is autocast.
    """

    path: str
    chat_template: Path | None = None
    tool_protocol: Literal["native", "json", "bash"] = "bash"
    prompt: Literal["standard", "compact"] = "compact"
    dtype: Literal["float32", "bfloat16"] = "float32"
    gradient_checkpointing: bool = False


class DataSection(Section):
    """Where tasks come from, and how their context is laid out as files.

    `source`: `generated:facts` (or one of its kinds, the easiest is `generated:lookup`), JSONL files in the schema of
    the bench's `--data` or of the authors' release, or `hub:NAME[:CONFIG[:SPLIT]]`. `grader`: of all tasks, in place of
    what the data say. `train`, `validation` and `test` are numbers of tasks, split by document so that no two share
    one. `examples`: how many earlier questions of the same context go into the prompt with their answers.
    `distractors`: files of other contexts put beside a single document. `max_document`: characters, longer ones are
    split into parts. `max_documents`: files of a task.
    """

    source: str | list[str] = "generated:facts"
    grader: str | None = None
    train: Positive = 256
    validation: Count = 32
    test: Count = 64
    examples: Count = 0
    distractors: Count = 3
    max_document: Positive = 20_000
    max_documents: Positive = 100
    seed: int = 0


class RolloutSection(Section):
    """How episodes are run: with the loop, prompts, tools and sandboxes of `workroom run`.

    `group`: rollouts of one task. `max_tokens` bounds one turn, `context` all tokens of an episode; over-long episodes
    end as `context_overflow`. `concurrency`: agents that work at a time; up to twice as many sandboxes are there, since
    the next ones are opened meanwhile. Times in seconds.
    """

    group: Annotated[int, Field(ge=2)] = 8
    max_turns: Positive = 6
    max_tokens: Positive = 128
    context: Positive = 2048
    temperature: Above0 = 1.0
    max_time: Above0 = 600.0
    concurrency: Positive = 16
    style: Literal["compute", "neutral"] = "neutral"
    sandbox: Literal["bwrap", "docker"] = "bwrap"
    image: str | None = None
    network: str = "none"
    command_timeout: Above0 = 10.0
    memory: str = "512m"
    pids: Positive = 64
    disk: str = "64m"


class RewardSection(Section):
    """What an episode earns, from `answer.txt` alone.

    `scheme`: `binary` (0 or 1, the paper's text) or `fractional` (F1 on letters, ROUGE-L on free text: the released
    code). `overlong`: what an episode earns that ran into a limit (`max_turns`, `max_tokens`, `max_time`,
    `context_overflow`, `stalled`); None, in a file "answer": what its answer earns. `custom`: `FILE.py:FUNCTION` in
    place of the graders.
    """

    scheme: Literal["binary", "fractional"] = "fractional"
    overlong: Share | None = 0.0
    custom: str | None = None
    timeout: Above0 = 60.0


class AlgorithmSection(Section):
    """The update. `prompts` times the rollouts' `group` is one batch; `paper` is the authors' mix: leave-one-out
    baseline, clip 0.2 and 0.28, no KL, no standard deviation, the sum over a sequence's tokens.

    `epochs` and `minibatches` are of the engine `ppo`; `gamma`, `lam`, `value_lr`, `value_clip` and `value_gradient`
    (whether the value loss changes the policy's own weights, not only the value head) of the algorithm of that name.
    """

    name: Algorithm = "paper"
    steps: Positive = 20
    prompts: Positive = 8
    lr: Above0 = 1e-6
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    warmup_steps: Count = 0
    max_grad_norm: Above0 = 1.0
    clip_low: Share = 0.2
    clip_high: Share = 0.28
    kl: Annotated[float, Field(ge=0)] = 0.0
    entropy: Annotated[float, Field(ge=0)] = 0.0
    micro_batch: Positive = 4
    epochs: Positive = 1
    minibatches: Positive = 1
    gamma: Share = 1.0
    lam: Share = 1.0
    value_lr: Above0 = 1e-5
    value_clip: Above0 = 0.5
    value_gradient: bool = False


class WarmStartSection(Section):
    """Supervised steps before the training by reward. `data`: JSONL of token rows made with
    `workroom export --to tokens`, or `expert` for episodes that a scripted expert plays in real sandboxes."""

    data: str = "expert"
    steps: Count = 0
    batch: Positive = 4
    lr: Above0 = 2e-5
    tasks: Positive = 24


class ValidationSection(Section):
    """Held-out documents every `every` steps (0: only before and after), in the `modes`."""

    every: Count = 10
    modes: list[Literal["sandbox", "llm"]] = ["sandbox", "llm"]
    temperature: Annotated[float, Field(ge=0)] = 0.7
    repeats: Positive = 1


class OutputSection(Section):
    """`dir`: everything that a training leaves. `samples`: trajectories of each step that are kept to be read."""

    dir: Path | None = None
    checkpoint_every: Positive = 5
    keep_checkpoints: Positive = 2
    samples: Count = 2
    tensorboard: bool = True


class TrainConfig(Section):
    """The whole file."""

    engine: Engine = "trl"
    seed: int = 0
    model: ModelSection
    data: DataSection = DataSection()
    rollout: RolloutSection = RolloutSection()
    reward: RewardSection = RewardSection()
    algorithm: AlgorithmSection = AlgorithmSection()
    warm_start: WarmStartSection = WarmStartSection()
    validation: ValidationSection = ValidationSection()
    output: OutputSection = OutputSection()
    verl: dict[str, object] = {}  # handed to verl as it stands, over what is made of the sections above
