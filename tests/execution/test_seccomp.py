"""The filter's decisions, by an interpreter of its byte code, for both architectures."""

import errno
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from orchestrator.execution import seccomp

ALLOW, KILL = "allow", "kill"
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
MACHINES = sorted(AUDIT)


def decide(program: bytes, number: int, *arguments: int, arch: int) -> str | int:
    """What the kernel would do: "allow", "kill" or an errno."""
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("=IIQ6Q", number & 0xFFFFFFFF, arch, 0, *(value & (2**64 - 1) for value in padded))
    code = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    accumulator, line = 0, 0
    while True:
        operation, when_true, when_false, value = code[line]
        line += 1
        if operation == 0x20:
            accumulator = struct.unpack_from("=I", data, value)[0]
        elif operation == 0x54:
            accumulator &= value
        elif operation == 0x06:
            return {0x7FFF0000: ALLOW, 0x80000000: KILL}.get(value, value & 0xFFFF)
        else:
            taken = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[operation]
            line += when_true if taken else when_false


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("strict", [False, True])
def test_decisions(machine: str, strict: bool) -> None:
    table = seccomp.numbers(machine)
    program = seccomp.program(strict, signal_floor=1000 if strict else None, machine=machine, user=1000)

    def ask(name: str, *arguments: int) -> str | int:
        return decide(program, table[name], *arguments, arch=AUDIT[machine])

    assert ask("ptrace") == ask("mount") == ask("bpf") == ask("io_uring_setup") == errno.EPERM
    assert ask("shmget") == ask("semget") == ask("msgget") == errno.EPERM
    assert ask("clone3") == ask("memfd_create") == ask("memfd_secret") == errno.ENOSYS
    assert ask("preadv2") == ask("cachestat") == errno.ENOSYS and ask("mincore") == errno.EPERM
    assert ask("fadvise64", 3, 0, 0, 4) == ask("madvise", 0, 0, 21) == 0 and ask("madvise", 0, 0, 4) == ALLOW
    assert ask("prctl", 4, 0) == errno.EPERM and ask("prctl", 15) == ALLOW  # stays visible; may name itself
    assert ask("clone", 17) == ALLOW and ask("clone", 0x10000011) == errno.EPERM
    assert ask("ioctl", 1, 0x5401) == ALLOW and ask("ioctl", 0, 0x5412) == errno.EPERM
    assert ask("ioctl", 0, 0x100005412) == errno.EPERM  # the kernel reads 32 bits
    if strict:
        assert ask("socket", 1) == ask("connect") == ask("bind") == ask("mq_open") == errno.EPERM
        assert [ask("socketpair", 1, kind) for kind in (1, 2, 5, 0x80001, 0x80002)] == [ALLOW, 1, ALLOW, ALLOW, 1]
        assert ask("socketpair", 2, 1) == errno.EPERM
        assert ask("fchmodat") == ask("utimensat") == 0
        assert ask("prlimit64", 0) == ALLOW and ask("prlimit64", 7) == errno.EPERM
        assert ask("setpriority", 0, 0) == ALLOW
        assert ask("setpriority", 0, 7) == ask("setpriority", 2, 0) == errno.EPERM
        assert [ask("kill", pid) for pid in (0, 1000, 4000)] == [ALLOW] * 3
        assert [ask("kill", pid) for pid in (1, 999, -1, -1000)] == [errno.EPERM] * 4
    else:
        assert [ask("socket", family) for family in (1, 2, 10, 16)] == [ALLOW] * 4
        assert [ask("socket", family) for family in (17, 38, 40)] == [errno.EAFNOSUPPORT] * 3
        assert ask("kill", 1) == ask("fchmodat") == ALLOW
    for_a_gpu = seccomp.program(strict, machine=machine, user=1000, memory_files=True)
    assert decide(for_a_gpu, table["memfd_create"], arch=AUDIT[machine]) == ALLOW
    by_root = seccomp.program(strict, machine=machine, user=0)
    assert decide(by_root, table["fchmodat"], arch=AUDIT[machine]) == 0
    assert decide(program, 0xFFFF, arch=AUDIT[machine]) == ALLOW
    assert decide(program, table["clone"], arch=0x40000003) == KILL  # 32-bit entry
    assert decide(program, 0x40000000 + 1, arch=AUDIT[machine]) == KILL


@pytest.mark.parametrize("machine", MACHINES)
def test_numbers_are_those_of_the_kernel_headers(machine: str) -> None:
    header = {"x86_64": "asm/unistd_64.h", "aarch64": "asm-generic/unistd.h"}[machine]
    prelude = "#include <asm/bitsperlong.h>\n" if machine == "aarch64" else ""
    if shutil.which("cpp") is None:
        pytest.skip("no C preprocessor")
    source = f"{prelude}#include <{header}>\n"
    defines = subprocess.run(["cpp", "-dM"], input=source, capture_output=True, text=True)
    if defines.returncode or (machine == "x86_64" and not Path("/usr/include/x86_64-linux-gnu").exists()):
        pytest.skip("no kernel headers of this machine")
    real = {name: value for name, value in re.findall(r"#define __NR(?:3264)?_(\w+) (\d+)\n", defines.stdout)}
    ours = seccomp.numbers(machine)
    known = {name: number for name, number in ours.items() if name in real}
    assert len(known) > 80
    assert known == {name: int(real[name]) for name in known}
