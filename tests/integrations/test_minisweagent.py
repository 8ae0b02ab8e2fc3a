"""The environment for mini-swe-agent: it behaves as mini-swe-agent's own ones, and runs its agent.

The first half is what mini-swe-agent's tests ask of its environments. They run against its local environment too, so
that it shows where the two differ.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
    patch.setenv("MSWEA_GLOBAL_CONFIG_DIR", folder)  # it makes one, and reads settings there, when it is imported
    patch.setenv("MSWEA_SILENT_STARTUP", "1")
    pytest.importorskip("minisweagent", reason="mini-swe-agent is not installed; `make test` installs it")

    from minisweagent.agents.default import DefaultAgent
    from minisweagent.environments import get_environment
    from minisweagent.exceptions import Submitted
    from minisweagent.models.test_models import DeterministicModel, make_output

from workroom.errors import SandboxGone
from workroom.integrations.minisweagent import WorkroomEnvironment, WorkroomEnvironmentConfig
from workroom.sandbox import ledger

LOCAL = "minisweagent.environments.local.LocalEnvironment"
OURS = "workroom.integrations.minisweagent.WorkroomEnvironment"
SMALL = {"memory": "1g", "pids": 256, "disk": "256m"}

Make = Callable[..., Any]


def _maker(kind: str) -> Iterator[Make]:
    made = []

    def make(**settings: Any) -> Any:
        made.append(get_environment({"environment_class": kind, **(SMALL if kind == OURS else {}), **settings}))
        return made[-1]

    yield make
    for environment in made:
        if kind == OURS:
            environment.cleanup()


@pytest.fixture(params=[LOCAL, OURS], ids=["local", "workroom"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    yield from _maker(request.param)


@pytest.fixture
def ours() -> Iterator[Make]:
    yield from _maker(OURS)


def run(environment: Any, command: str, **options: Any) -> dict[str, Any]:
    result: dict[str, Any] = environment.execute({"command": command}, **options)
    return result


# As every environment


@pytest.mark.parametrize(
    ("command", "returncode", "output"),
    [
        ("echo 'hello world'", 0, "hello world\n"),
        ("exit 1", 1, ""),
        ("exit 42", 42, ""),
        ("echo 'error message' >&2", 0, "error message\n"),
        ("echo one; echo two >&2; echo three", 0, "one\ntwo\nthree\n"),
        ("printf 'line1\\nline2\\nline3\\n'", 0, "line1\nline2\nline3\n"),
        ("echo 'hello world' | grep world", 0, "hello world\n"),
        ("echo $(echo nested)", 0, "nested\n"),
        ("printf '\\377'", 0, "\ufffd"),
        ("cd /tmp && echo text > mswea-$$ && cat mswea-$$ && rm mswea-$$", 0, "text\n"),
        ("", 0, ""),
    ],
)
def test_output_and_return_code(make: Make, command: str, returncode: int, output: str) -> None:
    assert run(make(), command) == {"output": output, "returncode": returncode, "exception_info": ""}


def test_a_command_that_is_not_there(make: Make) -> None:
    result = run(make(), "nonexistent_command_12345")
    assert result["returncode"] == 127
    assert "nonexistent_command_12345" in result["output"]


def test_variables_of_the_configuration(make: Make) -> None:
    environment = make(env={"TEST_VAR": "test_value", "ANOTHER_VAR": "another value"})
    assert run(environment, 'echo "$TEST_VAR $ANOTHER_VAR"')["output"] == "test_value another value\n"


def test_the_working_directory(make: Make) -> None:
    environment = make(cwd="/usr")
    assert run(environment, "pwd")["output"] == "/usr\n"
    assert run(environment, "pwd", cwd="/tmp")["output"] == "/tmp\n"


def test_each_command_has_a_shell_of_its_own(make: Make) -> None:
    environment = make()
    run(environment, "export LOST=1; cd /")
    result = run(environment, 'echo "[$LOST]"; pwd')
    assert result["output"].startswith("[]\n")
    assert result["output"] != "[]\n/\n"


def test_a_timeout_is_told_with_what_was_written(make: Make) -> None:
    environment = make(timeout=1)
    result = run(environment, "echo begun; sleep 60")
    assert result["returncode"] == -1
    assert result["output"] == "begun\n"
    assert "timed out after 1 seconds" in result["exception_info"]
    assert result["extra"]["exception_type"] == "TimeoutExpired"
    assert run(environment, "sleep 1.5; echo done", timeout=20)["output"] == "done\n"


def test_a_timeout_ends_what_the_command_started(make: Make) -> None:
    environment = make()
    marker = f"99{os.getpid()}"
    run(environment, f"sleep {marker} & sleep {marker}", timeout=1)
    assert run(environment, f"ps -e -o args | grep -c '^sleep {marker}'")["output"] == "0\n"


def test_what_is_no_command_is_told(make: Make) -> None:
    environment = make()
    result = run(environment, "echo a\0b")
    assert result["returncode"] == -1
    assert result["extra"]["exception_type"] == "ValueError"
    assert run(environment, "pwd", cwd="/nowhere")["returncode"] != 0


def test_a_submission(make: Make) -> None:
    environment = make()
    word = "COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"
    for command in (f"echo {word}; exit 1", f"echo first; echo {word}", f"echo {word}x"):
        assert word in run(environment, command)["output"]
    with pytest.raises(Submitted) as submitted:
        run(environment, f"echo; echo {word}; echo 'diff --git a b'; echo +1")
    [message] = submitted.value.messages
    submission = "diff --git a b\n+1\n"
    extra = {"exit_status": "Submitted", "submission": submission}
    assert message == {"role": "exit", "content": submission, "extra": extra}


def test_template_variables(make: Make) -> None:
    variables = make(env={"TEST_VAR": "x"}, timeout=7).get_template_vars(env={"MORE": "y"}, task="t")
    assert variables["env"] == {"TEST_VAR": "x", "MORE": "y"}
    assert variables["timeout"] == 7
    assert variables["task"] == "t"
    assert {"system", "node", "release", "version", "machine"} <= variables.keys()


def test_serialized_form(make: Make) -> None:
    environment = make(timeout=7)
    data = environment.serialize()
    assert data["info"]["config"]["environment"]["timeout"] == 7
    kind = type(environment)
    assert data["info"]["config"]["environment_type"] == f"{kind.__module__}.{kind.__qualname__}"
    json.dumps(data)


# As an environment with a computer of its own


def test_defaults() -> None:
    config = WorkroomEnvironmentConfig()
    assert (config.cwd, config.env, config.timeout, config.network) == ("/testbed", {}, 30, "none")


def test_variables_of_the_host_only_where_asked_for(ours: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST_VAR", "from_host")
    monkeypatch.setenv("SECRET", "canary")
    environment = ours(forward_env=["HOST_VAR", "MISSING"])
    assert run(environment, 'echo "[$HOST_VAR] [$MISSING] [$SECRET]"')["output"] == "[from_host] [] []\n"
    environment = ours(forward_env=["HOST_VAR"], env={"HOST_VAR": "from_config", "SET": "too"})
    assert run(environment, "echo $HOST_VAR $SET")["output"] == "from_config too\n"


def test_nothing_of_the_host_in_the_template(ours: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "canary")
    environment = ours()
    variables = environment.get_template_vars()
    assert "SECRET" not in variables
    name = run(environment, "uname -n; uname -r; uname -m")["output"].split()
    assert name == [variables["node"], variables["release"], variables["machine"]]


def test_two_environments_share_nothing(ours: Make) -> None:
    first, second = ours(), ours()
    run(first, "echo private > marker")
    assert run(first, "cat marker")["output"] == "private\n"
    assert run(second, "test ! -e /testbed/marker")["returncode"] == 0


def test_what_broke_is_told(ours: Make) -> None:
    result = run(ours(memory="256m", disk="64m"), "head -c 200m /dev/zero > full; exit 3")
    assert result["returncode"] == 3
    assert "disk" in result["exception_info"]


def test_a_dead_sandbox_is_no_output(ours: Make) -> None:
    environment = ours()
    environment.cleanup()
    environment.cleanup()
    with pytest.raises(SandboxGone):
        run(environment, "true")


def test_environments_from_several_threads(ours: Make) -> None:
    """As in mini-swe-agent's batch mode; the thread that made an environment may end before it."""
    found: dict[int, str] = {}
    environments: dict[int, Any] = {}

    def work(number: int) -> None:
        environments[number] = ours()
        run(environments[number], f"echo {number} > number")

    def look(number: int) -> None:
        found[number] = run(environments[number], "cat number")["output"]

    for step in (work, look):
        threads = [threading.Thread(target=step, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {number: f"{number}\n" for number in range(4)}


def test_nothing_is_left_where_nobody_cleans_up() -> None:
    code = (
        "from workroom.integrations.minisweagent import WorkroomEnvironment as Environment\n"
        "first = Environment(memory='1g'); print(first.box._entry.name)\n"
        "del first\n"
        "last = Environment(memory='1g'); print(last.box._entry.name)\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        extra = {"MSWEA_SILENT_STARTUP": "1", "MSWEA_GLOBAL_CONFIG_DIR": folder}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, **extra}
        )
    names = set(done.stdout.split())
    assert len(names) == 2
    assert not names & {entry.name for entry in ledger.entries()}
    assert not done.stderr


# With its agent


def test_the_default_agent_solves_and_submits(ours: Make) -> None:
    word = "COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"
    outputs = [
        make_output("I compute.", [{"command": "echo $((17 * 23)) > answer.txt"}]),
        make_output("I look.", [{"command": "cat answer.txt"}]),
        make_output("I submit.", [{"command": f"echo {word} && cat answer.txt"}]),
    ]
    environment = ours()
    agent = DefaultAgent(
        DeterministicModel(outputs=outputs),
        environment,
        system_template="You work on {{system}} {{release}} in {{cwd}}.",
        instance_template="{{task}}",
        cost_limit=10.0,
    )
    result = agent.run("What is 17 * 23?")
    assert result == {"exit_status": "Submitted", "submission": "391\n"}
    assert "<returncode>0</returncode>\n<output>\n391\n</output>" in agent.messages[-3]["content"]
    assert "Linux" in agent.messages[0]["content"]
    saved = json.loads(json.dumps(agent.serialize()))
    assert saved["info"]["config"]["environment_type"] == OURS
    assert saved["info"]["sandbox"]["enforcement"]["network"] == "network namespace"


def test_the_class_takes_its_arguments_directly() -> None:
    environment = WorkroomEnvironment(memory="1g", disk="256m", logger=logging.getLogger("test"))
    try:
        assert run(environment, "pwd")["output"] == "/testbed\n"
    finally:
        environment.cleanup()
