"""Builds llama-server, the program that runs the local models, once, and keeps it in the cache.

Its source comes out of the `llama-cpp-python` source package, which carries all of llama.cpp: the only source that a
machine which reaches nothing but its package registry can get at.
"""

import hashlib
import os
import platform
import re
import shutil
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

from workroom.errors import ConfigError, ModelError
from workroom.models.local.paths import Progress, cache_dir, locked
from workroom.models.local.process import download, run

VERSION = "0.3.36"
SDIST = f"llama-cpp-python=={VERSION}"
SDIST_SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"

_FLAGS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DBUILD_SHARED_LIBS=OFF",
    "-DGGML_OPENMP=ON",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_APP=OFF",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
    "-DLLAMA_OPENSSL=OFF",
)
_CPU_FLAGS = {"sse4_2": "SSE42", "avx": "AVX", "avx2": "AVX2", "fma": "FMA", "f16c": "F16C", "bmi2": "BMI2"}


def cpu_flags(cpuinfo: str | None = None) -> tuple[str, ...]:
    """The build options for this processor.

    A native build would use AMX on the processors that have it, and crashes there, so on x86 the instruction sets are
    named one by one.
    """
    if platform.machine() not in ("x86_64", "AMD64"):
        return ("-DGGML_NATIVE=ON",)
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8") if cpuinfo is None else cpuinfo
    found = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    has = set(found.group(1).split()) if found else set()
    return (
        "-DGGML_NATIVE=OFF",
        *(f"-DGGML_{key}={'ON' if name in has else 'OFF'}" for name, key in _CPU_FLAGS.items()),
    )


def build_key() -> str:
    """Names the build: its version and its options."""
    digest = hashlib.sha256("\n".join((*_FLAGS, *cpu_flags())).encode()).hexdigest()
    return f"llama-server-{VERSION}-{digest[:8]}"


def server_path() -> Path:
    """Where llama-server lies once it is built, or `$WORKROOM_LLAMA_SERVER` where the user has one."""
    own = os.environ.get("WORKROOM_LLAMA_SERVER")
    return Path(own) if own else cache_dir() / "bin" / build_key()


def ensure_server(progress: Progress, cancelled: Callable[[], bool]) -> Path:
    """Builds llama-server if it is not there, and returns its path. Takes about nine minutes of processor time.

    Goes on where an earlier, broken off build stopped. Raises `ConfigError` when a tool is missing and `ModelError`
    when the download or the build fails.
    """
    path = server_path()
    if path.is_file():
        return path
    if os.environ.get("WORKROOM_LLAMA_SERVER"):
        raise ConfigError(f"WORKROOM_LLAMA_SERVER names {path}, which is no file.")
    folder = cache_dir() / "build" / path.name
    with locked(
        folder.parent / f"{path.name}.lock",
        lambda: progress("llama-server: another process is building it; waiting"),
        cancelled,
    ) as lock:
        if not path.is_file():
            cmake = find_tools()
            _fetch_source(folder, progress, cancelled, lock)
            built = _compile(cmake, folder, progress, cancelled, lock)
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.parent / f"{path.name}.partial"
            shutil.copy2(built, partial)
            partial.rename(path)
            shutil.rmtree(folder, ignore_errors=True)
            progress("llama-server: ready")
    return path


def find_tools() -> str:
    """The path of cmake. Raises `ConfigError` that names what is missing."""
    beside = Path(sys.executable).parent / "cmake"
    cmake = str(beside) if beside.is_file() else shutil.which("cmake")
    missing = [] if cmake else ["cmake"]
    if not (os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")):
        missing.append("g++")
    if not (shutil.which("make") or shutil.which("ninja")):
        missing.append("make")
    if cmake is None or missing:
        raise ConfigError(
            f"Building the local model server needs {' and '.join(missing)}: apt-get install {' '.join(missing)} "
            "(or name another model with -m, or a llama-server of your own in WORKROOM_LLAMA_SERVER)."
        )
    return cmake


def _fetch_source(folder: Path, progress: Progress, cancelled: Callable[[], bool], lock: int) -> None:
    """Downloads and unpacks llama.cpp into `folder/source`; does nothing where an earlier try has done it."""
    source = folder / "source"
    if source.is_dir():
        return
    progress("llama-server: downloading its source, 77 MB")
    downloads = folder / "download"
    code, output = download(SDIST, downloads, source=True, sha256=SDIST_SHA256, lock=lock, cancelled=cancelled)
    archives = list(downloads.glob("*.tar.gz"))
    if code != 0 or len(archives) != 1:
        raise ModelError(f"The source of llama-server ({SDIST}) could not be downloaded; pip says: {output[-500:]}")
    partial = folder / "source.partial"
    shutil.rmtree(partial, ignore_errors=True)
    with tarfile.open(archives[0]) as archive:
        archive.extractall(partial, members=_llama_members(archive), filter="data")
    partial.rename(source)
    shutil.rmtree(downloads, ignore_errors=True)


def _llama_members(archive: tarfile.TarFile) -> list[tarfile.TarInfo]:
    """The members below `vendor/llama.cpp`, renamed to lie at the top, without the vocabularies of its tests."""
    members = []
    for member in archive.getmembers():
        _, found, inner = member.name.partition("/vendor/llama.cpp/")
        if found and not (inner.startswith("models/") and inner.endswith(".gguf")):
            members.append(member.replace(name=inner, deep=False))
    return members


def _compile(cmake: str, folder: Path, progress: Progress, cancelled: Callable[[], bool], lock: int) -> Path:
    out = folder / "out"
    resumed = out.is_dir()
    jobs = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    percent = ""

    def on_line(line: str) -> None:
        nonlocal percent
        found = re.match(r"\[\s*(\d+)(?:%|/(\d+))", line)
        if found is None:
            return
        share = int(found[1]) if found[2] is None else 100 * int(found[1]) // int(found[2])
        if f"{share}" != percent:
            percent = f"{share}"
            progress(f"llama-server: building, {percent} %")

    progress("llama-server: configuring the build")
    configure: list[str | Path] = [cmake, "-S", folder / "source", "-B", out, *_FLAGS, *cpu_flags()]
    build: list[str | Path] = [cmake, "--build", out, "--parallel", str(jobs), "--target", "llama-server"]
    output = ""
    for command in (configure, build):
        code, output = run(command, lock=lock, on_line=on_line, cancelled=cancelled)
        if code != 0:
            break
    binary = out / "bin" / "llama-server"
    if code == 0 and binary.is_file():
        return binary
    if resumed:
        # A build that was killed may have left a broken object file behind: once more from the start.
        progress("llama-server: the broken off build cannot go on; starting it afresh")
        shutil.rmtree(out)
        return _compile(cmake, folder, progress, cancelled, lock)
    log = folder / "build.log"
    log.write_text(output + "\n", encoding="utf-8")
    raise ModelError(f"llama-server could not be built; the last lines are in {log}: {output[-400:]}")
