"""Sampling from a policy: what it says of its tokens is what the model says, whatever else is in the batch."""

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from tests.train.tiny import tiny_model, tiny_tokenizer
from workroom.errors import ConfigError, ContextOverflow, ModelError
from workroom.train.hf_batch import choose
from workroom.train.hf_sampler import HfSampler
from workroom.train.key_values import Conversations, shared_prefix
from workroom.train.sampler import Sampled

TOKENIZER = tiny_tokenizer()
PROMPTS = [tuple(range(10, 10 + length)) for length in (1, 7, 23, 40, 64)]


@pytest.fixture
def model() -> Any:
    return tiny_model(TOKENIZER)


def sampled(sampler: HfSampler, prompts: Sequence[Sequence[int]], **options: Any) -> list[Sampled]:
    """One call for each prompt, all at once, with the place in the list as its seed."""

    async def inside() -> list[Sampled]:
        calls = (
            sampler.sample(prompt, **{"max_tokens": 24, "seed": seed, **options}) for seed, prompt in enumerate(prompts)
        )
        return list(await asyncio.gather(*calls))

    return asyncio.run(inside())


def expected(model: Any, prompt: Sequence[int], ids: Sequence[int], temperature: float = 1.0) -> torch.Tensor:
    """The log-probabilities of `ids` after `prompt`, by one pass without any cache."""
    with torch.no_grad():
        logits = model.eval()(torch.tensor([[*prompt, *ids]])).logits[0, len(prompt) - 1 : -1]
    return torch.log_softmax(logits / (temperature or 1.0), -1).gather(1, torch.tensor(ids)[:, None])[:, 0]


@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.0])
def test_logprobs_are_those_of_a_whole_pass(model: Any, temperature: float) -> None:
    sampler = HfSampler(model, TOKENIZER, batch=3)
    for prompt, said in zip(PROMPTS, sampled(sampler, PROMPTS, temperature=temperature), strict=True):
        assert 1 <= len(said.ids) <= 24
        wanted = expected(model, prompt, said.ids, temperature)
        torch.testing.assert_close(torch.tensor(said.logprobs), wanted, atol=1e-4, rtol=0)


def test_what_a_seed_gives_does_not_depend_on_the_batch(model: Any) -> None:
    together = sampled(HfSampler(model, TOKENIZER, batch=16), PROMPTS)
    narrow = sampled(HfSampler(model, TOKENIZER, batch=2, wait=0), PROMPTS)
    one_by_one = [
        sampled(HfSampler(model, TOKENIZER, batch=1), [prompt], seed=seed)[0] for seed, prompt in enumerate(PROMPTS)
    ]
    assert [said.ids for said in together] == [said.ids for said in narrow] == [said.ids for said in one_by_one]
    again = sampled(HfSampler(model, TOKENIZER), PROMPTS, seed=99)
    assert [said.ids for said in again] != [said.ids for said in together]


def test_a_conversation_goes_on_where_it_ended(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = HfSampler(model, TOKENIZER)
    read: list[int] = []
    forward = sampler._batch._forward

    def counting(first: int, ids: Any, starts: Sequence[int]) -> Any:
        read.append(ids.shape[1])
        return forward(first, ids, starts)

    (first,) = sampled(sampler, [PROMPTS[3]], max_tokens=9)
    monkeypatch.setattr(sampler._batch, "_forward", counting)
    following = (*PROMPTS[3], *first.ids, 50, 51, 52, 53)
    (second,) = sampled(sampler, [following], max_tokens=5)
    assert read == [4, *[1] * len(second.ids)]  # the last token sampled and three new ones, then one by one
    torch.testing.assert_close(torch.tensor(second.logprobs), expected(model, following, second.ids), atol=1e-4, rtol=0)
    read.clear()
    prompts = [(*PROMPTS[4], 5)] * 6
    for said in sampled(sampler, prompts):
        wanted = expected(model, prompts[0], said.ids)
        torch.testing.assert_close(torch.tensor(said.logprobs), wanted, atol=1e-4, rtol=0)
    assert [width for width in read if width > 1] == [64 - shared_prefix(PROMPTS[4], following)]  # read once for all


def test_another_policy_forgets_what_the_last_one_computed(model: Any) -> None:
    sampler = HfSampler(model, TOKENIZER)
    sampled(sampler, PROMPTS)
    with sampler.exclusive():
        with torch.no_grad():
            for weights in model.parameters():
                weights.mul_(1.1)
        sampler.policy_changed()
    assert len(sampler._batch._conversations) == 0
    for prompt, said in zip(PROMPTS, sampled(sampler, PROMPTS), strict=True):
        torch.testing.assert_close(torch.tensor(said.logprobs), expected(model, prompt, said.ids), atol=1e-4, rtol=0)


def test_exclusive_waits_for_rows_and_holds_requests_back(model: Any) -> None:
    sampler = HfSampler(model, TOKENIZER, wait=0)
    running = sampler.submit(PROMPTS[1], max_tokens=60, seed=1)
    while not sampler._batch.rows and not running.done():
        time.sleep(0.001)
    with sampler.exclusive():
        assert running.done()
        waiting = sampler.submit(PROMPTS[2], max_tokens=1, seed=1)
        time.sleep(0.05)
        assert not waiting.done()
        assert model.training
    assert len(waiting.result(10).ids) == 1


def test_a_turn_ends_at_the_end_of_turn_token_alone(model: Any) -> None:
    end, pad = TOKENIZER.eos_token_id, TOKENIZER.pad_token_id
    assert HfSampler(model, TOKENIZER).ends == {end}
    assert pad != end
    sampler = HfSampler(model, TOKENIZER)
    sampler._batch.ends = frozenset(range(40))
    said = sampled(sampler, PROMPTS * 3, max_tokens=8)
    assert {each.finish for each in said} == {"stop", "length"}
    for each in said:
        assert not sampler.ends.intersection(each.ids[:-1])
        assert (each.ids[-1] in sampler.ends) == (each.finish == "stop")
        assert each.finish == "stop" or len(each.ids) == 8


def test_the_model_is_left_as_it_was(model: Any) -> None:
    model.train()
    model.model.layers[1].eval()
    before = [module.training for module in model.modules()]
    attention = model.config._attn_implementation
    sampled(HfSampler(model, TOKENIZER), PROMPTS[:2])
    assert [module.training for module in model.modules()] == before
    assert model.config._attn_implementation == attention
    model.train()
    loss = model(torch.tensor([PROMPTS[3]]), labels=torch.tensor([PROMPTS[3]])).loss
    loss.backward()
    assert all(weights.grad is not None for weights in model.parameters())


def test_bfloat16_is_close_and_leaves_gradients_alone(model: Any) -> None:
    sampler = HfSampler(model, TOKENIZER, dtype="bfloat16")
    for prompt, said in zip(PROMPTS, sampled(sampler, PROMPTS), strict=True):
        torch.testing.assert_close(torch.tensor(said.logprobs), expected(model, prompt, said.ids), atol=0.2, rtol=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        model.train()(torch.tensor([PROMPTS[3]]), labels=torch.tensor([PROMPTS[3]])).loss.backward()
    assert all(weights.grad is not None for weights in model.parameters())


def test_what_cannot_be_sampled_is_said(model: Any) -> None:
    sampler = HfSampler(model, TOKENIZER)
    with pytest.raises(ContextOverflow, match="window of 512"):
        sampled(sampler, [[5] * 512])
    with pytest.raises(ModelError, match="nothing to sample"):
        sampled(sampler, [[]])
    with pytest.raises(ModelError, match="none of the"):
        sampled(sampler, [[100_000]])
    (short,) = sampled(sampler, [[5] * 509], max_tokens=50)
    assert short.finish == "stop" or len(short.ids) == 3
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))
    with pytest.raises(ModelError, match="smaller lr"):
        sampled(sampler, [[5]])


