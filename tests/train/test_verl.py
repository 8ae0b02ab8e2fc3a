"""The verl adapter: with verl itself where its environment is there, else as far as one gets without."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from workroom.errors import ConfigError, WorkroomError
from workroom.task import Task
from workroom.train.config import TrainConfig
from workroom.train.config_file import load
from workroom.train.data import Splits
from workroom.train.engines import verl
from workroom.train.engines.verl_data import from_json, to_json

pytestmark = pytest.mark.timeout(600)  # importing verl alone takes half a minute on a busy machine
ROOT = Path(__file__).parents[2]
PYTHON = Path(os.environ.get(verl.VARIABLE) or ROOT / ".venv-verl" / "bin" / "python")


def config(**sections: Any) -> TrainConfig:
    model = {"path": "some/model", "dtype": "bfloat16"} | sections.pop("model", {})
    return TrainConfig.model_validate({"engine": "verl", "model": model, **sections})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the worker reads and writes; its policy lies in `policy`."""
    return tmp_path_factory.mktemp("verl")


@pytest.fixture(scope="module")
def found(place: Path) -> Any:
    """What the worker found, run once by the interpreter of verl's environment: importing verl takes its time."""
    if not PYTHON.exists():
        pytest.skip(f"there is no environment with verl: {PYTHON}")
    overrides = {
        "paper": verl.flags(PAPER, place, variables={"PYTHONPATH": "/a:/b"}),
        "seed": verl.flags(_with_policy(SEED, place), place),
        "grpo": verl.flags(GRPO, place / ODD, resume=True),
        **{name: verl.flags(_with_policy(load(ROOT / "configs" / name), place), place) for name in FILES},
    }
    (place / "overrides.json").write_text(json.dumps(overrides))
    (place / "settings.json").write_text(_with_policy(SMALL, place).model_dump_json())
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))},
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_CACHE": str(place / "cache"),
    }
    command = [str(PYTHON), "-m", "tests.train.verl_worker", str(place)]
    done = subprocess.run(command, cwd=place, env=variables, capture_output=True, text=True, check=False, timeout=540)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads((place / "found.json").read_text())


@pytest.fixture(scope="module")
def played(found: Any) -> Any:
    return found["played"]


def _with_policy(settings: TrainConfig, place: Path) -> TrainConfig:
    return settings.model_copy(update={"model": settings.model.model_copy(update={"path": str(place / "policy")})})


FILES = {"paper.toml": "rloo", "seed-ppo.toml": "gae"}  # of `configs/`
ODD = "it's, {a} = $place\\"

# Much as in `configs/paper.toml` and `configs/seed-ppo.toml`, and figures that are nobody's defaults.
LONG = {"group": 8, "context": 81_920, "max_tokens": 65_536, "max_turns": 100, "concurrency": 64}
PAPER = config(
    rollout=LONG,
    algorithm={"name": "paper", "steps": 150, "prompts": 8, "micro_batch": 1},
    data={"train": 2800, "validation": 100},
    model={"gradient_checkpointing": True, "tool_protocol": "native"},
)
SEED = config(
    rollout=LONG | {"concurrency": 128},
    algorithm={
        "name": "ppo",
        "lr": 1e-5,
        "value_lr": 2e-5,
        "value_clip": 0.4,
        "prompts": 64,
        "steps": 440,
        "minibatches": 4,
        "micro_batch": 1,
        "clip_high": 0.2,
        "gamma": 0.99,
        "lam": 0.95,
    },
    data={"train": 2816, "validation": 100},
)
GRPO = config(
    algorithm={"name": "grpo", "kl": 0.01, "entropy": 0.002, "epochs": 2, "max_grad_norm": 0.5, "warmup_steps": 3},
    data={"validation": 0},
    rollout={"concurrency": 3},
    output={"tensorboard": False},
    verl={
        "trainer": {"n_gpus_per_node": 4, "nnodes": 2, "logger": ["console"]},
        "actor_rollout_ref": {
            "rollout": {"gpu_memory_utilization": 0.7},
            "actor": {"fsdp_config": {"param_offload": True}},
        },
        "algorithm.gamma": 0.5,
        "trainer.rollout_data_dir": None,
    },
)


SMALL = config(
    rollout={"max_turns": 3, "max_tokens": 300, "context": 4096, "memory": "256m", "concurrency": 2, "group": 2},
    algorithm={"prompts": 1},
    data={"train": 1, "validation": 1},
    output={"samples": 1},
)


