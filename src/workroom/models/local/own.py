"""A GGUF of the user's own: a file, or a folder that holds one, with notes beside it how to speak to the model."""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from workroom.errors import ConfigError
from workroom.models.base import ModelHints, Sampling
from workroom.models.local.catalog import HINTS, TEMPLATE, LocalEntry
from workroom.models.local.gguf import read_header

MODEL = "model.gguf"
NOTES = "workroom.json"  # written by a training
_CONTEXT = 16_384  # tokens at most, for the memory that they take
_CONTEXT_UNKNOWN = 4_096
_BASH_TOOLS = ("execute_bash", "submit")


class _Sampling(BaseModel):
    model_config = ConfigDict(extra="forbid")

    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    max_tokens: int | None = None


class _Notes(BaseModel):
    """What may stand in the notes. `grammar`: whether bash blocks are enforced, which the training did not do."""

    model_config = ConfigDict(extra="forbid")

    protocol: Literal["native", "json", "bash"] = HINTS.protocol
    prompt: Literal["standard", "compact"] = HINTS.prompt
    sampling: _Sampling = _Sampling()
    grammar: bool = False


def is_path(name: str) -> bool:
    """Whether what stands after `local/` means a file or folder, and no model of the catalog."""
    return "/" in name or name.endswith(".gguf") or (Path(name) / MODEL).is_file()


def own_entry(name: str) -> LocalEntry:
    """The entry of a path. Reads the file's header alone.

    Raises ConfigError where there is no such file, it is no GGUF of a model, or the notes beside it are wrong.
    """
    path = _file_of(Path(name).expanduser())
    header = read_header(path)
    if not header.tensors or not header.architecture:
        raise ConfigError(f"{path} has no weights: it is a GGUF of something else than a model")
    facts = path.stat()
    hints, grammar = _notes(path.parent / NOTES)
    return LocalEntry(
        name=name,
        parts=(),
        part_bytes=0,
        size=facts.st_size,
        sha256=hashlib.sha256(f"{path}\0{facts.st_size}\0{facts.st_mtime_ns}".encode()).hexdigest(),
        context=min(header.context or _CONTEXT_UNKNOWN, _CONTEXT),
        template="" if header.chat_template else TEMPLATE,
        licence=str(header.fields.get("general.license", "as its owner says")),
        origin=f"{header.fields.get('general.name') or path.name}, {header.architecture}, {path}",
        hints=hints,
        file=path,
        grammar=grammar,
    )


def _file_of(path: Path) -> Path:
    if path.is_dir():
        found = [path / MODEL] if (path / MODEL).is_file() else sorted(path.glob("*.gguf"))
        if len(found) != 1:
            many = "several .gguf files: name one" if found else "no .gguf file; `workroom train` writes one"
            raise ConfigError(f"the folder {path} holds {many}")
        path = found[0]
    if not path.is_file():
        raise ConfigError(f"there is no file {path}; a model of your own is local/PATH, a GGUF or a folder with one")
    return path.resolve()


def _notes(path: Path) -> tuple[ModelHints, bool]:
    """What the notes say of the protocol, the prompt and the sampling; without any, what the catalog's models want."""
    if not path.is_file():
        return HINTS, True
    try:
        notes = _Notes.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first: Any = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "it"
        raise ConfigError(f"{path}: {where}: {first['msg']}; correct it or take it away") from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}; correct it or take it away") from error
    tools = _BASH_TOOLS if notes.protocol == "bash" else None
    sampling = Sampling(**notes.sampling.model_dump())
    return ModelHints(protocol=notes.protocol, tools=tools, prompt=notes.prompt, sampling=sampling), notes.grammar
