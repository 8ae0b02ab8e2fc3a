"""One task from settings to result: `run`, `arun`, and the `Run` behind both of them and the command line."""

import asyncio
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workroom._outcome import RunResult, cut_short, default_directory, output_stamps, present_files, result_of, slug
from workroom._resume import Resumption, Saver
from workroom._task_record import task_record
from workroom.config import Protocol, Resolved, from_arguments
from workroom.errors import ConfigError, SandboxGone, TransferError, WorkroomError
from workroom.redaction import Redactor
from workroom.sandbox.base import OUTPUT_DIR, FileEntry
from workroom.sandbox.transfer import DISK_ERRORS
from workroom.task import Task

if TYPE_CHECKING:
    from workroom.agent import Agent
    from workroom.agent.chat import Chat
    from workroom.agent.limits import Prices
    from workroom.models.base import Model
    from workroom.sandbox import Sandbox
    from workroom.sandbox.egress import EgressRecord
    from workroom.trajectory.events import Event
    from workroom.trajectory.rundir import RunDirectory, Status

Tell = Callable[[str], None]
OnEvent = Callable[["Event"], None]


def run(
    task: str | Task,
    *,
    model: "str | Model | None" = None,
    files: Iterable[str | Path] = (),
    out: str | Path | None = None,
    on_event: OnEvent | None = None,
    on_progress: Tell | None = None,
    **settings: Any,
) -> RunResult:
    """Runs a task and waits for its end; also where an event loop is running already, as in a notebook.

    Arguments and errors as of `arun`. In a notebook the callbacks are called in another thread.
    """
    work = arun(task, model=model, files=files, out=out, on_event=on_event, on_progress=on_progress, **settings)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    from workroom._thread import run_in_thread

    return run_in_thread(work)


async def arun(
    task: str | Task,
    *,
    model: "str | Model | None" = None,
    files: Iterable[str | Path] = (),
    out: str | Path | None = None,
    on_event: OnEvent | None = None,
    on_progress: Tell | None = None,
    **settings: Any,
) -> RunResult:
    """Gives a model a sandbox and a task, and returns what came of it.

    `files` become documents (directories with their folders); `out` is the run directory (default: below `runs/`);
    `settings` are the keys of a configuration file. `on_event` gets every event, `on_progress` a sentence for each step
    of the preparation. A `Model` that is handed in stays open.

    Raises ConfigError for a wrong argument, ModelError or SandboxError for what fails before the first model call.
    What fails later is in `stop_reason` and `error` of the result.
    """
    from workroom.inputs import collect_documents

    named = model if isinstance(model, str) or model is None else model.name
    resolved = from_arguments({"model": named, **settings})
    tell = on_progress or _ignore
    documents = collect_documents(files, tell)
    whole = task if isinstance(task, Task) else Task(task)
    if documents:
        whole = replace(whole, documents={**whole.documents, **documents})
    given = None if isinstance(model, str) else model
    work = Run(whole, resolved, model=given, out=out, on_event=on_event, on_progress=tell, on_notice=tell)
    await asyncio.to_thread(work.prepare)
    return await work.episode()


