"""A small episode as events."""

from workroom.trajectory import (
    AssistantTurn,
    Call,
    ContextTrimmed,
    Egress,
    EpisodeFinished,
    EpisodeStarted,
    Event,
    ModelDelta,
    ModelWaiting,
    Reminder,
    StopReason,
    TokenUsage,
    ToolFinished,
    TurnStarted,
)

USAGE = TokenUsage(prompt=100, completion=20, cached=60, reasoning=5, environment=7)


def episode(stop_reason: StopReason = "submitted", answer: str | None = "42 é") -> list[Event]:
    """Two turns with every kind of event; the texts hold what breaks careless writers."""
    events: list[Event] = [
        EpisodeStarted(
            episode="e1",
            task="t1",
            mode="sandbox",
            model="scripted/x",
            protocol="native",
            messages=[{"role": "system", "content": "Be good.\u2028"}, {"role": "user", "content": "Do it\0."}],
            tools=[{"type": "function", "function": {"name": "submit", "description": "d", "parameters": {}}}],
            documents=["a.txt"],
            sandbox={"backend": "bwrap", "image": "default"},
        ),
        TurnStarted(turn=1, remaining={"turns": 9, "tokens": None}),
        ModelWaiting(turn=1, attempt=1, seconds=0.5, error="slow down"),
        ModelDelta(turn=1, kind="content", text="never written"),
        AssistantTurn(
            turn=1,
            content="Two calls.\n",
            reasoning="hm",
            calls=[
                Call(id="c1", name="execute_bash", arguments='{"command": "ls", "timeout": null}'),
                Call(id="c2", name="execute_bash", arguments='{"command": '),
            ],
            provider={"raw": "\ud800"},
            usage=USAGE,
        ),
        ToolFinished(turn=1, call_id="c1", name="execute_bash", observation="a\nb\x1b", facts={"exit_code": 0}),
        Egress(host="example.org", port=443, verdict="refused"),
        ToolFinished(turn=1, call_id="c2", name="execute_bash", observation="Error: no JSON", is_error=True),
        Reminder(turn=1, reason="last_turn", text="This is your last turn."),
        ContextTrimmed(turn=2, observations=1, window=4096),
        TurnStarted(turn=2),
        AssistantTurn(turn=2, content="", calls=[Call(id="c1", name="submit", arguments="")], usage=USAGE),
        ToolFinished(turn=2, call_id="c1", name="submit", observation="Submitted."),
        EpisodeFinished(stop_reason=stop_reason, answer=answer, turns=2, cost=0.5, usage=USAGE),
    ]
    for number, event in enumerate(events):
        event.seq, event.time = number, 1_700_000_000.0 + number
    return events
