"""kill -9 of the process that owns sandboxes, at any moment, leaves nothing after the next clean-up."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.sandbox.test_contract import is_running, wait_until
from workroom.sandbox.cgroup import hierarchy
from workroom.sandbox.cleanup import collect_abandoned
from workroom.sandbox.ledger import entries, state_dir

KILLS = {"bwrap": 200, "docker": 20}


def left(owners: set[str]) -> list[str]:
    """What there is on this host of sandboxes of these processes."""
    where = hierarchy()
    groups = [path for parent in set(where.parents.values()) if where for path in parent.iterdir()] if where else []
    paths = [*groups, *state_dir().rglob("*")]
    return [str(path) for path in paths if path.name.removeprefix("workroom-").split("-")[0] in owners]


def own_mounts() -> list[str]:
    """The mounts of this host but for those of Docker's daemon, which serves other tests meanwhile."""
    return [line for line in Path("/proc/self/mounts").read_text().splitlines() if "docker" not in line]


@pytest.mark.timeout(600)
def test_random_kills_leave_nothing(backend: str) -> None:
    mark, seed = f"victim-{backend}-{os.getpid()}", 20261122
    mounts = own_mounts()
    command = [sys.executable, "-m", "tests.sandbox.victim", backend, str(KILLS[backend]), str(seed), mark]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    owners = set(done.stdout.split())
    assert len(owners) == KILLS[backend]
    assert wait_until(lambda: not is_running(f"{mark} 1000"), 20), "what ran inside must end with its owner"
    collect_abandoned()
    end = time.monotonic() + 20
    while left(owners) and time.monotonic() < end:
        collect_abandoned()
        time.sleep(0.2)
    assert left(owners) == []
    assert [entry for entry in entries() if str(entry.pid) in owners] == []
    assert own_mounts() == mounts
