"""System calls that namespaces do not wall in: kernel keyrings, sockets to the hypervisor, the usual ways in.

A classic BPF program, as bwrap --seccomp reads it (struct sock_filter: code u16, jt u8, jf u8, k u32).
Refused calls return an error; a call of a foreign architecture ends the process. On machines other than
x86-64 and 64-bit ARM there is no filter.
"""

import platform
import struct

# name: (x86_64, aarch64), from the kernel's unistd tables.
REFUSED = {
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "open_by_handle_at": (304, 265),
}
# A file with a set-user-ID or set-group-ID bit in a writable mount would be, outside, a program that runs as whoever
# started the lab. Calls that set a mode: name: numbers (None: not there), place of the mode, place of open's flags.
SET_ID = 0o6000
CREATES = 0o100 | 0o20000000  # O_CREAT, O_TMPFILE: only then is there a mode
MODES: dict[str, tuple[tuple[int | None, int | None], int, int | None]] = {
    "open": ((2, None), 2, 1),
    "openat": ((257, 56), 3, 2),
    "creat": ((85, None), 1, None),
    "chmod": ((90, None), 1, None),
    "fchmod": ((91, 52), 1, None),
    "fchmodat": ((268, 53), 2, None),
    "mknod": ((133, None), 1, None),
    "mknodat": ((259, 33), 2, None),
}
# Their mode lies behind a pointer or is new: "no such call", so that the C library falls back on the ones above.
ABSENT = {"openat2": (437, 437), "fchmodat2": (452, 452)}
SOCKET = (41, 198)
FAMILIES = (1, 2, 10, 16)  # Unix, IPv4, IPv6, netlink: all of them belong to the network namespace or a path
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
X32 = 0x40000000

LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, KILL, ERROR = 0x7FFF0000, 0x80000000, 0x00050000
EPERM, ENOSYS, EAFNOSUPPORT = 1, 38, 97


def program(machine: str = platform.machine()) -> bytes:
    """The filter for this machine; empty if there is none for it."""
    if machine not in ARCHITECTURES:
        return b""
    column, architecture = ARCHITECTURES[machine]
    lines = [(LOAD, 0, 0, 4), (EQUAL, 1, 0, architecture), (RETURN, 0, 0, KILL), (LOAD, 0, 0, 0)]
    if machine == "x86_64":
        lines += [(AT_LEAST, 0, 1, X32), (RETURN, 0, 0, ERROR | EPERM)]
    for numbers in REFUSED.values():
        lines += [(EQUAL, 0, 1, numbers[column]), (RETURN, 0, 0, ERROR | EPERM)]
    for numbers in ABSENT.values():
        lines += [(EQUAL, 0, 1, numbers[column]), (RETURN, 0, 0, ERROR | ENOSYS)]
    for calls, mode, flags in MODES.values():
        if (number := calls[column]) is not None:
            lines += _without_set_id(number, mode, flags)
    lines += [(EQUAL, 1, 0, SOCKET[column]), (RETURN, 0, 0, ALLOW), (LOAD, 0, 0, 16)]  # its first argument
    for family in FAMILIES:
        lines += [(EQUAL, 0, 1, family), (RETURN, 0, 0, ALLOW)]
    lines += [(RETURN, 0, 0, ERROR | EAFNOSUPPORT)]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


def _without_set_id(number: int, mode: int, flags: int | None) -> list[tuple[int, int, int, int]]:
    """Refuse one call if its mode holds a set-ID bit (and its flags say that there is a mode)."""
    asked = [(LOAD, 0, 0, 16 + 8 * mode), (ANY_BIT, 0, 1, SET_ID), (RETURN, 0, 0, ERROR | EPERM), (RETURN, 0, 0, ALLOW)]
    if flags is not None:
        asked = [(LOAD, 0, 0, 16 + 8 * flags), (ANY_BIT, 0, 3, CREATES), *asked]
    return [(EQUAL, 0, len(asked), number), *asked]