class Run:
    """One run: `prepare()` once, then `episode()` once.

    `prepare` is no coroutine, because building an image takes minutes and must be interruptible by a signal. `slot` is
    held while the agent works: sandboxes are opened before it is entered, and closed after it was left, so that other
    runs need not wait for that. `durable`: as of `RunDirectory`. `sandbox`: one that is open already and stays so, for
    the messages of a conversation (`chat`), one run after the other: what still runs in it at the end is ended, and of
    its output files those that are not as in `handed` (None: as at the start) are the result's; how they are then is in
    `stamps`. Its backend, limits and network policy are its own.
    """

    def __init__(
        self,
        task: Task,
        resolved: Resolved,
        *,
        model: "Model | None" = None,
        out: str | Path | None = None,
        on_event: OnEvent | None = None,
        on_progress: Tell | None = None,
        on_notice: Tell | None = None,
        resumption: "Resumption | None" = None,
        slot: AbstractAsyncContextManager[object] | None = None,
        durable: bool = True,
        sandbox: "Sandbox | None" = None,
        handed: Mapping[str, str] | None = None,
        chat: "Chat | None" = None,
    ) -> None:
        self.task = task
        self.stamps: dict[str, str] = {}
        self.config = resolved.config
        self._resumption = resumption
        self._slot = nullcontext() if slot is None else slot
        self._durable = durable
        self._sandbox = sandbox
        self._handed = handed
        self._chat = chat
        self._resolved = resolved
        self._model = model
        self._owns_model = model is None
        self._out = None if out is None else Path(out)
        self._on_event = on_event or _ignore
        self._progress = on_progress or _ignore
        self._notice = on_notice or _ignore
        self._directory: RunDirectory | None = None
        self._agent: Agent | None = None
        self._stop_asked = False
        self._prices: Prices | None = None
        self._redactor = Redactor()

    @property
    def path(self) -> Path | None:
        """The run directory, once it is made."""
        if self._resumption is not None:
            return self._resumption.directory.path
        return self._directory.path if self._directory else None

    @property
    def record(self) -> dict[str, Any]:
        """What `run.json` holds by now, empty before the run directory is made."""
        return {} if self._directory is None else dict(self._directory.redacted_run())

    def recorded(self) -> RunResult:
        """The result of a run that is over already."""
        assert self._resumption is not None
        directory = self._resumption.directory
        directory.close()
        return result_of(directory, list(present_files(directory)))

    def request_stop(self) -> bool:
        """Ends the episode after the current step, one that is still to come before its first.

        False where there is no episode yet, or it was asked for already: cancel `episode()` to stop at once."""
        self._stop_asked = True
        if self._agent is None or self._agent.stop_requested:
            return False
        self._agent.request_stop()
        return True

    def prepare(self) -> None:
        """Opens the model, makes the run directory and the image. Raises ConfigError, ModelError or SandboxError."""
        from workroom._preflight import check_server
        from workroom.agent.prices import ListPrices
        from workroom.models import open_model
        from workroom.models.redacting import RedactingModel
        from workroom.models.registry import load_sdk
        from workroom.sandbox.egress import parse_policy
        from workroom.trajectory.rundir import RunDirectory

        if self._model is None:
            name = self._resumption.model if self._resumption else self.config.model
            self._model = open_model(
                name,
                base_url=self.config.base_url,
                protocol=self._protocol(name),
                vision=self.config.vision,
                timeout=self.config.model_timeout,
                token_ids=self.config.token_ids,
                on_progress=self._progress,
            )
            check_server(self._model.name, self.config.base_url)
            load_sdk(self._model.name)
        self._model = RedactingModel(self._model, self._redactor)
        self.task, redacted = self._redactor.task(self.task)
        self._tell_redacted(redacted)
        if self.config.mode == "sandbox":
            parse_policy(self.config.network)
        listed = ListPrices(self._model.name, self.config.base_url)
        self._prices = self.config.pricing or listed
        if self.config.max_cost is not None and self.config.price is None and not listed.known():
            raise ConfigError(
                f"max_cost needs to know what {self._model.name} costs: give price as IN,OUT in US dollars per million "
                "tokens (--price 1.25,10)"
            )
        if self._resumption is not None:
            self._directory = self._resumption.begin(self._resolved, self._notice)
        else:
            directory = self._out or default_directory(slug(self.task.prompt))
            facts = {"model": self._model.name, "task": task_record(self.task)}
            self._directory = RunDirectory.create(directory, self._resolved.record(), facts=facts)
            self._directory.durable = self._durable
        if self.config.mode == "llm" or self._sandbox is not None:
            return
        from workroom.sandbox.image import ensure_image

        with self._recorded():
            image = ensure_image(self.config.image, progress=self._progress)
            if self._resumption is not None:
                self._resumption.check_image(f"{image.name}@{image.digest}")

    def _protocol(self, name: str | None) -> Protocol:
        """How the model is to call tools: a local one would give bash scripts, where nothing says otherwise."""
        from workroom.models.registry import default_model

        config = self.config
        scripts = config.tool_protocol == "auto" and (name or default_model()).startswith("local/")
        return "json" if scripts and config.mode == "sandbox" and not config.execution else config.tool_protocol

    async def episode(self) -> RunResult:
        """Runs the agent, brings the files out, closes everything, and writes what is left to write."""
        assert self._model is not None
        assert self._directory is not None
        files: list[FileEntry] = []
        with self._recorded():
            try:
                if self.config.mode == "llm":
                    async with self._slot:
                        await self._play(None)
                elif self._sandbox is not None:
                    files = await self._in_given(self._sandbox)
                else:
                    files = await self._in_sandbox()
            finally:
                if self._owns_model:
                    await self._model.aclose()
        # In a thread: it waits for the disk, and other episodes of this process should not.
        files = await asyncio.to_thread(self._directory.finish, files)
        self._tell_redacted([f"the file {name}" for name in self._directory.run.get("redacted", ())])
        if self._directory.run["stop_reason"] == "submitted":
            shutil.rmtree(self._directory.checkpoints_dir, ignore_errors=True)
        return result_of(self._directory, files)

    def _tell_redacted(self, names: list[str]) -> None:
        for name in names:
            self._notice(f"{name} held an API key: it was replaced by asterisks")

    async def _in_sandbox(self) -> list[FileEntry]:
        assert self._directory is not None
        checkpoints = self._directory.checkpoints_dir
        try:
            box, saved = await self._open(0 if self._resumption is None else self._resumption.saved)
            async with box:
                for notice in box.facts.notices:
                    self._notice(notice)
                start = box.memory
                saver = Saver(box, checkpoints, self._notice) if self.config.checkpoints else None
                async with self._slot:
                    await self._play(box, saved, saver)
                self._note_memory(start, box.memory_peak)
                return await self._bring_out(box)
        finally:
            self._take_late_egress()

    async def _in_given(self, box: "Sandbox") -> list[FileEntry]:
        before = await output_stamps(box) if self._handed is None else self._handed
        box.on_egress = self._note_egress
        try:
            async with self._slot:
                await self._play(box)
            return await self._bring_out(box, before)
        finally:
            box.on_egress = None
            self._take_late_egress()

    def _note_memory(self, start: int | None, peak: int | None) -> None:
        """Bytes that the sandbox held before the first turn and at most; nothing where the host cannot tell."""
        assert self._directory is not None
        if start is not None and peak is not None:
            self._directory.run["sandbox_memory"] = {"start": start, "peak": peak}

    async def _open(self, saved: int) -> "tuple[Sandbox, int]":
        """The sandbox, and the turn whose files it has: none where those that were kept cannot be put back."""
        from workroom.sandbox import Sandbox

        assert self._directory is not None
        config = self.config
        settings: dict[str, Any] = {
            "image": config.image, "network": config.network, "limits": config.limits, "on_egress": self._note_egress
        }  # fmt: skip
        if saved:
            try:
                return await Sandbox.start(
                    config.sandbox, checkpoint=self._directory.checkpoints_dir, **settings
                ), saved
            except ConfigError as error:
                self._notice(f"the files that were kept cannot be put back, so the commands are run again: {error}")
                shutil.rmtree(self._directory.checkpoints_dir, ignore_errors=True)
        return await Sandbox.start(config.sandbox, **settings), 0

    async def _play(self, box: "Sandbox | None", saved: int = 0, saver: "Saver | None" = None) -> None:
        from workroom.agent import Agent, EpisodeLimits
        from workroom.models.base import Usage

        assert self._model is not None
        assert self._prices is not None
        config = self.config
        limits = EpisodeLimits(config.max_turns, config.max_tokens, config.max_cost, config.max_time)
        self._agent = Agent(
            self._model,
            box,
            mode=config.mode,
            limits=limits,
            style=config.style,
            documents=config.documents,
            execution=config.execution,
            read_only=config.read_only,
            chat=self._chat,
            sampling=config.sampling,
            pricing=self._prices,
            after_turn=saver,
        )
        if self._stop_asked:
            self._agent.request_stop()
        history = None if self._resumption is None else self._resumption.history
        # The list of prices takes its time to load: while the first request is under way, and before its cost is due.
        loop = asyncio.get_running_loop()
        loading = loop.call_later(1.0, loop.run_in_executor, None, self._prices.cost, Usage())
        try:
            async with aclosing(self._agent.stream(self.task, history=history, saved=saved)) as events:
                async for event in events:
                    self._take(event)
        finally:
            loading.cancel()

    def _take(self, event: "Event") -> None:
        assert self._directory is not None
        event = self._redactor.event(event)
        self._directory.record(event)
        self._on_event(event)

    def _note_egress(self, record: "EgressRecord") -> None:
        if self._agent is not None:
            self._agent.note_egress(record)

    def _take_late_egress(self) -> None:
        """Requests that went on until the sandbox was closed, those of background jobs say, are recorded too."""
        from workroom.trajectory.events import Egress

        assert self._directory is not None
        events = self._directory.events
        while self._agent is not None and self._agent.egress and events:
            self._take(self._directory.stamp(Egress(**asdict(self._agent.egress.popleft()))))

    async def _bring_out(self, box: "Sandbox", before: Mapping[str, str] | None = None) -> list[FileEntry]:
        """What the model left in the output directory, but for what has the same stamp as `before`; what cannot be
        brought out is told, and costs no answer."""
        assert self._directory is not None
        try:
            await box.kill_all()  # what is brought out must not change meanwhile
            self._directory.remove_files()  # of an earlier part of the run
            self.stamps = {} if before is None else await output_stamps(box)
            same = {name for name, stamp in self.stamps.items() if before and before.get(name) == stamp}
            return await box.download(OUTPUT_DIR, self._directory.files_dir, but=same)
        except FileNotFoundError:
            return []
        except SandboxGone:
            return []  # the episode has said so
        except (TransferError, OSError) as error:
            if isinstance(error, OSError) and error.errno in DISK_ERRORS:
                from workroom.trajectory.files import cannot_write

                raise cannot_write(self._directory.files_dir, error) from error
            self._notice(f"not all files could be brought out: {error}")
            self._directory.run["files_error"] = str(error)
            return list(present_files(self._directory))

    @contextmanager
    def _recorded(self) -> Iterator[None]:
        """Whatever ends the run early is written into its directory before it goes on to the caller."""
        assert self._directory is not None
        try:
            yield
        except WorkroomError as error:
            reason = {4: "model_error", 5: "sandbox_error"}.get(error.exit_code)
            self._give_up("failed", error=str(error), stop_reason=reason)
            raise
        except (KeyboardInterrupt, asyncio.CancelledError):
            self._give_up("interrupted", error=None, stop_reason="interrupted")
            raise
        except BaseException as error:
            self._give_up("failed", error=f"internal error: {type(error).__name__}", stop_reason=None)
            raise

    def interrupted(self) -> None:
        """Writes down an interruption that came between the steps that do so themselves."""
        if self._directory is not None and self._directory.run.get("status") == "running":
            self._give_up("interrupted", error=None, stop_reason="interrupted")

    def _give_up(self, status: "Status", *, error: str | None, stop_reason: str | None) -> None:
        assert self._directory is not None
        directory = self._directory
        if directory.started is not None and directory.finished is None and status == "interrupted":
            self._take(directory.stamp(cut_short(directory.events, self._prices)))
        directory.run |= {"stop_reason": stop_reason, "error": error}
        if directory.finished is not None and status == "failed":
            directory.run["error_after_the_end"] = error  # `finish` writes the episode's own reason over `error`
        directory.finish(list(present_files(directory)), status=status)


def _ignore(_: object) -> None:
    """For callbacks that nobody gave."""
