"""Fake model servers for tests: real sockets on loopback, real wire format, every failure a provider can show.

with FakeServer([openai.assistant("hello"), openai.error(429, "slow down")]) as server:
    model = open_model("openai/fake", base_url=server.url, api_key="test")
    ...
    server.requests[0].json["messages"]
"""

from tests.fakes.server import FakeServer, Handler, Reply, Request

__all__ = ["FakeServer", "Handler", "Reply", "Request"]
