"""The `sandbox` mode: turns of a model call and its tool calls, until the work is submitted or a limit is reached.

The answer is what stands in `/testbed/answer.txt` at the end, however the episode ends. What the model merely says is
never taken for an answer: that would grade its remarks. Only in a conversation (see `Chat`) is it the reply.
"""

import asyncio
import base64
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Literal

from workroom.agent.base import BaseEpisode
from workroom.agent.documents import as_texts, described, prepare
from workroom.agent.prompts import render
from workroom.agent.resuming import calls_after, take_up, was_submitted
from workroom.errors import ConfigError, SandboxError, ToolError, TransferError
from workroom.models.base import Image, Message, ToolSpec
from workroom.sandbox.base import ANSWER_FILE, ANSWER_LIMIT, DOCUMENTS_DIR, OUTPUT_DIR, STATE_DIR, WORKING_DIR
from workroom.sandbox.waiting import finished
from workroom.tools import Observation, Tool, default_tools
from workroom.tools.arguments import parse, right, shorten
from workroom.trajectory.events import (
    AssistantTurn,
    Call,
    EpisodeResumed,
    Event,
    Picture,
    Reminder,
    ToolFinished,
    ToolStarted,
    TurnStarted,
)
from workroom.trajectory.history import CUT_SHORT
from workroom.trajectory.reader import whole_text

if TYPE_CHECKING:
    from workroom.agent.loop import Agent
    from workroom.task import Task
    from workroom.trajectory.history import History

STALL = 3  # turns in a row without a tool call that end the episode
REPEATED = 3  # equal failing calls in a row that earn a reminder
UNREADABLE = (ValueError, RecursionError, OverflowError)  # what a program in the sandbox may make a tool stumble over

ReminderReason = Literal["no_tool_call", "budget", "last_turn", "repeated_call", "resumed"]