def test_the_configuration_is_one_that_verl_takes_and_means_the_same(found: Any, place: Path) -> None:
    """Every key is in verl's own files, and its trainer's first check passes."""
    found = found["composed"]
    paper = found["paper"]
    actor, rollout = paper["actor_rollout_ref"]["actor"], paper["actor_rollout_ref"]["rollout"]
    assert (paper["algorithm"]["adv_estimator"], paper["algorithm"]["use_kl_in_reward"]) == ("rloo", False)
    assert actor["loss_agg_mode"] == "seq-mean-token-sum"
    assert (actor["clip_ratio_low"], actor["clip_ratio_high"]) == (0.2, 0.28)
    assert (actor["use_kl_loss"], actor["entropy_coeff"], actor["ppo_epochs"]) == (False, 0.0, 1)
    assert (paper["data"]["train_batch_size"], rollout["n"], actor["ppo_mini_batch_size"]) == (8, 8, 8)
    assert actor["optim"] == actor["optim"] | {"lr": 1e-6, "weight_decay": 0.01, "lr_warmup_steps": 0, "clip_grad": 1.0}
    assert (rollout["temperature"], rollout["top_p"], rollout["top_k"]) == (1.0, 1.0, -1)
    assert rollout["calculate_log_probs"] is True
    assert (rollout["max_model_len"], rollout["log_prob_max_token_len_per_gpu"]) == (81_920, 81_920)
    assert rollout["val_kwargs"] == rollout["val_kwargs"] | {"temperature": 0.7, "do_sample": True, "n": 1}
    assert rollout["agent"]["agent_loop_config_path"] == str(place / "agent.yaml")
    assert paper["actor_rollout_ref"]["model"]["enable_gradient_checkpointing"] is True
    trainer = paper["trainer"]
    assert (trainer["total_training_steps"], trainer["test_freq"], trainer["save_freq"]) == (150, 10, 5)
    assert (trainer["val_before_train"], trainer["resume_mode"]) == (True, "disable")
    assert trainer["logger"] == ["console", "file", "tensorboard"]
    assert paper["variables"] == {"PYTHONPATH": "/a:/b"}

    for name, estimator in FILES.items():
        assert found[name]["algorithm"]["adv_estimator"] == estimator
        assert found[name]["actor_rollout_ref"]["rollout"]["max_model_len"] == 81_920

    seed, critic = found["seed"], found["seed"]["critic"]
    assert seed["algorithm"] == seed["algorithm"] | {"adv_estimator": "gae", "gamma": 0.99, "lam": 0.95}
    assert seed["data"]["train_batch_size"] * seed["actor_rollout_ref"]["rollout"]["n"] == 512
    assert seed["actor_rollout_ref"]["actor"]["optim"]["lr"] == 1e-5
    assert seed["actor_rollout_ref"]["actor"]["ppo_mini_batch_size"] == critic["ppo_mini_batch_size"] == 16
    assert (critic["optim"]["lr"], critic["cliprange_value"], critic["optim"]["clip_grad"]) == (2e-5, 0.4, 1.0)
    assert (critic["longest"], critic["ppo_max_token_len_per_gpu"]) == (81_920, 81_920)
    assert critic["model"]["path"] == str(place / "policy")

    grpo = found["grpo"]
    actor = grpo["actor_rollout_ref"]["actor"]
    assert grpo["algorithm"] == grpo["algorithm"] | {"adv_estimator": "grpo", "norm_adv_by_std_in_grpo": True}
    assert (actor["loss_agg_mode"], actor["use_kl_loss"], actor["kl_loss_coef"]) == ("seq-mean-token-mean", True, 0.01)
    assert (actor["entropy_coeff"], actor["ppo_epochs"]) == (0.002, 2)
    assert (actor["optim"]["clip_grad"], actor["optim"]["lr_warmup_steps"]) == (0.5, 3)
    assert actor["ppo_max_token_len_per_gpu"] == 4 * 2048
    assert grpo["actor_rollout_ref"]["rollout"]["agent"]["num_workers"] == 3
    trainer = grpo["trainer"]
    assert (trainer["n_gpus_per_node"], trainer["nnodes"], trainer["logger"]) == (4, 2, ["console"])
    assert (trainer["val_before_train"], trainer["test_freq"], trainer["resume_mode"]) == (False, -1, "auto")
    assert trainer["default_local_dir"] == str(place / ODD / "checkpoints")
    assert (grpo["algorithm"]["gamma"], trainer["rollout_data_dir"]) == (0.5, None)
    assert actor["fsdp_config"]["param_offload"] is True


