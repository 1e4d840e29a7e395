"""A season of debates in a folder: every game under every protocol, with its controls, kept as soon as it is over.

    run.json           what decides every game: a season that goes on must be asked for in the same terms
    transcripts.jsonl  one game a line (transcripts.py), in the order in which they ended
    controls.jsonl     the judge's controls (controls.py), in the same format

Nothing that is in the files is played, or paid for, again: a season that was stopped, that is given more questions or
more protocols, goes on with what is missing. One process writes a folder.
"""

import fcntl
import hashlib
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from aarlab.problems.debate import transcripts
from aarlab.problems.debate.reading import controls, llm
from aarlab.problems.debate.reading.data import TRAINING, passages
from aarlab.problems.debate.reading.passages import Case
from aarlab.problems.debate.reading.protocols import Debater, Judge, NotOpened, OutOfReach, Protocol, deal, names, play
from aarlab.problems.debate.reading.quality import load
from aarlab.problems.debate.transcripts import Transcript

TRAINED = ("reader", "planner")  # the lab's small models; as a judge they are one
Key = tuple[str, str]  # protocol, case
Job = Callable[[], list[Transcript]]


class BadSeason(ValueError):
    """It cannot be played as asked, or not in that folder; one line that says what to do."""


class Stopped(Exception):
    """It ended early; what was played is kept."""


@dataclass(frozen=True)
class Terms:
    """What decides every game of a season. data: of which file the passages are, by its content; None: generated."""

    testbed: str
    data: str | None
    debater: str
    judge: str
    k: int
    rounds: int
    seed: int

    @property
    def talks(self) -> bool:
        """Whether the judge reads arguments: the trained one reads quotations alone."""
        return self.judge not in TRAINED


@dataclass(frozen=True)
class Cast:
    """Who plays, made anew for every game so that what it spends can be counted. workers: games played side by side."""

    debater: Callable[[llm.Meter], Debater]
    judge: Callable[[llm.Meter], Judge]
    workers: int = 1


def questions(data: Path | None, n: int, seed: int) -> tuple[list[Case], list[Case], str | None]:
    """n cases to be debated, or as many as there are; passages on which small models are trained; the data's hash.
    The first cases of more are the same. Raises BadPassage."""
    rng = np.random.default_rng([seed, 41])
    told, _ = passages("practice", rng, TRAINING + (n if data is None else 0))
    if data is None:
        return told[TRAINING:], told[:TRAINING], None
    rows = load(data)
    order = np.random.default_rng([seed, 43]).permutation(len(rows))[:n]
    return [rows[i] for i in order], told, hashlib.sha256(data.read_bytes()).hexdigest()


def check(terms: Terms) -> None:
    """Raises BadSeason for a debater or a judge that is neither trained nor named as a model."""
    for option, name, small in (("--debater", terms.debater, TRAINED), ("--judge", terms.judge, TRAINED[:1])):
        provider, _, model = name.partition("/")
        if name not in small and not (provider and model):
            raise BadSeason(
                f"{option} {name}: neither {' nor '.join(small)} nor PROVIDER/MODEL, such as openai/gpt-4o"
            )


def cast(terms: Terms, rows: Sequence[Case], training: Sequence[Case], workers: int) -> Cast:
    """Open the models and train the small ones. Raises NotOpened, LLMMissing."""
    opened = {n: llm.open_model(n) for n in dict.fromkeys((terms.debater, terms.judge)) if n not in TRAINED}
    if {terms.debater, terms.judge} & set(TRAINED):
        from aarlab.problems.debate.reading import trained  # noqa: PLC0415 - torch, which takes a second to import

        table = trained.Table(trained.models(training, terms.k, terms.seed), rows)
        small = {"reader": table.reader, "planner": table.planner}

    def debater(meter: llm.Meter) -> Debater:
        return small[terms.debater] if terms.debater in TRAINED else llm.debater(opened[terms.debater], meter=meter)

    def judge(meter: llm.Meter) -> Judge:
        return table.judge if terms.judge in TRAINED else llm.judge(opened[terms.judge], meter=meter)

    return Cast(debater, judge, workers if opened else 1)


