"""What models cost, from the list that the package `genai-prices` brings along. Nothing is fetched.

The list takes most of a second and 80 MB to load, so it is left alone where it cannot know the model: one on this
machine, a script, a server that no provider runs.
"""

import logging
import os
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from workroom.agent.limits import Pricing
from workroom.models.address import is_loopback

if TYPE_CHECKING:
    from workroom.agent.limits import Prices
    from workroom.models.base import Usage

_VARIABLES = {"openai": "OPENAI_BASE_URL", "anthropic": "ANTHROPIC_BASE_URL"}
_logger = logging.getLogger("workroom.prices")


@dataclass(frozen=True, slots=True)
class SteppedPricing:
    """Prices that depend on the size of the prompt: each of `steps` holds for more than so many prompt tokens."""

    steps: tuple[tuple[int, Pricing], ...]

    def cost(self, usage: "Usage") -> float:
        """USD of one call."""
        return [pricing for start, pricing in self.steps if usage.prompt > start or not start][-1].cost(usage)


class ListPrices:
    """The list's prices of a model, looked up when they are first needed.

    `model`: its full name; a local one costs nothing. `base_url`: its server, None for the environment's or the
    provider's own.
    """

    def __init__(self, model: str, base_url: str | None = None) -> None:
        provider = model.partition("/")[0]
        self._model = model
        self._base_url = base_url or os.environ.get(_VARIABLES.get(provider, ""), "")

    def known(self) -> bool:
        """Whether the list has the model; may take a second to tell."""
        return self._found() is not None

    def cost(self, usage: "Usage") -> float | None:
        found = self._found()
        return None if found is None else found.cost(usage)

    def _found(self) -> "Prices | None":
        return _find(self._model, self._base_url)


@cache
def _find(model: str, base_url: str) -> "Prices | None":
    provider, _, name = model.partition("/")
    if provider == "local":
        return Pricing(input=0.0, cached=0.0, output=0.0)
    host = urlsplit(base_url).hostname
    if provider not in _VARIABLES or (host is not None and is_loopback(host)):
        return None
    from genai_prices import Usage, calc_price

    try:
        if host is None:
            listed = calc_price(Usage(), name, provider_id=provider).model_price
        else:
            listed = calc_price(Usage(), name, provider_api_url=f"https://{host}{urlsplit(base_url).path}").model_price
    except LookupError:
        _logger.warning("the price of %s is not known, nor what this costs; give it with --price IN,OUT", model)
        return None
    starts = {0} | {tier.start for price in vars(listed).values() for tier in getattr(price, "tiers", ())}
    return SteppedPricing(tuple((start, _pricing(listed, start)) for start in sorted(starts)))


def _pricing(listed: Any, start: int) -> Pricing:
    def price(name: str) -> float | None:
        value = getattr(listed, name, None)
        tiers = [tier.price for tier in getattr(value, "tiers", ()) if tier.start <= start]
        value = tiers[-1] if tiers else getattr(value, "base", value)
        return None if value is None else float(value)

    fresh = price("input_mtok") or 0.0
    cached = price("cache_read_mtok")
    return Pricing(
        input=fresh,
        cached=fresh if cached is None else cached,
        written=price("cache_write_mtok"),
        output=price("output_mtok") or 0.0,
    )
