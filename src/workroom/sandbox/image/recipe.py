"""What an image is made of: a directory with `recipe.toml`, and the files that every image gets."""

import hashlib
import os
import platform
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workroom.errors import ConfigError

FILES = Path(__file__).parent / "files"
_OWN = Path(__file__).parent / "recipes"
_VERSION = "2"  # raise it when build.py or configure.py make another image of the same recipe


@dataclass(frozen=True, slots=True)
class Recipe:
    """`suite`: the Debian release. `packages`: Debian packages. `requirements`: locked Python packages, with hashes.

    `prune`: globs below the root of what is removed. `warm` and `verify`: shell commands run in the finished image.
    """

    name: str
    digest: str
    suite: str
    packages: tuple[str, ...]
    requirements: Path | None = None
    python: str = "3.11"
    prune: tuple[str, ...] = ()
    warm: tuple[str, ...] = ()
    verify: tuple[str, ...] = ()


def load_recipe(name: str) -> Recipe:
    """The recipe of that name: of this package, or `workroom/images/NAME/recipe.toml` in the user's configuration.

    Raises ConfigError where there is none or it is wrong.
    """
    place = next((place for place in _places() if (place / name / "recipe.toml").is_file()), None)
    if place is None:
        raise ConfigError(
            f"there is no recipe for an image {name!r}: known are {', '.join(_known())}; "
            f"yours go to {_places()[-1]}/NAME/recipe.toml"
        )
    folder = place / name
    try:
        text = (folder / "recipe.toml").read_text("utf-8")
        values: dict[str, Any] = tomllib.loads(text)
        values = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
        if "requirements" in values:
            values["requirements"] = folder / values["requirements"]
        return Recipe(name=name, digest=_digest(folder), **values)
    except (OSError, TypeError, ValueError) as error:
        raise ConfigError(f"the recipe {folder / 'recipe.toml'} is wrong: {error}") from error


def files_digest() -> str:
    """The sha256 of what every image gets, and of how it is put there."""
    return _hash(FILES, _VERSION)


def _digest(folder: Path) -> str:
    return _hash(folder, files_digest() + platform.machine())


def _hash(folder: Path, seed: str) -> str:
    result = hashlib.sha256(seed.encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        result.update(f"\n{path.relative_to(folder)}\n{hashlib.sha256(path.read_bytes()).hexdigest()}".encode())
    return result.hexdigest()


def _places() -> list[Path]:
    named = os.environ.get("XDG_CONFIG_HOME", "")
    return [_OWN, (Path(named) if named else Path.home() / ".config") / "workroom" / "images"]


def _known() -> list[str]:
    return sorted({path.parent.name for place in _places() for path in place.glob("*/recipe.toml")})
