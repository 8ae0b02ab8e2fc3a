"""Sampling from a policy behind HTTP, token ids in and token ids out: vLLM, and who speaks as it does."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from workroom.errors import Overloaded
from workroom.models.endpoint import IDLE_TIMEOUT, Endpoint, Timing
from workroom.models.failures import NotFound
from workroom.models.token_ids import Reply
from workroom.train.sampler import Sampled

_NO_KEY = "none"
_FINISH: dict[str, Literal["stop", "length"]] = {"stop": "stop", "length": "length"}


class HttpSampler:
    """Samples from `model` as the server at `base_url` (`http://HOST:PORT/v1`) serves it.

    Asks `POST /inference/v1/generate` (in vLLM with `--enable-scale-out` or `--tokens-only`), and from the first 404 on
    `/v1/completions` with `return_token_ids`. `stops`: ids that end a turn, besides the server's own end of text; see
    `ChatTemplate.stops`. `timeout`: seconds for one turn. Raises ConfigError for a base URL that is none.

    Log-probabilities are taken as the server tells them: those at temperature 1, unless vLLM was started with another
    `--logprobs-mode` than `raw_logprobs`.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        stops: Sequence[int] = (),
        api_key: str | None = None,
        timeout: float = IDLE_TIMEOUT,
    ) -> None:
        self._model = model
        self._stops = sorted(stops)
        self._root = base_url.rstrip("/").removesuffix("/v1")
        self._endpoint = Endpoint("openai", model, base_url=base_url, api_key=api_key or _NO_KEY, timeout=timeout)
        self._generates = True  # until the server turns out not to

    async def sample(
        self, ids: Sequence[int], *, max_tokens: int, temperature: float = 1.0, seed: int | None = None
    ) -> Sampled:
        """See `Sampler.sample`. Tried once; raises a ModelError of the class that tells whether to try again."""
        await self._endpoint.prepare()
        settings: dict[str, Any] = {
            "max_tokens": max_tokens,
            "temperature": temperature,
            "top_p": 1.0,
            "top_k": -1,
            "min_p": 0.0,
            "repetition_penalty": 1.0,  # whatever the model's generation_config.json says
            "logprobs": 1,
            "skip_special_tokens": False,
        }
        if self._stops:
            settings["stop_token_ids"] = self._stops
        if seed is not None:
            settings["seed"] = seed
        if self._generates:
            body = {"model": self._model, "token_ids": list(ids), "sampling_params": settings}
            try:
                return self._read(await self._post(f"{self._root}/inference/v1/generate", body))
            except NotFound:
                self._generates = False
        body = settings | {"model": self._model, "prompt": list(ids), "return_token_ids": True}
        return self._read(await self._post("/completions", body), list(ids))

    async def aclose(self) -> None:
        await self._endpoint.aclose()

    async def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        reply = Reply()
        await self._endpoint.ask(path, body, reply, None, Timing())
        return reply.value

    def _read(self, reply: Any, prompt: list[int] | None = None) -> Sampled:
        """`prompt`: what the server must have sampled after, where it tells."""
        choices = reply.get("choices") if isinstance(reply, dict) else None
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None
        if choice is None:
            raise self._nonsense("no completion")
        ids = choice.get("token_ids")
        if not isinstance(ids, list) or not ids or not all(type(value) is int for value in ids):
            raise self._nonsense("no token ids (vLLM tells them with return_token_ids since 0.10.2)")
        told = choice.get("prompt_token_ids") or reply.get("prompt_token_ids")
        if prompt is not None and told is not None and told != prompt:
            raise self._nonsense("a completion of another prompt than the ids that it was given")
        logprobs = _logprobs(choice.get("logprobs"))
        if len(logprobs) != len(ids) or not all(_is_logprob(value) for value in logprobs):
            raise self._nonsense(f"{len(logprobs)} log-probabilities for {len(ids)} tokens, or such as are none")
        finish = _FINISH.get(str(choice.get("finish_reason")))
        if finish is None:
            raise self._nonsense(f"a completion that ended by {choice.get('finish_reason')!r}")
        return Sampled(tuple(ids), tuple(float(value) for value in logprobs), finish)

    def _nonsense(self, what: str) -> Overloaded:
        return Overloaded(f"{self._model}: {self._endpoint.provider.host} sent {what}")


def _logprobs(told: Any) -> list[Any]:
    """Of `content`, as in Chat Completions, or of `token_logprobs`, as in Completions."""
    if not isinstance(told, dict):
        return []
    if isinstance(content := told.get("content"), list):
        return [entry.get("logprob") if isinstance(entry, dict) else None for entry in content]
    flat = told.get("token_logprobs")
    return flat if isinstance(flat, list) else []


def _is_logprob(value: Any) -> bool:
    """Servers put -9999 where they know none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > -9999
