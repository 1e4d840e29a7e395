"""`aarlab bench ledger`: what writing, signing and verifying the record costs."""

import json
import os
import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

from aarlab.lab import seal
from aarlab.lab.ledger import GENESIS, Ledger, record_hash, verify

Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on standard output.")]
# A practice experiment as campaigns record it: the commonest event, and one of the longest.
PAYLOAD = {
    "snapshot": "0123456789abcdef", "name": "naive_soft pca=32 c=0.1 ensemble=5", "family": "naive",
    "seeds": [0, 1, 2, 3, 4], "elapsed": 1.25, "hours": 0.003, "code": "ok", "cpu_seconds": 2.125,
    "claim": {"mean": 0.7181828, "se": 0.0314159, "low": 0.6311, "high": 0.8051, "seeds": 5, "n": 4000, "why": None},
}  # fmt: skip


def synthetic(path: Path, records: int) -> None:
    """Write a ledger of so many records whose chain fits, at once and not durably."""
    with closing(Ledger(path, create=True)):
        pass

    def rows() -> Iterator[tuple[int, float, str, str, str, str, str]]:
        prev = GENESIS
        for seq in range(1, records + 1):
            text = json.dumps({**PAYLOAD, "elapsed": seq}, sort_keys=True, separators=(",", ":"))
            at = round(1.7e9 + seq / 8, 3)
            digest = record_hash(prev, seq, at, "practice", "r1", text)
            yield seq, at, "practice", "r1", text, prev, digest
            prev = digest

    with closing(sqlite3.connect(path)) as c:
        c.execute("PRAGMA synchronous=OFF")
        c.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", rows())
        c.commit()


def ledger(events: int = 1_000_000, appends: int = 200, as_json: Json = False) -> None:
    """Seconds to verify a record of so many events, and milliseconds to append one and to publish a signed head."""
    with tempfile.TemporaryDirectory(prefix="aarlab-bench-") as folder:
        os.environ["AARLAB_HOME"] = folder  # its heads are nobody's record
        path = Path(folder) / "lab.db"
        synthetic(path, events)
        began, cpu = time.perf_counter(), time.process_time()
        records, _ = verify(path)
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        size = path.stat().st_size
        with closing(Ledger(path)) as record:
            appended = _timed(appends, lambda: record.append("practice", "r1", **PAYLOAD))
            signed = []
            for _ in range(min(appends, 50)):
                record.append("clock", "lab")
                signed += _timed(1, lambda: seal.publish(record))
    figures = {
        "events": records, "bytes": size, "verify_seconds": round(wall, 2), "verify_cpu_seconds": round(cpu, 2),
        "events_per_second": round(records / wall) if wall else None,
        "append_ms": round(1000 * median(appended), 3), "publish_ms": round(1000 * median(signed), 3),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }  # fmt: skip
    print(json.dumps(figures) if as_json else "\n".join(f"{k}: {v}" for k, v in figures.items()))


def _timed(times: int, work: Callable[[], object]) -> list[float]:
    """Wall seconds of each repetition."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return found