def calls(terms: Terms, protocols: Sequence[Protocol], n: int) -> dict[str, int]:
    """Most calls of language models that n questions take, by model: games and controls."""
    found: dict[str, int] = {}
    for p in protocols:
        spoken = p.rounds * p.speakers * p.drafts
        ruled = p.rounds + (spoken if p.drafts > 1 else 0) + 2
        for who, often in ((terms.debater, spoken), (terms.judge, ruled)):
            found[who] = found.get(who, 0) + n * often
    found[terms.judge] += 2 * n
    return {who: often for who, often in found.items() if who not in TRAINED}


@contextmanager
def season(folder: Path, terms: Terms) -> Iterator["Kept"]:
    """The folder of a season, made or found, for one process alone; one that was made and holds no game goes away.
    Raises BadSeason, BadTranscript."""
    asked, made = folder / "run.json", not folder.exists()
    if folder.exists() and not asked.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadSeason(f"{folder}: there is something else there; give another folder")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BadSeason(f"{folder}: another process plays here; wait for it, or give another folder") from None
        kept = Kept(folder)
        if asked.exists() and (kept.games or kept.controls):
            _same(asked, terms)
        else:
            asked.write_text(json.dumps(asdict(terms), indent=1) + "\n")
        try:
            yield kept
        finally:
            if made and not kept.games and not kept.controls:
                for name in ("run.json", "lock"):
                    (folder / name).unlink(missing_ok=True)
                folder.rmdir()


def _same(path: Path, terms: Terms) -> None:
    try:
        was = Terms(**json.loads(path.read_text()))
    except (ValueError, TypeError):
        raise BadSeason(f"{path}: not what was written there; restore it, or give another folder") from None
    for name, value in asdict(terms).items():
        if (before := getattr(was, name)) != value:
            raise BadSeason(
                f"{path.parent}: was played with {name} {before}, not {value}; ask for the same, or give another folder"
            )


