"""Not more at once than this machine's memory has room for."""

import asyncio
import re
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

_LOOK = 0.5  # seconds between two looks while something waits
_FRESH = 0.05  # seconds for which a look counts: hundreds of attempts may begin at once


def free_memory() -> int | None:
    """Bytes that programs can still get without swapping, None where the kernel does not tell."""
    return _read(int(time.monotonic() / _FRESH))


@lru_cache(maxsize=1)
def _read(_moment: int) -> int | None:
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


async def wait_for_memory(wanted: int, others: Callable[[], bool], tell: Callable[[str], None]) -> None:
    """Waits until so many bytes are free, while `others` says that something runs which may free some."""
    told = False
    while wanted and others() and (free := free_memory()) is not None and free < wanted:
        if not told:
            told = True
            tell(f"{free / (1 << 30):.1f} GiB of memory are free, another attempt waits for {wanted / (1 << 30):.1f}")
        await asyncio.sleep(_LOOK)
    if told:
        tell("")
