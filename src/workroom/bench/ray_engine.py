"""Attempts on a Ray cluster: one host process per node, each with sandboxes of its own machine.

The directory stays with the driver: a run is made in a temporary directory of its host and comes back packed. A node
that dies takes its attempts along as failures of the plant, which are tried again elsewhere; one that joins is used.
"""

import asyncio
import io
import logging
import os
import shutil
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from workroom.bench.attempt import Attempts, Job, attempt_of
from workroom.bench.session import Bounds
from workroom.bench.store import Attempt
from workroom.config import Resolved, RunConfig
from workroom.errors import ConfigError
from workroom.redaction import access_variables
from workroom.trajectory.files import cannot_write

_LOOK = 2.0  # seconds between two looks at which nodes there are


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
        self._dead: set[str] = set()
        self._looked_at = float("-inf")
        self._stopped = False
        if not ray.is_initialized():
            try:
                ray.init(
                    address=bounds.ray_address or os.environ.get("RAY_ADDRESS") or "auto",
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
            except (ConnectionError, ValueError) as error:
                raise ConfigError(
                    f"no Ray cluster answers ({error}): start one with `ray start --head`, or give --ray-address"
                ) from error

    async def perform(self, job: Job) -> Attempt | None:
        """Runs the job on some node; see `Attempts.perform`."""
        began = time.time()
        node = self._choose()
        if node is None:
            return _failure(job, began, "no node of the Ray cluster is alive")
        self._busy[node] += 1
        try:
            packed, record = await self._hosts[node].perform.remote(_portable(job))
        except self._ray.exceptions.RayError as error:
            if self._stopped:
                return None
            if isinstance(error, self._ray.exceptions.RayActorError):
                self._dead.add(node)
                self._hosts.pop(node, None)
            what = getattr(error, "cause", None) or str(error).splitlines()[0]  # of what was raised on the node, itself
            return _failure(job, began, f"the node {node[:8]} failed: {what}")
        finally:
            self._busy[node] -= 1
        await asyncio.to_thread(_unpack, packed, job.directory)
        return None if record is None else Attempt(**record | {"host": node[:8]})

    def stop(self) -> None:
        """Asks every host to end its runs."""
        self._stopped = True
        for host in self._hosts.values():
            host.stop.remote()

    async def aclose(self) -> None:
        """Ends the hosts; the cluster stays."""
        for host in self._hosts.values():
            self._ray.kill(host)
        self._hosts.clear()

    def _choose(self) -> str | None:
        if time.monotonic() - self._looked_at >= _LOOK:
            self._looked_at = time.monotonic()
            nodes = self._ray.nodes()
            alive = {node["NodeID"] for node in nodes if node["Alive"]} - self._dead
            for node in alive - self._hosts.keys():
                self._hosts[node] = self._start(node)
            for node in self._hosts.keys() - alive:
                del self._hosts[node]
        return min(self._hosts, key=lambda node: self._busy[node], default=None)

    def _start(self, node: str) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        actor = self._ray.remote(_Host).options(
            num_cpus=0,
            max_concurrency=1000,
            max_restarts=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
        )
        # As an argument: Ray shows the environment that an actor is started with to whoever looks at the cluster.
        return actor.remote(asdict(self._config), self._bounds, access_variables(), sandbox=self._sandbox)


class _Host:
    """What runs on a node: the attempts of that machine, with one model for all."""

    def __init__(
        self, config: Mapping[str, Any], bounds: Bounds, access: Mapping[str, str], *, sandbox: bool = True
    ) -> None:
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

    async def stop(self) -> None:
        """Asks the runs to end, and begins no more."""
        self._stopped = True
        if self._attempts is not None:
            self._attempts.stop()


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


def _failure(job: Job, began: float, error: str) -> Attempt:
    times = {"started": began, "finished": time.time()}
    return attempt_of(job.key, {"stop_reason": "sandbox_error", "error": error}, job.directory, times, job.tries)
