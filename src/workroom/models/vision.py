"""Which models can be shown pictures: by their names, and by what their servers say."""

import re
from typing import Literal

Vision = Literal["auto", "on", "off"]

_SEE = re.compile(
    r"gpt-4o|gpt-4\.[1-9]|gpt-4-turbo|gpt-[5-9]|\bo[134]\b|claude|gemini|gemma-?[3-9]|pixtral|magistral"
    r"|mistral-(?:small-3\.|medium-3|large-3)|qwen[\w.-]*vl|qvq|qwen[\w.-]*omni|llava|internvl|minicpm-?[vo]\b"
    r"|glm-?[\d.]+v|kimi-(?:vl|k2\.[5-9])|llama-?4|llama-?3\.2-(?:11b|90b)|molmo|smolvlm|grok-[4-9]|phi-4-multimodal"
    r"|(?<![a-z])vlm?\d*(?![a-z])|vision",
    re.IGNORECASE,
)
_BLIND = re.compile(r"\bo1-(?:mini|preview)|\bo3-mini|gemma-?3[-:](?:1b|270m)|grok-code", re.IGNORECASE)

# OpenAI, vLLM, llama.cpp, Ollama, OpenRouter, DeepSeek, Groq, Mistral and their like on pictures for a blind model.
_REFUSED = re.compile(
    r"(?:not|n't) support\w*\b.{0,40}\b(?:images?|image_url|vision|multi-?modal)"
    r"|\b(?:images?|image_url|vision|multi-?modal)\b.{0,40}(?:(?:not|un|n't) ?(?:support|enabled|allowed)|disabled)"
    r"|image_url is only supported|unknown variant `image_url`|not a (?:multi-?modal|vision)"
    r"|endpoints found that support image|required for image input"
    r"|content\S*\W+(?:value )?(?:must|should) be a (?:valid )?string|input should be a valid string",
    re.IGNORECASE | re.DOTALL,
)
_MOST = re.compile(r"(?:at most|up to|limit of|maximum of) (\d+) image", re.IGNORECASE)
# Anthropic, OpenAI and vLLM on a picture that they cannot read, or of a size that they do not take.
_AT_FAULT = re.compile(
    r"could not process image|image exceeds|image dimensions|must be larger than factor"
    r"|(?:invalid|unsupported|failed to (?:load|decode)).{0,20}image|image.{0,20}(?:invalid|too (?:large|small))",
    re.IGNORECASE,
)


def can_see(name: str, setting: Vision = "auto") -> bool:
    """Whether pictures are to be sent to the model of that name (`openai/gpt-5`): as set, else as its name tells.

    A model whose name tells nothing is taken to be blind.
    """
    if setting != "auto":
        return setting == "on"
    provider, _, rest = name.partition("/")
    if provider == "anthropic":
        return True
    return provider == "openai" and _SEE.search(rest) is not None and _BLIND.search(rest) is None


def pictures_refused(text: str) -> tuple[int | None] | None:
    """How many pictures a server takes by its words, or None in it where only these are at fault.

    None where the words are about something else.
    """
    if told := _MOST.search(text):
        return (int(told[1]),)
    if _REFUSED.search(text):
        return (0,)
    return (None,) if _AT_FAULT.search(text) else None
