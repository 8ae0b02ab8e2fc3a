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

import contextlib
import os
from collections.abc import Callable
from dataclasses import replace

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
    with contextlib.suppress(ConfigError):  # a recipe that is gone makes nothing old
        if Manifest.load(image.root.parent).recipe == load_recipe(image.name).digest:
            return image
    return replace(
        image, notice=f"image {image.name} was built from an older recipe: `workroom sandbox build` renews it"
    )
