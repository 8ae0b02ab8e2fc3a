"""The small static program that sets a sandbox up from outside and is its process 1 inside (sources beside this)."""

import hashlib
import os
import shutil
import threading
from functools import lru_cache
from pathlib import Path

from workroom.errors import SandboxUnavailable
from workroom.sandbox.ledger import state_dir

PROGRAM = "/run/init"  # where it is inside


def guest_binary() -> Path:
    """The path of the compiled program. Raises SandboxUnavailable where the package was never built."""
    path = Path(__file__).parent / "bin" / "guest"
    if not path.exists():
        raise SandboxUnavailable(
            f"the sandbox's own program {path} is missing: install the package with pip (`make install` in a clone), "
            "which compiles it with the C compiler `cc`"
        )
    return path


@lru_cache(maxsize=1)
def staged_binary() -> Path:
    """A copy to mount into sandboxes: their table of mounts tells its path, and that is not to be somebody's home."""
    source = guest_binary()
    path = state_dir() / f"guest-{hashlib.sha256(source.read_bytes()).hexdigest()[:12]}"
    if not path.exists():
        partial = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        try:
            shutil.copyfile(source, partial)
            partial.chmod(0o555)
            partial.rename(path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise SandboxUnavailable(f"{path} could not be written: {error.strerror}") from error
    return path
