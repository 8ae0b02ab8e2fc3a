"""The load benchmark for a few seconds; its figures are of no concern here, that it finds no error is."""

from pathlib import Path

import pytest

from benchmarks import serve


def test_a_few_conversations_at_once_leave_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    assert serve.main(["--conversations", "4", "--seconds", "5", "--requests", "2"]) == 0
    told = capfd.readouterr().out
    assert "after SIGTERM: exit code 0, 0 processes, 0 sandboxes, 0 conversations left" in told
    assert ", 0 errors" in told
    assert ": 0 conversations" not in told
    assert not list(Path("/tmp").glob("workroom-load-*/state/lock"))
