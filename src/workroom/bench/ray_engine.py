"""Attempts on a Ray cluster: one host process per node, each with sandboxes of its own machine.

The directory stays with the driver: a run is made in a temporary directory of its host and comes back packed. A node
that dies takes its attempts along as failures of the plant, which are tried again elsewhere; one that joins is used.
"""

import asyncio
import contextlib
import io
import logging
import os
import shutil
import socket
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import workroom
from workroom.bench.attempt import Attempts, Job, attempt_of
from workroom.bench.session import Bounds
from workroom.bench.store import Attempt
from workroom.config import Resolved, RunConfig
from workroom.errors import ConfigError
from workroom.redaction import access_variables
from workroom.trajectory.files import cannot_write

_LOOK = 2.0  # seconds between two looks at which nodes there are
_KNOCK = 10.0  # seconds for a cluster to take a connection
_REST = 30.0  # seconds until a node whose host has died gets another one; by then Ray knows whether the node is alive
_HOSTS = 3  # so many hosts may die on a node
_DOUBTFUL = 3  # failures in a row after which a node is used only where there is no other


class RayEngine:
    """Spreads attempts over the nodes, the next one to where the fewest are under way."""

    def __init__(self, config: RunConfig, bounds: Bounds, *, sandbox: bool = True) -> None:
        import ray

        self._ray: Any = ray
        self._config = config
        self._bounds = bounds
        self._sandbox = sandbox  # whether some attempt needs one, and the nodes an image
        self._hosts: dict[str, Any] = {}  # actor by node
        self._busy: Counter[str] = Counter()
        self._deaths: Counter[str] = Counter()
        self._rests: dict[str, float] = {}  # until when, by node
        self._failures: Counter[str] = Counter()  # in a row, by node
        self._looked_at = float("-inf")
        self._stopped = False
        if not ray.is_initialized():
            address = bounds.ray_address or os.environ.get("RAY_ADDRESS") or "auto"
            try:
                _knock(address)
                ray.init(
                    address=address,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
            except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: of another version
                raise ConfigError(
                    f"no Ray cluster answers ({error}): start one with `ray start --head`, or give --ray-address"
                ) from error

    async def perform(self, job: Job) -> Attempt | None:
        """Runs the job on some node; see `Attempts.perform`."""
        began = time.time()
        while (node := self._choose()) is None and self._rests and not self._stopped:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(_LOOK)
        if self._stopped:
            return None
        if node is None:
            return _failure(job, began, "no node of the Ray cluster is alive")
        host = self._hosts[node]
        self._busy[node] += 1
        try:
            packed, record = await host.perform.remote(_portable(job))
        except self._ray.exceptions.RayError as error:
            if self._stopped:
                return None
            self._failures[node] += 1
            if not isinstance(error, self._ray.exceptions.RayTaskError):  # not the attempt but its host
                self._drop(node, host)
            return _failure(job, began, f"the node {node[:8]} failed: {_cause(error)}")
        finally:
            self._busy[node] -= 1
        await asyncio.to_thread(_unpack, packed, job.directory)
        if record is None:
            return None
        attempt = Attempt(**record | {"host": node[:8]})
        self._failures[node] = self._failures[node] + 1 if attempt.stop_reason == "sandbox_error" else 0
        return attempt

    def stop(self) -> None:
        """Asks every host to end its runs."""
        self._stopped = True
        for host in self._hosts.values():
            host.stop.remote()

    async def aclose(self) -> None:
        """Ends the hosts; the cluster stays."""
        closing = [host.close.remote() for host in self._hosts.values()]
        if closing:
            await asyncio.wait([asyncio.ensure_future(_awaited(one)) for one in closing], timeout=_LOOK)
        for host in self._hosts.values():
            self._ray.kill(host)
        self._hosts.clear()

    def _choose(self) -> str | None:
        if time.monotonic() - self._looked_at >= _LOOK:
            self._looked_at = time.monotonic()
            nodes = self._ray.nodes()
            alive = {node["NodeID"] for node in nodes if node["Alive"] and self._deaths[node["NodeID"]] < _HOSTS}
            now = time.monotonic()
            self._rests = {node: until for node, until in self._rests.items() if node in alive and until > now}
            alive -= self._rests.keys()
            for node in alive - self._hosts.keys():
                self._hosts[node] = self._start(node)
            for node in self._hosts.keys() - alive:
                del self._hosts[node]
        # What fails at once is never busy: without a look at that it would get all the work.
        return min(self._hosts, key=lambda node: (self._failures[node] >= _DOUBTFUL, self._busy[node]), default=None)

    def _drop(self, node: str, host: Any) -> None:
        """Once, however many attempts tell that a host has died."""
        if self._hosts.get(node) is host:
            del self._hosts[node]
            self._deaths[node] += 1
            self._rests[node] = time.monotonic() + _REST

    def _start(self, node: str) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        actor = self._ray.remote(_Host).options(
            num_cpus=0,
            max_concurrency=1000,
            max_restarts=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
        )
        # As an argument: Ray shows the environment that an actor is started with to whoever looks at the cluster.
        return actor.remote(
            asdict(self._config), self._bounds, access_variables(), workroom.__version__, sandbox=self._sandbox
        )


class _Host:
    """What runs on a node: the attempts of that machine, with one model for all."""

    def __init__(
        self,
        config: Mapping[str, Any],
        bounds: Bounds,
        access: Mapping[str, str],
        version: str,
        *,
        sandbox: bool = True,
    ) -> None:
        if workroom.__version__ != version:
            raise ConfigError(f"this node has workroom {workroom.__version__}, and the bench is one of {version}")
        os.environ.update(access)
        self._config = RunConfig(**config)
        self._bounds = bounds
        self._sandbox = sandbox
        self._stopped = False
        self._attempts: Attempts | None = None
        self._opening = asyncio.Lock()

    async def perform(self, portable: Mapping[str, Any]) -> tuple[bytes, dict[str, Any] | None]:
        """The packed run directory and the attempt."""
        from workroom.bench.session import open_attempts

        async with self._opening:
            if self._attempts is None:
                self._attempts = await asyncio.to_thread(
                    open_attempts, self._config, self._bounds, sandbox=self._sandbox
                )
        if self._stopped:  # while the model and the image were made ready
            return _pack(None), None
        with tempfile.TemporaryDirectory(prefix="workroom-bench-") as folder:
            job = _job(portable, Path(folder))
            attempt = await self._attempts.perform(job)
            packed = await asyncio.to_thread(_pack, job.directory)
        return packed, None if attempt is None else asdict(attempt)

    async def close(self) -> None:
        """Closes the model: a server that this host has started is not left behind."""
        if self._attempts is not None:
            await self._attempts.aclose()

    async def stop(self) -> None:
        """Asks the runs to end, and begins no more."""
        self._stopped = True
        if self._attempts is not None:
            self._attempts.stop()


def _knock(address: str) -> None:
    """Raises OSError where nothing takes a connection at HOST:PORT; Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), _KNOCK).close()


async def _awaited(reference: Any) -> None:
    """A Ray reference is no coroutine. What fails is killed anyway."""
    with contextlib.suppress(Exception):
        await reference


def _portable(job: Job) -> dict[str, Any]:
    """The job without paths of this machine."""
    documents = {
        name: content.read_bytes() if isinstance(content, Path) else content
        for name, content in job.task.documents.items()
    }
    return {
        "key": job.key,
        "task": replace(job.task, documents=documents),
        "config": asdict(job.resolved.config),
        "origins": dict(job.resolved.origins),
        "tries": job.tries,
    }


def _job(portable: Mapping[str, Any], folder: Path) -> Job:
    """The job on its host, its documents as files."""
    task = portable["task"]
    documents: dict[str, Path] = {}
    for number, (name, content) in enumerate(task.documents.items()):
        documents[name] = path = folder / f"document-{number}"
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    resolved = Resolved(RunConfig(**portable["config"]), portable["origins"])
    return Job(portable["key"], replace(task, documents=documents), resolved, folder / "run", portable["tries"])


def _pack(directory: Path | None) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        if directory is not None and directory.is_dir():
            archive.add(directory, ".")
    return packed.getvalue()


def _unpack(packed: bytes, directory: Path) -> None:
    """Puts the run there, whole or not at all: half of one would be taken for one that was finished before a crash.

    Raises WorkroomError where it cannot be written.
    """
    part = directory.with_name(f"{directory.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(part, filter="data")
        shutil.rmtree(directory, ignore_errors=True)
        part.rename(directory)
    except OSError as error:
        raise cannot_write(directory, error) from error


def _cause(error: Exception) -> str:
    """The first line says what has ended, the last one of a traceback why."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[0] if len(lines) == 1 else f"{lines[0]} {lines[-1]}"


def _failure(job: Job, began: float, error: str) -> Attempt:
    times = {"started": began, "finished": time.time()}
    return attempt_of(job.key, {"stop_reason": "sandbox_error", "error": error}, job.directory, times, job.tries)
