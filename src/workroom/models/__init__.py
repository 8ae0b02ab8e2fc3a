"""Language models behind one protocol, `Model`; `open_model` makes one from its name."""

from workroom.models.base import (
    Completion,
    Delta,
    Message,
    Model,
    ModelHints,
    Sampling,
    ToolCall,
    ToolSpec,
    Usage,
)
from workroom.models.registry import KnownModel, default_model, known_models, open_model

__all__ = [
    "Completion",
    "Delta",
    "KnownModel",
    "Message",
    "Model",
    "ModelHints",
    "Sampling",
    "ToolCall",
    "ToolSpec",
    "Usage",
    "default_model",
    "known_models",
    "open_model",
]
