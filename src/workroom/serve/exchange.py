"""One request and its answer: waits for its turn, runs an episode in the conversation's sandbox, keeps the outcome."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from workroom._run import Run
from workroom.agent.accounting import recorded, token_usage
from workroom.agent.chat import Chat
from workroom.config import Resolved
from workroom.errors import WorkroomError
from workroom.models.base import Message, Usage
from workroom.serve import errors
from workroom.serve.ask import Ask, Said
from workroom.serve.context import check_room, documents_for, note_for_model, prompt_for, said_before, text_for
from workroom.serve.errors import ApiError
from workroom.serve.filestore import StoredFile
from workroom.serve.outcome import Endings, Outcome, hand_over, result_events
from workroom.serve.progress import Progress
from workroom.serve.sampled import SampledModel
from workroom.task import Task
from workroom.trajectory.events import TokenUsage

if TYPE_CHECKING:
    from workroom._outcome import RunResult
    from workroom.sandbox import Sandbox
    from workroom.serve.conversation import Conversation
    from workroom.serve.line import Place
    from workroom.serve.service import Service
    from workroom.serve.settings import Key
    from workroom.trajectory.events import Event

_logger = logging.getLogger("workroom.serve")
_POSITION_EVERY = 15.0  # seconds


class Exchange:
    """Made by `Service.begin`; works by itself until it is over, whoever listens."""

    def __init__(self, service: "Service", key: "Key", ask: Ask, conversation: "Conversation", place: "Place") -> None:
        self.key = key
        self.ask = ask
        self.conversation = conversation
        self.usage = TokenUsage()  # what is known so far, also of a request that fails
        self.stop_reason: str | None = None
        self.response = ""  # the id by which the client may refer to the answer
        self._service = service
        self._place = place
        self._run: Run | None = None
        self._stopped = asyncio.Event()
        self._gone = False  # nobody listens any more
        self._muted = False
        self._live = 0  # tokens that are counted for the key but not charged yet
        self._due = 0.0  # dollars, likewise
        self._spent: str | None = None  # the bound of the key's budget that ended it
        self._endings = Endings()
        self._pieces: asyncio.Queue[str | None] = asyncio.Queue()
        self._task = asyncio.create_task(self._work())
        self._task.add_done_callback(self._over)

    async def next_piece(self) -> str | None:
        """What happens, in words, piece by piece; None at the end."""
        return await self._pieces.get()

    async def outcome(self) -> Outcome:
        """Waits for the end. Raises ApiError where the request failed; cancelling it does not stop the work."""
        return await asyncio.shield(self._task)

    def link(self, file: StoredFile) -> str:
        """The path of a link to one of its files."""
        return self._service.files.link(file)

    def mute(self) -> None:
        """Nobody is going to ask for `next_piece`."""
        self._muted = True

    def stop(self) -> None:
        """Ends it after the step under way, at once where it only waits for its turn."""
        self._stopped.set()
        if self._run is not None:
            self._run.request_stop()

    def abandon(self) -> None:
        """The client is gone: stops, and at last cancels what does not come to its end."""
        self._gone = True
        self.stop()
        asyncio.get_running_loop().call_later(self._service.settings.grace, self._task.cancel)

    def cancel(self) -> None:
        """Ends it in the middle of a step."""
        self._task.cancel()

    async def wait(self) -> None:
        """Waits for the end, whatever it is."""
        await asyncio.wait([self._task])

    def when_over(self, act: Callable[[], None]) -> None:
        """Acts at the end, at once where it is over."""
        if self._task.done():
            act()
        else:
            self._task.add_done_callback(lambda _: act())

    @property
    def _field(self) -> str:
        """What the messages are called where the request came from."""
        return "input" if self.response else "messages"  # only answers of the Responses API have an id

    def _over(self, task: asyncio.Task[Outcome]) -> None:
        self._pieces.put_nowait(None)
        if not task.cancelled():
            task.exception()  # it may be that nobody asks

    async def _work(self) -> Outcome:
        service, conversation = self._service, self.conversation
        try:
            await self._wait_for_turn()
            return await self._answered()
        except asyncio.CancelledError:
            raise self._final(self._ended()) from None
        except ApiError as error:
            raise self._final(error) from error
        except WorkroomError as error:
            _logger.warning("%s", error)
            raise self._final(errors.of_workroom(error)) from error
        finally:
            service.line.leave(self._place)
            service.exchanges.discard(self)
            await service.conversations.release(conversation)

    async def _wait_for_turn(self) -> None:
        stopped = asyncio.create_task(self._stopped.wait())
        try:
            while not (self._place.ready.done() or stopped.done()):
                self._tell(f"(waiting: {self._service.line.ahead(self._place)} requests are ahead)\n\n")
                waited = (self._place.ready, stopped)
                await asyncio.wait(waited, timeout=_POSITION_EVERY, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
        if self._stopped.is_set():
            raise self._ended()

    def _ended(self) -> ApiError:
        """Why it was ended before its time."""
        return errors.closing() if self._service.closing else errors.client_gone()

    def _final(self, error: ApiError) -> ApiError:
        """The error, and where work was begun the word to the client that it must not be done once more by itself."""
        if self._run is not None:
            error.headers["x-should-retry"] = "false"  # the official clients heed it
        return error

    async def _answered(self) -> Outcome:
        service, conversation = self._service, self.conversation
        resolved = self._resolved()
        history: list[Said] | None = None
        try:
            box = await self._open(resolved)
            prior, note = said_before(self.ask, conversation), note_for_model(self.ask, conversation)
            result = await self._episode(box, resolved, prior, note)
            outcome = self._taken(result)
            history = [*prior, Said("user", self.ask.prompt, self.ask.files), Said("assistant", outcome.text)]
            return outcome
        finally:
            if conversation.is_open and not await conversation.save():
                _logger.warning("the files of a conversation are not kept: %s", conversation.notice)
            if history is not None:
                conversation.response = self.response
            self._charge(0, 0.0)
            for keep in (partial(conversation.worked, history), service.ledger.save):
                try:
                    keep()
                except WorkroomError as error:  # the answer is there all the same
                    _logger.warning("what came of a request could not be written down: %s", error)

    def _charge(self, tokens: int, dollars: float) -> None:
        """Charges the key with what was used in all, instead of what was counted while it was."""
        self._service.ledger.running(self.key, -self._live, -self._due)
        self._live, self._due = 0, 0.0
        self._service.ledger.charge(self.key, tokens, dollars)

    def _resolved(self) -> Resolved:
        """The settings of this run: the server's, the key's, the request's, and no more than the budget has."""
        base, asked = self._service.resolved, self.ask.sampling
        own: dict[str, Any] = dict(self.key.settings)
        for name, left in self._service.ledger.left(self.key).items():
            bound = own.get(name, getattr(base.config, name))
            own[name] = left if bound is None else min(bound, left)
        own |= {name: value for name in ("temperature", "seed") if (value := getattr(asked, name)) is not None}
        origins = {**base.origins, **dict.fromkeys(own, "the server's key or the request")}
        return Resolved(replace(base.config, checkpoints=False, **own), origins)

    async def _open(self, resolved: Resolved) -> "Sandbox":
        conversation = self.conversation
        try:
            try:
                box = await conversation.open(resolved.config)
            except ApiError as error:
                if self.ask.conversation:
                    raise
                # It was found by its history: the client, who knows nothing of it, could never get on.
                _logger.warning("a conversation begins anew: %s", error.message)
                self._tell("(the files of this conversation could not be put back)\n\n")
                conversation.forget_files()
                box = await conversation.open(resolved.config)
        except WorkroomError as error:
            self._service.sandbox_failed = str(error)
            raise
        self._service.sandbox_failed = ""
        return box

    async def _episode(self, box: "Sandbox", resolved: Resolved, prior: list[Said], note: str) -> "RunResult":
        service, ask, conversation = self._service, self.ask, self.conversation
        names, documents = await documents_for(ask, conversation, box)
        await check_room(documents, box, self._field)
        self._progress = Progress()
        run = Run(
            Task(prompt_for(ask, names, documents), id=conversation.id, documents=documents),
            resolved,
            model=SampledModel(service.model, ask.sampling),
            out=conversation.next_run(),
            on_event=self._take,
            on_notice=_logger.warning,
            durable=False,
            sandbox=box,
            handed=conversation.handed,
            chat=Chat(
                tuple(Message(said.role, text_for(said, names)) for said in prior),
                "\n\n".join(filter(None, (ask.instructions, note))) or None,
                given=bool(names),
            ),
        )
        await asyncio.to_thread(run.prepare)
        self._run = run
        if self._stopped.is_set():
            run.request_stop()
        try:
            result = await run.episode()
        except BaseException:
            used = recorded(result_events(run), service.prices)
            self.usage, self.stop_reason = (
                token_usage(used.usage, used.environment, estimated=used.estimated),
                "cancelled",
            )
            service.metrics.over(self.stop_reason, self.usage)
            self._charge(used.usage.total, used.cost or 0.0)
            raise
        interrupted = result.stop_reason == "interrupted"
        self.usage, self.stop_reason = result.usage, (interrupted and self._spent) or result.stop_reason
        service.metrics.over(self.stop_reason, result.usage)
        self._charge(result.usage.prompt + result.usage.completion, result.cost or 0.0)
        if result.stop_reason != "sandbox_error":
            conversation.documents = names
        return result

    def _taken(self, result: "RunResult") -> Outcome:
        """The outcome of a run; raises ApiError where there is none."""
        service = self._service
        reason = self.stop_reason or result.stop_reason
        if reason in ("model_error", "sandbox_error"):
            _logger.warning("%s", result.error)
            raise errors.model_failed() if reason == "model_error" else errors.sandbox_failed()
        if reason == "context_overflow" and result.answer is None:
            raise errors.bad_request(
                "the conversation does not fit the context of the model", self._field, "context_length_exceeded"
            )
        if self._gone or (reason == "interrupted" and service.closing):
            raise self._ended()  # nobody sees an answer: its files come with the next one
        assert self._run is not None
        files, notes = hand_over(self._run, result, service.files, self.key, self.conversation)
        finish = self._endings.finish(reason, result.answer)
        text = (result.answer or "") + notes
        return Outcome(text, files, result.usage, result.cost, reason, result.turns, result.duration, finish)

    def _take(self, event: "Event") -> None:
        if (event.type in ("assistant", "model_waiting")) and event.usage is not None:
            told = event.usage
            tokens, dollars = told.prompt + told.completion, 0.0
            if self.key.budget_usd is not None:
                call = Usage(told.prompt, told.completion, told.cached, told.reasoning, told.cache_written)
                dollars = self._service.prices.cost(call) or 0.0
            self._live += tokens
            self._due += dollars
            self._service.ledger.running(self.key, tokens, dollars)
            if (spent := self._service.ledger.spent(self.key)) and self._run is not None:
                self._spent = spent
                self._run.request_stop()
        if event.type == "assistant":
            self._endings.note(event)
        if event.type == "turn_started":
            self._service.metrics.turns.inc()
        if text := self._progress.tell(event):
            self._tell(text)

    def _tell(self, text: str) -> None:
        if not self._gone and not self._muted:
            self._pieces.put_nowait(text)
