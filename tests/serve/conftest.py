"""A server that the tests of a module share: each makes conversations of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serve.support import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("serve")) as running:
        yield running


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path