def test_verl_gets_an_episode_in_a_real_sandbox_as_it_was_sampled(played: Any) -> None:
    episode = played["episode"]
    sampled = [token for token, own in zip(episode["response"], episode["mask"], strict=True) if own]
    assert sampled == [token for reply in episode["replies"] for token in reply]
    told = [value for value, own in zip(episode["logprobs"], episode["mask"], strict=True) if own]
    assert told == [-(place + 1) / 8 for reply in episode["replies"] for place in range(len(reply))]
    assert {value for value, own in zip(episode["logprobs"], episode["mask"], strict=True) if not own} == {0.0}
    assert (episode["reward"], episode["turns"]) == (1.0, 4)
    assert (episode["scored"][-1], sum(episode["scored"])) == (1.0, 1.0)
    assert "It is red." in episode["text"]
    first, second = episode["asked"]
    assert first["prompt"] == episode["prompt"]
    assert second["prompt"] == [*first["prompt"], *episode["response"]][: len(second["prompt"])]
    assert first["request"] == second["request"], "the turns of an episode go to one server"
    parameters = first["parameters"]
    assert parameters == parameters | {"temperature": 1.0, "top_p": 1.0, "top_k": -1, "logprobs": True}
    assert (parameters["max_tokens"], parameters["stop_token_ids"]) == (300, [2])


def test_verl_gets_what_its_trainer_reads_of_an_episode(played: Any) -> None:
    episode = played["episode"]
    extra = episode["extra"]
    assert (extra["min_global_steps"], extra["max_global_steps"]) == (7, 8), "the policy's versions, by the server"
    information = {"acc": 1.0, "turns": 2.0, "tool_calls": 3.0, "submitted": 1.0, "overlong": 0.0}
    assert extra["reward_extra_info"] == information
    assert {"num_turns", "metrics", "rm_scores", "rollout_log_probs", "extra_fields"} <= set(episode["fields"])
    assert episode["metrics"]["generate_sequences"] > 0
    assert episode["metrics"]["tool_calls"] > 0
    assert episode["kept"] == ["samples/step-00007/u-3"]
    assert episode["running"] == 0


def test_the_line_break_behind_a_turn_is_there_whatever_verl_takes_the_model_for(played: Any) -> None:
    """verl's own builder knows it for some families only: it would be missing for a Llama with this template."""
    builders = played["builders"]
    assert builders["qwen3"] == builders["ours"]
    assert builders["llama"] == builders["ours"] - 1
    [behind] = builders["between"]
    episode = played["episode"]
    assert episode["response"][len(episode["replies"][0])] == behind
    assert episode["mask"][len(episode["replies"][0])] == 0


def test_rewards_modes_and_failures(played: Any) -> None:
    assert played["sources"] == ["workroom-sandbox", "workroom-llm"]
    assert (played["plain"]["reward"], played["plain"]["turns"]) == (1.0, 2)
    assert "It is red." in played["plain"]["text"], "the documents are in the prompt"
    assert played["rewards"]["wrong"] == 0.0
    overlong = played["rewards"]["overlong"]
    assert (overlong["overlong"], overlong["submitted"], overlong["acc"]) == (1.0, 0.0, 0.0)
    assert played["recovered"] == 1.0, "a call that failed once is made again"
    assert played["left out"] == []
    heard = "\n".join(played["heard"])
    assert "verl's server does not tell the log-probability of each token" in heard
    assert played["broken off"] == "verl's server broke off a turn (aborted)"
    older, blind = played["refused"]
    assert "leave trainer.use_v1 at true" in older
    assert "leave actor_rollout_ref.rollout.calculate_log_probs at true" in blind


def test_a_rollout_of_several_rows_and_one_that_is_dropped(played: Any) -> None:
    rollouts = played["rollouts"]
    both = [[[1, 2], [3], [1], 0.5], [[1], [4, 5], [0, 1], 0.5]]
    assert rollouts["two grpo"] == both, "verl counts the rollout once"
    assert rollouts["two rloo"] == both[1:]
    dropped = [rollouts[f"{name} {estimator}"] for name in ("failed", "silent") for estimator in ("grpo", "rloo")]
    assert dropped == [[]] * 4
    heard = "\n".join(played["heard"])
    assert "only the last of its 2 rows is trained on" in heard
    assert "bwrap is gone" in heard
    assert "no token was sampled (context_overflow)" in heard


def test_a_task_survives_being_a_row(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"\xfe\n")
    task = Task("q \ud800 ü\u2028", documents={"a": "text\r\n", "b/c": b"\x00", "d": file}, meta={"x": {"y": 1.5}})
    read = replace(task, documents={"a": "text\r\n", "b/c": b"\0", "d": b"\xfe\n"})
    assert from_json(to_json(task)) == read


