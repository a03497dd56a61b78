"""The system-call filter, as raw BPF for x86_64 and aarch64. Standard library only: the launcher imports it alone.

Default is allow; what follows is refused. `strict` is for sandboxes that share the host's network and process
namespaces: no sockets but connected pairs, no POSIX message queues, no reach at other processes.
"""

from __future__ import annotations

import errno
import os
import platform
import struct

_TABLE = """
ptrace 101 117|process_vm_readv 310 270|process_vm_writev 311 271|pidfd_getfd 438 438|pidfd_send_signal 424 424
kcmp 312 272|unshare 272 97|setns 308 268|clone 56 220|clone3 435 435|ioctl 16 29|fanotify_init 300 262
mount 165 40|umount2 166 39|pivot_root 155 41|chroot 161 51|move_mount 429 429|open_tree 428 428|fsopen 430 430
fsconfig 431 431|fsmount 432 432|fspick 433 433|mount_setattr 442 442|open_tree_attr 467 467|swapon 167 224
swapoff 168 225|reboot 169 142|sethostname 170 161|setdomainname 171 162|init_module 175 105|finit_module 313 273
delete_module 176 106|kexec_load 246 104|kexec_file_load 320 294|bpf 321 280|perf_event_open 298 241
userfaultfd 323 282|io_uring_setup 425 425|io_uring_enter 426 426|io_uring_register 427 427|keyctl 250 219
add_key 248 217|request_key 249 218|open_by_handle_at 304 265|acct 163 89|quotactl 179 60|quotactl_fd 443 443
syslog 103 116|settimeofday 164 170|clock_settime 227 112|clock_adjtime 305 266|adjtimex 159 171|vhangup 153 58
iopl 172 -|ioperm 173 -|modify_ldt 154 -|lookup_dcookie 212 18|nfsservctl 180 42|move_pages 279 239
migrate_pages 256 238|process_madvise 440 440|process_mrelease 448 448
socket 41 198|socketpair 53 199|connect 42 203|bind 49 200
kill 62 129|tkill 200 130|tgkill 234 131|rt_sigqueueinfo 129 138|rt_tgsigqueueinfo 297 240
prlimit64 302 261|setpriority 141 140|ioprio_set 251 30|sched_setaffinity 203 122|sched_setscheduler 144 119
sched_setparam 142 118|sched_setattr 314 274
shmget 29 194|shmat 30 196|shmctl 31 195|semget 64 190|semop 65 193|semctl 66 191|semtimedop 220 192
msgget 68 186|msgsnd 69 189|msgrcv 70 188|msgctl 71 187|mq_open 240 180|mq_unlink 241 181
chmod 90 -|fchmod 91 52|fchmodat 268 53|fchmodat2 452 452|chown 92 -|fchown 93 55|lchown 94 -|fchownat 260 54
setxattr 188 5|lsetxattr 189 6|fsetxattr 190 7|setxattrat 463 463|removexattr 197 14|lremovexattr 198 15
fremovexattr 199 16|removexattrat 466 466|utime 132 -|utimes 235 -|utimensat 280 88|futimesat 261 -
file_setattr 469 469
preadv2 327 286|cachestat 451 451|mincore 27 232|fadvise64 221 223|madvise 28 233
memfd_create 319 279|memfd_secret 447 447|prctl 157 167
flock 73 32|fcntl 72 25|inotify_init 253 -|inotify_init1 294 26
"""
_ARCHES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7), "arm64": (1, 0xC00000B7)}

_REFUSED = """ptrace process_vm_readv process_vm_writev pidfd_getfd kcmp unshare setns fanotify_init mount umount2
pivot_root chroot move_mount open_tree fsopen fsconfig fsmount fspick mount_setattr open_tree_attr swapon swapoff
reboot sethostname setdomainname init_module finit_module delete_module kexec_load kexec_file_load bpf
perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register keyctl add_key request_key
open_by_handle_at mincore acct quotactl quotactl_fd syslog settimeofday clock_settime clock_adjtime adjtimex vhangup
iopl ioperm modify_ldt lookup_dcookie nfsservctl move_pages migrate_pages process_madvise process_mrelease inotify_init
inotify_init1 shmget shmat shmctl semget semop semctl semtimedop msgget msgsnd msgrcv msgctl"""
"""System V's memory, semaphores and messages are here since nobody's memory shows what they hold."""
_REFUSED_STRICT = """socket connect bind pidfd_send_signal ioprio_set mq_open mq_unlink"""
_PRETENDED = """chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat setxattr lsetxattr fsetxattr
setxattrat removexattr lremovexattr fremovexattr removexattrat utime utimes utimensat futimesat file_setattr"""
_UNKNOWN = "clone3 memfd_secret memfd_create preadv2 cachestat"
"""As on a kernel without them: libc falls back to clone, whose flags are visible, and libraries to files that count.
The last two tell which pages of a file lie in memory, as does mincore: one fold could write so to the next."""
_COLD = (20, 21)
"""madvise's MADV_COLD and MADV_PAGEOUT, which push pages out of memory as fadvise64 does."""
_SELF_ONLY_STRICT = "prlimit64 sched_setaffinity sched_setscheduler sched_setparam sched_setattr"
_LOCKS = (5, 6, 7, 36, 37, 38, 1024, 1026)
"""fcntl's record locks, open-file locks, leases and notices: two folds could talk by them over a file both may read."""
_SIGNALS = "kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo"

