"""The environment for mini-swe-agent: it behaves as mini-swe-agent's own ones, and runs its agent.

The first half are the cases of mini-swe-agent's tests of its environments. They run against its local environment too,
so that it is seen that they ask for what that one does.
"""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("MSWEA_SILENT_STARTUP", "1")
os.environ.setdefault("MSWEA_GLOBAL_CONFIG_DIR", os.devnull + "/../shm")  # it makes its folder when it is imported
pytest.importorskip("minisweagent", reason="mini-swe-agent is not installed; `make test` installs it")
