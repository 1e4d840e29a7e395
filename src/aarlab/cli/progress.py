"""Live progress of a campaign: one lane per researcher, the frontier, time left. On a terminal it is redrawn
every second; elsewhere it is one plain line every ten seconds. Both go to standard error, so `--json` stays
clean."""

import math
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from aarlab.report.text import line
from aarlab.report.words import clock, number, plural

State = Literal["starting", "thinking", "waiting", "practising", "submitting", "idle", "done", "failed"]
STATES: dict[str, tuple[str, str]] = {
    "starting": ("◌", "dim"),
    "thinking": ("◔", "cyan"),
    "waiting": ("◌", "yellow"),
    "practising": ("●", "green"),
    "submitting": ("▲", "magenta"),
    "idle": ("○", "dim"),
    "done": ("✓", "dim"),
    "failed": ("✗", "bold red"),
}
SPARKS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Lane:
    """One researcher. claims: practice claims so far, oldest first (gap recovered); released: its best
    figure."""

    name: str
    state: State
    experiments: int
    submissions: int
    claims: Sequence[float] = ()
    released: float | None = None
    event: str = ""


@dataclass(frozen=True)
class Event:
    """Something that happened at t seconds of research."""

    t: float
    who: str
    what: str


@dataclass(frozen=True)
class Snapshot:
    """The campaign at one moment. t: seconds of research; budget: seconds (or experiments) in all, done: how
    much of it is used; frontier: released `search` figures that were a new best, oldest first;
    comparator: its figure on `search`, where it is known already."""

    problem: str
    phase: str
    t: float
    unit: Literal["seconds", "experiments"]
    done: float
    budget: float
    lanes: Sequence[Lane]
    experiments: int
    submissions: int
    findings: int
    slots_busy: int
    slots: int
    frontier: Sequence[float] = ()
    comparator: float | None = None
    events: Sequence[Event] = ()
    stamps: Sequence[str] = ()


def sparkline(values: Sequence[float], width: int = 16, low: float = 0.0, high: float = 1.0) -> str:
    """The last `width` values as block characters between `low` and `high`; what is beyond is drawn at the
    end."""
    recent = [v for v in values if math.isfinite(v)][-width:]
    top = len(SPARKS) - 1
    return "".join(SPARKS[round(top * min(max((v - low) / (high - low), 0.0), 1.0))] for v in recent)


def left(s: Snapshot) -> str:
    if s.unit == "experiments":
        return f"{max(int(s.budget - s.done), 0):,} experiments left"
    return f"{clock(s.budget - s.done)} left"


def render(s: Snapshot, width: int = 100, height: int = 40) -> RenderableType:
    """The whole picture, within `height` lines: header, bar, frontier, lanes, recent events; columns that do
    not fit `width` are left out. Nothing that a researcher wrote is markup, and none of its control
    characters reach the terminal."""
    head = Text.assemble(
        ("aarlab ", "bold cyan"),
        (line(s.problem, 40), "bold"),
        ("  " + line(s.phase, 40), "dim"),
        f"  {clock(s.t)}",
    )
    for stamp in s.stamps:
        head.append("  ").append(f" {line(stamp, 20)} ", "bold white on red")
    bar = Table.grid(padding=(0, 2), expand=True)
    bar.add_column(ratio=1)
    bar.add_column(no_wrap=True, justify="right")
    used = min(max(s.done, 0.0), s.budget)
    bar.add_row(ProgressBar(total=max(s.budget, 1e-9), completed=used, complete_style="cyan"), Text(left(s)))
    counts = " · ".join(
        [
            plural(s.experiments, "experiment"),
            plural(s.submissions, "submission"),
            plural(s.findings, "finding"),
            f"slots {s.slots_busy}/{s.slots} busy",
        ]
    )
    told = Text.assemble(("frontier ", "bold"))
    if s.frontier:
        told.append(f"{number(s.frontier[-1], 3)} ", "bold green").append(sparkline(s.frontier), "green")
        told.append("  released on search", "dim")
    else:
        told.append("nothing released yet", "dim")
    if s.comparator is not None:
        told.append(f"  comparator {number(s.comparator, 3)}", "yellow")
    room = max(height - 8, 4)
    events = min(len(s.events), 5, max(room - len(s.lanes), 1))
    shown = list(s.lanes[: max(room - events, 3)])
    parts: list[RenderableType] = [one(head), bar, one(Text(counts, "dim")), one(told), Text()]
    parts.append(lanes(shown, width))
    if len(shown) < len(s.lanes):
        parts.append(Text(f"… and {plural(len(s.lanes) - len(shown), 'researcher')} more", "dim"))
    if events:
        parts.append(Text())
        for e in s.events[-events:]:
            said = Text.assemble((clock(e.t).rjust(13), "dim"), "  ", (line(e.who, 14).ljust(14), "bold"), " ")
            parts.append(one(said.append(line(e.what, 120))))
    return Padding(Group(*parts), (0, 1))


