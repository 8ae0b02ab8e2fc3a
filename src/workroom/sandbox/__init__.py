"""One isolated computer per episode: start it, run commands, move files, close it.

sandbox.py      what callers use                   image/    the read-only root file system that all share
connection.py   the socket to the agent inside     guest/    the C program: set-up outside, process 1 inside
ledger.py       what there is, for the clean-up    egress/   the proxy that enforces the network policy
bwrap.py        the bubblewrap backend
"""

from workroom.sandbox.base import ExecResult, FileEntry, Limits, SandboxFacts
from workroom.sandbox.sandbox import Sandbox

__all__ = ["ExecResult", "FileEntry", "Limits", "Sandbox", "SandboxFacts"]
