"""What is trained is what is served: the real SmolLM2 through a folder, a GGUF and llama-server, against torch."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from workroom.models.base import Completion, Message, Sampling
from workroom.models.local import open_local, status, stop
from workroom.train.config import ModelSection
from workroom.train.gguf import to_gguf
from workroom.train.hf_model import load
from workroom.train.hf_sampler import HfSampler
from workroom.train.sampler import Sampled
from workroom.train.save import save

NAME = "local/smollm2-135m"
READY = any(row.name == NAME and row.installed for row in status())
pytestmark = [
    pytest.mark.local_model,
    pytest.mark.skipif(not READY, reason=f"needs the local model: workroom models pull {NAME}"),
]
MESSAGES = [Message("system", "You answer in one sentence."), Message("user", "What is 1234 plus 66,  über alles?")]
COUNT = 10


@pytest.fixture(autouse=True)
def own_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    yield
    stop()


def test_a_saved_policy_says_the_same_where_it_is_served(tmp_path: Path) -> None:
    told: list[str] = []
    model, tokenizer = load(ModelSection(path=NAME), tell=told.append)
    folder = save(model, tokenizer, tmp_path / "trained")
    to_gguf(folder, folder / "model.gguf")
    turns = [{"role": message.role, "content": message.content} for message in MESSAGES]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    prompt = tokenizer(text, add_special_tokens=False)["input_ids"]

    async def both() -> tuple[Sampled, Completion]:
        sampler, served = HfSampler(model, tokenizer), open_local(str(folder), token_ids=True)
        try:
            greedy = await sampler.sample(prompt, max_tokens=COUNT, temperature=0)
            return greedy, await served.complete(MESSAGES, sampling=Sampling(temperature=0, max_tokens=COUNT))
        finally:
            await sampler.aclose()
            await served.aclose()

    greedy, completion = asyncio.run(both())
    assert completion.tokens is not None
    assert completion.tokens.prompt == tuple(prompt)
    assert completion.tokens.completion == greedy.ids
    assert completion.tokens.logprobs == pytest.approx(greedy.logprobs, abs=0.05)
