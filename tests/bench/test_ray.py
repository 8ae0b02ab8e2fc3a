"""A bench on a real Ray cluster of several nodes on this machine, one of which is killed under way."""

import asyncio
import json
import os
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import SUBMIT, bash, script, start
from workroom import __version__
from workroom.bench import ray_engine, session
from workroom.bench.session import Bounds

ray_cluster = pytest.importorskip("ray.cluster_utils", reason="needs the extra `ray`")
pytestmark = [
    pytest.mark.xdist_group("ray"),
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]
STORE = 80 << 20  # bytes of a node's object store, the least that Ray takes
NODES = 3
TASKS = 18


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing goes out
    args = {"num_cpus": 1, "object_store_memory": STORE}
    made = ray_cluster.Cluster(initialize_head=True, head_node_args=args | {"include_dashboard": False})
    yield made
    made.shutdown()


def index(place: Path) -> list[dict[str, Any]]:
    path = place / "out" / "index.jsonl"
    return [json.loads(line) for line in path.read_text().split("\n") if line] if path.exists() else []


@pytest.mark.timeout(240)
def test_a_node_that_dies_costs_nothing(tmp_path: Path, cluster: Any) -> None:
    others = [cluster.add_node(num_cpus=1, object_store_memory=STORE) for _ in range(NODES - 1)]
    model = script(tmp_path / "s.jsonl", bash("sleep 1.5; echo '\\boxed{1}' > /testbed/answer.txt"), SUBMIT)
    items = [{"id": f"t{n}", "domain": "math", "question": "1?", "answer": "1"} for n in range(TASKS)]
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    command = ("bench", "run", "math", "--data", "d.jsonl", "-m", model, "--mode", "sandbox", "-o", "out")
    options = ("--engine", "ray", "--ray-address", cluster.address, "--concurrency", "6", "--network", "none")
    process = start(tmp_path, *command, *options, env={"RAY_USAGE_STATS_ENABLED": "0", "PYTHONWARNINGS": "ignore"})
    end = time.monotonic() + 150
    while len({line["host"] for line in index(tmp_path)}) < NODES and time.monotonic() < end:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    assert len({line["host"] for line in index(tmp_path)}) == NODES  # every node has worked
    cluster.remove_node(others[0], allow_graceful=False)
    _, err = process.communicate(timeout=150)
    assert process.returncode == 0, err
    lines = index(tmp_path)
    good = [line for line in lines if line["stop_reason"] == "submitted"]
    lost = [line for line in lines if line["stop_reason"] == "sandbox_error"]
    assert sorted(line["task"] for line in good) == sorted(f"t{n}" for n in range(TASKS))
    assert all("the node" in line["error"] for line in lost)
    scores = [json.loads(line) for line in (tmp_path / "out" / "scores.jsonl").read_text().split("\n") if line]
    assert {line["task"]: line["score"] for line in scores} == {f"t{n}": 1.0 for n in range(TASKS)}
    run = tmp_path / "out" / "attempts" / "math" / "t0" / "sandbox" / "1"
    assert json.loads((run / "run.json").read_text())["stop_reason"] == "submitted"
    assert (run / "events.jsonl").is_file()


def test_a_run_that_comes_back_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "made" / "files").mkdir(parents=True)
    (tmp_path / "made" / "run.json").write_text("{}")
    packed = ray_engine._pack(tmp_path / "made")
    target = tmp_path / "1"
    target.mkdir()
    (target / "events.jsonl").write_text("of the try before")
    with pytest.raises(tarfile.ReadError):
        ray_engine._unpack(packed[:700], target)
    assert [path.name for path in target.iterdir()] == ["events.jsonl"]
    ray_engine._unpack(packed, target)
    assert sorted(path.name for path in target.iterdir()) == ["files", "run.json"]
    assert not (tmp_path / "1.part").exists()


def test_a_host_that_is_stopped_while_it_opens_begins_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[bool] = []

    def slow(*_: Any, sandbox: bool) -> Any:
        opened.append(sandbox)
        time.sleep(0.2)

    async def work() -> Any:
        host = ray_engine._Host({}, Bounds(), {}, __version__, sandbox=False)
        task = asyncio.create_task(host.perform({}))
        await asyncio.sleep(0.05)
        await host.stop()
        return await task

    monkeypatch.setattr(session, "open_attempts", slow)
    assert asyncio.run(work())[1] is None
    assert opened == [False]  # no image, where no attempt needs a sandbox


def test_no_cluster_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text('{"id": "a", "domain": "math", "question": "1?", "answer": "1"}\n')
    model = script(tmp_path / "s.jsonl", "\\boxed{1}")
    options = ("--engine", "ray", "--ray-address", "127.0.0.1:1", "--mode", "llm", "-o", "out")
    process = start(tmp_path, "bench", "run", "math", "--data", "d.jsonl", "-m", model, *options)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 2, err
    assert "ray start --head" in err
    assert len(err.strip().split("\n")) == 2  # where the bench is, and what is wrong
