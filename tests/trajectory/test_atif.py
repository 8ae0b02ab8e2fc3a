"""ATIF v1.8, checked by the format's own package."""

import base64
from pathlib import Path

import atif

from tests.trajectory.helpers import episode
from workroom.trajectory import RunDirectory, ToolFinished, to_atif
from workroom.trajectory.events import Picture


def document(count: int | None = None) -> atif.Trajectory:
    return atif.Trajectory.model_validate(to_atif(episode()[:count]))


def test_steps_and_calls() -> None:
    made = document()
    assert made.schema_version == "ATIF-v1.8"
    assert made.session_id == "e1"
    assert [step.source for step in made.steps] == ["system", "user", "agent", "user", "agent"]
    first = made.steps[2]
    assert first.reasoning_content == "hm"
    assert first.llm_call_count == 1
    assert first.tool_calls is not None
    assert first.tool_calls[0].arguments == {"command": "ls", "timeout": None}
    assert first.tool_calls[1].arguments == {}
    assert first.tool_calls[1].extra == {"malformed_arguments": '{"command": '}
    assert first.observation is not None
    assert [result.source_call_id for result in first.observation.results] == ["c1", "c2"]
    assert first.observation.results[1].content == "Error: no JSON"


def test_a_call_id_that_comes_again_belongs_to_its_own_turn() -> None:
    last = document().steps[-1]
    assert last.observation is not None
    assert [result.content for result in last.observation.results] == ["Submitted."]


def test_pictures_are_files_beside_it(tmp_path: Path) -> None:
    data = {"image/png": b"\x89PNG", "image/jpeg": b"\xff\xd8"}
    pictures = [Picture(media_type=kind, data=base64.b64encode(raw).decode()) for kind, raw in data.items()]
    with RunDirectory.create(tmp_path / "run", {}) as directory:
        for event in episode():
            if isinstance(event, ToolFinished):
                event.images = pictures
            directory.record(event)
        directory.finish()
    made = atif.Trajectory.model_validate_json((tmp_path / "run/trajectory.json").read_bytes())
    assert made.steps[2].observation is not None
    content = made.steps[2].observation.results[0].content
    assert isinstance(content, list)
    assert content[0].text == "a\nb\x1b"
    for part, (kind, raw) in zip(content[1:], data.items(), strict=True):
        assert isinstance(part.source, atif.ImageSource)
        assert part.source.media_type == kind
        assert (tmp_path / "run" / part.source.path).read_bytes() == raw
    assert len(list((tmp_path / "run/images").iterdir())) == 2
    with RunDirectory.create(tmp_path / "run", {}, replace=True):
        assert not (tmp_path / "run/images").exists()


def test_metrics_and_the_end() -> None:
    made = document()
    metrics = made.steps[2].metrics
    assert metrics is not None
    assert (metrics.prompt_tokens, metrics.completion_tokens, metrics.cached_tokens) == (100, 20, 60)
    assert metrics.extra == {"reasoning": 5, "environment": 7, "estimated": False}
    assert made.final_metrics is not None
    assert made.final_metrics.total_cost_usd == 0.5
    assert made.final_metrics.total_steps == 5
    assert made.extra is not None
    assert made.extra["stop_reason"] == "submitted"
    [egress] = made.extra["egress"]
    assert egress == {"host": "example.org", "port": 443, "verdict": "refused", "sent": 0, "received": 0}
    assert made.extra["trimmed"] == [{"turn": 2, "observations": 1}]


def test_every_unfinished_episode_is_valid_too() -> None:
    for count in range(len(episode())):
        made = document(count)
        assert made.final_metrics is None
        assert [step.step_id for step in made.steps] == list(range(1, len(made.steps) + 1))
