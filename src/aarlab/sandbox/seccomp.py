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
SOCKET = (41, 198)
FAMILIES = (1, 2, 10, 16)  # Unix, IPv4, IPv6, netlink: all of them belong to the network namespace or a path
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
X32 = 0x40000000

LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
ALLOW, KILL, ERROR = 0x7FFF0000, 0x80000000, 0x00050000
EPERM, EAFNOSUPPORT = 1, 97


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
    lines += [(EQUAL, 1, 0, SOCKET[column]), (RETURN, 0, 0, ALLOW), (LOAD, 0, 0, 16)]  # its first argument
    for family in FAMILIES:
        lines += [(EQUAL, 0, 1, family), (RETURN, 0, 0, ALLOW)]
    lines += [(RETURN, 0, 0, ERROR | EAFNOSUPPORT)]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)
