"""The configuration file: what is wrong with it is told in one sentence that names the key, the value and a remedy."""

from pathlib import Path

import pytest

from tests.cli.command import ROOT
from workroom.errors import ConfigError
from workroom.train.config import TrainConfig
from workroom.train.config_file import dump, keys, load

MODEL = '[model]\npath = "local/smollm2-135m"\n'


def written(place: Path, text: str) -> Path:
    path = place / "train.toml"
    path.write_text(text)
    return path


def said(place: Path, text: str, *overrides: str) -> str:
    """The sentence of the error."""
    with pytest.raises(ConfigError) as caught:
        load(written(place, text), overrides)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert caught.value.exit_code == 2
    return sentence


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[model", "is not valid TOML"),
        ("", "lacks the key 'model'"),
        ("[model]\n", "lacks the key 'model.path'"),
        ('engine = "tlr"\n' + MODEL, "engine in FILE must be 'trl', 'ppo' or 'verl', not 'tlr'"),
        (MODEL + "[algorithm]\nlrr = 1e-5", "unknown key 'algorithm.lrr'; did you mean 'algorithm.lr'?"),
        (MODEL + "[algoritm]\nlr = 1e-5", "unknown key 'algoritm'; did you mean 'algorithm'?"),
        ("max_turns = 3\n" + MODEL, "unknown key 'max_turns'; did you mean 'rollout.max_turns'?"),
        (MODEL + "zebra = 1", "unknown key 'model.zebra'; the keys are model.path, "),
        (MODEL + "[algorithm]\nlr = -1", "algorithm.lr in FILE must be above 0, not -1"),
        (MODEL + "[algorithm]\nlr = inf", "algorithm.lr in FILE must be a finite number, not inf"),
        (MODEL + "[algorithm]\nsteps = 1.5", "algorithm.steps in FILE must be a whole number, not 1.5"),
        (MODEL + '[algorithm]\nsteps = "12"', "algorithm.steps in FILE must be a whole number, not '12'"),
        (MODEL + "[algorithm]\nclip_low = 2", "algorithm.clip_low in FILE must be at most 1, not 2"),
        (MODEL + "[rollout]\ngroup = 1", "rollout.group in FILE must be at least 2, not 1"),
        (MODEL + "gradient_checkpointing = 1", "model.gradient_checkpointing in FILE must be true or false, not 1"),
        ("algorithm = 3\n" + MODEL, "algorithm in FILE must be a table, not 3"),
        (MODEL + "[data]\nsource = 3", "data.source in FILE must be text, not 3"),
        (MODEL + '[validation]\nmodes = ["both"]', "validation.modes in FILE must be 'sandbox' or 'llm', not 'both'"),
        (MODEL + '[reward]\noverlong = "none"', 'reward.overlong in FILE must be a number, or "answer", not'),
    ],
)
def test_a_wrong_key_or_value_is_told(tmp_path: Path, text: str, words: str) -> None:
    assert words in said(tmp_path, text).replace(str(tmp_path / "train.toml"), "FILE")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[algorithm]\nname = "ppo"', 'set engine to "ppo"'),
        ("[algorithm]\nminibatches = 2", 'algorithm.minibatches counts for the engines "ppo" and "verl" alone'),
        ("[algorithm]\nlam = 0.9", 'algorithm.lam counts for algorithm.name = "ppo" alone'),
        ("[algorithm]\nentropy = 0.1", "TRL has no entropy bonus"),
        ("[verl]\nx = 1", '[verl] counts for engine = "verl" alone'),
        ("[rollout]\nmax_tokens = 2048", "rollout.max_tokens = 2048 must be below rollout.context = 2048"),
        ("[algorithm]\nmicro_batch = 3", "algorithm.micro_batch = 3 must divide the batch of 64 rollouts"),
        ("[algorithm]\nwarmup_steps = 30", "algorithm.warmup_steps = 30 must not be above algorithm.steps = 20"),
        ("[data]\ntrain = 4", "algorithm.prompts = 8 must not be above data.train = 4"),
        ("[data]\nvalidation = 0", "set data.validation above 0, or validation.every to 0"),
        ("[validation]\nmodes = []", "validation.modes must name sandbox, llm or both"),
        ('[validation]\nmodes = ["llm", "llm"]', "each once, not llm, llm"),
        ('[rollout]\nmemory = "lots"', "rollout.memory must be a size above 0"),
        ('[rollout]\nnetwork = "half"', "rollout.network must be none, packages, open or allow:"),
        ('[data]\nsource = "gone.jsonl"', "there is no file"),
        ("[data]\nsource = []", "data.source names nothing"),
        ('[reward]\ncustom = "reward.py"', "reward.custom must be FILE.py:FUNCTION"),
        ('[reward]\ncustom = "gone.py:earn"', "reward.custom: there is no file"),
        ('[warm_start]\nsteps = 3\ndata = "gone.jsonl"', "warm_start.data: there is no file"),
        ("[warm_start]\nsteps = 3\ntasks = 500", "warm_start.tasks = 500 must not be above data.train = 256"),
        ('[warm_start]\nsteps = 3\n[data]\nsource = "hub:x"', 'warm_start.data = "expert" knows'),
    ],
)
def test_values_that_exclude_each_other_are_told(tmp_path: Path, text: str, words: str) -> None:
    assert words in said(tmp_path, MODEL + text)


def test_verl_has_no_warm_start(tmp_path: Path) -> None:
    assert "there is no warm start" in said(tmp_path, f'engine = "verl"\n{MODEL}[warm_start]\nsteps = 3')


