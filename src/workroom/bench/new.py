"""A new suite's folder, from a template that runs as it is."""

import shutil
from pathlib import Path
from typing import Final

from workroom.bench.suite import built_in
from workroom.errors import ConfigError

TEMPLATE: Final = Path(__file__).parent / "template"
FILES: Final = ("suite.toml", "sandbox.j2", "llm.j2", "grader.py", "data.jsonl")


def create(folder: Path) -> list[Path]:
    """Makes the folder and writes the files of a suite into it; gives their paths.

    Raises ConfigError where the folder is not empty or cannot be made, or its name is one of a suite that there is.
    """
    if folder.resolve().name in built_in():
        raise ConfigError(f"{folder.resolve().name} is the name of a suite that comes with workroom; choose another")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ConfigError(f"{folder} is not empty; choose another name")
        for name in FILES:
            shutil.copyfile(TEMPLATE / name, folder / name)
    except OSError as error:
        raise ConfigError(f"cannot make the suite in {folder}: {error.strerror}") from error
    return [folder / name for name in FILES]
