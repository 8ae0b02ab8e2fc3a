"""Compiles the sandbox's own program with the C compiler when the package is built or installed for development."""

import os
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FLAGS = ["-static", "-Os", "-s", "-Wall", "-Wextra", "-Werror"]


class GuestBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """`sandbox/guest/*.c` → `sandbox/guest/bin/guest`, which makes the wheel a platform one."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatch's signature
        folder = Path(self.root) / "src" / "workroom" / "sandbox" / "guest"
        program = folder / "bin" / "guest"
        program.parent.mkdir(exist_ok=True)
        fresh = program.with_name(f"guest.{os.getpid()}")
        compiler = os.environ.get("CC", "cc")
        sources = sorted(map(str, folder.glob("*.c")))
        subprocess.run([compiler, *FLAGS, "-o", str(fresh), *sources], check=True)
        fresh.replace(program)
        build_data["artifacts"].append("src/workroom/sandbox/guest/bin/guest")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
