"""Makes one layer of several, or fewer: python3 merge_layers.py COUNT, where the layers 0 (the oldest), 1, ... are.

It is run inside, by the image's Python, upon layers as an overlay with the mount option `userxattr` has them: a
whiteout is a file like any other here, and a directory marked opaque hides all that is below it. Nothing is copied.
Everything in a layer may be hostile but does not change meanwhile; only directories that are no links are gone into.
"""

import os
import shutil
import stat
import sys
from pathlib import Path

OPAQUE = "user.overlay.opaque"


def merge(upper: str, lower: str) -> None:
    """Moves what is in one directory over what is in another, which then is as the upper one was."""
    pairs = [(Path(upper), Path(lower))]
    met = []
    while pairs:
        above, below = pairs.pop()
        met.append((above, below, above.lstat()))
        for source in list(above.iterdir()):
            target = below / source.name
            if is_directory(source) and is_directory(target) and not is_opaque(source):
                pairs.append((source, target))
            else:
                remove(target)
                source.rename(target)
    for above, below, status in met:
        os.chown(below, status.st_uid, status.st_gid)
        below.chmod(stat.S_IMODE(status.st_mode))
        for name in os.listxattr(above):
            os.setxattr(below, name, os.getxattr(above, name))
        os.utime(below, ns=(status.st_atime_ns, status.st_mtime_ns))


def is_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def is_opaque(path: Path) -> bool:
    try:
        return os.getxattr(path, OPAQUE) == b"y"
    except OSError:  # it has no such mark
        return False


def remove(path: Path) -> None:
    if is_directory(path):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def merge_all(count: int) -> None:
    """Merges as many as it can; the overlay of what there is by then is the same at any time."""
    done = 0
    try:
        for number in range(1, count):
            merge(str(number), "0")
            shutil.rmtree(str(number))
            done = number
    except OSError:  # names that are too long to be reached by a path, say
        for number in range(done + 1, count):
            Path(str(number)).rename(str(number - done))


if __name__ == "__main__":
    merge_all(int(sys.argv[1]))
