"""Episodes with the policy as the model, in real sandboxes: what was sampled reaches the trainer as it was."""

import asyncio

from tests.train.tokens import Played, tokenizer
from workroom.agent import Agent
from workroom.agent.limits import EpisodeLimits
from workroom.models.base import Model
from workroom.sandbox import Limits, Sandbox
from workroom.train.chat import ChatTemplate
from workroom.train.policy import policy_model
from workroom.train.rows import rows_of
from workroom.trajectory import Event

SMALL = Limits(memory="512m", pids=64, disk="64m", command_timeout=10)


def play(model: Model, *, max_turns: int = 6) -> list[Event]:
    """The events of an episode in a fresh sandbox."""

    async def work() -> list[Event]:
        async with Sandbox.open("bwrap", limits=SMALL, network="none") as box:
            agent = Agent(model, box, limits=EpisodeLimits(max_turns=max_turns))
            return [event async for event in agent.stream("How many lines?")]

    return asyncio.run(work())


def block(script: str) -> str:
    return f"```bash\n{script}\n```"


EPISODE = (
    f"I look.\n{block('ls')}\nObservation:\nnothing is there\n{block('ls /')}",  # what follows the call is invented
    f"{block('echo a')}\nand\n{block('echo b')}",
    "I only think aloud.",
    "```bash\necho 'never closed",
    f"{block('echo 42 > /testbed/answer.txt')}",
    f"Done.\n{block('submit')}",
)


def test_an_episode_is_one_row_whatever_the_text_protocol_made_of_its_turns() -> None:
    tokens = tokenizer()
    sampler = Played(tokens, *EPISODE)
    model = policy_model("policy", sampler, ChatTemplate(tokens), window=9000, max_tokens=400)
    events = play(model, max_turns=9)
    assert events[-1].type == "episode_finished"
    assert (events[-1].stop_reason, events[-1].answer) == ("submitted", "42")
    [row] = rows_of(events)
    sampled = [token for token, own in zip(row.response_ids, row.mask, strict=True) if own]
    assert sampled == [token for reply in sampler.replies for token in reply]
    told = [value for value, own in zip(row.logprobs, row.mask, strict=True) if own]
    assert told == [-(place + 1) / 8 for reply in sampler.replies for place in range(len(reply))]
