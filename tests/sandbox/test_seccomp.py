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
    data = {0: number, 4: arch}
    for index, value in enumerate(arguments):
        data |= {16 + 8 * index: value & 0xFFFFFFFF, 20 + 8 * index: value >> 32}
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


@pytest.mark.parametrize("protocol", [1, 33, 58, 115, 132, 136, 255, 256, 262])  # ICMP ... UDP-Lite, raw, SMC, MPTCP
def test_sockets_have_no_other_protocol(protocol: int) -> None:
    for family in (2, 10):
        assert verdict(41, family, 1, 6) == verdict(41, family, 2, 17) == ALLOW
        assert verdict(41, family, 1, protocol) == verdict(41, family, 2, protocol) == ERRNO | errno.EPERM


def test_nothing_can_be_typed_into_a_terminal_and_no_module_is_loaded_for_it() -> None:
    assert verdict(16, 0, 0x5413) == ALLOW
    for request in (0x5412, 0x541C, 0x5423):
        assert verdict(16, 0, request) == ERRNO | errno.EPERM


def test_huge_pages_stay_with_the_host() -> None:
    assert verdict(9, 0, 4096, 3, 0x22) == verdict(319, 0, 1) == verdict(29, 0, 4096, 0o1666) == ALLOW
    assert verdict(9, 0, 4096, 3, 0x40022) == verdict(319, 0, 5) == verdict(29, 0, 4096, 0o5666) == ERRNO | errno.EPERM


def test_the_limit_on_core_files_seems_to_change_and_does_not() -> None:
    pretended = ERRNO
    assert (
        verdict(160, 4, 0x7FFF00000000) == verdict(302, 0, 4, 0x7FFF00000000) == verdict(302, 0, 4, 0x1000) == pretended
    )
    assert verdict(160, 7, 0x1000) == verdict(302, 0, 7, 0x1000) == verdict(302, 0, 4, 0) == ALLOW


@pytest.mark.parametrize("number", [206, 207, 208, 209, 210, 333])
def test_asynchronous_input_and_output_does_not_exist(number: int) -> None:
    assert verdict(number) == ERRNO | errno.ENOSYS
