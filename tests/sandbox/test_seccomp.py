"""System calls that namespaces do not wall in are refused inside, and work outside."""

import platform
import stat
import struct
from pathlib import Path

import pytest

from aarlab.sandbox import seccomp
from aarlab.sandbox.box import Box

from .conftest import python

TRIES = """
import ctypes, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    ctypes.set_errno(0)
    libc.syscall(*arguments)
    return os.strerror(ctypes.get_errno())
def opens(family):
    try:
        socket.socket(family, socket.SOCK_STREAM if family != 16 else socket.SOCK_RAW).close()
        return True
    except OSError as error:
        return error.errno != 97
print(call({}, 0, -3, 1), [opens(f) for f in (1, 2, 10, 16)], opens(17))
"""


@pytest.mark.skipif(platform.machine() not in seccomp.ARCHITECTURES, reason="no filter for this machine")
@pytest.mark.usefixtures("walls")
def test_refused_inside_and_not_outside() -> None:
    column = seccomp.ARCHITECTURES[platform.machine()][0]
    code = TRIES.format(seccomp.REFUSED["keyctl"][column])
    inside = python(code)
    assert inside.stdout == b"Operation not permitted [True, True, True, True] False\n", inside
    outside = python(code, box=Box("none")).stdout  # control: AF_PACKET is a family like others
    assert not outside.startswith(b"Operation not permitted") and outside.endswith(b"] True\n")


def test_programs_are_well_formed() -> None:
    for machine in seccomp.ARCHITECTURES:
        program = seccomp.program(machine)
        assert len(program) % 8 == 0 and struct.unpack("=HBBI", program[-8:])[0] == seccomp.RETURN
    assert seccomp.program("riscv64") == b""


SET_ID = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
os.umask(0)
done = []
def tries(name, call):
    try:
        call()
    except OSError:
        return
    done.append(name)
for mode in (0o4755, 0o2755, 0o6755, 0o1755, 0o755):
    open("x", "w").close()
    fd = os.open("x", os.O_RDWR)
    tries("chmod", lambda: os.chmod("x", mode))
    tries("fchmod", lambda: os.fchmod(fd, mode))
    tries("open", lambda: os.close(os.open(f"o{mode}", os.O_CREAT | os.O_WRONLY, mode)))
    tries("unnamed", lambda: os.close(os.open(".", os.O_TMPFILE | os.O_WRONLY, mode)))
    tries("mknod", lambda: os.mknod(f"n{mode}", 0o100000 | mode))
    done.append(oct(mode))
print(*done)
"""


@pytest.mark.skipif(platform.machine() not in seccomp.ARCHITECTURES, reason="no filter for this machine")
@pytest.mark.usefixtures("walls")
def test_no_file_runs_as_its_owner(workspace: Path) -> None:
    box = Box(writable={"/workspace": workspace})
    every = "chmod fchmod open unnamed mknod"
    inside = python(SET_ID, box=box)
    assert inside.stdout.decode().split("0o4755 0o2755 0o6755 ")[1:] == [f"{every} 0o1755 {every} 0o755\n"], inside
    assert not [p for p in workspace.iterdir() if p.lstat().st_mode & (stat.S_ISUID | stat.S_ISGID)]
    outside = python(SET_ID, box=Box("none", writable={"/workspace": workspace}))
    assert outside.stdout.decode().startswith("chmod fchmod open")  # control
