"""The ledger: every event of a campaign, append-only, each record chained to the one before it by its hash.

Everything else about a campaign is rebuilt from these records and the snapshots. A record's hash is SHA-256 over
the previous hash and the canonical JSON of number, time, kind, actor and payload.
"""

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

GENESIS = "0" * 64

metadata = sa.MetaData()
events = sa.Table(
    "events",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("time", sa.Float, nullable=False),
    sa.Column("kind", sa.String, nullable=False, index=True),
    sa.Column("actor", sa.String, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("prev", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)
INSERT = events.insert()  # one statement, compiled once


class DamagedLedger(Exception):
    """The ledger cannot be read, written or does not fit together; the message names the first record that is wrong."""


@dataclass(frozen=True)
class Event:
    seq: int
    time: float
    kind: str
    actor: str
    payload: dict[str, Any]
    hash: str


def record_hash(prev: str, seq: int, at: float, kind: str, actor: str, payload: str) -> str:
    """The chained hash of one record; payload as its canonical JSON text."""
    body = json.dumps([prev, seq, at, kind, actor, payload], separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(body.encode()).hexdigest()


class Ledger:
    """One writer at a time (the campaign's lock sees to that); any number of readers."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        if not create and not path.exists():
            raise DamagedLedger(f"{path}: no ledger there; is this a campaign's folder?")
        self.path = path
        # One thread writes. A signal may interrupt whoever waits for it, never a record between disk and memory.
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        url = sa.URL.create("sqlite", database=str(path))
        self._engine = sa.create_engine(url, connect_args={"timeout": 30, "check_same_thread": False})
        sa.event.listen(self._engine, "connect", _pragmas)
        try:
            if create:
                metadata.create_all(self._engine)
            with self._engine.connect() as c:
                last = c.execute(sa.select(events.c.seq, events.c.hash).order_by(events.c.seq.desc()).limit(1)).first()
        except sa.exc.DatabaseError as error:
            raise _damaged(path, error) from error
        self.count: int = last[0] if last else 0
        self.head: str = last[1] if last else GENESIS

    def append(self, kind: str, actor: str, /, **payload: Any) -> Event:
        """Write one event durably and return it. NaN is refused: undefined values are null.

        Raises DamagedLedger if it cannot be written (a full disk); nothing is then changed.
        """
        text = json.dumps(payload, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return self._writer.submit(self._write, kind, actor, text).result()

    def _write(self, kind: str, actor: str, text: str) -> Event:
        seq, at = self.count + 1, round(time.time(), 3)
        digest = record_hash(self.head, seq, at, kind, actor, text)
        row = {"seq": seq, "time": at, "kind": kind, "actor": actor, "payload": text, "prev": self.head, "hash": digest}
        try:
            with self._engine.begin() as c:
                c.execute(INSERT, row)
        except sa.exc.DatabaseError as error:
            raise _damaged(self.path, error) from error
        self.count, self.head = seq, digest
        return Event(seq, at, kind, actor, json.loads(text), digest)

    def events(self, *kinds: str, after: int = 0) -> Iterator[Event]:
        """Events in order, of the kinds named (all if none), with a number above `after`."""
        query = sa.select(events).where(events.c.seq > after).order_by(events.c.seq)
        if kinds:
            query = query.where(events.c.kind.in_(kinds))
        try:
            with self._engine.connect() as c:
                for r in c.execute(query):
                    yield Event(r.seq, r.time, r.kind, r.actor, json.loads(r.payload), r.hash)
        except sa.exc.DatabaseError as error:
            raise _damaged(self.path, error) from error

    def close(self) -> None:
        self._writer.shutdown()
        self._engine.dispose()


def _pragmas(connection: sqlite3.Connection, _: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def _damaged(path: Path, error: sa.exc.DBAPIError) -> DamagedLedger:
    said = str(error.orig) or "unreadable"
    advice = "restore lab.db from a copy"
    if "full" in said:
        advice = "make room on the disk, then go on with `aarlab resume`"
    elif "readonly" in said or "unable to open" in said:
        advice = "the campaign's folder must be writable"
    return DamagedLedger(f"{path}: {said}; {advice}")


def verify(path: Path) -> tuple[int, str]:
    """Recompute the whole chain; returns (records, head). Raises DamagedLedger naming the first bad record."""
    if not path.exists():
        raise DamagedLedger(f"{path}: no ledger there; is this a campaign's folder?")
    prev, seq = GENESIS, 0
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as c:
            for row in c.execute("SELECT seq, time, kind, actor, payload, prev, hash FROM events ORDER BY seq"):
                seq += 1
                number, at, kind, actor, payload, before, digest = row
                if number != seq:
                    raise DamagedLedger(f"{path}: record {seq} is missing (the next one is numbered {number})")
                if before != prev or digest != record_hash(prev, seq, at, kind, actor, payload):
                    raise DamagedLedger(f"{path}: record {seq} ({kind}) does not fit the chain")
                prev = digest
            said = c.execute("PRAGMA quick_check(1)").fetchone()[0]
            if said != "ok":
                raise DamagedLedger(f"{path}: the file is damaged ({' '.join(said.split())}); restore it from a copy")
    except (sqlite3.DatabaseError, TypeError) as error:  # TypeError: a value of another type than was written
        raise DamagedLedger(f"{path}: after record {seq}: {error}") from error
    return seq, prev
