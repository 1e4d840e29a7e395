"""Frames and connections between a sandbox and who holds it: whole, in order, and ended on both sides at once."""

import errno
import socket
import threading
from pathlib import Path

import pytest

from aarlab.kit import wire
from aarlab.kit.wire import Wire


def test_frames_arrive_whole_and_in_order_and_what_is_none_ends_it() -> None:
    a, b = socket.socketpair()
    big = bytes(range(256)) * 6000  # longer than a frame may be: sent as two
    with a, b:
        threading.Thread(target=lambda: [Wire(a).send(wire.OUT, d) for d in (b"", b"one", big)], daemon=True).start()
        frames = Wire(b).frames()
        assert [next(frames) for _ in range(2)] == [(wire.OUT, b""), (wire.OUT, b"one")]
        assert next(frames)[1] + next(frames)[1] == big
        a.sendall(wire.HEAD.pack(wire.OUT, wire.MOST + 1))
        assert list(frames) == []
    a, b = socket.socketpair()
    with b:
        a.sendall(wire.HEAD.pack(wire.OUT, 5) + b"cut")
        a.close()
        assert list(Wire(b).frames()) == []


def test_a_port_leads_to_a_socket_both_ways_and_to_nothing_else(tmp_path: Path) -> None:
    def shout(connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            connection.sendall(stream.read().upper())  # once it has heard the end

    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(tmp_path / "s"))
        door.listen()
        threading.Thread(target=wire.answer, args=(door, shout), daemon=True).start()
        with wire.forward(0, tmp_path / "s") as ours:
            address = ours.getsockname()
            assert address[0] == "127.0.0.1"
            said = [b"a" * 200_000, b"b", b""]
            for text in said:
                with socket.create_connection(address) as s:
                    s.sendall(text)
                    s.shutdown(socket.SHUT_WR)
                    with s.makefile("rb") as stream:
                        assert stream.read() == text.upper()
            with pytest.raises(OSError):
                wire.forward(address[1], tmp_path / "s")
            ours.shutdown(socket.SHUT_RDWR)
        door.shutdown(socket.SHUT_RDWR)
    with pytest.raises(OSError), socket.create_connection(address):
        pass


def test_a_door_outlives_a_moment_without_files_and_ends_when_it_is_shut() -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(10)

    class Door:
        after = iter([OSError(errno.EMFILE, "too many open files"), OSError(errno.ECONNABORTED, "gone"), theirs])

        def accept(self) -> tuple[socket.socket, None]:
            got = next(self.after, OSError(errno.EINVAL, "shut down"))
            if isinstance(got, OSError):
                raise got
            return got, None

    wire.answer(Door(), lambda connection: connection.sendall(b"here"))  # type: ignore[arg-type]  # returns: it was shut
    with ours, ours.makefile("rb") as stream:
        assert stream.read() == b"here"


def test_one_side_that_is_gone_ends_the_other(tmp_path: Path) -> None:
    (near, a), (b, far) = socket.socketpair(), socket.socketpair()
    passing = threading.Thread(target=wire.pass_on, args=(a, b), daemon=True)
    passing.start()
    near.close()
    assert far.recv(1) == b""
    far.close()
    passing.join(5)
    assert not passing.is_alive()
