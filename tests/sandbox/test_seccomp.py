"""The system call filter, decoded: what it lets through is computed by running its instructions."""

import errno
import subprocess
from functools import lru_cache

import pytest

from workroom.sandbox.guest import guest_binary

ALLOW = 0x7FFF0000
ERRNO = 0x00050000
KILL = 0x80000000
X86_64 = 0xC000003E
pytestmark = pytest.mark.skipif("x86_64" not in __import__("os").uname().machine, reason="numbers of x86-64")


@lru_cache
def program() -> list[list[int]]:
    text = subprocess.run([guest_binary(), "seccomp"], capture_output=True, text=True, check=True).stdout
    return [[int(word) for word in line.split()] for line in text.splitlines()]


def verdict(number: int, *arguments: int, arch: int = X86_64) -> int:
    """What the filter returns for a call: a small interpreter of the classic BPF that it uses."""
    data = {0: number, 4: arch, **{16 + 8 * index: value & 0xFFFFFFFF for index, value in enumerate(arguments)}}
    accumulator = at = 0
    while True:
        code, if_true, if_false, operand = program()[at]
        at += 1
        if code == 0x20:
            accumulator = data.get(operand, 0)
        elif code == 0x54:
            accumulator &= operand
        elif code == 0x15:
            at += if_true if accumulator == operand else if_false
        elif code == 0x35:
            at += if_true if accumulator >= operand else if_false
        elif code == 0x06:
            return operand
        else:
            raise AssertionError(hex(code))


@pytest.mark.parametrize("number", [0, 1, 2, 9, 39, 57, 59, 231, 257])  # read write open mmap getpid fork execve ...
def test_ordinary_calls_are_allowed(number: int) -> None:
    assert verdict(number) == ALLOW


@pytest.mark.parametrize(
    "number", [155, 165, 166, 175, 246, 250, 248, 272, 298, 304, 308, 310, 313, 321, 323, 425, 426, 427, 428, 438, 442]
)  # pivot_root mount umount2 init_module kexec_load keyctl unshare open_by_handle_at setns bpf io_uring ...
def test_dangerous_calls_are_refused(number: int) -> None:
    assert verdict(number) == ERRNO | errno.EPERM


@pytest.mark.parametrize("number", [435, 457, 458, 600, 1000])  # clone3, statmount, listmount, not yet invented
def test_unknown_calls_do_not_exist(number: int) -> None:
    assert verdict(number) == ERRNO | errno.ENOSYS


def test_other_architectures_end_the_process() -> None:
    assert verdict(11, arch=0x40000003) == KILL
    assert verdict(0x40000000 + 59) == KILL


def test_sockets() -> None:
    stream, datagram, raw, seqpacket = 1, 2, 3, 5
    for family in (2, 10):
        assert verdict(41, family, stream | 0o2000000) == ALLOW
        assert verdict(41, family, datagram) == ALLOW
        assert verdict(41, family, raw) == ERRNO | errno.EPERM
    for kind in (stream, datagram, seqpacket):
        assert verdict(53, 1, kind) == ALLOW
    assert verdict(41, 16, raw, 0) == ALLOW
    assert verdict(41, 16, raw, 9) == ERRNO | errno.EPROTONOSUPPORT  # audit: as if the kernel had none, see seccomp.c
    for family in (17, 38, 40, 0, 3, 44, 99):
        assert verdict(41, family, stream) == ERRNO | errno.EPERM


def test_clone_makes_no_namespaces() -> None:
    assert verdict(56, 0x01200011) == ALLOW
    for flag in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert verdict(56, flag | 17) == ERRNO | errno.EPERM


def test_nothing_can_be_typed_into_a_terminal() -> None:
    assert verdict(16, 0, 0x5413) == ALLOW
    assert verdict(16, 0, 0x5412) == ERRNO | errno.EPERM
    assert verdict(16, 0, 0x541C) == ERRNO | errno.EPERM
