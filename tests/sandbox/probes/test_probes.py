"""Every probe against every backend. The shared half of the suite lies beside the data; extra.toml is ours."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.probes.harness import SHARED, Plant, Probe, Scene, attack, our_probes, planted, shared_probes

ALL = [*shared_probes(), *our_probes()]


@pytest.fixture(scope="module")
def plant() -> Iterator[Plant]:
    with planted() as plant:
        yield plant


@pytest.mark.skipif(not SHARED.is_file(), reason=f"the shared half of the attack suite is not here ({SHARED})")
def test_the_shared_half_is_complete() -> None:
    assert len(shared_probes()) == 93


@pytest.mark.parametrize("probe", ALL, ids=[probe.id for probe in ALL])
def test_probe(backend: str, probe: Probe, plant: Plant, tmp_path: Path) -> None:
    modes = [mode for mode in probe.modes if mode in plant.networks]
    if not modes:
        pytest.skip("needs a server on port 80, which this user cannot have")
    for mode in modes:
        asyncio.run(attack(Scene(probe, plant, backend, mode, tmp_path)))
