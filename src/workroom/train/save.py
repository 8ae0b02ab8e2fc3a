"""The trained policy as others can use it: a folder in Hugging Face form, and how it wants to be spoken to."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workroom.train.config import ModelSection
from workroom.train.gguf import ORIGIN

GGUF = "model.gguf"
BESIDE = "workroom.json"  # how the model was trained to be spoken to


def save(model: Any, tokenizer: Any, directory: Path) -> Path:
    """Writes weights (safetensors), settings, tokenizer and chat template; returns `directory`.

    What lies there is replaced as a whole, once everything is written: whoever looks sees one model or the other.
    """
    directory = directory.absolute()
    partial = directory.with_name(f".{directory.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        origin = Path(str(model.name_or_path)) / ORIGIN
        if origin.is_file():
            shutil.copy2(origin, partial / ORIGIN)
        _replace(partial, directory)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return directory


def save_hints(section: ModelSection, sampling: Mapping[str, Any], directory: Path) -> Path:
    """Notes beside the weights how the policy was spoken to, for `workroom run -m local/PATH`.

    `sampling`: fields of `workroom.models.base.Sampling`.
    """
    path = directory / BESIDE
    partial = path.with_name(f".{path.name}.partial")
    notes = {"protocol": section.tool_protocol, "prompt": section.prompt, "sampling": dict(sampling)}
    partial.write_text(json.dumps(notes, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)
    return path


def _replace(source: Path, target: Path) -> None:
    """Puts a folder in the place of another. Where the machine dies in between, the old one lies beside it."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.replace(old)
    source.replace(target)
    shutil.rmtree(old, ignore_errors=True)
