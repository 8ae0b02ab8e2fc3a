"""The store of images: what ensure_image finds, verification, the fallback, the lock, builds that were killed."""

import json
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from workroom.errors import ConfigError, SandboxUnavailable
from workroom.sandbox.image import build_image, check_image, collect_garbage, ensure_image, list_images, store
from workroom.sandbox.image.bootstrap import check_host, has_subordinate_ids
from workroom.sandbox.image.configure import put
from workroom.sandbox.image.host import host_image
from workroom.sandbox.image.manifest import Manifest, disk_usage, owner

# Stands in for mmdebstrap: writes a small root file system, says that it was called, and takes its time if asked to.
MMDEBSTRAP = """#!/bin/sh
echo call >> "$HOME/calls"
for word; do
  case $word in *.part) target=$word;; esac
done
touch "$HOME/started"
while [ -e "$HOME/slow" ]; do sleep 0.05; done
[ -e "$HOME/broken" ] && { echo "I: fine so far"; echo "E: no archive at http://user:secret@mirror.invalid/x"; exit 1; }
here=$(mktemp -d)
mkdir -p "$here/usr/bin" "$here/etc/apt/apt.conf.d" "$here/dev" "$here/var/lib/dpkg"
ln -s usr/bin "$here/bin"
printf 'x' > "$here/usr/bin/tool"; chmod 4755 "$here/usr/bin/tool"
printf 'Acquire::http::Proxy "secret";' > "$here/etc/apt/apt.conf.d/99mmdebstrap"
printf 'Package: dpkg\\nVersion: 1.2-3\\n' > "$here/var/lib/dpkg/status"
tar -C "$here" -cf "$target" . && rm -r "$here"
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of its own with a recipe `small`, and an mmdebstrap that needs no network."""
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "WORKROOM_IMAGE", "NPM_CONFIG_REGISTRY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/mmdebstrap").write_text(MMDEBSTRAP)
    (tmp_path / "bin/mmdebstrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    recipe = tmp_path / ".config/workroom/images/small/recipe.toml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text('suite = "bookworm"\npackages = ["dpkg"]\n')
    yield tmp_path
    (tmp_path / "slow").unlink(missing_ok=True)


needs_builder = pytest.mark.skipif(
    os.getuid() != 0 and not has_subordinate_ids(), reason="an ordinary user without subordinate ids cannot build"
)


def _place(digest: str) -> Path:
    return store.store_dir() / digest


@needs_builder
def test_a_build_is_put_in_place_under_its_digest(home: Path) -> None:
    said: list[str] = []
    image = build_image("small", progress=said.append)
    assert image.root == home / ".cache/workroom/images" / image.digest / "root"
    assert len(image.digest) == 64
    assert not image.is_host
    assert (home / ".cache/workroom/images/small").readlink() == Path(image.digest)
    assert ensure_image("small") == image
    assert list_images() == [image]
    assert image.size == disk_usage(image.root)
    assert "step 1 of 5, Debian packages" in said[0]
    assert "ready" in said[-1]
    assert not list((home / ".cache/workroom/images/.work").iterdir())


@needs_builder
def test_an_image_holds_what_every_sandbox_needs() -> None:
    root = build_image("small").root
    for name in ("testbed/documents", "testbed/output", "var/lib/workroom", "proc", "sys", "dev", "run", "root"):
        assert (root / name).is_dir()
    assert (root / "run/init").read_bytes() == b""
    assert stat.S_IMODE((root / "tmp").stat().st_mode) == 0o1777
    assert "localhost" in (root / "etc/hosts").read_text()
    assert (root / "etc/resolv.conf").read_bytes() == b""
    assert "break-system-packages = true" in (root / "etc/pip.conf").read_text()
    assert 'Sandbox::User "root"' in (root / "etc/apt/apt.conf.d/60workroom").read_text()
    assert not (root / "etc/apt/apt.conf.d/99mmdebstrap").exists()
    assert stat.S_IMODE((root / "usr/bin/tool").stat().st_mode) == 0o755, "the set-uid bit has to go"
    owners = {path.lstat().st_uid for path in [root, *root.rglob("*")]}
    assert owners == {owner()}


@needs_builder
def test_a_second_build_does_nothing_unless_forced_or_the_recipe_changed(home: Path) -> None:
    first = build_image("small")
    assert build_image("small") == first
    assert (home / "calls").read_text() == "call\n"
    assert build_image("small", force=True) == first, "the same content has the same address"
    recipe = home / ".config/workroom/images/small/recipe.toml"
    recipe.write_text(recipe.read_text() + 'prune = ["usr/bin/tool"]\n')
    assert "older recipe" in str(ensure_image("small").notice)
    assert "--image small" in str(ensure_image("small").notice)
    second = build_image("small")
    assert second.digest != first.digest
    assert not (second.root / "usr/bin/tool").exists()
    assert ensure_image("small").notice is None
    assert first.root.is_dir(), "running sandboxes may still use the old one"


@needs_builder
def test_a_failing_step_is_named_without_credentials(home: Path) -> None:
    (home / "broken").touch()
    with pytest.raises(SandboxUnavailable, match="Debian packages failed: E: no archive at http://mirror") as caught:
        build_image("small")
    assert "secret" not in str(caught.value)
    (home / "broken").unlink()
    assert build_image("small").root.is_dir()


def _build(name: str, lines: Path) -> None:
    with lines.open("a", buffering=1) as file:
        build_image(name, progress=lambda text: print(text, file=file))


def _wait_for(path: Path, text: str = "") -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if path.exists() and text in path.read_text():
            return
        time.sleep(0.02)
    pytest.fail(f"{path.name} with {text!r} did not come")


@needs_builder
def test_a_killed_build_leaves_no_process_and_is_done_by_the_next(home: Path) -> None:
    (home / "slow").touch()
    builder = subprocess.Popen(
        [sys.executable, "-c", "from workroom.sandbox.image import build_image; build_image('small')"]
    )
    _wait_for(home / "started")
    child = next(iter(Path(f"/proc/{builder.pid}/task/{builder.pid}/children").read_text().split()))
    builder.send_signal(signal.SIGKILL)
    builder.wait()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline, "mmdebstrap outlived its builder"
        time.sleep(0.05)
    assert list_images() == []
    (home / "slow").unlink()
    assert check_image(build_image("small"), full=True) == []


@needs_builder
def test_finished_steps_are_not_repeated(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = home / ".config/workroom/images/small/recipe.toml"
    recipe.write_text(recipe.read_text() + 'verify = ["true"]\n')  # no shell in this image: fails at step 4
    with pytest.raises(SandboxUnavailable, match="step 4 of 5"):
        build_image("small")
    said: list[str] = []
    with pytest.raises(SandboxUnavailable, match="step 4 of 5"):
        build_image("small", progress=said.append)
    assert [line.rsplit(" ", 2)[-2:] == ["done", "before"] for line in said[:3]] == [True] * 3
    assert (home / "calls").read_text() == "call\n"


@needs_builder
def test_two_builders_make_one_image(home: Path) -> None:
    (home / "slow").touch()
    fork = multiprocessing.get_context("spawn")
    builders = [fork.Process(target=_build, args=("small", home / f"lines{number}")) for number in (1, 2)]
    builders[0].start()
    _wait_for(home / "started")
    builders[1].start()
    _wait_for(home / "lines2", "another process is building it")
    (home / "slow").unlink()
    for builder in builders:
        builder.join(60)
        assert builder.exitcode == 0
    assert (home / "calls").read_text() == "call\n"
    assert len(list_images()) == 1


@needs_builder
def test_verification_sees_every_kind_of_tampering() -> None:
    image = build_image("small")
    assert check_image(image) == []
    assert check_image(image, full=True) == []
    hosts = image.root / "etc/hosts"
    before = hosts.read_bytes()
    hosts.write_bytes(before.replace(b"localhost", b"localh0st"))
    assert check_image(image, full=True) == ["/etc/hosts has another content"]
    hosts.write_bytes(before)
    hosts.chmod(0o666)
    assert check_image(image) == ["/etc/hosts has another type, mode or size"]
    hosts.unlink()
    assert check_image(image) == ["/etc/hosts is missing"]
    hosts.symlink_to("/etc/passwd")
    assert check_image(image) == ["/etc/hosts has another type, mode or size"]
    hosts.unlink()
    put(image.root, "etc/hosts", before)
    if os.getuid() == 0:
        assert check_image(image) == ["/etc/hosts belongs to another user"]
        os.chown(hosts, owner(), owner())
    (image.root / "usr/bin/new").touch()
    assert check_image(image) == ["/usr/bin/new does not belong to the image"]
    (image.root / "usr/bin/new").unlink()
    assert check_image(image, full=True) == []
    files = image.root.parent / "files.jsonl"
    files.write_text("".join(files.read_text().splitlines(keepends=True)[1:]))
    assert check_image(image) == ["the list of files is not the one that the image was sealed with"]
    assert build_image("small", force=True).digest == image.digest
    assert check_image(image, full=True) == [], "a forced build replaces a damaged image"


@needs_builder
def test_garbage_is_what_has_no_name() -> None:
    image = build_image("small")
    (store.store_dir() / "small").unlink()
    assert collect_garbage() == 0, "too young: sandboxes may use it"
    assert collect_garbage(min_age=-1) == 1
    assert not image.root.exists()


def test_a_missing_named_image_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SandboxUnavailable, match=r"'small'.*`workroom sandbox build --image small`") as caught:
        ensure_image("small")
    assert caught.value.exit_code == 5
    monkeypatch.setenv("WORKROOM_IMAGE", "small")
    with pytest.raises(SandboxUnavailable, match="'small'"):
        ensure_image()


@pytest.mark.parametrize("name", ["../x", "A", "", "f" * 64, ".trash", "x/y"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ConfigError):
        store.find(name)


def test_an_unknown_recipe_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="default, small, tiny"):
        build_image("nothing")


def test_a_wrong_recipe_is_a_configuration_error(home: Path) -> None:
    (home / ".config/workroom/images/small/recipe.toml").write_text('suite = "bookworm"\npackages = []\ncolour = 1\n')
    with pytest.raises(ConfigError, match="colour"):
        build_image("small")


def test_without_mmdebstrap_the_default_falls_back_to_the_host(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "bin/mmdebstrap").unlink()
    monkeypatch.setattr("workroom.sandbox.image.bootstrap.shutil.which", lambda name: None)
    with pytest.raises(SandboxUnavailable, match="apt-get install mmdebstrap"):
        check_host()
    image = ensure_image()
    assert image.is_host
    assert "mmdebstrap is missing" in str(image.notice)
    assert "workroom sandbox build" in str(image.notice)
    with pytest.raises(SandboxUnavailable, match="mmdebstrap"):
        ensure_image("default")


def test_the_host_skeleton_is_complete_and_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKROOM_IMAGE", "host")
    image = ensure_image()
    assert image.name == "host"
    assert (Path("/usr"), "/usr", True) in image.binds
    assert check_image(image, full=True) == []
    for name in ("usr", "testbed/documents", "testbed/output", "var/lib/workroom", "proc", "dev", "run/init"):
        assert (image.root / name).exists()
    for name in ("bin", "lib64"):
        assert (image.root / name).is_symlink() == Path("/", name).is_symlink()
    assert "root:x:0:0" in (image.root / "etc/passwd").read_text()
    assert not (image.root / "etc/shadow").exists()
    assert list((image.root / "usr").iterdir()) == []
    assert {path.lstat().st_uid for path in image.root.rglob("*")} == {owner()}
    inode = image.root.stat().st_ino
    assert host_image("again").root.stat().st_ino == inode


def test_the_host_skeleton_starts_bash_in_an_overlayless_chroot() -> None:
    image = host_image("a test")
    words = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    script = 'mount --no-canonicalize --rbind /usr usr && exec chroot . /bin/bash -c "echo $((6 * 7)); cat /etc/hosts"'
    as_owner = ["setpriv", f"--reuid={owner()}", f"--regid={owner()}", "--clear-groups"] if os.getuid() == 0 else []
    done = subprocess.run([*as_owner, *words, script], cwd=image.root, capture_output=True, text=True, check=False)
    if "unshare failed" in done.stderr:
        pytest.skip("no user namespaces here")
    assert done.stdout.startswith("42\n127.0.0.1 localhost"), done.stderr


def test_a_file_is_never_written_through_a_link_out_of_the_image(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "etc").symlink_to(outside)
    with pytest.raises(SandboxUnavailable, match="through a link"):
        put(root, "etc/hosts", b"x")
    assert list(outside.iterdir()) == []
    (root / "etc").unlink()
    (root / "etc").mkdir()
    (outside / "victim").write_text("precious")
    (root / "etc/hosts").symlink_to(outside / "victim")
    put(root, "etc/hosts", b"x")
    assert (outside / "victim").read_text() == "precious"
    assert (root / "etc/hosts").read_bytes() == b"x"


def test_a_manifest_that_is_damaged_is_no_image(home: Path) -> None:
    place = _place("a" * 64)
    (place / "root").mkdir(parents=True)
    store.point("small", "a" * 64)
    (place / "manifest.json").write_text(json.dumps({"digest": "x"}))
    assert store.find("small") is None
    assert list_images() == []
    with pytest.raises(ValueError, match="missing"):
        Manifest.load(place)
