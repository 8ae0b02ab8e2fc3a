"""The pictures of a trajectory as files of the run's directory: `images/<sha256>.png`."""

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from workroom.trajectory.files import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workroom.trajectory.events import Event, Picture

DIRECTORY = "images"


def picture_path(picture: "Picture") -> str:
    """Where the picture is, relative to the run's directory."""
    digest = hashlib.sha256(base64.b64decode(picture.data)).hexdigest()
    return f"{DIRECTORY}/{digest}{'.jpg' if picture.media_type == 'image/jpeg' else '.png'}"


def write_pictures(directory: Path, events: "Iterable[Event]") -> None:
    """Writes what is not there yet. Raises WorkroomError where that is not possible."""
    for event in events:
        for picture in event.images if event.type == "tool" else ():
            target = directory / picture_path(picture)
            if not target.exists():
                target.parent.mkdir(exist_ok=True)
                replace_file(target, base64.b64decode(picture.data))
