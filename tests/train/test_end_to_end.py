"""A whole training from the command line: a tiny random model, real sandboxes, a kill in the middle, and going on."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import ROOT, environment
from tests.train.tiny import save_tiny
from workroom.train import evaluation
from workroom.train.ledger import read

pytestmark = pytest.mark.timeout(600)  # four starts of a process that loads PyTorch and TRL, on a busy machine

CONFIG = """
engine = "{engine}"
[model]
path = "./policy"
[data]
source = "generated:lookup"
train = 6
validation = 2
test = 2
[rollout]
group = 2
max_turns = 2
max_tokens = 16
context = 4096
[algorithm]
name = "{algorithm}"
steps = 3
prompts = 2
lr = 1e-4
micro_batch = 2
[warm_start]
steps = 1
batch = 2
tasks = 2
[validation]
every = 2
[output]
checkpoint_every = 1
"""


def start(place: Path, *arguments: str) -> Any:
    own = environment(place, {"PYTHONPATH": str(ROOT / "src"), "HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "PASSIVE"})
    del own["PYTHONWARNINGS"]  # those of the libraries are theirs
    command = [sys.executable, "-m", "workroom", "train", *arguments]
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=place, env=own, text=True, **pipes)


@pytest.mark.parametrize(("engine", "algorithm"), [("trl", "paper"), ("ppo", "ppo")])
def test_a_training_that_is_killed_goes_on_to_its_end(tmp_path: Path, engine: str, algorithm: str) -> None:
    save_tiny(tmp_path / "policy", max_position_embeddings=8192)
    (tmp_path / "tiny.toml").write_text(CONFIG.format(engine=engine, algorithm=algorithm))
    killed = start(tmp_path, "tiny.toml", "-o", "out")
    said = []
    for line in killed.stderr:
        said.append(line)
        if "step 2 of 3" in line:  # the first one has its checkpoint by now, and perhaps the second
            killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL, "".join(said)

    resumed = start(tmp_path, "out/config.toml", "--resume", "--json")
    out, err = resumed.communicate()
    assert resumed.returncode == 0, err
    assert "Traceback" not in err
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["step"] for record in records if record.get("kind") == "train"] in ([2, 3], [3])
    assert records[-1]["exit_code"] == 0

    place = tmp_path / "out"
    assert [line.step for line in read(place) if line.kind == "train"] == [1, 2, 3]
    names = ("start", "warm_start", "step-2", "final")
    for name in names:
        lines = evaluation.read(place, name) or []
        assert sorted(line.mode for line in lines) == ["llm", "llm", "sandbox", "sandbox"], name
    step = next(line.values for line in read(place) if line.kind == "train")
    assert {"reward", "success", "turns", "sampled_tokens", "entropy", "step_seconds", "model_share"} <= step.keys()
    assert (place / "model" / "config.json").is_file()
    assert (place / "report" / "report.html").is_file()
    assert list((place / "samples").rglob("events.jsonl"))
    assert not list((place / "running").glob("*"))
    assert "3 of 3 steps are finished" in (place / "report" / "report.md").read_text()
