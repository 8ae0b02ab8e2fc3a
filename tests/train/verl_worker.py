"""What the tests of the verl adapter run in verl's own environment: prints one JSON object. verl is real; its server of
a model, which needs a GPU, is played."""

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, patch

from tests.train.tokens import Played, tokenizer
from workroom.errors import Overloaded
from workroom.task import Task
from workroom.train.config import TrainConfig
from workroom.train.data import Splits
from workroom.train.engines import verl

LOOK = "I look.\n```bash\ncat documents/a/x.txt\n```\nObservation:\nmade up"
SAY = "```bash\necho red > answer.txt\nsubmit\n```"
DOCUMENTS = {"a/x.txt": "It is red.\n", "y.txt": "It is not blue.\n"}
PAINT = Task("Which colour?", id="paint", answer="red", grader="exact", documents=DOCUMENTS)


class Server:
    """verl's client of its servers: plays a task's replies, and notes what it was asked."""

    def __init__(self, tokens: Any, *replies: str, fails: int = 0, logprobs: bool = True, ends: bool = True) -> None:
        self.played = Played(tokens, *(replies if ends else (tokens.encode(text) for text in replies)))
        self.asked: list[dict[str, Any]] = []
        self.fails = fails
        self.logprobs = logprobs
        self.ends = ends

    async def generate(self, request_id: str, *, prompt_ids: list[int], sampling_params: dict[str, Any]) -> Any:
        from verl.workers.rollout.replica import TokenOutput

        self.asked.append({"request": request_id, "prompt": prompt_ids, "parameters": dict(sampling_params)})
        if self.fails:
            self.fails -= 1
            raise RuntimeError("the actor died")
        sampled = await self.played.sample(prompt_ids, max_tokens=sampling_params["max_tokens"])
        version = 6 + len(self.asked)
        return TokenOutput(
            token_ids=list(sampled.ids),
            log_probs=list(sampled.logprobs) if self.logprobs else None,
            stop_reason="completed" if self.ends else "aborted",
            extra_fields={"min_global_steps": version, "max_global_steps": version},
        )


def composed(overrides: list[str]) -> Any:
    """verl's own configuration with these overrides, checked as its trainer does first of all."""
    from hydra import compose, initialize_config_module
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config

    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("ppo_trainer", overrides=overrides)
    validate_config(config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config))
    return config


def check(place: Path) -> dict[str, Any]:
    """What verl makes of the overrides in `overrides.json`, a list for each name."""
    from omegaconf import OmegaConf
    from verl.utils.config import omega_conf_to_dataclass

    found = {}
    for name, overrides in json.loads((place / "overrides.json").read_text()).items():
        config = composed(overrides)
        resolved: Any = OmegaConf.to_container(config, resolve=True)
        if config.algorithm.adv_estimator == "gae":
            most = omega_conf_to_dataclass(config.critic).ppo_infer_max_token_len_per_gpu
            resolved["critic"]["longest"] = most
        found[name] = {key: resolved[key] for key in ("actor_rollout_ref", "algorithm", "critic", "data", "trainer")}
        found[name]["variables"] = resolved["ray_kwargs"]["ray_init"]["runtime_env"].get("env_vars")
    return found


class Stage:
    """A training's directory, verl's worker that makes its agent loops, and what these gave."""

    def __init__(self, place: Path) -> None:
        from verl.experimental.agent_loop import AgentLoopWorker

        self.tokens = tokenizer()
        config = TrainConfig.model_validate_json((place / "settings.json").read_text())
        directory = place / "training"
        verl.prepare(config, Splits([PAINT], [PAINT], []), directory)
        self.directory = directory
        self.config = composed(verl.flags(config, directory, gpus=1))

        class Worker(AgentLoopWorker):  # type: ignore[misc] # of verl, which is not there where types are checked
            async def _agent_loop_postprocess(self, output: Any, validate: bool, **row: Any) -> Any:
                return output

        self.worker = Worker(self.config, None)

    def rows(self, split: str) -> list[dict[str, Any]]:
        """Of verl's own data set."""
        from verl.utils.dataset.rl_dataset import RLHFDataset

        data = RLHFDataset(
            str(self.directory / "data" / f"{split}.parquet"), self.worker.tokenizer, self.config.data, None
        )
        return [data[place] for place in range(len(data))]

    async def roll(self, server: Server, row: dict[str, Any], estimator: str | None = None) -> list[Any]:
        """What the agent loop gives, which the worker makes by the row's `agent_name`."""
        from omegaconf import open_dict

        self.worker.llm_client = server
        with open_dict(self.config):
            self.config.algorithm.adv_estimator = estimator or self.config.algorithm.adv_estimator
        parameters = {"temperature": 1.0, "top_p": 1.0, "top_k": -1, "repetition_penalty": 1.0, "logprobs": True}
        trajectory = {"step": 7, "sample_index": 0, "rollout_n": 0, "validate": False}
        given = {**row, "uid": "u", "session_id": 3, "global_steps": 7}
        outputs = await self.worker._run_agent_loop(parameters, trajectory, trace=False, **given)
        return list(outputs)


