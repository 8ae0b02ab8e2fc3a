"""What only the Docker backend has: its image, changes carried from one container to another, the watch of its disk."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import SUBMIT, bash, script, workroom
from tests.conftest import SMALL
from workroom.errors import ConfigError, SandboxGone, SandboxUnavailable
from workroom.sandbox import Limits, Sandbox
from workroom.sandbox.docker import DockerBackend
from workroom.sandbox.docker.changes import REMOVED, ask_daemon, read_upper
from workroom.sandbox.docker.engine import Engine
from workroom.sandbox.ledger import state_dir

pytestmark = pytest.mark.usefixtures("docker")

# Every way in which a file can differ from the image, in the root file system and in the sized places.
CHANGE = r"""
set -e
echo new > /etc/new; echo changed >> /etc/group.bak; chmod 640 /etc/new; chown 7:8 /etc/new
printf more >> /etc/services
rm /etc/protocols; rm -rf /usr/share/perl5
rm -rf /usr/share/doc; ln -s /testbed /usr/share/doc
rm -rf /etc/alternatives; mkdir /etc/alternatives; echo only > /etc/alternatives/mine
rm /etc/issue; mkdir -m 700 /etc/issue; echo in > /etc/issue/file
ln /etc/new /etc/hard; ln -s nowhere /etc/soft; mkfifo /etc/pipe
printf '#!/bin/sh\n' > /usr/local/bin/tool; chmod 4755 /usr/local/bin/tool
echo task > /testbed/a; mkdir -p /testbed/sub; chown 9 /testbed/sub; echo t > /tmp/t; echo v > /var/tmp/v
touch -d '2001-02-03 04:05:06 UTC' /testbed/a "/testbed/odd
name" "/etc/odd
name"
truncate -s 1G /testbed/sparse
"""
SHOW = r"""
cat /etc/new /testbed/a /tmp/t /var/tmp/v /etc/alternatives/* /etc/issue/file; tail -c 4 /etc/services; echo
stat -c '%n %F %a %u:%g %h %s' /etc/new /etc/hard /etc/soft /etc/pipe /etc/issue /usr/local/bin/tool /testbed/sub \
  /testbed/a /testbed /tmp /var/tmp /etc
stat -c '%Y' /testbed/a
ls -d /usr/share/perl5 /etc/protocols /etc/alternatives/* 2>&1
readlink /usr/share/doc /etc/soft; du -k /testbed/sparse; ls -b /testbed; ls -b /etc | grep odd
"""


def test_the_upper_layer_says_what_the_daemon_says() -> None:
    async def work() -> None:
        async with Sandbox.open("docker", limits=SMALL) as box:
            await box.exec(CHANGE)
            guest = box._guest
            found = await Engine().call("GET", f"/containers/{guest._container}/json")  # type: ignore[attr-defined]
            upper = found["GraphDriver"]["Data"].get("UpperDir", "")
            if not os.access(upper, os.R_OK | os.X_OK):
                pytest.skip("the daemon's files cannot be read by this user")
            seen = read_upper(upper)
            assert seen is not None
            told = await ask_daemon(Engine(), guest._container)  # type: ignore[attr-defined]
            # A directory that was replaced is one to remove for us, one with other contents for the daemon.
            hidden = [path for path in told if any(path.startswith(f"{top}/") for top in seen if seen[top] == REMOVED)]
            assert {path for path in told if path not in hidden} == {path for path in seen if path not in hidden}
            assert {path for path in told if told[path] == REMOVED} - set(hidden) <= {
                path for path in seen if seen[path] == REMOVED
            }

    asyncio.run(work())


def test_apt_get_installs_a_package_with_files_and_a_user_of_its_own() -> None:
    """A package that is made inside needs no network, and all that apt-get needs of a root."""
    script = r"""
    set -e
    mkdir -p p/DEBIAN p/opt/own; echo hello > p/opt/own/file; chown 33:33 p/opt/own/file
    printf 'Package: own\nVersion: 1\nArchitecture: all\nMaintainer: x\nDescription: x\n' > p/DEBIAN/control
    printf '#!/bin/sh\nadduser --quiet --system own\n' > p/DEBIAN/postinst; chmod 755 p/DEBIAN/postinst
    dpkg-deb --build p own.deb > /dev/null
    apt-get install -y ./own.deb
    stat -c %u:%g /opt/own/file; su -s /bin/sh own -c 'id -un'
    """

    async def work() -> None:
        async with Sandbox.open("docker", limits=SMALL) as box:
            done = await box.exec(script)
            assert done.stdout.endswith("33:33\nown\n"), (done.stdout, done.stderr)

    asyncio.run(work())


async def grow(box: Sandbox) -> None:
    for _ in range(20):
        await box.exec("while :; do head -c 10M /dev/zero >> /opt/more; sleep 0.2; done")


def test_the_root_file_system_is_watched() -> None:
    async def work() -> None:
        async with Sandbox.open("docker", limits=Limits(memory="512m", disk="50m")) as box:
            done = await box.exec("for i in $(seq 7); do head -c 10M /dev/zero > /opt/$i; done; sleep 20", timeout=25)
            assert (done.exit_code, done.limits_hit) == (137, ("disk",))
            assert (await box.exec("sleep 1.5; echo here")).stdout == "here\n", "nothing grew"
            with pytest.raises(SandboxGone):
                await grow(box)

    asyncio.run(work())


def test_a_full_small_place_is_told() -> None:
    async def work() -> None:
        async with Sandbox.open("docker", limits=Limits(memory="512m", disk="50m")) as box:
            done = await box.exec("head -c 60M /dev/zero > /var/tmp/x")
            assert done.limits_hit == ("disk",)

    asyncio.run(work())


def test_the_way_to_the_host_is_closed_behind_the_agent() -> None:
    knock = "import socket; socket.socket(socket.AF_UNIX).connect('/run/control')"

    async def work() -> None:
        async with Sandbox.open("docker", limits=SMALL) as box:
            assert not list((state_dir() / "docker").glob(box._entry.name))
            assert "refused" in (await box.exec(["python3", "-c", knock])).stderr
            assert (await box.exec("echo > /run/init")).exit_code != 0

    asyncio.run(work())


LEAVE = """
import asyncio, os, signal
from workroom.sandbox import Limits, Sandbox
async def main():
    box = await Sandbox.start("docker", limits=Limits(memory="256m"))
    os.kill(box._guest.pid, signal.SIGSTOP)  # an agent that does not see its host go
    print(box._entry.name, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


def test_what_a_dead_owner_left_is_collected() -> None:
    done = subprocess.run([sys.executable, "-c", LEAVE], capture_output=True, text=True, check=False)
    name = done.stdout.strip()
    found = asyncio.run(Engine().find(f"/containers/workroom-{name}/json"))
    assert found is not None, done.stderr
    (state_dir() / "docker" / name).mkdir()
    DockerBackend().collect(name, "")
    DockerBackend().collect(name, "")
    assert asyncio.run(Engine().find(f"/containers/workroom-{name}/json")) is None
    assert not (state_dir() / "docker" / name).exists()


def test_nothing_is_left_after_many_ends() -> None:
    async def one(number: int) -> None:
        box = await Sandbox.start("docker", limits=Limits(memory="256m"))
        if number % 2:
            await box.exec("sleep 60 &")
        await box.close()
        assert await Engine().find(f"/containers/{box._guest._container}/json") is None  # type: ignore[attr-defined]

    async def work() -> None:
        await asyncio.gather(*(one(number) for number in range(4)))

    asyncio.run(work())


def test_a_start_that_is_cancelled_leaves_nothing() -> None:
    async def work(delay: float) -> None:
        ours = {"all": "1", "filters": json.dumps({"name": [f"workroom-{os.getpid()}-"]})}
        task = asyncio.create_task(Sandbox.start("docker", limits=Limits(memory="256m")))
        await asyncio.sleep(delay)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not await Engine().call("GET", "/containers/json", query=ours)

    for delay in (0.05, 0.15):
        asyncio.run(work(delay))
    assert not list((state_dir() / "docker").glob(f"{os.getpid()}-*"))


def test_the_command_line_runs_a_task_in_it(docker: str, tmp_path: Path) -> None:
    model = script(tmp_path / "turns.jsonl", bash("echo 42 > answer.txt; hostname > output/where"), SUBMIT)
    settings = {"WORKROOM_IMAGE": "default", "DOCKER_HOST": docker}
    options = ("--sandbox", "docker", "--network", "none", "-m", model, "-o", "out")
    done = workroom(tmp_path, "run", "What is 6 times 7?", *options, env=settings)
    assert done.returncode == 0, done.stderr
    facts = json.loads((tmp_path / "out/run.json").read_text())["sandbox"]
    assert facts["backend"] == "docker"
    assert facts["enforcement"]["users"]
    assert "42" in done.stdout


def test_without_a_daemon_the_error_names_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(SandboxUnavailable, match=r"no Docker daemon answers on unix:.*DOCKER_HOST"):
        asyncio.run(Sandbox.start("docker"))
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    with pytest.raises(SandboxUnavailable, match="on this host"):
        asyncio.run(Sandbox.start("docker"))


def test_the_host_image_is_refused() -> None:
    with pytest.raises(ConfigError, match="for bubblewrap only"):
        asyncio.run(Sandbox.start("docker", image="host"))
