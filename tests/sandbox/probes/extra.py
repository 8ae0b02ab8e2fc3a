"""Probes of our own, for the classes of holes that the shared half only samples."""

from tests.sandbox.probes.harness import Probe

PROBES: list[Probe] = []
