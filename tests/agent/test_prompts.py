"""What is said to the model, word for word, against golden files.

After a wanted change: `UPDATE_GOLDEN=1 pytest tests/agent/test_prompts.py`, and read the difference.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from workroom.agent import Agent
from workroom.agent.chat import Chat
from workroom.agent.episode import Episode
from workroom.agent.prompts import render
from workroom.models.base import Message, ModelHints
from workroom.sandbox import Limits
from workroom.task import Task
from workroom.tools import Tool, default_tools

GOLDEN = Path(__file__).parent / "golden"
CHAT = Chat((Message("user", "Hello."), Message("assistant", "Good day.")), "Be {{ brief }}.")
DOCUMENTS = {"a.txt": "x", "deep/b.csv": "y"}
MANY = {f"{n:02}.txt": "" for n in range(25)}


def check(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text + "\n", encoding="utf-8")
    assert text + "\n" == path.read_text(encoding="utf-8")


@dataclass
class Case:
    network: str = "packages"
    style: str = "compute"
    prompt: str = "standard"
    protocol: str = "native"
    documents: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    tools: tuple[str, ...] | None = None
    arm: Mapping[str, Any] = field(default_factory=dict)


CASES = {
    "compute": Case(documents=DOCUMENTS),
    "neutral": Case("none", "neutral", limits=Limits(cpus=2, command_timeout=7.5)),
    "allow": Case("allow:example.org,example.com", documents=MANY),
    "open": Case("open"),
    "bash": Case(protocol="bash", tools=("execute_bash", "submit"), limits=Limits(memory=3 << 29)),
    "compact-bash": Case("none", prompt="compact", protocol="bash", tools=("execute_bash", "submit")),
    "compact-bash-documents": Case("none", "neutral", "compact", "bash", DOCUMENTS),
    "compact": Case("none", prompt="compact", documents=DOCUMENTS, tools=("execute_bash", "submit")),
    "compact-neutral": Case("packages", "neutral", "compact"),
    "in-prompt": Case("none", documents=DOCUMENTS, arm={"documents": "prompt"}),
    "compact-in-prompt": Case("none", prompt="compact", documents=DOCUMENTS, arm={"documents": "prompt"}),
    "compact-bash-in-prompt": Case(
        "none", prompt="compact", protocol="bash", documents=DOCUMENTS, arm={"documents": "prompt", "read_only": True}
    ),
    "no-execution": Case("none", documents=DOCUMENTS, arm={"execution": False}),
    "compact-no-execution": Case("none", prompt="compact", documents=DOCUMENTS, arm={"execution": False}),
    "read-only": Case(documents=DOCUMENTS, arm={"read_only": True}),
    "compact-read-only": Case("none", prompt="compact", documents=DOCUMENTS, arm={"read_only": True}),
    "chat": Case(documents=DOCUMENTS, arm={"chat": CHAT}),
    "chat-neutral": Case("none", "neutral", protocol="bash", tools=("execute_bash", "submit"), arm={"chat": Chat()}),
    "compact-chat": Case("none", prompt="compact", documents=DOCUMENTS, arm={"chat": CHAT}),
    "compact-bash-chat": Case("none", prompt="compact", protocol="bash", documents=DOCUMENTS, arm={"chat": CHAT}),
    "compact-chat-later": Case("none", prompt="compact", arm={"chat": Chat(given=True)}),
    "compact-bash-chat-later": Case("none", prompt="compact", protocol="bash", arm={"chat": Chat(given=True)}),
    "read-only-no-execution": Case("none", arm={"read_only": True, "execution": False}),
}


@pytest.mark.parametrize("name", CASES)
def test_first_messages(name: str) -> None:
    case = CASES[name]
    model = SimpleNamespace(name="m", hints=ModelHints(prompt=case.prompt, protocol=case.protocol, tools=case.tools))  # type: ignore[arg-type]
    box: Any = SimpleNamespace(limits=case.limits, facts=SimpleNamespace(network=case.network))
    agent = Agent(model, box, style=case.style, **case.arm)  # type: ignore[arg-type]
    episode = Episode(agent, Task("Which {{ word }}?\n<task> % {x}", documents=case.documents), None)  # type: ignore[arg-type]
    messages = episode.first_messages()
    prior = [message.role for message in agent.chat.prior] if agent.chat else []
    assert [message.role for message in messages] == ["system", *prior, "user"]
    check(f"{name}.txt", f"{messages[0].content}\n\n---- user ----\n\n{messages[-1].content}")


def test_only_a_model_that_can_see_is_offered_pictures() -> None:
    blind, seeing = (default_tools(ModelHints(vision=vision))[1].spec for vision in (False, True))
    assert seeing.description == blind.description.replace("line numbers,", "line numbers, a picture,")
    assert seeing.description != blind.description


@pytest.mark.parametrize("prompt", ["standard", "compact"])
def test_tool_schemas(prompt: Any) -> None:
    check_tools(prompt, default_tools(ModelHints(prompt=prompt)))


def test_tool_schemas_of_a_read_only_sandbox() -> None:
    check_tools("read-only", default_tools(read_only=True))


def check_tools(name: str, tools: Sequence[Tool]) -> None:
    specs = [
        {"name": one.spec.name, "description": one.spec.description, "parameters": dict(one.spec.parameters)}
        for one in tools
    ]
    check(f"tools-{name}.json", json.dumps(specs, indent=2, ensure_ascii=False))


def test_reminders() -> None:
    base: dict[str, Any] = {
        "chat": False,
        "protocol": "native",
        "answer_file": "/testbed/answer.txt",
        "output_dir": "/testbed/output",
    }
    budget: dict[str, Any] = {"turns": 1, "tokens": 12_345, "cost": 0.5, "seconds": 60}
    said = []
    values: dict[str, Any]
    for answers in (False, True):
        for template, values in [
            ("no_tool_call", {"cut": False, "again": False, **budget}),
            ("no_tool_call", {"cut": True, "again": True, **budget}),
            ("last_turn", {}),
            ("nearly_used", budget),
            ("missing_answer", {"unreadable": ""}),
            ("repeated_call", {"count": 3}),
        ]:
            said.append(render(template, answers=answers, execution=True, read_only=False, **base, **values))
    bash: dict[str, Any] = {**base, "protocol": "bash", "answers": False, "again": False, "execution": True, **budget}
    said += [render("no_tool_call", cut=cut, **bash) for cut in (False, True)]
    said += [render("not_run", why=why) for why in ("submitted", "max_time", "interrupted")]
    said += [render("cut_off"), render("budget", **budget), render("own_text_trimmed", head="abc", size=7654)]
    kept: dict[str, Any] = {"head": "abc", "size": 7654, "error": "no space"}
    said += [render("trimmed", path=path, execution=True, **kept) for path in ("/var/x.txt", None)]
    said += [
        render("picture_gone", why=why, count=count, execution=True) for why, count in (("room", 1), ("refused", 2))
    ]
    said += [render("turns_left_out", count=12, directory="/var/lib/workroom/observations", execution=True)]
    # Where nothing can be run, or written.
    said += [render("trimmed", path=path, execution=False, **kept) for path in ("/var/x.txt", None)]
    said += [render("turns_left_out", count=12, directory=place, execution=False) for place in ("/var/x", None)]
    said += [
        render("missing_answer", answers=False, read_only=True, unreadable="/testbed/answer.txt is a directory", **base)
    ]
    said += [render("no_tool_call", cut=False, again=False, answers=True, execution=False, **base, **budget)]
    conversation: dict[str, Any] = {
        **base,
        "chat": True,
        "unreadable": "",
        "answers": False,
        "again": True,
        "execution": True,
        **budget,
    }
    said += [render("no_tool_call", cut=cut, **conversation) for cut in (False, True)]
    said += [render(name, read_only=False, **conversation) for name in ("last_turn", "nearly_used", "missing_answer")]
    said += [render("prior_left_out", count=3)]
    check("reminders.txt", "\n----\n".join(said))


def test_a_missing_value_is_an_error() -> None:
    import jinja2

    with pytest.raises(jinja2.UndefinedError):
        render("repeated_call")