class Episode(BaseEpisode):
    """The loop."""

    def __init__(
        self, agent: "Agent", task: "Task", wake: asyncio.Event, history: "History | None" = None, saved: int = 0
    ) -> None:
        super().__init__(agent, task, wake, history, saved)
        assert agent.sandbox is not None
        self.sandbox = agent.sandbox
        self.tools: dict[str, Tool] = {}
        self._answers = False  # submit takes the answer
        self._silent = 0  # turns in a row without a tool call
        self._latest: tuple[str, str] | None = None
        self._failing: tuple[str, str] | None = None
        self._failed = 0
        self._told: set[str] = set()  # what is said only once
        self._unreadable = ""  # why the answer that is there cannot be taken
        self._said: str | None = None  # the last plain text, in a conversation
        self._whole = True  # every call so far was run, or will not be
        self._after: asyncio.Task[None] | None = None  # what is done after each turn, see `Agent.after_turn`

    async def steps(self) -> AsyncGenerator[Event, None]:
        self.context.write = None if self.agent.read_only else self.sandbox.write
        self.context.execution = self.agent.execution
        prompts = self.first_messages()
        offered = [_offered(spec) for spec in self.context.tools]
        if self.history is not None:
            yield await self._resume(self.history, offered)
            if self.reason is None and self.account.turns:
                yield self._remind("resumed", "resumed")
        else:
            for message in prompts:
                self.context.add(message)
            yield self.started(self.context.messages, offered, asdict(self.sandbox.facts))
            await self._prepare()
        try:
            while self._goes_on():
                async with aclosing(self._turn()) as events:
                    async for event in events:
                        yield event
        finally:
            await self._await_after()

    async def answer(self) -> str | None:
        """The text of the answer file without blanks around it, None where there is none (and nothing was said)."""
        try:
            async with asyncio.timeout(30):
                data = await self.sandbox.read(ANSWER_FILE, limit=ANSWER_LIMIT)
        except (OSError, SandboxError) as error:  # a TimeoutError is an OSError
            if isinstance(error, TransferError | IsADirectoryError):  # too large, or no file
                self._unreadable = str(error) if isinstance(error, TransferError) else f"{ANSWER_FILE} is a directory"
            return self._said
        return data.decode("utf-8", "replace").strip() or self._said

    async def _resume(self, history: "History", offered: list[dict[str, Any]]) -> Event:
        """Takes up the episode where the history ends, in a sandbox that may lack what its last turns did."""
        if offered != history.started.tools:
            raise ConfigError("the tools that are offered are not those that the episode began with: it cannot go on")
        take_up(self, history)
        await self._prepare()
        again = [call for call in calls_after(history, self.saved) if call.name in self.tools]
        for call in again:
            tool = self.tools[call.name]
            with suppress(ToolError, TransferError, *UNREADABLE):  # as then
                await tool(parse(call.arguments, tool.spec), self.sandbox)
        self.reason = "submitted" if was_submitted(history) else None
        return self.stamp(
            EpisodeResumed(
                turn=history.turn, after=history.after, replayed=len(again), sandbox=asdict(self.sandbox.facts)
            )
        )

    async def _prepare(self) -> None:
        """Puts the documents in, where the sandbox has them not, and takes away what the model is to do without."""
        if self.saved == 0 and self.agent.documents == "files":
            await prepare(self.sandbox, self.task)
        if self.agent.chat is not None and self.saved == 0:
            # The shell begins anew as the prompt says: what an earlier episode has set in it, the model does not know.
            await self.sandbox.exec(["rm", "-rf", ANSWER_FILE, f"{STATE_DIR}/current"])
        if self.agent.read_only:
            await self.sandbox.seal()
        if not self.agent.execution:
            self.sandbox.forbid_execution()

    async def _await_after(self) -> None:
        if self._after is not None:
            after, self._after = self._after, None
            await finished(after)

    def _goes_on(self) -> bool:
        if self.reason is None and self.agent.stop_requested:
            self.end("interrupted")
        elif self.reason is None and (limit := self.account.exceeded()):
            self.end(limit)
        return self.reason is None

    async def _turn(self) -> AsyncGenerator[Event, None]:
        closing = self._closing()
        if closing is not None:
            yield closing
        self.account.begin_turn()
        yield self.stamp(TurnStarted(turn=self.account.turns, remaining=self.account.remaining()))
        assistant: AssistantTurn | None = None
        async with aclosing(self.call_model()) as events:
            async for event in events:
                yield event
                if isinstance(event, AssistantTurn):
                    assistant = event
        if assistant is None:
            return
        if self.agent.chat is not None:
            self._said = assistant.content.strip() or self._said
        act = self._call_tools(assistant) if assistant.calls else self._no_tool_call(assistant)
        async with aclosing(act) as events:
            async for event in events:
                yield event
        for event in self.egress():
            yield event
        # Whoever takes the events has the last one of this turn by now.
        if self.agent.after_turn is not None and self._whole and self.reason != "submitted":
            await self._await_after()  # a turn without a call has not waited for the one before
            self._after = asyncio.ensure_future(self.agent.after_turn(self.account.turns))

    async def _call_tools(self, assistant: AssistantTurn) -> AsyncGenerator[Event, None]:
        """Every call of the turn is answered, in order."""
        await self._await_after()
        self._silent = 0
        for number, call in enumerate(assistant.calls, 1):
            last = number == len(assistant.calls)
            why = self.reason or ("interrupted" if self.agent.stop_requested else None)
            began = time.monotonic()
            if why is not None:
                observation = Observation(render("not_run", why=why), is_error=True, facts={"not_run": why})
            elif assistant.finish_reason == "length" and last:
                observation = Observation(render("cut_off"), is_error=True, facts={"not_run": "cut_off"})
            else:
                yield self.stamp(ToolStarted(turn=assistant.turn, call=call))
                observation = await self._run(call)
            self._whole = self._whole and observation.facts.get("not_run") not in CUT_SHORT
            duration = time.monotonic() - began
            self.account.tool_seconds += duration
            images = observation.images if self.model.hints.vision else ()
            text = whole_text(observation.text)
            if observation.images and not images:  # the server has turned out to take none
                gone = {"why": "refused", "count": len(observation.images), "execution": self.agent.execution}
                text += "\n" + render("picture_gone", **gone)
            if last and self.reason is None:
                text += f"\n[{render('budget', **self.account.for_prompt())}]"
            self.context.add(Message("tool", text, tool_call_id=call.id, is_error=observation.is_error, images=images))
            yield self.stamp(
                ToolFinished(
                    turn=assistant.turn,
                    call_id=call.id,
                    name=call.name,
                    observation=text,
                    is_error=observation.is_error,
                    duration=duration,
                    facts=dict(observation.facts),
                    images=[_picture(image) for image in images],
                )
            )
            self._note_failure(call, is_error=observation.is_error, facts=observation.facts)
        if self.reason is None and self._failed and self._failed % REPEATED == 0:
            yield self._remind("repeated_call", "repeated_call", count=self._failed)

    async def _run(self, call: Call) -> Observation:
        """What the model is told of this call. SandboxError passes: a dead sandbox is no observation."""
        tool = self.tools.get(call.name)
        latest, self._latest = self._latest, (call.name, call.arguments)
        if self._latest == latest and self.model.hints.prompt == "compact" and call.name != "submit":
            # A small model repeats itself until its turns are used up; a larger one may have a reason.
            return Observation(render("same_again"), is_error=True, facts={"not_run": "same_again"})
        if tool is None:
            names = ", ".join(self.tools)
            first = next(iter(self.tools), "")
            text = f"Error: there is no tool {shorten(call.name)!r}; the tools are: {names}. {right(first)}".rstrip()
            return Observation(text, is_error=True)
        allowed = self.account.tool_time(last=self._is_last())
        if allowed is not None and allowed <= 0:
            return self._out_of_time()
        try:
            async with asyncio.timeout(allowed) as scope:
                observation = await tool(parse(call.arguments, tool.spec), self.sandbox)
        except (ToolError, TransferError) as error:
            return Observation(f"Error: {error}", is_error=True)
        except UNREADABLE as error:
            return Observation(f"Error: the tool could not make sense of what it found ({error})", is_error=True)
        except TimeoutError:
            if not scope.expired():
                raise
            return self._out_of_time()
        if observation.ends:
            return await self._submit(observation)
        return observation

    def _out_of_time(self) -> Observation:
        if not self._is_last():
            return Observation(render("not_run", why="last_turn"), is_error=True, facts={"not_run": "last_turn"})
        self.end("max_time")
        return Observation(render("not_run", why="max_time"), is_error=True, facts={"not_run": "max_time"})

    async def _submit(self, observation: Observation) -> Observation:
        """Ends the episode; but where the answer is missing, the model is told so once, if it still has a turn."""
        turns_left = self.account.turns < self.agent.limits.max_turns
        if "missing_answer" not in self._told and turns_left and await self.answer() is None:
            self._told.add("missing_answer")
            values = {"answer_file": ANSWER_FILE, "output_dir": OUTPUT_DIR, "answers": self._answers}
            values["unreadable"] = self._unreadable
            text = render("missing_answer", **values, chat=self.agent.chat is not None, read_only=self.agent.read_only)
            return Observation(text, is_error=True, facts={"missing_answer": True})
        self.end("submitted")
        return replace(observation, facts={**observation.facts, "submitted": True})

    async def _no_tool_call(self, assistant: AssistantTurn) -> AsyncGenerator[Event, None]:
        """Reminds the model; a model that cannot call submit has submitted once its answer is there."""
        self._silent += 1
        if self.agent.chat is not None:
            done = bool(assistant.content.strip()) and assistant.finish_reason != "length"
        else:
            done = "submit" not in self.tools and await self.answer() is not None
        if done:
            self.end("submitted")
        elif self._silent >= STALL:
            self.end("stalled")
        elif self.account.exceeded() is None:
            yield self._remind(
                "no_tool_call",
                "no_tool_call",
                cut=assistant.finish_reason == "length",
                again=self._silent == STALL - 1,
                **self.account.for_prompt(),
            )

    def _is_last(self) -> bool:
        """Whether the model was asked for its final answer."""
        return "nearly_used" in self._told or self.account.turns >= self.agent.limits.max_turns

    def _closing(self) -> Event | None:
        """The request for the final answer: before the last turn, and once where another budget is nearly used up."""
        if self.account.turns == self.agent.limits.max_turns - 1:
            return self._remind("last_turn", "last_turn")
        if "nearly_used" not in self._told and self.account.nearly_used():
            self._told.add("nearly_used")
            return self._remind("budget", "nearly_used", **self.account.for_prompt())
        return None

    def _remind(self, reason: ReminderReason, template: str, **values: Any) -> Event:
        known = {"answer_file": ANSWER_FILE, "answers": self._answers, "protocol": self.model.hints.protocol}
        chat = self.agent.chat is not None
        text = render(template, **known, chat=chat, execution=self.agent.execution, **values)
        self.context.add(Message("user", text))
        return self.stamp(Reminder(turn=self.account.turns, reason=reason, text=text))

    def note_assistant(self, event: AssistantTurn) -> None:
        """Takes up an earlier turn of the model."""
        self._silent = 0 if event.calls else self._silent + 1
        self.books.take_up(event.usage)

    def note_answer(self, call: Call, *, is_error: bool, facts: Mapping[str, Any]) -> None:
        """Takes up an earlier answer to a call."""
        self._latest = (call.name, call.arguments)
        self._note_failure(call, is_error=is_error, facts=facts)
        if facts.get("missing_answer"):
            self._told.add("missing_answer")

    def note_larger_budget(self) -> None:
        """What was said of a budget that is larger now is said again when it is due."""
        if not self.account.nearly_used():
            self._told.discard("nearly_used")

    def note_reminder(self, reason: str) -> None:
        """Takes up an earlier reminder."""
        if reason == "budget":
            self._told.add("nearly_used")

    def _note_failure(self, call: Call, *, is_error: bool, facts: Mapping[str, Any]) -> None:
        """Counts equal failing calls in a row."""
        failed = is_error or facts.get("exit_code") not in (None, 0)  # None: a job that goes on
        key = (call.name, call.arguments)
        self._failed = (self._failed + 1 if key == self._failing else 1) if failed else 0
        self._failing = key if failed else None

    def first_messages(self) -> list[Message]:
        """System prompt and task, as they go to the model; settles which tools it is offered."""
        hints, agent, chat = self.model.hints, self.agent, self.agent.chat
        compact = hints.prompt == "compact"
        self._answers = compact and hints.protocol != "bash"
        tools = agent.tools
        if tools is None:
            tools = default_tools(hints, self.sandbox.limits, execution=agent.execution, read_only=agent.read_only)
        self.tools = {tool.spec.name: tool for tool in tools}
        self.context.tools = [tool.spec for tool in tools]
        limits = self.sandbox.limits
        values = {
            "working_dir": WORKING_DIR,
            "documents_dir": DOCUMENTS_DIR,
            "output_dir": OUTPUT_DIR,
            "answer_file": ANSWER_FILE,
            "documents": described(self.task) if agent.documents == "files" else [],
            "texts": self._texts(),
            "network": self.sandbox.facts.network,
            "memory": _size(limits.memory),
            "disk": _size(limits.disk),
            "cpus": limits.cpus,
            "command_timeout": f"{limits.command_timeout:g}",
            "style": agent.style,
            "execution": agent.execution,
            "read_only": agent.read_only,
            "answers": self._answers,
            "protocol": hints.protocol,
            "editor": "str_replace_editor" in self.tools,
            "prompt": whole_text(self.task.prompt),
            "chat": chat is not None,
            "given": chat is not None and chat.given,
            "instructions": whole_text(chat.instructions) if chat is not None and chat.instructions else None,
            **self.account.for_prompt(),
        }
        size = "_compact" if compact else ""
        kind = "_editor" if not agent.execution else "_bash" if compact and hints.protocol == "bash" else ""
        system = render("system_chat" if chat and not compact else f"system{size}{kind}", **values)
        prompt = render("instance_chat" if chat and not compact else f"instance{size}", **values)
        prior = [replace(message, prior=True) for message in chat.prior] if chat is not None else []
        self.context.prior = len(prior)
        return [Message("system", system), *prior, Message("user", prompt)]

    def _texts(self) -> list[tuple[str, str]]:
        """The documents for the prompt; those of an earlier part of the episode are in its first message already."""
        if self.agent.documents == "files" or self.history is not None:
            return []
        return [(name, whole_text(text)) for name, text in as_texts(self.task)]


def _picture(image: Image) -> Picture:
    return Picture(media_type=image.media_type, data=base64.b64encode(image.data).decode())


def _size(size: str | int) -> str:
    return size if isinstance(size, str) else f"{size / (1 << 30):.3g}g"


def _offered(spec: ToolSpec) -> dict[str, Any]:
    """The tool in OpenAI form."""
    function = {"name": spec.name, "description": spec.description, "parameters": dict(spec.parameters)}
    return {"type": "function", "function": function}