def test_ppo_has_minibatches_that_divide_the_batch(tmp_path: Path) -> None:
    text = f'engine = "ppo"\n{MODEL}[algorithm]\nname = "ppo"\nprompts = 8\nminibatches = '
    assert load(written(tmp_path, text + "16")).algorithm.minibatches == 16
    assert "must divide the batch of 64 rollouts" in said(tmp_path, text + "5")
    text = text.replace('engine = "ppo"', 'engine = "verl"')
    assert "must divide algorithm.prompts = 8" in said(tmp_path, text + "16")


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load(tmp_path / "gone.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b'engine = "\xe4"')
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        load(tmp_path / "latin.toml")


def test_paths_are_relative_to_the_file_and_overrides_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    for folder in (there, here):
        folder.mkdir()
        for name in ("tasks.jsonl", "reward.py", "template.jinja", "weights.gguf"):
            (folder / name).touch()
    monkeypatch.chdir(here)
    text = (
        '[model]\npath = "weights.gguf"\nchat_template = "template.jinja"\n[data]\nsource = ["tasks.jsonl", "hub:a"]\n'
        '[reward]\ncustom = "reward.py:earn"\n[output]\ndir = "out"\n'
    )
    config = load(written(there, text))
    assert config.model.path == str(there / "weights.gguf")
    assert config.model.chat_template == there / "template.jinja"
    assert config.data.source == [str(there / "tasks.jsonl"), "hub:a"]
    assert config.reward.custom == f"{there / 'reward.py'}:earn"
    assert config.output.dir == there / "out"
    config = load(there / "train.toml", ["output.dir=out", "data.source=tasks.jsonl"])
    assert config.output.dir == here / "out"
    assert config.data.source == str(here / "tasks.jsonl")


def test_a_model_is_a_path_where_it_looks_like_one_or_is_there(tmp_path: Path) -> None:
    assert "model.path: there is no" in said(tmp_path, '[model]\npath = "./policy"')
    assert load(written(tmp_path, '[model]\npath = "org/policy"')).model.path == "org/policy"
    (tmp_path / "org" / "policy").mkdir(parents=True)
    assert load(written(tmp_path, '[model]\npath = "org/policy"')).model.path == str(tmp_path / "org" / "policy")


def test_overrides_win_and_have_the_types_of_toml(tmp_path: Path) -> None:
    path = written(tmp_path, MODEL + "[algorithm]\nsteps = 3")
    overrides = ["algorithm.steps=7", "rollout.memory=1g", 'data.source=["generated:lookup"]', "model.path=a=b"]
    config = load(path, overrides)
    assert config.algorithm.steps == 7
    assert config.rollout.memory == "1g"
    assert config.data.source == ["generated:lookup"]
    assert config.model.path == "a=b"
    with pytest.raises(ConfigError, match="--set wants KEY=VALUE"):
        load(path, ["algorithm.steps"])
    with pytest.raises(ConfigError, match="'seed' is no table"):
        load(path, ["seed=1", "seed.more=2"])
    with pytest.raises(ConfigError, match=r"did you mean 'algorithm.steps'"):
        load(path, ["algorithm.step=2"])


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    text = MODEL + '[reward]\noverlong = "answer"\n[output]\ndir = "here"\n[data]\nsource = ["generated:facts"]'
    config = load(written(tmp_path, text))
    assert config.reward.overlong is None
    (tmp_path / "again.toml").write_text(dump(config))
    assert load(tmp_path / "again.toml") == config


def test_every_key_has_its_full_name() -> None:
    names = keys()
    assert {"engine", "seed", "verl", "model.path", "rollout.group", "output.tensorboard"} <= set(names)
    assert len(names) == len(set(names))
    assert not {"model", "rollout"} & set(names)


def test_every_key_is_documented() -> None:
    text = (ROOT / "docs" / "train.md").read_text().partition("## Every key")[2]
    missing = [name for name in keys() if f"`{name.rpartition('.')[2]}`" not in text and f"`[{name}]`" not in text]
    assert not missing


@pytest.mark.parametrize("name", ["cpu", "paper", "seed-ppo"])
def test_the_configurations_of_the_project_are_sound(name: str) -> None:
    assert isinstance(load(ROOT / "configs" / f"{name}.toml"), TrainConfig)


def test_the_papers_settings_are_those_of_the_authors() -> None:
    config = load(ROOT / "configs" / "paper.toml")
    algorithm = config.algorithm
    assert (algorithm.prompts, config.rollout.group, algorithm.lr) == (8, 8, 1e-6)
    assert (algorithm.clip_low, algorithm.clip_high, algorithm.kl, algorithm.name) == (0.2, 0.28, 0.0, "paper")
    assert (config.rollout.context, config.rollout.max_turns) == (16_384 + 65_536, 100)
    assert (config.reward.scheme, config.reward.overlong) == ("fractional", 0.0)
    seed = load(ROOT / "configs" / "seed-ppo.toml")
    assert (seed.algorithm.name, seed.algorithm.lr, seed.algorithm.prompts * seed.rollout.group) == ("ppo", 1e-5, 512)
    assert seed.algorithm.steps * seed.algorithm.prompts == 10 * seed.data.train


def test_the_documented_way_to_run_ppo_here_is_sound() -> None:
    """The comment in seed-ppo.toml that says how."""
    import re

    text = (ROOT / "configs" / "seed-ppo.toml").read_text()
    overrides = re.findall(r"--set (\S+=\S+)", text)
    assert len(overrides) >= 10
    assert load(ROOT / "configs" / "seed-ppo.toml", overrides).engine == "ppo"
