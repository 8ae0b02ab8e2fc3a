"""The life of a local server: real keepers and real processes, with a small stand-in for llama-server."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from workroom.errors import ModelError
from workroom.models.local import stop
from workroom.models.local.catalog import CATALOG
from workroom.models.local.paths import Cancelled
from workroom.models.local.server import Lease, Settings, attach, running, start, state_folder

ENTRY = CATALOG["smollm2-135m"]
FAKE = [sys.executable, str(Path(__file__).parent / "fake_llama_server.py")]
SECRET = "sk-do-not-hand-on"


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    yield
    stop()


def begin(*options: str, idle: float = 60.0) -> Lease:
    return start(ENTRY, Settings(parallel=1, idle=idle, threads=1), [*FAKE, *options], lambda _: None, lambda: False)


def ask(lease: Lease, key: str | None = None) -> Any:
    request = urllib.request.Request(f"{lease.url}/models", headers={"Authorization": f"Bearer {key or lease.key}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def pids() -> tuple[int, int]:
    """The process ids of the keeper and of its server."""
    facts = [facts for _, facts in running()]
    assert len(facts) == 1
    return facts[0]["keeper"], facts[0]["server"]


def alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until_dead(*processes: int) -> None:
    deadline = time.monotonic() + 15
    while any(alive(pid) for pid in processes):
        assert time.monotonic() < deadline, "a process is left over"
        time.sleep(0.02)


def test_a_server_starts_answers_and_is_found_again() -> None:
    lease = begin("--loading", "0.3")
    assert attach(state_folder(ENTRY, FAKE)) is None  # other options, another server
    again = attach(state_folder(ENTRY, [*FAKE, "--loading", "0.3"]))
    assert again is not None
    assert (again.url, again.key) == (lease.url, lease.key)
    assert lease.url.startswith("http://127.0.0.1:")
    facts = ask(lease)
    assert lease.key not in " ".join(facts["argv"])
    assert SECRET not in json.dumps(facts["environment"])
    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        ask(lease, "guessed")
    refused.value.close()
    for held in (lease, again):
        held.release()
        held.release()


def test_its_files_are_the_owners_alone(tmp_path: Path) -> None:
    begin().release()
    folder = state_folder(ENTRY, FAKE)
    assert folder.is_relative_to(tmp_path)
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / "server.json").stat().st_mode & 0o077 == 0


def test_two_processes_share_one_server() -> None:
    lease = begin()
    keeper, server = pids()
    code = (
        "import sys; from workroom.models.local.catalog import CATALOG; from workroom.models.local.server import *;"
        "lease = start(CATALOG['smollm2-135m'], Settings(1, 60.0, 1), sys.argv[1:], print, lambda: False);"
        "print(lease.url)"
    )
    other = subprocess.run([sys.executable, "-c", code, *FAKE], capture_output=True, text=True, check=True)
    assert other.stdout.split() == [lease.url]
    assert pids() == (keeper, server)
    lease.release()


def test_it_stops_when_idle_but_not_during_a_call() -> None:
    lease = begin(idle=0.4)
    keeper, server = pids()
    time.sleep(1.2)
    assert ask(lease)
    lease.release()
    wait_until_dead(keeper, server)
    assert attach(state_folder(ENTRY, FAKE)) is None
    begin().release()
    assert pids()[1] != server


def test_a_killed_client_does_not_keep_it_running() -> None:
    begin(idle=0.4).release()
    keeper, server = pids()
    code = (
        "import sys, time; from workroom.models.local.catalog import CATALOG;"
        "from workroom.models.local.server import *;"
        "lease = attach(state_folder(CATALOG['smollm2-135m'], sys.argv[1:])); print(lease is not None, flush=True);"
        "time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, *FAKE], stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "True\n"
        time.sleep(1.0)
        assert alive(server)
        client.kill()
    wait_until_dead(keeper, server)


def test_a_killed_keeper_takes_its_server_along_and_the_next_call_starts_anew() -> None:
    lease = begin()
    keeper, server = pids()
    os.kill(keeper, signal.SIGKILL)
    wait_until_dead(keeper, server)
    assert attach(state_folder(ENTRY, FAKE)) is None
    assert list(running()) == []
    new = begin()
    assert new.key != lease.key
    assert ask(new)
    lease.release()
    new.release()


def test_a_server_that_dies_ends_its_keeper() -> None:
    begin().release()
    keeper, server = pids()
    os.kill(server, signal.SIGKILL)
    wait_until_dead(keeper, server)
    assert list(running()) == []


def test_stop_ends_everything() -> None:
    begin().release()
    processes = pids()
    assert stop() == 1
    wait_until_dead(*processes)
    assert stop() == 0


def test_a_server_that_does_not_start_names_its_log() -> None:
    with pytest.raises(ModelError, match=r"could not be started.*llama-server did not start.*log") as error:
        begin("--fail")
    log = Path(str(error.value).rpartition("log: ")[2])
    assert "no memory for the model" in log.read_text()
    assert list(running()) == []


def test_waiting_for_a_start_can_be_given_up() -> None:
    settings = Settings(parallel=1, idle=60.0, threads=1)
    began = time.monotonic()
    with pytest.raises(Cancelled):
        start(ENTRY, settings, [*FAKE, "--loading", "2"], lambda _: None, lambda: time.monotonic() > began + 0.3)
    begin("--loading", "2").release()  # another caller gets the server that is still loading, or a new one
    assert len(list(running())) == 1