async def play(stage: Stage) -> dict[str, Any]:
    """The episodes that the test looks at."""
    from verl.utils.tokenizer.continuous_token_wiring import create_continuous_token_builder

    from workroom.train.engines import verl_loop

    heard: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger(verl_loop.__name__).addHandler(handler)
    [row], (sandbox, plain) = stage.rows("train"), stage.rows("validation")
    tokens = stage.tokens
    found: dict[str, Any] = {"sources": [sandbox["data_source"], plain["data_source"]]}

    server = Server(tokens, LOOK, SAY)
    [output] = await stage.roll(server, row)
    dump = output.as_dict()
    found["episode"] = {
        "prompt": output.prompt_ids,
        "response": output.response_ids,
        "mask": output.response_mask,
        "logprobs": output.response_logprobs,
        "reward": output.reward_score,
        "turns": output.num_turns,
        "extra": output.extra_fields,
        "metrics": output.metrics.model_dump(),
        "scored": [float(value) for value in dump["rm_scores"]],
        "fields": sorted(dump),
        "asked": server.asked,
        "replies": server.played.replies,
        "text": tokens.decode(output.prompt_ids + output.response_ids),
        "kept": sorted(str(path.relative_to(stage.directory)) for path in stage.directory.glob("samples/*/*")),
        "running": len(list(stage.directory.glob("running/*"))),
    }

    # The same conversation as verl's own builder goes on with it: what was told us of families of models.
    between = found["episode"]["asked"][1]["prompt"]
    first = found["episode"]["asked"][0]["prompt"] + list(server.played.replies[0])
    said = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]
    more = [*said, {"role": "user", "content": "O"}]
    ours = tokens.apply_chat_template(more, add_generation_prompt=True, return_dict=False)
    found["builders"] = {"ours": len(ours), "between": between[len(first) :][:1]}
    for family in ("llama", "qwen3"):
        builder = create_continuous_token_builder(tokens, hf_model_type=family)
        begun = builder.build_initial_tokens(said[:1])
        spoken = builder.merge_assistant_tokens(begun, tokens.encode("A<|im_end|>", add_special_tokens=False))
        found["builders"][family] = len(builder.merge_context_tokens(said, more, spoken.token_ids).token_ids)

    [answer] = await stage.roll(Server(tokens, "red"), plain)
    found["plain"] = {
        "reward": answer.reward_score,
        "turns": answer.num_turns,
        "text": tokens.decode(answer.prompt_ids),
    }
    [wrong] = await stage.roll(Server(tokens, "```bash\necho blue > answer.txt\nsubmit\n```"), row)
    [endless] = await stage.roll(Server(tokens, "I think."), row)
    found["rewards"] = {"wrong": wrong.reward_score, "overlong": endless.extra_fields["reward_extra_info"]}
    [recovered] = await stage.roll(Server(tokens, LOOK, SAY, fails=1), row)
    found["recovered"] = recovered.reward_score
    found["left out"] = await stage.roll(Server(tokens, SAY, logprobs=False), row)
    broken = verl_loop.ServerSampler(Server(tokens, LOOK[:9], ends=False), "e", (2,), {})
    try:
        await broken.sample([1], max_tokens=99)
    except Overloaded as error:
        found["broken off"] = str(error)
    found["refused"] = [await refused(stage, row, *setting) for setting in REFUSED]
    found |= await several(stage, row)
    return found | {"heard": heard}


REFUSED = (("trainer.use_v1", False), ("actor_rollout_ref.rollout.calculate_log_probs", False))


async def refused(stage: Stage, row: dict[str, Any], key: str, value: Any) -> str:
    """The error with this setting of verl's, which is then put back."""
    from omegaconf import OmegaConf

    before = OmegaConf.select(stage.config, key)
    OmegaConf.update(stage.config, key, value)
    try:
        await stage.roll(Server(stage.tokens, SAY), row)
    except Exception as error:  # noqa: BLE001 - Hydra raises one of its own around it
        return str(error)
    finally:
        OmegaConf.update(stage.config, key, before)
    return "nothing"


async def several(stage: Stage, row: dict[str, Any]) -> dict[str, Any]:
    """A rollout of two rows, and one that the plant failed: what the loop makes of a `Rollout`."""
    from workroom.train.engines import verl_loop
    from workroom.train.records import Rollout, TrainRow

    rows = (TrainRow((1, 2), (3,), (1,), (-0.5,)), TrainRow((1,), (4, 5), (0, 1), (0.0, -0.25)))
    given = {
        "two": Rollout("t", 0, rows, 0.5, "submitted"),
        "failed": Rollout("t", 0, rows, None, "sandbox_error", error="bwrap is gone"),
        "silent": Rollout("t", 0, (), 0.0, "context_overflow"),
    }
    found: dict[str, Any] = {}
    for name, rollout in given.items():
        for estimator in ("grpo", "rloo"):
            with patch.object(verl_loop, "play", AsyncMock(return_value=rollout)):
                outputs = await stage.roll(Server(stage.tokens, SAY), row, estimator)
            found[f"{name} {estimator}"] = [
                [output.prompt_ids, output.response_ids, output.response_mask, output.reward_score]
                for output in outputs
            ]
    return {"rollouts": found}


def main() -> None:
    from transformers import LlamaConfig

    place = Path(sys.argv[1])
    tokens = tokenizer()
    tokens.save_pretrained(place / "policy")
    policy = LlamaConfig(
        vocab_size=len(tokens), hidden_size=32, num_hidden_layers=1, architectures=["LlamaForCausalLM"]
    )
    policy.save_pretrained(place / "policy")
    result = {"composed": check(place), "played": asyncio.run(play(Stage(place)))}
    (place / "found.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
