"""A small tokenizer, made on the spot, and a sampler that plays texts or ids."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from workroom.train.sampler import Sampled

CHATML = (
    "{%- for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
# Tools in the system message, calls in Hermes' form, results as a block of the user.
HERMES = """
{%- if tools or messages[0].role == 'system' %}
{{- '<|im_start|>system\\n' }}
{%- if messages[0].role == 'system' %}{{ messages[0].content }}{% endif %}
{%- for tool in tools or [] %}{{ '\\n' + tool | tojson }}{% endfor %}
{{- '<|im_end|>\\n' }}
{%- endif %}
{%- for message in (messages[1:] if messages[0].role == 'system' else messages) %}
{%- if message.role == 'tool' %}
{{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}
{%- else %}
{{- '<|im_start|>' + message.role + '\\n' + message.content }}
{%- for call in message.tool_calls or [] %}
{{- '\\n<tool_call>\\n' + {'name': call.function.name, 'arguments': call.function.arguments} | tojson }}
{{- '\\n</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}
"""
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_CORPUS = ["the answer is in the file", "echo 42 > /testbed/answer.txt", "submit", "Observation:", "```bash\n```\n"]


@cache
def _core() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(_CORPUS * 4, trainer)
    return core


def tokenizer(template: str | None = CHATML) -> Any:
    """A fast tokenizer of `transformers`: bytes and some merges, ChatML's tokens, `<|im_end|>` ends a turn."""
    from transformers import PreTrainedTokenizerFast

    kind: Any = PreTrainedTokenizerFast
    made = kind(
        tokenizer_object=_core(),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
    )
    made.chat_template = template
    return made


class Played:
    """Plays the replies in turn, texts or ids; `<|im_end|>` is put behind a text. `prompts`: what it was given.

    Token number n of a reply has the log-probability -(n + 1) / 8.
    """

    def __init__(self, tokens: Any, *replies: str | Sequence[int]) -> None:
        self.replies = [
            tuple(tokens.encode(reply + "<|im_end|>", add_special_tokens=False) if isinstance(reply, str) else reply)
            for reply in replies
        ]
        self.prompts: list[tuple[int, ...]] = []
        self.asked: list[tuple[int, float, int | None]] = []

    async def sample(
        self, ids: Sequence[int], *, max_tokens: int, temperature: float = 1.0, seed: int | None = None
    ) -> Sampled:
        reply = self.replies[min(len(self.prompts), len(self.replies) - 1)]
        self.prompts.append(tuple(ids))
        self.asked.append((max_tokens, temperature, seed))
        kept = reply[:max_tokens]
        told = tuple(-(place + 1) / 8 for place in range(len(kept)))
        return Sampled(kept, told, "stop" if len(kept) == len(reply) else "length")

    async def aclose(self) -> None:
        pass
