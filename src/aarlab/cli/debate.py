"""`aarlab debate`: debates about texts, by small trained models or by language models, with their controls."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from aarlab.campaign.config import BadCampaign
from aarlab.problems import base
from aarlab.problems.debate import Debate
from aarlab.problems.debate.reading import Reading, figures, session
from aarlab.problems.debate.reading.llm import LLMMissing
from aarlab.problems.debate.reading.passages import Case
from aarlab.problems.debate.reading.protocols import NotOpened, Protocol, UnknownProtocol, chosen, names
from aarlab.problems.debate.reading.quality import BadPassage
from aarlab.problems.debate.replay import spoken
from aarlab.problems.debate.transcripts import BadTranscript, Transcript
from aarlab.report import replay as pages
from aarlab.report.text import line

REFUSED = (session.BadSeason, BadPassage, BadTranscript, LLMMissing, NotOpened, UnknownProtocol)
USUAL = "debate,swapped,consultancy"
DRAFTS, QUESTIONS = 4, 100
WATCHED = 20  # games of one protocol on the page
Watch = Callable[[int, int], None]
HELP = "\n\n".join((  # a paragraph a line: the help is wrapped when it is shown
    "Let debaters argue over a text that the judge cannot see, and measure whether it believes the truth (Khan 2024).",
    "Each question is debated between its right answer and a wrong one, dealt by dice. The judge sees the question and "
    "what is said, with quotations that were checked word for word, never the text. A debater that quotes what is not "
    "there, or names no answer, forfeits. Beside every game stand its controls: the same judge on as many random "
    "quotations, on none, and on the whole text.",
    "Small trained models, no key needed:  aarlab debate debate/reading",
    "All protocols, to be gone on with:  aarlab debate debate/reading --protocol all --out DIR",
    r"Language models (pip install 'aarlab\[llm]' and the provider's package; the key in its usual variable):  aarlab "
    "debate debate/reading --debater openai/gpt-4o --judge openai/gpt-4o-mini --questions 20 --out DIR",
    "Your own passages:  add --data FILE.jsonl to any of these.",
    "Ctrl-C loses no game that was over: the same command with the same --out goes on, also with more questions or "
    "protocols, and asks for nothing twice. Exit status: 0 done, 1 stopped, 2 something cannot be used as given.",
))  # fmt: skip


def debate(
    testbed: Annotated[str, typer.Argument(help="A testbed of texts: debate/reading (four quotations) or -6 (six).")],
    data: Annotated[
        Path | None,
        typer.Option(help="Passages of your own, QuALITY-style: one JSON object a line with article, and questions "
                     "with question, options, gold_label (from 1). Default: generated passages."),
    ] = None,
    debater: Annotated[
        str,
        typer.Option(help="reader: a small trained model that quotes what its reading rests on; planner: the same, "
                     "planning with the trained judge; or PROVIDER/MODEL as inspect-ai names it (extra llm)."),
    ] = "reader",
    judge: Annotated[str, typer.Option(help="reader: small, trained on quotations; or PROVIDER/MODEL.")] = "reader",
    protocol: Annotated[
        str,
        typer.Option(help="Separated by commas: debate, debate-swapped, consultancy, interactive-debate, "
                     "interactive-consultancy, debate-best-of-N, consultancy-best-of-N; or groups of them: "
                     "interactive, best-of, swapped, all."),
    ] = USUAL,
    questions: Annotated[int, typer.Option(min=1, help="How many questions, under each protocol.")] = QUESTIONS,
    rounds: Annotated[
        int | None, typer.Option(min=1, max=20, help="Rounds of a game (default: the testbed's quotations by two).")
    ] = None,
    best_of: Annotated[
        int | None, typer.Option(min=2, max=64, help=f"Drafts of best of n (default {DRAFTS}).")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seeds passages, who holds the truth, and small models.")] = 0,
    parallel: Annotated[int, typer.Option(min=1, max=64, help="Games at once, where a model is asked.")] = 8,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of transcripts, figures and the page to watch them on. If it holds such games, "
                     "what is missing is played and nothing twice. Default: a fresh folder in debates/."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on standard output.")] = False,
) -> None:  # fmt: skip
    """Debates about a text that the judge cannot see. HELP says more."""
    try:
        protocols = chosen(protocol, best_of or DRAFTS)
        if best_of is not None and not any(p.drafts > 1 for p in protocols):
            raise BadCampaign(f"--best-of {best_of}: no protocol that was chosen drafts; add best-of to --protocol")
        k = _reading(testbed).k
        rows, training, digest = session.questions(data, questions, seed)
        terms = session.Terms(testbed, digest, debater, judge, k, rounds or k // 2, seed)
        session.check(terms)
        _warn(terms, len(rows), questions, protocols)
        folder = out or _fresh_folder(testbed, seed)
        with session.season(folder, terms) as kept, _watching() as watch:
            games, controls = session.conduct(
                kept, terms, rows, protocols, lambda: session.cast(terms, rows, training, parallel), watch
            )
            found = {
                "testbed": testbed, "data": None if data is None else str(data), "debater": debater, "judge": judge,
                "questions": len(rows), "rounds": terms.rounds, "seed": seed,
                **figures.table(games, controls, protocols), "folder": str(folder),
                "transcripts": str(folder / "transcripts.jsonl"), "page": str(folder / "debates.html"),
            }  # fmt: skip
            (folder / "figures.json").write_text(json.dumps(found, indent=1) + "\n")
            _write_page(folder / "debates.html", testbed, games, rows)
    except REFUSED as error:
        raise BadCampaign(line(str(error), 500)) from error
    except session.Stopped as error:
        told = line(f"stopped ({error}); go on with the same command and --out {folder}", 600)
        print(f"aarlab: {told}", file=sys.stderr)
        raise typer.Exit(1) from error
    print(json.dumps(found)) if as_json else _show(found)


def _reading(name: str) -> Reading:
    problem = base.load(name)
    if not isinstance(problem, Debate) or not isinstance(problem.testbed, Reading):
        raise BadCampaign(f"{name}: no testbed of texts to be debated in words; give debate/reading")
    return problem.testbed


def _fresh_folder(testbed: str, seed: int) -> Path:
    """debates/reading-seed0, then -2, -3 …"""
    stem = Path("debates") / f"{testbed.rpartition('/')[2]}-seed{seed}"
    folder, number = stem, 1
    while folder.exists():
        number += 1
        folder = stem.with_name(f"{stem.name}-{number}")
    return folder


def _warn(terms: session.Terms, found: int, asked: int, protocols: Sequence[Protocol]) -> None:
    """What somebody would want to know before it begins."""
    if found < asked:
        print(f"aarlab: there are {found} questions, not {asked}; all are debated", file=sys.stderr)
    if terms.data is not None and {terms.debater, terms.judge} & set(session.TRAINED):
        print("aarlab: the trained models know the words of generated passages alone, none of yours", file=sys.stderr)
    if not terms.talks and any(p.interactive for p in protocols):
        print("aarlab: the trained judge asks nothing; its interactive protocols are the plain ones", file=sys.stderr)
    for who, often in session.calls(terms, protocols, found).items():
        print(f"aarlab: up to {often:,} calls of {line(who)}, less what the folder has", file=sys.stderr)


@contextmanager
def _watching() -> Iterator[Watch]:
    """Games on standard error as they end: a bar in a terminal, else a line for every tenth."""
    if sys.stderr.isatty():
        with Progress(console=Console(stderr=True)) as progress:
            task = progress.add_task("debating", total=None)
            yield lambda done, of: progress.update(task, completed=done, total=of)
        return
    told = [-1]

    def watch(done: int, of: int) -> None:
        if (tenth := 10 * done // of) > told[0]:
            told[0] = tenth
            print(f"aarlab: {done} of {of} games", file=sys.stderr, flush=True)

    yield watch


def _write_page(path: Path, testbed: str, games: Sequence[Transcript], rows: Sequence[Case]) -> None:
    """Some games of every protocol, those that the truth lost in front, on a page that can be played."""
    by_name = dict(zip(names(rows), rows, strict=True))
    shown = []
    for protocol in dict.fromkeys(t.protocol for t in games):
        mine = sorted((t for t in games if t.protocol == protocol), key=lambda t: t.right or 0.0)
        lost = sum(not t.right for t in mine)
        shown += mine[: max(WATCHED // 2, WATCHED - (len(mine) - lost))][:lost]
        shown += mine[lost : lost + WATCHED - min(lost, WATCHED // 2)]
    pages.write(path, f"Debates of {testbed}", [spoken(t, by_name[t.case].sentences) for t in shown])


def _show(found: Mapping[str, Any]) -> None:
    about = "generated passages" if found["data"] is None else line(found["data"])
    print(
        f"{found['testbed']}: {found['questions']} questions about {about}; debater {line(found['debater'])}, judge "
        f"{line(found['judge'])}; {found['rounds']} rounds; seed {found['seed']}\n"
    )
    print(f"{'protocol':24s}{'judge right ± se [95%]':32s}{'at random':11s}{'above that [95%]':25s}{'words':8s}"
          f"{'honest wins':13s}{'Brier':7s}{'escalation':12s}forfeits")  # fmt: skip
    for name, p in found["protocols"].items():
        forfeits = p["forfeits"]
        print(f"{name:24s}{_full(p['accuracy']):32s}{_mean(p['random_quotations']):11s}"
              f"{_interval(p['above_random_quotations']):25s}{p['words_quoted']['game']:<8.0f}"
              f"{_mean(p['honest_wins']):13s}{_mean(p['brier']):7s}{_mean(p['escalation'], '+.3f'):12s}"
              f"{forfeits['games']}")  # fmt: skip
        for reason, count in forfeits["reasons"].items():
            print(f"  forfeits: {reason}, {count} (of all, {forfeits['honest']} honest and {forfeits['lying']} lying)")
    alone, swap = found["judge_alone"], found["order_swap"]
    print(f"\nthe same judge, with nobody debating: no quotations {_full(alone['no_quotations'])}; the whole passage "
          f"{_full(alone['whole_passage'])}")  # fmt: skip
    for name, p in found["protocols"].items():
        if "arguments_alone" in p:
            print(f"  arguments of {name} without its quotations: {_full(p['arguments_alone'])}")
        if p["judge_lapses"]:
            print(f"  {name}: the judge gave no probability in {p['judge_lapses']} of {p['judge_calls']} calls")
    if swap["consistent"]["mean"] is not None:
        print(f"order swapped: the same answer is believed in {_full(swap['consistent'])}; who is in front is believed "
              f"more by {_interval(swap['in_front_believed_more'])}")  # fmt: skip
    if found["debate_above_consultancy"]["mean"] is not None:
        print(f"debate above consultancy: {_interval(found['debate_above_consultancy'])}")
    for role, s in found["spent"].items():
        print(f"{role}: {s['calls']:,} calls, {s['input']:,} tokens read, {s['output']:,} written")
    print(f"watch it: {found['page']}; transcripts: {found['transcripts']}")


def _mean(score: Mapping[str, Any], form: str = ".3f") -> str:
    return "-" if score["mean"] is None else format(score["mean"], form)


def _full(score: Mapping[str, Any]) -> str:
    if score["se"] is None:
        return _mean(score)
    return f"{score['mean']:.3f} ± {score['se']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"


def _interval(score: Mapping[str, Any]) -> str:
    if score["se"] is None:
        return _mean(score, "+.3f")
    return f"{score['mean']:+.3f} [{score['low']:+.3f}, {score['high']:+.3f}]"
