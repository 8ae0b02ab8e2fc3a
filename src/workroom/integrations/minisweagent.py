"""An environment for mini-swe-agent: its commands run in one sandbox, which lives as long as the environment.

environment:
  environment_class: workroom.integrations.minisweagent.WorkroomEnvironment
  network: packages

mini-swe-agent is no dependency of workroom: install it beside it.
"""

import asyncio
import functools
import logging
import os
import platform
import subprocess
import threading
import weakref
from collections.abc import Coroutine
from dataclasses import asdict
from typing import Any, TypeVar

from minisweagent.exceptions import Submitted
from minisweagent.utils.serialize import recursive_merge
from pydantic import Field

from workroom.integrations.settings import SandboxSettings
from workroom.sandbox import Sandbox
from workroom.sandbox.base import WORKING_DIR
from workroom.tools.bash import BROKE

T = TypeVar("T")
SUBMIT = "COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"  # the first line of an output whose rest is the submission
MERGED = ("/bin/bash", "-c", 'exec /bin/bash -c "$0" 2>&1')  # both streams in the order in which they were written


class WorkroomEnvironmentConfig(SandboxSettings):
    """`network` and the limits are written as on the command line of workroom; `timeout` in seconds for a command.

    `forward_env` names variables of the host that commands get, where they are set; `env` comes before them.
    """

    cwd: str = WORKING_DIR
    env: dict[str, str] = Field(default={})
    forward_env: list[str] = Field(default=[])
    timeout: int = 30


class WorkroomEnvironment:
    """Runs the commands of mini-swe-agent in a sandbox. A dead sandbox raises SandboxGone, and is no output."""

    def __init__(
        self,
        *,
        config_class: type[WorkroomEnvironmentConfig] = WorkroomEnvironmentConfig,
        logger: logging.Logger | None = None,
        **kwargs: Any,
    ) -> None:
        self.config = config_class(**kwargs)
        self.logger = logger or logging.getLogger("minisweagent.environment")
        self._loop = _background_loop()
        config = self.config
        start = Sandbox.start(
            config.backend, image=config.image, network=config.network, limits=config.limits, progress=self.logger.info
        )
        self.box = self._wait(start)
        # Not __del__: this also closes the sandbox at the end of the process.
        self.cleanup = weakref.finalize(self, _close, self.box, self._loop)

    def execute(self, action: dict[str, Any], cwd: str = "", *, timeout: int | None = None) -> dict[str, Any]:
        """Runs `action["command"]` by bash. Raises Submitted where its output says that the task is done."""
        command = action.get("command", "")
        seconds = timeout or self.config.timeout
        forwarded = {name: os.environ[name] for name in self.config.forward_env if name in os.environ}
        try:
            done = self._wait(
                self.box.exec(
                    [*MERGED, command],
                    timeout=seconds,
                    cwd=cwd or self.config.cwd,
                    env={**forwarded, **self.config.env},
                )
            )
        except ValueError as error:  # the model wrote what is no command, such as a NUL character
            return _failed("", error)
        if done.timed_out:
            return _failed(done.stdout, subprocess.TimeoutExpired(command, seconds))
        broken = "; ".join(BROKE[name] for name in done.limits_hit)
        output = {"output": done.stdout, "returncode": done.exit_code, "exception_info": broken}
        _raise_if_submitted(output)
        return output

    def get_template_vars(self, **kwargs: Any) -> dict[str, Any]:
        """The configuration and what `uname` says inside: the host's kernel and machine, but not its name."""
        system = {**platform.uname()._asdict(), "node": "sandbox"}
        return dict(recursive_merge(self.config.model_dump(), system, kwargs))

    def serialize(self) -> dict[str, Any]:
        """For the trajectory: the configuration, and what this host really enforces."""
        kind = type(self)
        settings = {
            "environment": self.config.model_dump(mode="json"),
            "environment_type": f"{kind.__module__}.{kind.__name__}",
        }
        return {"info": {"config": settings, "sandbox": asdict(self.box.facts)}}

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise


def _failed(output: str, error: Exception) -> dict[str, Any]:
    """A command that was not brought to its end, in the form of mini-swe-agent's own environments."""
    return {
        "output": output,
        "returncode": -1,
        "exception_info": f"An error occurred while executing the command: {error}",
        "extra": {"exception_type": type(error).__name__, "exception": str(error)},
    }


def _raise_if_submitted(output: dict[str, Any]) -> None:
    first, *rest = output["output"].lstrip().splitlines(keepends=True) or [""]
    if first.strip() == SUBMIT and output["returncode"] == 0:
        submission = "".join(rest)
        extra = {"exit_status": "Submitted", "submission": submission}
        raise Submitted({"role": "exit", "content": submission, "extra": extra})


@functools.cache
def _background_loop() -> asyncio.AbstractEventLoop:
    """The event loop of all environments of this process, in a thread that lives as long as the process."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="workroom-environments", daemon=True).start()
    return loop


def _close(box: Sandbox, loop: asyncio.AbstractEventLoop) -> None:
    closing = asyncio.run_coroutine_threadsafe(box.close(), loop)
    try:
        here = asyncio.get_running_loop()
    except RuntimeError:
        here = None
    if here is not loop:  # the collector may be at work in the loop's own thread, which must not wait for itself
        closing.result()
