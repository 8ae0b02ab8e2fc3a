"""The few calls of the Docker Engine API that the backend needs, over the daemon's unix socket.

They go through httpx2, which is here anyway: a call is asynchronous and ends with the task that waits for it, where the
package `docker` would need a thread a call and twice the import time. Podman's service answers the same calls.
"""

import asyncio
import json
import os
import struct
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import IO, Any

import httpx2

from workroom.errors import SandboxUnavailable

DEFAULT_SOCKET = "unix:///var/run/docker.sock"
CALL_TIMEOUT = 120.0  # seconds; an import of an image has none
FRAME = struct.Struct(">BxxxI")


class EngineError(SandboxUnavailable):
    """The daemon refused a call. `status` is the HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Engine:
    """A daemon on this host, by default that of DOCKER_HOST. Raises SandboxUnavailable where none can be meant."""

    def __init__(self, address: str = "") -> None:
        self.address = address or os.environ.get("DOCKER_HOST") or DEFAULT_SOCKET
        if not self.address.startswith("unix://"):
            raise SandboxUnavailable(
                f"DOCKER_HOST names {self.address}, but sandboxes need a daemon on this host: name its socket, "
                "for example unix:///var/run/docker.sock"
            )
        self._path = self.address.removeprefix("unix://")

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content: AsyncIterator[bytes] | None = None,
        timeout: float | None = CALL_TIMEOUT,
    ) -> Any:
        """One call; returns what the answer's JSON means (a list of lines for a stream of it), None where empty."""
        transport = httpx2.AsyncHTTPTransport(uds=self._path, verify=False)
        try:
            async with httpx2.AsyncClient(transport=transport, timeout=timeout, trust_env=False) as client:
                answer = await client.request(method, f"http://docker{path}", json=body, content=content, params=query)
        except (httpx2.TransportError, OSError) as error:
            raise self._absent(error) from error
        return _meaning(answer)

    async def remove(self, container: str) -> None:
        """Ends and removes a container and waits until it is gone; none is no error."""
        path = f"/containers/{container}"
        for pause in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 0):  # seconds; in the end it is an error
            try:
                await self.call("DELETE", path, query={"force": "1", "v": "1"})
            except EngineError as error:
                if error.status == 404:
                    return
                if not pause or (error.status < 500 and error.status != 409):
                    raise
                await asyncio.sleep(pause)  # it ended by itself, and the daemon is removing it already
            else:
                return

    async def find(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """What a GET answers, None where there is no such thing."""
        try:
            return await self.call("GET", path, query=query)
        except EngineError as error:
            if error.status == 404:
                return None
            raise

    async def run(self, container: str, command: list[str], stdin: bytes, stdout: IO[bytes]) -> tuple[int, str]:
        """Runs a program in a container with input and output; returns its exit status and what it complained."""
        started = await self._exec(container, command, AttachStdin=True, AttachStdout=True, AttachStderr=True)
        path = f"/exec/{started}/start"
        try:
            reader, writer = await asyncio.open_unix_connection(self._path)
        except OSError as error:
            raise self._absent(error) from error
        try:
            head = f"POST {path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
            body = b'{"Detach":false,"Tty":false}'
            writer.write(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            if answer.split(None, 2)[1] not in (b"101", b"200"):
                raise EngineError(f"the Docker daemon refused {path}: {answer.decode('latin-1')[:200]}", 500)
            feeding = asyncio.create_task(_feed(writer, stdin))
            complaints = await _take_frames(reader, stdout)
            await feeding
        finally:
            writer.close()
        facts = await self.call("GET", f"/exec/{started}/json")
        return int(facts["ExitCode"] or 0), complaints.decode("utf-8", "replace").strip()

    async def run_detached(self, container: str, command: list[str]) -> None:
        """Starts a program in a container and does not wait for it."""
        started = await self._exec(container, command)
        await self.call("POST", f"/exec/{started}/start", body={"Detach": True, "Tty": False})

    async def _exec(self, container: str, command: list[str], **attach: bool) -> str:
        answer = await self.call("POST", f"/containers/{container}/exec", body={"Cmd": command, **attach})
        return str(answer["Id"])

    def _absent(self, error: Exception) -> SandboxUnavailable:
        path = Path(self._path)
        if path.exists() and not os.access(path, os.W_OK):
            return SandboxUnavailable(
                f"you may not use the Docker daemon on {self.address}: add yourself to the group of its socket "
                "(who may use it is as mighty as root), or name a daemon of your own in DOCKER_HOST"
            )
        return SandboxUnavailable(
            f"no Docker daemon answers on {self.address} ({error}): start it, or name its socket in DOCKER_HOST "
            "(`scripts/docker-daemon` of the source tree starts one for tests)"
        )


def _meaning(answer: httpx2.Response) -> Any:
    """The JSON of an answer. Raises EngineError for a refusal, also for one in the last line of a stream."""
    try:
        lines = [json.loads(line) for line in answer.content.splitlines() if line.strip()]
    except ValueError:
        lines = [{"message": answer.text[:500]}] if answer.is_error else []
    last = lines[-1] if lines and isinstance(lines[-1], dict) else {}
    if answer.is_error or "errorDetail" in last:
        words = " ".join(str(last.get("message") or last.get("error") or answer.reason_phrase).split())
        raise EngineError(f"the Docker daemon refused {answer.request.url.path}: {words}", answer.status_code)
    return lines[0] if len(lines) == 1 else lines or None


async def _feed(writer: asyncio.StreamWriter, data: bytes) -> None:
    try:
        writer.write(data)
        await writer.drain()
        writer.write_eof()
    except OSError:
        pass  # it ended without reading all of it: its exit status tells


async def _take_frames(reader: asyncio.StreamReader, stdout: IO[bytes]) -> bytes:
    """Copies the standard output until the end; returns the beginning of the standard error."""
    complaints = b""
    while True:
        try:
            stream, size = FRAME.unpack(await reader.readexactly(FRAME.size))
            data = await reader.readexactly(size)
        except asyncio.IncompleteReadError:
            return complaints
        if stream == 1:
            stdout.write(data)
        elif len(complaints) < 2000:
            complaints += data
