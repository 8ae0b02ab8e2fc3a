"""Episodes with the policy as the model, in real sandboxes: what was sampled reaches the trainer as it was."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.train.tokens import CHATML, HERMES, Played, tokenizer
from workroom.agent import Agent
from workroom.agent.limits import EpisodeLimits
from workroom.errors import BadRequest, ContextOverflow
from workroom.models.base import Completion, Message, Model, Sampling, ToolCall, ToolSpec
from workroom.sandbox import Limits, Sandbox
from workroom.train.chat import ChatTemplate
from workroom.train.policy import PolicyModel, policy_model
from workroom.train.records import TrainRow
from workroom.train.rows import rows_of
from workroom.trajectory import Event

GOLDEN = Path(__file__).parent / "golden"
SMALL = Limits(memory="512m", pids=64, disk="64m", command_timeout=10)
TOKENS = tokenizer()
CHAT = ChatTemplate(TOKENS)
LS = ToolSpec("ls", "Lists.", {"type": "object", "properties": {"path": {"type": "string"}}})
START = [Message("system", "Be brief."), Message("user", "What is there?")]
MARK = "zq7"  # stands in every sampled turn, and in nothing else


def play(model: Model, *, max_turns: int = 9) -> list[Event]:
    """The events of an episode in a fresh sandbox."""

    async def work() -> list[Event]:
        async with Sandbox.open("bwrap", limits=SMALL, network="none") as box:
            agent = Agent(model, box, limits=EpisodeLimits(max_turns=max_turns))
            return [event async for event in agent.stream("How many lines?")]

    return asyncio.run(work())


def policy(sampler: Played, chat: ChatTemplate = CHAT, **options: Any) -> Model:
    return policy_model("policy", sampler, chat, **{"window": 9000, "max_tokens": 150} | options)


def block(script: str) -> str:
    return f"```bash\n{script} # {MARK}\n```"


LONG = f"I count {MARK}: " + " ".join(map(str, range(100)))
EPISODE = (
    f"I look.\n{block('ls')}\nObservation:\nnothing\n{block('ls /')}",  # what follows the call is invented
    f"{block('echo a')}\nand\n{block('echo b')}",
    f"I only think aloud, {MARK}.",
    f"```bash\necho 'never closed {MARK}",
    LONG,  # reaches the bound on tokens
    block("echo 42 > /testbed/answer.txt"),
    f"Done, {MARK}.\n```bash\nsubmit\n```",
)


def sampled(row: TrainRow) -> list[int]:
    return [token for token, own in zip(row.response_ids, row.mask, strict=True) if own]


def segments(row: TrainRow) -> list[tuple[int, str]]:
    """The response in pieces of one mask, as text."""
    pieces: list[tuple[int, list[int]]] = []
    for token, own in zip(row.response_ids, row.mask, strict=True):
        if not pieces or pieces[-1][0] != own:
            pieces.append((own, []))
        pieces[-1][1].append(token)
    return [(own, TOKENS.decode(ids)) for own, ids in pieces]


def given_out(sampler: Played) -> list[int]:
    """All that the sampler gave in its calls."""
    replies = zip(sampler.replies, sampler.asked, strict=True)
    return [token for reply, (bound, *_) in replies for token in reply[:bound]]


class Guarded:
    """A tokenizer that refuses to encode what was sampled."""

    def __init__(self) -> None:
        self.inner: Any = tokenizer()
        self.chat_template = self.inner.chat_template
        self.eos_token_id = self.inner.eos_token_id
        self.all_special_ids = self.inner.all_special_ids
        self.get_added_vocab = self.inner.get_added_vocab
        self.decode = self.inner.decode
        self.encoded = 0

    def apply_chat_template(self, conversation: Any, *, tokenize: bool = True, **options: Any) -> Any:
        text = self.inner.apply_chat_template(conversation, tokenize=False, **options)
        assert MARK not in text, "a sampled text is encoded again"
        self.encoded += 1
        return self.inner.apply_chat_template(conversation, tokenize=tokenize, **options)


def test_an_episode_is_one_row_of_what_was_sampled_and_nothing_sampled_is_encoded() -> None:
    sampler = Played(TOKENS, *EPISODE)
    guarded = Guarded()
    events = play(policy(sampler, ChatTemplate(guarded)))
    end = events[-1]
    assert end.type == "episode_finished"
    assert (end.stop_reason, end.answer) == ("submitted", "42")
    [row] = rows_of(events)
    assert row.prompt_ids == sampler.prompts[0]
    assert sampled(row) == given_out(sampler)
    told = [value for value, own in zip(row.logprobs, row.mask, strict=True) if own]
    lengths = [min(len(reply), 150) for reply in sampler.replies]
    assert told == [-(place + 1) / 8 for length in lengths for place in range(length)]
    assert {value for value, own in zip(row.logprobs, row.mask, strict=True) if not own} == {0.0}
    assert guarded.encoded
    with pytest.raises(BadRequest, match="encoded again"):  # the guard does guard
        ChatTemplate(guarded).begin([Message("user", EPISODE[0])])


def test_the_row_of_an_episode_reads_as_it_was_said_and_heard() -> None:
    [row] = rows_of(play(policy(Played(TOKENS, *EPISODE))))
    text = "".join(json.dumps(segment, ensure_ascii=False) + "\n" for segment in segments(row))
    path = GOLDEN / "episode.jsonl"
    if os.environ.get("WORKROOM_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_the_mask_is_where_the_templates_own_rendering_has_the_replies() -> None:
    replies = [block("ls"), f"I think, {MARK}.", f"Done.\n{block('submit')}"]
    [row] = rows_of(play(policy(Played(TOKENS, *replies))))
    ids = [*row.prompt_ids, *row.response_ids]
    text = TOKENS.decode(ids)
    told = TOKENS(text, add_special_tokens=False, return_offsets_mapping=True)
    assert told["input_ids"] == ids
    spans = []
    for reply in replies:
        begin = text.index(f"<|im_start|>assistant\n{reply}<|im_end|>") + len("<|im_start|>assistant\n")
        spans.append((begin, begin + len(reply) + len("<|im_end|>")))
    expected = [int(any(begin <= at < end for begin, end in spans)) for at, _ in told["offset_mapping"]]
    assert [0] * len(row.prompt_ids) + list(row.mask) == expected


def spelled(text: str) -> list[int]:
    """The text in other tokens than the tokenizer would take: one for each character."""
    return [token for character in text for token in TOKENS.encode(character, add_special_tokens=False)]


def test_ids_that_decoding_and_encoding_would_change_arrive_unchanged() -> None:
    broken = TOKENS.encode("€", add_special_tokens=False)[:1]  # the first byte of three
    look = [*spelled("```bash\necho the answer\n```"), *broken, CHAT.end]
    last = [*spelled("```bash\nsubmit 42\n```"), CHAT.end]
    for ids in (look, last):
        assert TOKENS.encode(TOKENS.decode(ids), add_special_tokens=False) != ids
    events = play(policy(Played(TOKENS, look, last)))
    assert "the answer" in next(event.observation for event in events if event.type == "tool")
    [row] = rows_of(events)
    assert sampled(row) == look + last


@pytest.mark.parametrize("protocol", ["json", "native"])
def test_calls_as_json_are_one_row_too(protocol: Any) -> None:
    tokens = tokenizer(HERMES if protocol == "native" else CHATML)

    def written(name: str, **arguments: str) -> str:
        call = json.dumps({"name": name, "arguments": arguments}, indent=1)
        return f"<tool_call>{call}</tool_call>" if protocol == "native" else f"```json\n{call}\n```"

    sampler = Played(
        tokens,
        "I look.\n" + written("execute_bash", command="ls") + "\n" + written("execute_bash", command="ls /"),
        written("execute_bash", command="ls").replace("}", "") + " broken",
        written("execute_bash", command="echo 42 > /testbed/answer.txt") + "\nObservation:\ninvented",
        written("submit"),
    )
    events = play(policy(sampler, ChatTemplate(tokens, protocol=protocol), protocol=protocol))
    end = events[-1]
    assert end.type == "episode_finished"
    assert (end.stop_reason, end.answer) == ("submitted", "42")
    calls = [event.name for event in events if event.type == "tool"]
    assert calls == ["execute_bash"] * 4 + ["submit"]
    [row] = rows_of(events)
    assert sampled(row) == given_out(sampler)


def complete(model: Model, messages: list[Message], **options: Any) -> Completion:
    return asyncio.run(model.complete(messages, **options))


def bare(sampler: Played, chat: ChatTemplate = CHAT, **options: Any) -> PolicyModel:
    return PolicyModel("policy", sampler, chat, **{"window": 1000, "max_tokens": 100} | options)


def test_an_edited_context_begins_a_new_row_and_an_unedited_one_goes_on() -> None:
    sampler = Played(TOKENS, "one", "two", "three")
    model = bare(sampler)
    messages = list(START)
    calls = []
    for edited in (False, False, True):
        if edited:
            messages[1] = Message("user", "Shortened.")
        completion = complete(model, messages)
        assert completion.tokens is not None
        calls.append(completion.tokens)
        messages += [completion.message, Message("user", "Go on.")]
    assert calls[1].prompt[: len(calls[0].prompt) + 4] == (*calls[0].prompt, *calls[0].completion)
    assert calls[2].prompt == CHAT.begin(messages[:6])
    assert calls[2].prompt[:30] != calls[1].prompt[:30]


def test_a_call_that_is_made_again_has_the_prompt_of_the_first() -> None:
    sampler = Played(TOKENS, [*spelled("the answer"), CHAT.end], "two")
    model = bare(sampler)
    messages = [*START, complete(model, START).message, Message("user", "And?")]
    complete(model, messages)
    complete(model, messages)
    assert sampler.prompts[1] == sampler.prompts[2]


@pytest.mark.parametrize(
    ("said", "goes_on"),
    [
        ("one\n\nObservation: two", True),
        (" one\n\nObservation: two\n", True),
        ("one", True),  # what follows was invented
        ("on", False),
        ("one\n\nObservation:", False),
        ("", False),
        ("One\n\nObservation: two", False),
        ("one\n\nObservation: two three", False),
    ],
)
def test_a_reply_goes_on_unless_it_was_changed_but_for_what_it_invented(said: str, goes_on: bool) -> None:
    sampler = Played(TOKENS, [*spelled("one\n\nObservation: two"), CHAT.end], "x")
    model = bare(sampler)
    complete(model, START)
    new = [Message("user", "And?")]
    complete(model, [*START, Message("assistant", said), *new])
    gone_on = (*sampler.prompts[0], *sampler.replies[0], *CHAT.go_on(new))
    assert sampler.prompts[1] == (gone_on if goes_on else CHAT.begin([*START, Message("assistant", said), *new]))


def test_with_other_tools_the_conversation_is_another() -> None:
    chat = ChatTemplate(tokenizer(HERMES), protocol="native")
    sampler = Played(TOKENS, spelled("the answer"), "x")
    model = bare(sampler, chat)
    messages = [*START, complete(model, START, tools=[LS]).message, Message("user", "And?")]
    complete(model, messages)
    assert sampler.prompts[1] == chat.begin(messages)


def test_usage_and_the_end_are_told_exactly() -> None:
    sampler = Played(TOKENS, "a b c", "a long one" * 20)
    first, second = complete(bare(sampler), START), complete(bare(sampler), START)
    assert first.usage is not None
    assert first.tokens is not None
    assert (first.usage.prompt, first.usage.completion) == (len(CHAT.begin(START)), len(sampler.replies[0]))
    assert first.tokens.logprobs == tuple(-(place + 1) / 8 for place in range(len(sampler.replies[0])))
    assert (first.message.content, first.finish_reason) == ("a b c", "stop")
    assert (second.finish_reason, len(second.tokens.completion if second.tokens else ())) == ("length", 100)


def test_the_temperature_is_the_algorithms_and_the_bound_the_smaller_one() -> None:
    sampler = Played(TOKENS, "x")
    model = bare(sampler, temperature=0.9)
    assert model.hints.sampling == Sampling(temperature=0.9, max_tokens=100)
    complete(model, START, sampling=Sampling(temperature=0.1, max_tokens=50))
    complete(model, START, sampling=Sampling(max_tokens=500))
    assert sampler.asked == [(50, 0.9, None), (100, 0.9, None)]


def test_a_seed_is_another_in_each_turn_and_the_same_in_each_try() -> None:
    sampler = Played(TOKENS, "x")
    model = bare(sampler)
    first = complete(model, START, sampling=Sampling(seed=4))
    for _ in range(2):
        complete(model, [*START, first.message, Message("user", "And?")], sampling=Sampling(seed=4))
    assert [seed for *_, seed in sampler.asked] == [4, 5, 5]


def test_a_window_bounds_the_reply_and_overflows_before_anything_is_sampled() -> None:
    size = len(CHAT.begin(START))
    sampler = Played(TOKENS, "x")
    complete(bare(sampler, window=size + 16), START)
    assert sampler.asked == [(16, 1.0, None)]
    with pytest.raises(ContextOverflow) as told:
        complete(bare(sampler, window=size + 15), START)
    assert told.value.window == size + 15
    complete(bare(sampler, window=size + 5, max_tokens=5), START)  # all that is wanted is there
    assert [bound for bound, *_ in sampler.asked] == [16, 5]


@pytest.mark.parametrize("shorten", [False, True])
def test_an_episode_that_outgrows_its_window_ends_as_one_row_unless_it_may_be_shortened(shorten: bool) -> None:
    sampler = Played(TOKENS, *(f"```bash\nseq {count} 400\n```" for count in range(9)))
    size = len(rows_of(play(policy(sampler), max_turns=1))[0].prompt_ids)
    events = play(policy(sampler, window=size + 2500, shorten=shorten))
    end = events[-1]
    assert end.type == "episode_finished"
    rows = rows_of(events)
    if shorten:
        assert end.stop_reason == "max_turns"
        assert len(rows) > 1
        return
    assert end.stop_reason == "context_overflow"
    assert end.turns > 2
    assert [sum(row.mask) for row in rows] == [
        sum(event.type == "assistant" for event in events) * len(sampler.replies[5])
    ]
    assert rows[0].length <= size + 2500


def test_every_task_has_a_conversation_of_its_own() -> None:
    sampler = Played(TOKENS, spelled("the answer"), "x")
    model = policy(sampler)
    one, other = model.for_task("1"), model.for_task("2")
    assert one is not other
    messages = [*START, complete(one, START).message, Message("user", "And?")]
    complete(other, messages)
    assert sampler.prompts[1] == CHAT.begin(messages)
    assert other.hints.protocol == "bash"
    assert other.hints.prompt == "compact"


def test_what_stands_in_the_tags_is_a_call_even_where_it_is_malformed() -> None:
    chat = ChatTemplate(tokenizer(HERMES), protocol="native")
    good = '<tool_call>{"name": "ls", "arguments": {"path": "/"}}</tool_call>'
    bad = '<tool_call>{"name": "ls", "arguments": {"path": </tool_call>'
    example = 'I would write ```json\n{"name": "other", "arguments": {}}\n``` here'
    sampler = Played(TOKENS, good, bad, example, good)
    calls = [complete(bare(sampler, chat), START, tools=[LS]) for _ in range(3)]
    assert calls[0].message.tool_calls[0] == ToolCall("call_2_0", "ls", '{"path": "/"}')
    assert calls[0].finish_reason == "tool_calls"
    assert calls[1].message.tool_calls[0].name == "ls"
    assert calls[2].message.tool_calls == ()
    assert complete(bare(sampler, chat), START).message.content == good  # no tools were offered
