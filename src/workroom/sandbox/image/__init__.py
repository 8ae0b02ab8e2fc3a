"""The image: the read-only root file system that all sandboxes share.

recipe.py        what an image is made of; recipes/ and files/ hold the data
bootstrap.py     the Debian base, by mmdebstrap
registries.py    how this host reaches its package registries
configure.py     what every image gets written into /etc and the like
build.py         the steps of a build
manifest.py      what is in an image, and whether it still is
store.py         where images lie
host.py          the fallback: this host's own /usr
"""

import functools
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from workroom.errors import ConfigError, SandboxUnavailable
from workroom.sandbox.image.build import build_image
from workroom.sandbox.image.host import host_image
from workroom.sandbox.image.manifest import SANDBOX_UID, Manifest, problems
from workroom.sandbox.image.recipe import load_recipe
from workroom.sandbox.image.registries import CA_ENVIRONMENT
from workroom.sandbox.image.store import DEFAULT, HOST, Image, collect_garbage, find, list_images

__all__ = [
    "CA_ENVIRONMENT", "SANDBOX_UID", "Image", "build_image", "check_image", "collect_garbage", "ensure_image",
    "list_images",
]  # fmt: skip


def ensure_image(name: str | None = None, *, progress: Callable[[str], None] | None = None) -> Image:
    """The image of that name (None: what `WORKROOM_IMAGE` names, else the default one).

    The default one is built when it is missing; where that cannot be done and no name was given, the fallback over
    the host's own /usr is used, and its `notice` says why. Raises SandboxUnavailable where a named image is missing.
    """
    wanted = name or os.environ.get("WORKROOM_IMAGE", "")
    if wanted == HOST:
        return host_image("it was asked for")
    image = find(wanted or DEFAULT)
    if image is not None:
        return _with_age(image)
    if wanted not in ("", DEFAULT):
        raise SandboxUnavailable(
            f"there is no image {wanted!r}: build it with `workroom sandbox build --image {wanted}`"
        )
    try:
        return build_image(DEFAULT, progress=progress)
    except SandboxUnavailable as error:
        if wanted:
            raise
        return host_image(str(error))


def check_image(image: Image, *, full: bool = False) -> list[str]:
    """What is wrong with an image, as sentences: names, modes and sizes of all files, content of a sample or of all."""
    return problems(image.root.parent, full=full)


def _with_age(image: Image) -> Image:
    """The image, with a notice where its recipe has changed since it was built."""
    if not _is_old(image.name, image.root.parent):
        return image
    return replace(
        image,
        notice=f"image {image.name} was built from an older recipe: "
        f"`workroom sandbox build --image {image.name}` renews it",
    )


@functools.cache  # asked for every sandbox, and a recipe changes with a new version of the program only
def _is_old(name: str, place: Path) -> bool:
    try:
        return Manifest.load(place).recipe != load_recipe(name).digest
    except ConfigError:
        return False  # a recipe that is gone makes nothing old
