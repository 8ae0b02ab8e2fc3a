"""The real default image, where it is built: what is in it and what is not."""

import json
import platform
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunInBox
from workroom.sandbox.image import Image, check_image, list_images
from workroom.sandbox.image.recipe import load_recipe

pytestmark = pytest.mark.image
MAX_BYTES = 1_100_000_000  # the paper's image


@pytest.fixture
def image() -> Image:
    found = [image for image in list_images() if image.name == "default"]
    if not found:
        pytest.skip("the default image is not built: workroom sandbox build")
    return found[0]


def test_it_is_sound_and_small(image: Image) -> None:
    assert check_image(image) == []
    assert 0 < image.size <= MAX_BYTES


def test_it_knows_nothing_of_this_host(image: Image) -> None:
    etc = image.root / "etc"
    assert (etc / "hostname").read_text() == "sandbox\n"
    assert (etc / "resolv.conf").read_bytes() == b""
    assert (etc / "machine-id").read_bytes() == b""
    assert platform.node() not in (etc / "hosts").read_text().split()
    passwd = {line.split(":")[0] for line in (etc / "passwd").read_text().splitlines()}
    assert "root" in passwd
    assert not passwd & {path.name for path in Path("/home").iterdir()}
    assert "@" not in (etc / "apt/sources.list.d/host.sources").read_text()
    assert not list((image.root / "var/log").rglob("*.log"))


def test_nothing_in_it_has_rights_of_its_own(image: Image) -> None:
    lines = (image.root.parent / "files.jsonl").read_text().splitlines()
    entries: list[list[Any]] = [json.loads(line) for line in lines]
    assert not [path for path, kind, mode, *_ in entries if kind != "l" and mode & 0o6000]
    assert {kind for _, kind, *_ in entries} == {"f", "d", "l"}
    assert (image.root / "tmp").stat().st_mode & 0o7777 == 0o1777


def test_its_programs_work_in_a_sandbox(image: Image, run_in_box: RunInBox) -> None:
    async def work(box: Any) -> None:
        for command in load_recipe("default").verify:
            done = await box.exec(command, timeout=120)
            assert done.exit_code == 0, f"{command}: {done.stderr}"

    run_in_box(work, image="default")
