"""The Docker backend; Podman's service answers the same calls.

backend.py     starts and ends containers, watches their disk
container.py   the settings of a container, and what of them is in force
image.py       our image, imported into the daemon
changes.py     what a container has changed: fork and checkpoint
engine.py      the calls of the Engine API
"""

from workroom.sandbox.docker.backend import DockerBackend, DockerGuest

__all__ = ["DockerBackend", "DockerGuest"]
