"""Behaviour phrases, and what episodes used."""

import pytest

from tests.trajectory.helpers import episode
from workroom.analysis.phrases import count, kinds, phrases, phrases_together
from workroom.analysis.tokens import Consumption, consumed_together, consumption
from workroom.trajectory.events import AssistantTurn, EpisodeResumed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Let me double-check: is that  correct?", {"verification": 2, "planning": 1}),
        ("Let me\nverify. VERIFIED; reverify", {"verification": 2, "planning": 1}),
        ("## Plan\n\n1. one\n2) two\n- three\nStep 4: four #5\nFirst, second", {"structure": 7}),
        ("Wait, that's wrong. Let’s try again: alternatively, start over", {"backtracking": 4, "planning": 1}),
        ("Plug it back in; substitute x = 2 back into it", {"verification": 2}),
        ("# one\n#two\nwaiting, awaited, checked, lettuce", {"structure": 1}),
        ("", {}),
    ],
)
def test_phrases_are_counted(text: str, expected: dict[str, int]) -> None:
    assert {kind: number for kind, number in count(text).items() if number} == expected


def test_phrases_of_an_episode_are_of_what_was_said_and_thought() -> None:
    events = episode()
    turn = next(event for event in events if isinstance(event, AssistantTurn))
    turn.reasoning, turn.content = "Let me verify. Wait.", "1. verified"
    use = phrases(events)
    assert use.responses == 2
    assert use.counts == {"verification": 2, "structure": 1, "planning": 1, "backtracking": 1}
    assert use.per_response("verification") == 1
    assert phrases_together([use, use]).counts["verification"] == 4
    assert phrases_together([]).per_response(kinds()[0]) is None


def test_a_long_text_of_nothing_is_counted() -> None:
    assert not any(count("substitute " + "a " * 200_000).values())
    assert count("wait " * 100_000)["backtracking"] == 100_000


def test_consumption_is_the_episodes_own_account() -> None:
    used = consumption(episode())
    assert (used.prompt, used.completion, used.cached) == (100, 20, 60)  # as EpisodeFinished says
    assert (used.initial, used.generated, used.environment, used.total) == (100, 40, 14, 154)
    assert used.environment_share == pytest.approx(14 / 154)
    assert (used.cost, used.tool_share) == (0.5, None)


def test_an_episode_that_was_cut_off_counts_with_its_turns() -> None:
    events = episode()[:-1]
    assert consumption(events).prompt == 200
    resumed = EpisodeResumed(turn=1, after=4, seq=len(events))
    again = consumption([*events, resumed])
    assert (again.prompt, again.generated) == (200, 20)  # what was put aside was paid for


def test_consumption_adds_up() -> None:
    one = Consumption(1, 10, 5, 2, 8, 5, 7, 0, 4.0, 2.0, 1.0, 0.1)
    both = consumed_together([one, one, Consumption()])
    assert (both.episodes, both.prompt, both.tool_share, both.cost) == (2, 20, 0.25, 0.2)
    assert consumed_together([]).environment_share is None
