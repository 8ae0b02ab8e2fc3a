"""The name by which verifiers finds our tasks and our harness: `workroom-verifiers`, or `workroom_verifiers`.

verifiers imports a package of that name, which may have no dots in it, and takes what `__all__` exports.
"""

from workroom.integrations.verifiers import WorkroomEnv, WorkroomHarness, WorkroomTaskset

__all__ = ["WorkroomEnv", "WorkroomHarness", "WorkroomTaskset"]
