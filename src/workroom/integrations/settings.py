"""What both integrations take as the settings of a sandbox."""

from pydantic import BaseModel

from workroom.sandbox import Limits


class SandboxSettings(BaseModel):
    """The network policy and the limits are written as on the command line of workroom."""

    backend: str = "bwrap"
    image: str | None = None
    network: str = "none"
    memory: str | int = "4g"
    pids: int = 512
    disk: str | int = "4g"
    cpus: float | None = None

    @property
    def limits(self) -> Limits:
        return Limits(memory=self.memory, pids=self.pids, disk=self.disk, cpus=self.cpus)