def test_rows_are_for_verl_and_validation_is_in_both_modes(tmp_path: Path) -> None:
    from pyarrow import parquet

    training = {"prompts": {"sandbox": "In files.", "llm": "Here."}, "question": "?"}
    task = Task("In files.", id="one", answer="red", meta={"training": training, "own": 1})
    train, validation = verl.write_data(Splits([task], [task], []), tmp_path)
    [row] = parquet.read_table(train).to_pylist()
    assert (row["agent_name"], row["extra_info"], row["mode"]) == ("workroom", {"index": 0}, "sandbox")
    assert row["prompt"] == [{"role": "user", "content": "one"}]
    assert from_json(row["task"]) == Task("In files.", id="one", answer="red", meta={"own": 1})
    rows = parquet.read_table(validation).to_pylist()
    assert [(row["mode"], from_json(row["task"]).prompt) for row in rows] == [
        ("sandbox", "In files."),
        ("llm", "Here."),
    ]
    _, validation = verl.write_data(Splits([task], [], []), tmp_path)
    assert parquet.read_table(validation).num_rows == 1
    with pytest.raises(ConfigError, match="no task to train on"):
        verl.write_data(Splits([], [], []), tmp_path)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"model": {"dtype": "float32"}}, 'verl computes in bfloat16: set model.dtype = "bfloat16"'),
        ({"model": {"path": "local/smollm2-135m"}}, "verl trains no GGUF model such as local/smollm2-135m"),
        ({"data": {"train": 7}}, "data.train = 7 is less than one batch of algorithm.prompts = 8"),
        ({"algorithm": {"minibatches": 3}}, "algorithm.prompts = 8 cannot be divided into algorithm.minibatches = 3"),
    ],
)
def test_settings_that_verl_cannot_train_with(settings: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        verl.flags(config(**settings), tmp_path)
    assert says in str(caught.value)


WORKS = {"verl": "0.9.1", "vllm": "0.24.0", "gpus": 2, "missing": []}


def interpreter(place: Path, found: object, then: str = "") -> Path:
    """One that finds this in its environment, and runs `then` in place of verl; `$*` are the arguments."""
    path = place / "python"
    path.write_text(f"#!/bin/sh\nif [ \"$1\" = -c ]; then echo '{json.dumps(found)}'; exit; fi\n{then}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ({"verl": None}, "verl is not installed for {python}: make an environment for it (pip install "),
        ({"verl": "0.8.0"}, "verl 0.8.0 is installed for {python}, and this needs 0.9"),
        (WORKS | {"gpus": 0}, 'verl needs a GPU, and there is none: engine = "ppo" or "trl" trains on a CPU'),
        (WORKS | {"vllm": None}, "vLLM, with which verl samples, is not installed for {python}"),
        (WORKS | {"missing": ["jinja2"]}, "{python} lacks what workroom needs (jinja2)"),
    ],
)
def test_an_environment_without_verl_is_told(
    found: dict[str, Any], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = interpreter(tmp_path, WORKS | found)
    monkeypatch.setenv(verl.VARIABLE, str(python))
    with pytest.raises(ConfigError) as caught:
        verl.launch(config(), tmp_path / "training")
    assert str(caught.value).startswith(says.format(python=python))
    assert not (tmp_path / "training").exists(), "nothing was begun"


def test_an_interpreter_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be run"):
        verl.environment(tmp_path / "nowhere")
    broken = interpreter(tmp_path, "")
    broken.write_text("#!/bin/sh\necho 'no such library' >&2; exit 1\n")
    with pytest.raises(ConfigError, match=r"does not work \(no such library\)"):
        verl.environment(broken)


def test_the_real_probe_finds_that_there_is_no_gpu_here() -> None:
    with pytest.raises(ConfigError, match=r"not installed|needs a GPU|vLLM, with which"):
        verl.environment(sys.executable)


CHECKPOINT = """
mkdir -p checkpoints/global_step_20/actor/huggingface
echo weights > checkpoints/global_step_20/actor/huggingface/model.safetensors
printf 20 > checkpoints/latest_checkpointed_iteration.txt
"""


def test_verl_is_started_with_the_settings_and_what_it_reads(tmp_path: Path) -> None:
    directory = tmp_path / "training"
    python = interpreter(tmp_path, WORKS, 'pwd > where; printf "%s\\n" "$@" > asked' + CHECKPOINT)
    reward = tmp_path / "own.py"
    told: list[str] = []
    settings = config(reward={"custom": f"{reward}:f"}, data={"train": 8, "validation": 2, "test": 2})
    assert verl.launch(settings, directory, python=python, tell=told.append)
    assert told[-1] == "verl 0.9.1 on 2 GPUs of this machine"
    assert Path((directory / "where").read_text().strip()) == directory
    asked = (directory / "asked").read_text().splitlines()
    assert asked[:2] == ["-m", "verl.trainer.main_ppo"]
    assert "trainer.n_gpus_per_node=2" in asked
    assert "trainer.resume_mode='disable'" in asked
    place = "+ray_kwargs.ray_init.runtime_env.env_vars"
    assert f"{place}.VERL_FILE_LOGGER_PATH='{directory}/verl-0001.jsonl'" in asked
    assert any(line.startswith(f"{place}.PYTHONPATH='{ROOT / 'src'}") for line in asked)
    [agent] = json.loads((directory / "agent.yaml").read_text())
    assert (agent["name"], agent["place"]) == ("workroom", str(directory))
    assert TrainConfig.model_validate_json((directory / "config.json").read_text()).reward.custom == f"{reward}:f"
    assert (directory / "model" / "model.safetensors").read_text() == "weights\n"

    before = (directory / "data" / "train.jsonl").read_bytes()
    (directory / "verl-0001.jsonl").touch()
    other = settings.model_copy(update={"data": settings.data.model_copy(update={"seed": 1})})
    assert verl.launch(other, directory, python=python, tell=told.append)
    asked = (directory / "asked").read_text().splitlines()
    assert "trainer.resume_mode='auto'" in asked, "a checkpoint is gone on from"
    assert f"{place}.VERL_FILE_LOGGER_PATH='{directory}/verl-0002.jsonl'" in asked
    assert (directory / "data" / "train.jsonl").read_bytes() == before


def test_verl_that_fails_and_verl_that_is_to_stop(tmp_path: Path) -> None:
    settings = config(data={"train": 8, "validation": 0, "test": 1})
    with pytest.raises(WorkroomError, match="verl ended with exit code 3"):
        verl.launch(settings, tmp_path / "a", python=interpreter(tmp_path, WORKS, "exit 3"))
    python = interpreter(tmp_path, WORKS, "echo $$ > process; trap 'echo > asked; exit 130' INT; sleep 60 & wait")
    assert not verl.launch(settings, tmp_path / "b", python=python, stopping=(tmp_path / "b" / "process").exists)
    assert (tmp_path / "b" / "asked").exists(), "it could end by itself"
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "b" / "process").read_text()), 0)


