"""What a model call tells whoever asks of its waits before the provider is asked."""

import asyncio
import threading

import pytest

from tests.models.support import KEY
from workroom.models import endpoint
from workroom.models.waiting import on_queue


def test_loading_the_sdk_is_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = threading.Event()
    thread = threading.Thread(target=loaded.wait)
    thread.start()
    monkeypatch.setattr(endpoint, "loading", lambda _: thread)
    asked = endpoint.Endpoint("openai", "openai/x", base_url="http://127.0.0.1:9/v1", api_key=KEY, timeout=1.0)
    told: list[bool] = []

    def tell(waits: bool) -> None:
        told.append(waits)
        if waits:
            loaded.set()

    async def work() -> None:
        on_queue.set(tell)
        await asked.prepare()
        await asked.prepare()  # nothing to wait for any more

    asyncio.run(work())
    assert told == [True, False]