_SET_DUMPABLE = (4,)
"""prctl's option that would close /proc/PID/fd, where the watchdog looks."""
_NEW_NAMESPACES = 0x7E020000
_TERMINAL_INJECTION = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX
_PLAIN_FAMILIES = (1, 2, 10, 16)  # unix, inet, inet6, netlink: all private to a network namespace; vsock is not

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_Code = list[tuple[int, int, int, int]]


def numbers(machine: str) -> dict[str, int]:
    """System-call numbers by name; raises KeyError for a machine without a table."""
    column, _ = _ARCHES[machine]
    rows = (row.split() for row in _TABLE.replace("\n", "|").split("|") if row)
    return {row[0]: int(row[1 + column]) for row in rows if row[1 + column] != "-"}


def supported(machine: str | None = None) -> bool:
    return (machine or platform.machine()) in _ARCHES


def program(
    strict: bool,
    signal_floor: int | None = None,
    machine: str | None = None,
    user: int | None = None,
    *,
    memory_files: bool = False,
) -> bytes:
    """The filter, as an array of `struct sock_filter`, for runs of `user` (default: this process's).

    Root owns the devices that every sandbox and the host share, such as /dev/null: its runs change no mode, owner or
    time. Nor do those of a `strict` filter.

    With `memory_files`, files without a name in memory can be made: NVIDIA's driver does not start without.

    With `signal_floor`, signals go only to process ids from there on (the job's own, barring a wrap-around): for
    kernels whose Landlock does not scope signals.
    """
    machine = machine or platform.machine()
    table = numbers(machine)
    code = _prologue(_ARCHES[machine][1])
    refuse = _ERRNO | errno.EPERM

    def add(names: str, body: _Code) -> None:
        for name in names.split():
            if name in table:
                code.extend([(_EQUAL, 0, len(body), table[name]), *body])

    add(_REFUSED, [(_RETURN, 0, 0, refuse)])
    if memory_files:
        add("memfd_create", [(_RETURN, 0, 0, _ALLOW)])
    add(_UNKNOWN, [(_RETURN, 0, 0, _ERRNO | errno.ENOSYS)])
    add("clone", [_argument(0), (_ANY_BIT, 0, 1, _NEW_NAMESPACES), (_RETURN, 0, 0, refuse), (_RETURN, 0, 0, _ALLOW)])
    add("ioctl", _one_of(1, _TERMINAL_INJECTION, then=refuse, otherwise=_ALLOW))
    add("prctl", _one_of(0, _SET_DUMPABLE, then=refuse, otherwise=_ALLOW))
    add("fadvise64", [(_RETURN, 0, 0, _ERRNO)])  # only advice: "done"
    add("madvise", _one_of(2, _COLD, then=_ERRNO, otherwise=_ALLOW))
    add("flock", [(_RETURN, 0, 0, _ERRNO)])  # "done": an experiment is alone in its sandbox
    add("fcntl", _one_of(1, _LOCKS, then=_ERRNO, otherwise=_ALLOW))
    if strict or (os.getuid() if user is None else user) == 0:
        add(_PRETENDED, [(_RETURN, 0, 0, _ERRNO)])  # "done" without doing: shutil.copy keeps working
    if strict:
        add(_REFUSED_STRICT, [(_RETURN, 0, 0, refuse)])
        add(_SELF_ONLY_STRICT, _zeros(1))  # process id 0: the caller
        add("setpriority", _zeros(2))  # PRIO_PROCESS, the caller
        add("socketpair", _connected_pair())
    else:
        add("socket", _one_of(0, _PLAIN_FAMILIES, then=_ALLOW, otherwise=_ERRNO | errno.EAFNOSUPPORT))
    if signal_floor is not None:
        add(_SIGNALS, _from_floor(signal_floor))
    code.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *line) for line in code)


def _prologue(audit_arch: int) -> _Code:
    return [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 1, 0, audit_arch),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),
        (_AT_LEAST, 0, 1, 0x40000000),  # the x32 twin of every number
        (_RETURN, 0, 0, _KILL),
    ]


def _argument(index: int) -> tuple[int, int, int, int]:
    """Load the low half of an argument (little-endian; every argument used here is an int to the kernel)."""
    return (_LOAD, 0, 0, 16 + 8 * index)


def _one_of(index: int, values: tuple[int, ...], then: int, otherwise: int) -> _Code:
    tests = [(_EQUAL, len(values) - i, 0, value) for i, value in enumerate(values)]
    return [_argument(index), *tests, (_RETURN, 0, 0, otherwise), (_RETURN, 0, 0, then)]


def _zeros(count: int) -> _Code:
    """Allow when the first `count` arguments are 0."""
    tests = [line for i in range(count) for line in (_argument(i), (_EQUAL, 0, 2 * (count - i) - 1, 0))]
    return [*tests, (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ERRNO | errno.EPERM)]


def _connected_pair() -> _Code:
    """AF_UNIX and a type that can't send to an address: stream or seqpacket."""
    return [
        _argument(0),
        (_EQUAL, 0, 4, 1),
        _argument(1),
        (_AND, 0, 0, 0xF),
        (_EQUAL, 2, 0, 1),
        (_EQUAL, 1, 0, 5),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _from_floor(floor: int) -> _Code:
    return [
        _argument(0),
        (_EQUAL, 2, 0, 0),
        (_AT_LEAST, 0, 2, floor),
        (_AT_LEAST, 1, 0, 0x80000000),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
    ]