def test_figures_of_a_training_that_was_resumed(tmp_path: Path) -> None:
    def log(number: int, *steps: int, torn: str = "") -> None:
        lines = [json.dumps({"step": step, "data": {"reward": step + number / 10}}) for step in steps]
        (tmp_path / f"verl-{number:04d}.jsonl").write_text("\n".join([*lines, torn]))

    assert verl.figures(tmp_path) == {}
    log(1, 0, 1, 2, 3, torn='{"step": 4, "da')
    log(2, 2, 3, 4)
    assert {step: data["reward"] for step, data in verl.figures(tmp_path).items()} == {
        0: 0.1, 1: 1.1, 2: 2.2, 3: 3.2, 4: 4.2
    }  # fmt: skip
    with pytest.raises(ConfigError, match="no checkpoint"):
        verl.trained(tmp_path)
    theirs = {"critic/score/mean": 0.5, "training/num_turns/mean": 6, "actor/grad_norm": 2.0, "perf/mfu/actor": 0.1}
    validated = {"val-core/workroom-llm/acc/mean@1": 0.25, "val-aux/workroom-sandbox/tool_calls/mean@4": 3.0}
    line = {
        "step": 5,
        "data": theirs | validated | {"val-aux/num_turns/mean": 4, "val-core/workroom-llm/acc/best@4": 1},
    }
    (tmp_path / "verl-0003.jsonl").write_text(json.dumps(line) + "\n")
    assert list(verl.entries(tmp_path)) == [
        ("train", 5, {"reward": 0.5, "turns": 3.0, "grad_norm": 2.0}),
        ("validation", 5, {"llm/success": 0.25, "sandbox/tool_calls": 3.0}),
    ]
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "latest_checkpointed_iteration.txt").write_text("4")
    assert verl.trained(tmp_path) == tmp_path / "checkpoints" / "global_step_4" / "actor" / "huggingface"
