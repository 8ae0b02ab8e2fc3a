"""The small static program that sets a sandbox up from outside and is its process 1 inside (sources beside this)."""

from pathlib import Path

from workroom.errors import SandboxUnavailable


def guest_binary() -> Path:
    """The path of the compiled program. Raises SandboxUnavailable where the package was never built."""
    path = Path(__file__).parent / "bin" / "guest"
    if not path.exists():
        raise SandboxUnavailable(
            f"the sandbox's own program {path} is missing: install the package with pip (`make install` in a clone), "
            "which compiles it with the C compiler `cc`"
        )
    return path