class Kept:
    """The transcripts of a folder, by protocol and case. A line that was cut off when a process was killed is dropped;
    one that is malformed is refused (BadTranscript)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.games = self._read(folder / "transcripts.jsonl")
        self.controls = self._read(folder / "controls.jsonl")
        self._files = folder / "transcripts.jsonl", folder / "controls.jsonl"

    @staticmethod
    def _read(path: Path) -> dict[Key, Transcript]:
        if not path.exists():
            return {}
        with path.open("rb+") as f:
            told = f.read()
            if told and not told.endswith(b"\n"):
                f.truncate(told.rfind(b"\n") + 1)
        return {(t.protocol, t.case): t for t in transcripts.read(path)}

    def __contains__(self, key: Key) -> bool:
        return key in self.games or key in self.controls

    def keep(self, t: Transcript) -> None:
        is_game = "judge" in t.by and "debater" in t.by
        (self.games if is_game else self.controls)[t.protocol, t.case] = t
        with self._files[not is_game].open("a", encoding="utf-8") as f:
            f.write(t.model_dump_json() + "\n")


def conduct(
    kept: Kept, terms: Terms, rows: Sequence[Case], protocols: Sequence[Protocol], cast: Callable[[], Cast],
    watch: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[list[Transcript], list[Transcript]]:  # fmt: skip
    """Play what is missing; games and controls of what was asked, whether played now or before. cast: called only if
    anything is missing; watch(done, of) is told of games. Raises Stopped, with everything kept that was over, where a
    model is out of reach or on Ctrl-C; BadSeason where the folder holds games about other passages."""
    named = dict(zip(names(rows), rows, strict=True))
    for t in (*kept.games.values(), *kept.controls.values()):
        if t.case in named and (t.question, t.unit) != (named[t.case].question, _unit(named[t.case])):
            raise BadSeason(f"{kept.folder}: case {t.case} is about another passage there; give another folder")
    missing = [
        (number, name, p)
        for number, name in enumerate(named)
        for p, keys in ((None, _case_keys(name)), *((p, _game_keys(p, name, terms)) for p in protocols))
        if any(key not in kept for key in keys)
    ]
    wanted = [(p.name, name) for name in named for p in protocols]
    done, total = sum(key in kept.games for key in wanted), len(wanted)

    def keep(made: list[Transcript]) -> None:
        nonlocal done
        for t in made:
            kept.keep(t)
            done += "debater" in t.by
        watch(done, total)

    def job(number: int, name: str, protocol: Protocol | None) -> Job:
        sides = deal(named[name], np.random.default_rng([terms.seed, number]))
        table = _Table(name, named[name], sides, terms, at_hand)
        return lambda: table.game(protocol, kept.games.get((protocol.name, name))) if protocol else table.alone()

    try:
        if missing:
            at_hand = cast()
            watch(done, total)
            _work([job(*m) for m in missing], at_hand.workers, keep)
    except KeyboardInterrupt:
        raise Stopped(f"{done} of {total} games are kept") from None
    except NotOpened:
        raise
    except OutOfReach as error:
        raise Stopped(f"{error}; {done} of {total} games are kept") from error
    beside = [key for name in named for key in _case_keys(name)]
    beside += [key for name in named for p in protocols for key in _game_keys(p, name, terms)[1:]]
    return [kept.games[key] for key in wanted], [kept.controls[key] for key in beside]


def _case_keys(name: str) -> list[Key]:
    return [(c, name) for c in (controls.NOTHING, controls.WHOLE)]


def _game_keys(protocol: Protocol, name: str, terms: Terms) -> list[Key]:
    """The game's, then its controls'."""
    beside = [controls.RANDOM, *([controls.ARGUMENTS] if terms.talks else [])]
    return [(protocol.name, name), *((f"{c}/{protocol.name}", name) for c in beside)]


def _unit(case: Case) -> str:
    return hashlib.sha256(case.passage.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class _Table:
    """One case with those who play it."""

    name: str
    case: Case
    sides: tuple[int, int]
    terms: Terms
    cast: Cast

    def game(self, protocol: Protocol, before: Transcript | None) -> list[Transcript]:
        """A game with its controls; one that was played before, without a control, has only these made good."""
        made: list[Transcript] = []
        if before is None:
            speaks, rules = llm.Meter(), llm.Meter()
            debaters = [self.cast.debater(speaks)] * protocol.speakers
            by = {"debater": self.terms.debater, "judge": self.terms.judge}
            protocol = replace(protocol, rounds=self.terms.rounds)
            before = self._signed(
                play(self.case, self.name, protocol, self.sides, debaters, self.cast.judge(rules), by=by),
                {"debater": speaks, "judge": rules},
            )
            made.append(before)
        return made + self._controls(
            lambda judge: controls.of_game(self.case, before, judge, self.terms.seed, arguments=self.terms.talks)
        )

    def alone(self) -> list[Transcript]:
        return self._controls(lambda judge: controls.of_case(self.case, self.name, self.sides, judge))

    def _controls(self, ask: Callable[[Judge], list[Transcript]]) -> list[Transcript]:
        rules = llm.Meter()
        made = [t.model_copy(update={"by": {"judge": self.terms.judge}}) for t in ask(self.cast.judge(rules))]
        # what all of them cost stands in the first
        return [self._signed(t, {"judge": rules if t is made[0] else llm.Meter()}) for t in made]

    def _signed(self, t: Transcript, meters: dict[str, llm.Meter]) -> Transcript:
        spent = {role: m.spent for role, m in meters.items() if m.spent.calls}
        return t.model_copy(update={"unit": _unit(self.case), "spent": spent})


def _work(jobs: Sequence[Job], workers: int, keep: Callable[[list[Transcript]], None]) -> None:
    """Do the jobs, `workers` at a time, and keep what each made as it ends. When one fails, those under way are
    waited for and kept, and then its error is raised; on Ctrl-C nothing is waited for, and nothing kept after it."""
    if workers == 1:
        for job in jobs:
            keep(job())
        return
    todo, failed, lock = deque(jobs), list[BaseException](), threading.Lock()
    over = threading.Event()

    def work() -> None:
        while True:
            with lock:
                if not todo:
                    return
                job = todo.popleft()
            try:
                made = job()
                with lock:  # here and not in the main thread, which Ctrl-C interrupts
                    if not over.is_set():
                        keep(made)
            except BaseException as error:
                with lock:
                    failed.append(error)
                    todo.clear()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(workers, len(jobs)))]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        with lock:
            over.set()
            todo.clear()
    if failed:
        raise failed[0]