def test_an_architecture_whose_cache_is_another_is_refused() -> None:
    from transformers import MambaConfig, MambaForCausalLM

    model = MambaForCausalLM(MambaConfig(vocab_size=len(TOKENIZER), hidden_size=32, num_hidden_layers=2, state_size=4))
    with pytest.raises(ConfigError, match=r"architecture mamba .* verl"):
        sampled(HfSampler(model, TOKENIZER), [[5, 6]])


def test_a_cancelled_call_frees_its_row_and_closing_fails_the_rest(model: Any) -> None:
    async def inside() -> None:
        sampler = HfSampler(model, TOKENIZER, batch=1, wait=0)
        long = asyncio.create_task(sampler.sample(PROMPTS[0], max_tokens=500, seed=3))
        await asyncio.sleep(0.05)
        long.cancel()
        assert (await sampler.sample(PROMPTS[1], max_tokens=2, seed=1)).ids
        await sampler.aclose()
        await sampler.aclose()
        with pytest.raises(ModelError, match="closed"):
            await sampler.sample(PROMPTS[1], max_tokens=2)

    asyncio.run(inside())
    assert not [thread for thread in threading.enumerate() if thread.name == "sampler" and not thread.daemon]


def test_choosing_follows_the_probabilities_and_each_rows_own_numbers() -> None:
    logits = torch.tensor([[0.0, 1.0, -torch.inf, 2.0]]).repeat(4000, 1)
    generators = [torch.Generator().manual_seed(seed) for seed in range(4000)]
    ids, logprobs = choose(logits, [1.0] * 4000, generators)
    shares = torch.bincount(torch.tensor(ids), minlength=4) / 4000
    torch.testing.assert_close(shares, torch.softmax(logits[0], -1), atol=0.03, rtol=0)
    assert shares[2] == 0
    assert logprobs[0] == pytest.approx(float(torch.log_softmax(logits[0], -1)[ids[0]]))
    cold, _ = choose(logits[:1], [0.0], generators[:1])
    assert cold == [3]


def test_conversations_stay_within_their_bytes_and_replace_what_they_go_on_from() -> None:
    kept = Conversations(limit=4 * 100)
    tensor = torch.zeros(1, 40, 1)
    kept.keep((1, 2), [tensor])
    kept.keep((1, 2, 3), [tensor])
    assert (len(kept), kept.size) == (1, 160)
    kept.keep((7,), [tensor])
    assert kept.find((1, 2, 9))[1] == 2
    kept.keep((8,), [tensor])  # throws (7,) away, which nobody asked for
    assert kept.find((7,))[1] == 0
    assert kept.find((1, 2, 3, 4))[1] == 3
    kept.keep((9,), [torch.zeros(1, 101, 1)])
    assert kept.find((9,))[1] == 0


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [((), (1,), 0), ((1, 2), (1, 2, 4), 2), ((1, 2, 3), (1, 5, 3), 1), ((2,), (3,), 0), ((1, 2, 3), (1, 2, 4), 2)],
)
def test_shared_prefix(one: tuple[int, ...], other: tuple[int, ...], shared: int) -> None:
    assert shared_prefix(one, other) == shared
