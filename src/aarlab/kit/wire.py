"""What goes between a sandbox and the process that holds it: frames over one socket, and connections passed on.

A frame is one byte that says what it is, four that say how long it is (big-endian), and so many bytes.
"""

import contextlib
import errno
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

MOST = 2**20  # bytes of one frame
AT_ONCE = 32  # connections that one door holds
HEAD = struct.Struct(">cI")
# No file or memory left for one more connection, or its caller has gone: a door stays open.
PASSING = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.ECONNABORTED}

# From outside: what to start (JSON), bytes of the input, its end, and rows and columns of the terminal. From inside:
# bytes of either output, how it ended (JSON), or why it could not be started (text).
START, INPUT, END, SIZE = b"s", b"i", b"e", b"w"
OUT, ERR, EXIT, FAULT = b"o", b"r", b"x", b"f"


class Wire:
    """Frames, both ways. Several threads may send, one may read."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket, self._lock = connection, threading.Lock()
        self._unread = b""

    def send(self, kind: bytes, data: bytes = b"") -> None:
        """Raises OSError if the other is gone."""
        with self._lock:
            for start in range(0, max(len(data), 1), MOST):
                part = data[start : start + MOST]
                self._socket.sendall(HEAD.pack(kind, len(part)) + part)

    def frames(self, wake: Callable[[], None] = lambda: None, seconds: float = 0.2) -> Iterator[tuple[bytes, bytes]]:
        """What comes, until the other has ended or says what is no frame; `wake` is called again and again besides."""
        while True:
            while (frame := self._next()) is not None:
                yield frame
            wake()
            try:
                if not select.select([self._socket], [], [], seconds)[0]:
                    continue
                if not (chunk := self._socket.recv(2**16)):
                    return
            except (OSError, ValueError):
                return
            self._unread += chunk
            if len(self._unread) >= HEAD.size and HEAD.unpack_from(self._unread)[1] > MOST:
                return

    def _next(self) -> tuple[bytes, bytes] | None:
        if len(self._unread) < HEAD.size:
            return None
        kind, length = HEAD.unpack_from(self._unread)
        if len(self._unread) < HEAD.size + length:
            return None
        data = self._unread[HEAD.size : HEAD.size + length]
        self._unread = self._unread[HEAD.size + length :]
        return kind, data


def pass_on(a: socket.socket, b: socket.socket) -> None:
    """Pass on bytes between two connections, both ways, until both have said all. Closes both."""

    def one_way(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(2**16):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:  # one of them is gone, so the other has nobody to speak to
            for end in (source, sink):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    back = threading.Thread(target=one_way, args=(b, a), daemon=True)
    back.start()
    one_way(a, b)
    back.join()
    a.close()
    b.close()


def answer(door: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    """Let `serve` answer every connection to a listening socket, a thread each and AT_ONCE at most, until it is shut
    down."""
    room = threading.BoundedSemaphore(AT_ONCE)

    def served(connection: socket.socket) -> None:
        try:
            with contextlib.suppress(OSError), connection:
                serve(connection)
        finally:
            room.release()

    while True:
        room.acquire()
        try:
            connection, _ = door.accept()
        except OSError as error:
            if error.errno not in PASSING:
                return
            room.release()
            time.sleep(0.05)
            continue
        threading.Thread(target=served, args=(connection,), daemon=True).start()


def forward(port: int, path: str | Path) -> socket.socket:
    """Let whoever connects to this port of 127.0.0.1 (0: a free one) reach a Unix socket. Returns the listening socket;
    shut it down to end that. Raises OSError if the port is taken."""
    door = socket.create_server(("127.0.0.1", port))

    def reach(connection: socket.socket) -> None:
        beyond = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with beyond:
            beyond.connect(str(path))
            pass_on(connection, beyond)

    threading.Thread(target=answer, args=(door, reach), daemon=True).start()
    return door


def free_port() -> int:
    """A port that is free now, for where no walls give a sandbox a loopback of its own."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        return int(door.getsockname()[1])
