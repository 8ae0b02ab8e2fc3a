"""What models cost, from the list that is brought along."""

import logging
import subprocess
import sys
import time

import pytest

from workroom.agent.limits import Account, EpisodeLimits, Pricing
from workroom.agent.prices import ListPrices, SteppedPricing
from workroom.models.base import Usage

USED = Usage(prompt=100_000, completion=1000, cached=50_000)


@pytest.fixture(autouse=True)
def _own_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("model", "base_url"),
    [
        ("openai/gpt-5", None),
        ("openai/gpt-5", "https://api.openai.com/v1"),
        ("openai/openai/gpt-5", "https://openrouter.ai/api/v1"),
        ("openai/gpt-5", "https://me:secret@api.openai.com/v1"),
    ],
)
def test_a_price_is_found_by_model_and_server(model: str, base_url: str | None) -> None:
    # 1.25 USD for a million tokens in, 0.125 from the cache, 10 out
    assert ListPrices(model, base_url).cost(USED) == pytest.approx(0.0625 + 0.00625 + 0.01)


def test_the_server_of_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "https://api.deepseek.com/v1")
    assert ListPrices("openai/deepseek-chat").known()
    assert not ListPrices("openai/gpt-5").known()


def test_tokens_put_into_the_cache_cost_more() -> None:
    prices = ListPrices("anthropic/claude-sonnet-4-5")
    assert prices.cost(Usage(prompt=1000)) == pytest.approx(0.003)
    assert prices.cost(Usage(prompt=1000, cache_written=1000)) == pytest.approx(0.00375)
    assert prices.cost(Usage(prompt=1000, cached=1000)) == pytest.approx(0.0003)


def test_a_large_prompt_costs_more_by_the_call_and_not_by_the_sum() -> None:
    prices = ListPrices("anthropic/claude-sonnet-4-5")
    assert prices.cost(Usage(prompt=200_000)) == pytest.approx(0.6)
    assert prices.cost(Usage(prompt=200_001)) == pytest.approx(1.200006)
    account = Account(EpisodeLimits(), prices)
    for _ in range(3):
        account.add(Usage(prompt=100_000))
    assert account.cost == pytest.approx(0.9)


def test_steps() -> None:
    low, high = Pricing(input=1, cached=1, output=1), Pricing(input=2, cached=2, output=2)
    prices = SteppedPricing(((0, low), (10, high)))
    assert [prices.cost(Usage(prompt=tokens)) * 1e6 for tokens in (0, 10, 11)] == [0, 10, 22]


def test_an_unknown_price_is_unknown_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        account = Account(EpisodeLimits(), ListPrices("openai/no-such-model-of-anyone"))
        account.add(USED)
        assert account.cost is None
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "no-such-model-of-anyone is not known" in caplog.text


@pytest.mark.parametrize(
    ("model", "base_url", "cost"),
    [
        ("local/qwen2.5-coder-1.5b", None, 0.0),
        ("scripted/x.jsonl", None, None),
        ("openai/gpt-5", "http://127.0.0.1:8000/v1", None),
        ("test/player", None, None),
    ],
)
def test_what_costs_nothing_or_cannot_be_known_loads_no_list(
    model: str, base_url: str | None, cost: float | None
) -> None:
    code = (
        "import sys; from workroom.agent.prices import ListPrices; from workroom.models.base import Usage\n"
        f"assert ListPrices({model!r}, {base_url!r}).cost(Usage(prompt=9)) == {cost!r}\n"
        "assert not [name for name in sys.modules if name.startswith('genai_prices')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_asking_again_is_quick() -> None:
    prices = ListPrices("openai/gpt-5")
    assert prices.known()
    began = time.monotonic()
    for _ in range(1000):
        prices.cost(USED)
    assert time.monotonic() - began < 0.5


def test_a_call_that_failed_costs_too() -> None:
    account = Account(EpisodeLimits(max_cost=1.0), Pricing(input=10, cached=1, output=100))
    account.add(Usage(prompt=1000), estimated=True)
    assert account.estimated
    assert account.cost == pytest.approx(0.01)
