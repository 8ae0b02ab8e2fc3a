"""What Prometheus is told."""

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from workroom.serve.service import Service
    from workroom.trajectory.events import TokenUsage

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)


class Metrics:
    """The metrics of one server, in a registry of their own."""

    def __init__(self, service: "Service") -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter("workroom_requests", "HTTP requests.", ["route", "method", "status"], registry=registry)
        self.seconds = Histogram(
            "workroom_request_seconds", "Seconds from request to end of answer.", ["route"],
            registry=registry, buckets=_SECONDS,
        )  # fmt: skip
        self.episodes = Counter("workroom_episodes", "Episodes that are over.", ["stop_reason"], registry=registry)
        self.turns = Counter("workroom_turns", "Model calls of episodes.", registry=registry)
        self.tokens = Counter("workroom_tokens", "Tokens of all model calls.", ["kind"], registry=registry)
        for name, what, value in (
            ("workroom_running", "Requests that are worked on.", lambda: service.line.working),
            ("workroom_waiting", "Requests that wait for their turn.", lambda: service.line.waiting),
            ("workroom_open_sandboxes", "Sandboxes that are open.", lambda: service.conversations.open),
            ("workroom_conversations", "Conversations that are kept.", lambda: service.conversations.count),
        ):
            Gauge(name, what, registry=registry).set_function(value)

    def over(self, stop_reason: str, usage: "TokenUsage") -> None:
        """An episode is over."""
        self.episodes.labels(stop_reason).inc()
        for kind in ("prompt", "completion", "cached", "reasoning"):
            self.tokens.labels(kind).inc(getattr(usage, kind))

    def text(self) -> bytes:
        """All of them in Prometheus' text format."""
        return generate_latest(self._registry)
