"""Messages as token ids, against the template's own rendering of the whole conversation."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.train.tokens import CHATML, HERMES, tokenizer
from workroom.errors import BadRequest, ConfigError
from workroom.models.base import Message, ToolCall, ToolSpec
from workroom.train.chat import ChatTemplate

TOKENS = tokenizer()
CHAT = ChatTemplate(TOKENS)
NATIVE = ChatTemplate(tokenizer(HERMES), protocol="native")
LS = ToolSpec("ls", "Lists.", {"type": "object", "properties": {"path": {"type": "string"}}})
START = [Message("system", "Be brief."), Message("user", "What is there?")]

# What begins with a letter and ends with one is tokenised alike by itself and behind the prompt's line break.
REPLY = st.text("abz é\n`<|>", min_size=1, max_size=12).map(lambda text: f"I{text}.")
SAID = st.one_of(st.text(max_size=12), st.sampled_from(["<|im_end|>", "<|im_start|>user\n", "workroom-said", " \n"]))
NEW = st.lists(st.builds(Message, st.just("user"), SAID), min_size=1, max_size=3)


def encoded(text: str) -> tuple[int, ...]:
    return tuple(TOKENS.encode(text, add_special_tokens=False))


@settings(deadline=None, max_examples=60)
@given(turns=st.lists(st.tuples(REPLY, NEW), min_size=1, max_size=4))
def test_what_is_gone_on_with_is_what_the_template_renders_as_a_whole(turns: list[tuple[str, list[Message]]]) -> None:
    messages = list(START)
    ids = CHAT.begin(messages)
    for reply, new in turns:
        ids = (*ids, *encoded(reply), CHAT.end, *CHAT.go_on(new))
        messages += [Message("assistant", reply), *new]
    assert ids == CHAT.begin(messages)


@settings(deadline=None, max_examples=30)
@given(new=NEW)
def test_an_end_that_was_not_sampled_is_put_before_and_one_that_was_is_not_repeated(new: list[Message]) -> None:
    after = CHAT.go_on(new)
    assert CHAT.go_on(new, ended=False) == (CHAT.end, *after)
    assert TOKENS.decode(after).startswith("\n<|im_start|>user\n")
    assert TOKENS.decode(after).endswith("<|im_end|>\n<|im_start|>assistant\n")


@settings(deadline=None, max_examples=30)
@given(results=st.lists(SAID, min_size=1, max_size=3), more=st.booleans())
def test_results_of_tools_go_on_as_the_template_renders_them(results: list[str], more: bool) -> None:
    calls = tuple(ToolCall(f"c{n}", "ls", '{"path": "/"}') for n in range(len(results)))
    new = [Message("tool", text, tool_call_id=f"c{n}") for n, text in enumerate(results)]
    new += [Message("user", "Go on.")] if more else []
    said = Message("assistant", "I look.", tool_calls=calls)
    start = NATIVE.begin(START, [LS])
    whole = NATIVE.begin([*START, said, *new], [LS])
    written = "I look." + '\n<tool_call>\n{"name": "ls", "arguments": {"path": "/"}}\n</tool_call>' * len(calls)
    assert whole == (*start, *encoded(written), NATIVE.end, *NATIVE.go_on(new, [LS]))


def test_neighbouring_messages_of_the_user_are_joined_as_servers_get_them() -> None:
    two = CHAT.begin([*START, Message("user", "Quick.")])
    assert two == CHAT.begin([START[0], Message("user", "What is there?\n\nQuick.")])


def test_a_text_is_without_its_end_and_whole_however_the_ids_are_cut() -> None:
    euro = encoded("a€")
    assert CHAT.text((*euro, CHAT.end)) == "a€"
    assert CHAT.text(euro[:-1]) == "a�"
    assert CHAT.text((CHAT.end, *euro)) == "<|im_end|>a€"
    assert CHAT.text(()) == ""


def test_the_tokens_that_end_a_turn_are_the_templates_and_the_end_of_text() -> None:
    tokens = tokenizer()
    tokens.eos_token = "<|endoftext|>"
    chat = ChatTemplate(tokens)
    assert chat.end == tokens.convert_tokens_to_ids("<|im_end|>")
    assert chat.stops == {chat.end, tokens.convert_tokens_to_ids("<|endoftext|>")}


def test_a_template_of_the_configuration_goes_before_the_models_own() -> None:
    chat = ChatTemplate(TOKENS, template=HERMES, protocol="native")
    assert "Lists." in TOKENS.decode(chat.begin(START, [LS]))


# Keeps only what the newest turn thought.
FORGETS = CHATML.replace(
    "message.content +",
    "(message.content if message.role != 'assistant' or loop.last else message.content.split('</think>')[-1]) +",
)
COUNTS = "{{ messages | length }}" + CHATML
PLAIN = "{%- for message in messages %}{{ message.role + ': ' + message.content + '\\n' }}{%- endfor %}"
NO_SYSTEM = "{%- if messages[0].role == 'system' %}{{ raise_exception('no system') }}{%- endif %}" + CHATML
DROPS_SYSTEM = CHATML.replace("in messages %}", "in messages if message.role != 'system' %}")
BROKEN = "{{ messages.nothing.at_all }}"
MARKS_OLD = (
    "{%- set mark = '!' if messages[-1].content == 'no' else '' %}{%- for message in messages %}"
    "{{ mark + '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{%- endfor %}"
)
WRITES_XML = HERMES.replace("{'name': call.function.name, 'arguments': call.function.arguments} | tojson", "'<x/>'")
DROPS_RESULTS = HERMES.replace("message.content + '\\n</tool_response>", "'</tool_response>")


@pytest.mark.parametrize(
    ("template", "protocol", "says"),
    [
        (None, "bash", "has no chat template"),
        (FORGETS, "bash", "drops what was thought"),
        (COUNTS, "bash", "changes earlier turns"),
        (PLAIN, "bash", "no token that ends a turn"),
        (NO_SYSTEM, "bash", "takes no system message"),
        (DROPS_SYSTEM, "json", "leaves system messages out"),
        (BROKEN, "bash", "fails on the messages"),
        (CHATML, "native", "ignores tools"),
        (WRITES_XML, "native", "not read back"),
        (DROPS_RESULTS, "native", "not read back"),
    ],
)
def test_what_training_cannot_use_is_told_at_once(template: str | None, protocol: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as told:
        ChatTemplate(tokenizer(template), protocol=protocol, name="tiny")
    assert "tiny" in str(told.value)
    assert "model.chat_template" in str(told.value) or template == BROKEN


def test_messages_that_a_template_refuses_are_a_bad_request() -> None:
    picky = "{%- if messages[-1].content == 'no' %}{{ raise_exception('not that') }}{%- endif %}" + CHATML
    chat = ChatTemplate(tokenizer(picky))
    with pytest.raises(BadRequest, match="not that"):
        chat.begin([Message("user", "no")])
    chat = ChatTemplate(tokenizer(MARKS_OLD))
    with pytest.raises(BadRequest, match="changes earlier messages"):
        chat.go_on([Message("user", "no")])