def one(text: Text) -> Text:
    """Kept to one line, whatever the width of the terminal."""
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def lanes(shown: Sequence[Lane], width: int) -> Table:
    """One row per researcher. Sparklines share one scale, so that lanes can be compared."""
    known = [c for lane in shown for c in lane.claims if math.isfinite(c)]
    # A claim may be any number at all: one absurd claim must not flatten the others.
    low, high = max(min([0.0, *known]), -1.0), min(max([0.1, *known]), 1.5)
    wide, medium = width >= 96, width >= 74
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", expand=wide)
    table.add_column("researcher", no_wrap=True, min_width=10)
    table.add_column("", no_wrap=True, min_width=12 if medium else 1)
    table.add_column("exp", no_wrap=True, justify="right", min_width=4)
    table.add_column("sub", no_wrap=True, justify="right", min_width=3)
    table.add_column("claim", no_wrap=True, justify="right", min_width=5)
    table.add_column("released", no_wrap=True, justify="right", min_width=8)
    if medium:
        table.add_column("claims", no_wrap=True, min_width=12)
    if wide:
        table.add_column("last", ratio=1, no_wrap=True, overflow="ellipsis")
    for lane in shown:
        symbol, style = STATES.get(lane.state, ("?", "dim"))
        best = max((c for c in lane.claims if math.isfinite(c)), default=None)
        cells = [
            Text(line(lane.name, 14)),
            Text(f"{symbol} {line(lane.state, 10)}" if medium else symbol, style),
            Text(str(lane.experiments)),
            Text(str(lane.submissions)),
            Text(number(best), "dim"),
            Text(number(lane.released, 3), "dim" if lane.released is None else "bold green"),
            Text(sparkline(lane.claims, 12, low, high), "dim"),
            Text(line(lane.event, 80), "dim"),
        ]
        table.add_row(*cells[: len(table.columns)])
    return table


def plain(s: Snapshot) -> str:
    """The same in one line, for logs."""
    best = number(s.frontier[-1], 3) if s.frontier else "none yet"
    stamped = "".join(f"[{line(stamp, 20)}] " for stamp in s.stamps)
    return (
        f"{stamped}{clock(s.t)}: {line(s.phase, 30)}, {plural(s.experiments, 'experiment')}, "
        f"{plural(s.submissions, 'submission')}, {plural(s.findings, 'finding')}, frontier {best}, "
        f"slots {s.slots_busy}/{s.slots}, {left(s)}"
    )


class Progress:
    """Shows `poll()` while a block runs, from a thread of its own.

    `poll` is called from that thread, about once a second, and once more when the block ends. Should it
    raise, the last picture stays and the campaign goes on: progress is never worth a campaign.
    """

    def __init__(
        self,
        poll: Callable[[], Snapshot],
        console: Console | None = None,
        *,
        every: float = 1.0,
        plain_every: float = 10.0,
    ) -> None:
        self._poll = poll
        self._console = console or Console(stderr=True)
        self._every, self._plain_every = every, plain_every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
        # Redrawn from our thread only, so that a slow poll never holds a lock that a print is waiting for.
        # redirect_*: without it a warning printed meanwhile would tear the picture.
        self._live = (
            Live(console=self._console, auto_refresh=False, redirect_stdout=False, vertical_overflow="crop")
            if self._console.is_terminal
            else None
        )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=5.0)
        if self._live is not None:
            self._live.stop()

    def _run(self) -> None:
        last = -float("inf")
        while True:
            ending = self._stop.is_set()
            due = self._live is not None or ending or time.monotonic() - last >= self._plain_every
            if due:
                last = time.monotonic()
                self._show()
            if ending:
                return
            self._stop.wait(self._every)

    def _show(self) -> None:
        try:
            snapshot = self._poll()
            if not snapshot.slots:
                return  # nothing has begun; what is wrong with the campaign may be all that there is to say
            if self._live is not None:
                self._live.update(render(snapshot, self._console.width, self._console.height), refresh=True)
            else:
                # No width: a log's line is not wrapped at 80 columns.
                self._console.file.write(plain(snapshot) + "\n")
                self._console.file.flush()
        except Exception as error:  # any fault of poll, or a closed terminal
            if self._live is None and sys.stderr is not None and not isinstance(error, OSError):
                sys.stderr.write(f"progress unavailable: {line(str(error), 200)}\n")
