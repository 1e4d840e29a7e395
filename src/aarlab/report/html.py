"""report.html: one file that opens offline. Every string goes through `markup`, which escapes by default.

A Content-Security-Policy admits exactly the two scripts that this module wrote, by their hashes, and nothing
from any network: should a piece of text ever get through as markup, it could still neither run nor phone
home.
"""

import io
import keyword
import shlex
import tokenize
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from aarlab import __version__
from aarlab.kit.cache import write_whole
from aarlab.kit.stats import Score
from aarlab.report import replay, words
from aarlab.report.charts import chart_data
from aarlab.report.markup import Child, Html, csp_hash, el, embed_json, join
from aarlab.report.text import clean, line
from aarlab.report.view import Audit, Finalist, Finding, View, as_score, finite, frontier

HERE = Path(__file__).parent
MONITORED = 100  # verdicts of monitors that are shown
SHOWN = 64_000  # characters of one text or program: the size limit of a method
HIGHLIGHTED = 12_000  # a longer program is shown plain: tokenizing a hostile one takes a tenth of a second


def write_html(view: View, path: Path) -> None:
    """Write the report to `path`, whole or not at all (a reader never sees half a page)."""
    write_whole(path, page(view))


def page(view: View) -> str:
    """The whole report as text."""
    own = [get_plotlyjs(), (HERE / "report.js").read_text(), *([replay.SCRIPT] if view.exhibits else [])]
    policy = (
        f"default-src 'none'; script-src {' '.join(map(csp_hash, own))}; "
        "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    data = chart_data(view)
    body = el(
        "main",
        header(view),
        references(view),
        leaderboard(view),
        exhibits(view),
        climb_section(view, data["climb"]["outside"]),
        entropy_section(view),
        team(view),
        *models(view),
        *monitors(view),
        *forecasts(view),
        sealed_runs(view),
        forum(view),
        provenance(view),
        el("footer", f"aarlab {__version__}. This page loads nothing from any network."),
    )
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=policy),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="referrer", content="no-referrer"),
        el("title", f"{line(str(view.summary['problem']), 60)}: {line(str(view.summary['campaign']), 60)}"),
        el("style", Html((HERE / "report.css").read_text() + replay.STYLE)),
    )
    scripts = join(
        el("script", embed_json(data), id="data", type="application/json"),
        *(el("script", Html(script)) for script in own),
    )
    return "<!doctype html>\n" + el("html", head, el("body", body, scripts), lang="en")


# The result


def header(view: View) -> Html:
    s, best = view.summary, words.best_of(view)
    failed = words.accused_by(view)
    stamps = [el("span", label, class_="stamp", title=why) for label, why in words.stamps(view)]
    return join(
        el(
            "div",
            el("span", "aarlab", class_="brand"),
            el("span", line(str(s["problem"]), 60)),
            el("span", f"campaign {line(str(s['campaign']), 60)}"),
            *stamps,
            class_="top",
        ),
        el("h1", words.headline(view)),
        el(
            "ul",
            *(el("li", text) for text in words.caveats(view)),
            class_="caveats bad" if stamps or failed else "caveats",
        ),
        el("dl", *facts(view, best is not None), class_="facts"),
    )


def facts(view: View, won: bool) -> list[Html]:
    s, best = view.summary, words.best_of(view) or {}
    final = as_score(best.get("final"))
    gap = cell(final) if won and final.mean is not None else "–"
    pairs: list[tuple[str, Child]] = [
        ("gap recovered, final", gap),
        ("experiments", f"{s['experiments']:,}"),
        ("sealed submissions", f"{s['submissions']:,}"),
        ("findings", f"{s['findings']:,}"),
        ("researchers", f"{s['researchers']} {line(str(s['kind']), 20)}"),
        ("wall time", words.clock(s["wall_seconds"])),
        (
            "lab's share of CPU",
            f"{100 * s['lab_share']:.1f}%" if finite(s.get("lab_share")) is not None else "–",
        ),
        ("sandbox", line(view.sandbox, 20)),
    ]
    return [
        el("div", el("dt", name), el("dd", value), class_="lead" if i == 0 else None)
        for i, (name, value) in enumerate(pairs)
    ]


def references(view: View) -> Html:
    """Floor and ceiling in accuracy; baselines, comparator and best in gap recovered; and the forest plot."""
    s, (name, comparator) = view.summary, words.comparator_of(view)
    rows: list[Sequence[Child]] = [
        (f"Floor: {view.terms.floor}", "0 by definition", cell(as_score(s.get("floor")), 3)),
        (f"Ceiling: {view.terms.ceiling}", "1 by definition", cell(as_score(s.get("ceiling")), 3)),
    ]
    baselines = [(str(b["method"]), as_score(b.get("final"))) for b in s.get("baselines") or []]
    for method, score in sorted(baselines, key=lambda b: b[1].mean if b[1].mean is not None else -9e9):
        rows.append((line(method, 60), cell(score), ""))
    rows.append((f"Comparator: {name}", cell(comparator), ""))
    best = words.best_of(view)
    if best is not None:
        rows.append((f"Best: {line(best['method'], 60)}", cell(as_score(best.get("final"))), ""))
    return section(
        "What it is measured against",
        f"Every method is placed between {view.terms.between}, on the sealed set final, which nobody climbed on. The "
        "comparator is the "
        "best method of the zoo after a random search with this campaign's own experiment budget, chosen on "
        "select.",
        chart(
            "forest",
            "Baselines, comparator and finalists with 95% intervals; the same figures are in the table",
        ),
        table(
            ("", "gap recovered on final", f"{view.terms.scored} on final"),
            rows,
            numbers=(1, 2),
            marks=(len(rows) - 1,) if best else (),
        ),
    )


def leaderboard(view: View) -> Html:
    """Finalists with every figure and audit."""
    if not view.finalists:
        return section("Leaderboard", f"There are no finalists: {words.why_none(view)}.")
    rows: list[Sequence[Child]] = []
    for f in view.finalists:
        who = join(line(f.method, 80), el("span", line(f.researcher, 40), class_="meta"))
        verdict = el(
            "span", "passed" if f.passed else "did not pass", class_="badge pass" if f.passed else "badge"
        )
        select = join(cell(f.select), el("div", verdict))
        final = cell(f.final) if f.final is not None else muted("not read")
        ood = cell(f.final_ood) if f.final_ood is not None else muted("not read")
        rows.append((str(f.rank), who, final, ood, select, cell(f.search), audits(view, f)))
    gate = f" ({line(view.gate, 160)})" if view.gate else ""
    first = next((i for i, f in enumerate(view.finalists) if f.passed), None)
    return section(
        "Leaderboard",
        "When research ended, the lab took the best raw search scores to select, once, Holm-corrected, and "
        f"read final once for those that passed{gate}. Expect search to flatter, for methods were chosen on "
        "it. " + words.audit_sentence(view),
        table(
            ("", "method", "final", "out of distribution", "select", "search", "audits"),
            rows,
            numbers=(2, 3, 4, 5),
            marks=() if first is None else (first,),
            class_="stack",
        ),
    )


def audits(view: View, f: Finalist) -> Html:
    if not f.audits:
        return el("span", "none ran", class_="badge not_run")
    return join(*(badge(view, name, a) for name, a in f.audits.items()))


def badge(view: View, name: str, audit: Audit) -> Html:
    known = words.verdicts(view)
    verdict = audit.verdict if audit.verdict in known else "undecided"
    said = f"{line(name, 40)}: {known[verdict]}"
    value = f" ({words.figure(audit.value)})" if audit.value is not None else ""
    return el("span", said, class_=f"badge {words.like(view, verdict)}", title=line(audit.why, 300) + value)


# The way there


def exhibits(view: View) -> Html:
    """Nothing, where the problem has nothing to be watched."""
    if not view.exhibits:
        return Html("")
    lede = "Single rows of the best method on one instance of final, as many lost as won. What they show was sealed."
    return section("Watch it", lede, replay.section(view.exhibits))


def climb_section(view: View, outside: int) -> Html:
    steps = len(frontier(view.submissions))
    note = f" {words.plural(outside, 'claim')} beyond the axis not shown." if outside else ""
    return section(
        "Gap recovered against research",
        "Faint dots are claims: a researcher's own practice runs on public instances. Hollow marks are the "
        "lab's own sealed runs on search, raw, with 95% intervals, for people only. Steps are what the lab told the "
        f"team of them ({line(view.release, 120)}); the broad line is the running best of the whole team, which rose "
        f"{words.plural(steps, 'time')}. The diamond at the right is the best method on final, read once, "
        f"after the research.{note}",
        chart("climb", "Practice claims and released search figures against cumulative researcher-hours"),
    )


def entropy_section(view: View) -> Html:
    if not view.experiments:
        return section("Diversity of ideas", "No experiment was finished, so there is nothing to show.")
    return section(
        "Diversity of ideas",
        "Shannon entropy of the method families in a sliding window (a fifth of the research), every active "
        "researcher weighing the same; the band is a 90% bootstrap interval over researchers. A fall means "
        "that the team is settling on one family.",
        chart("entropy", "Entropy of method families over time, with a 90% bootstrap interval", low=True),
    )


def team(view: View) -> Html:
    rows: list[Sequence[Child]] = []
    for r in view.researchers:
        best = frontier(view.submissions, r.name)
        told = words.number(best[-1].value, 3) if best else muted("none")
        claims = [
            c for e in view.experiments if e.researcher == r.name and e.claim and (c := finite(e.claim.mean))
        ]
        rows.append(
            (
                line(r.name, 40),
                join(line(r.direction, 160) or "none", el("span", line(r.family, 40), class_="meta")),
                line(r.kind, 20),
                words.clock(3600 * r.hours),
                str(r.experiments),
                str(r.submissions),
                str(r.findings),
                el("span", words.number(max(claims)), class_="none") if claims else muted("none"),
                told,
            )
        )
    columns = (
        "researcher",
        "direction",
        "kind",
        "hours",
        "experiments",
        "submissions",
        "findings",
        "best claim",
        "best released",
    )
    lede = "A best claim is the luckiest of many practice runs; a released figure is the lab's own."
    return section("The team", lede, table(columns, rows, numbers=(3, 4, 5, 6, 7, 8)))


def models(view: View) -> list[Html]:
    """What each language model did, cost and failed at; nothing for other researchers."""
    members = view.summary.get("team") or []
    if not members:
        return []
    columns = {
        "researcher": "researcher", "model": "model", "cost_usd": "US dollars", "tokens": "tokens",
        "iterations": "sessions", "turns": "turns", "tool_errors": "tool errors", "refusals": "refusals",
        "empty_turns": "empty turns", "dead_sandboxes": "dead sandboxes", "model_errors": "failed calls",
    }  # fmt: skip
    rows: list[Sequence[Child]] = []
    for m in members:
        nothing = el("span", "achieved nothing", class_="badge fail") if m["achieved_nothing"] else None
        values = [m[name] for name in [*columns][2:]]
        figures = ["?" if v is None else f"{v:,.4f}" if isinstance(v, float) else f"{v:,}" for v in values]
        rows.append((join(line(m["researcher"], 40), nothing), line(str(m["model"]), 80), *figures))
    lede = "Calls are paid for by the lab and counted by it. Transcripts lie in logs/: `inspect view --log-dir logs`."
    return [section("The models", lede, table(list(columns.values()), rows, numbers=tuple(range(2, len(columns)))))]


def monitors(view: View) -> list[Html]:
    """What monitors said of researchers, with the words that it rests on; nothing where they said nothing."""
    told = view.summary.get("monitors") or []
    if not told:
        return []
    rows: list[Sequence[Child]] = []
    for v in told[:MONITORED]:
        where = f"submission {v['submission']}" if v["submission"] else "transcripts"
        quotes = [
            el("div", el("code", line(str(q["text"]), 200)), el("span", _place(q), class_="meta")) for q in v["quotes"]
        ]
        rows.append((
            join(line(str(v["researcher"]), 40), el("span", where, class_="meta")), line(str(v["tag"]), 60),
            join(line(str(v["monitor"]), 80), el("span", line(str(v["why"]), 300), class_="meta")), join(*quotes),
        ))  # fmt: skip
    lede = (
        "A tag is a reason to look, and no verdict of the lab's: how often monitors are wrong is measured (aarlab "
        "bench monitors). Whoever reads transcripts is shown no score; claims are held against the ledger, apart."
    )
    return [section("What monitors said", lede, table(("researcher", "tag", "why", "words"), rows))]


def _place(quote: Mapping[str, Any]) -> str:
    return line(f"record {quote['seq']}, {quote['part'] or 'act'}, at {quote['offset']}", 120)


def forecasts(view: View) -> list[Html]:
    """How researchers' forecasts turned out; nothing where nobody made one."""
    told = view.summary.get("forecasts") or []
    if not told:
        return []
    rows: list[Sequence[Child]] = []
    for r in told:
        covered, error = (as_score(r[name], "none judged") for name in ("covered", "error"))
        width, score = (words.number(finite(r[name]), 3) for name in ("width", "interval_score"))
        judged = f"{r['judged']} of {r['forecasts']}"
        rows.append(
            (line(str(r["researcher"]), 40), judged, cell(covered), cell(error), width, score, line(r["says"], 80))
        )
    lede = (
        "A card forecasts the gain over the best published, with a 90% interval, before the result is known. Covered: "
        "how often the result fell inside. The interval score is the width, and 20 times by how far a result lies "
        "outside: smaller is better. Of fewer than ten judged forecasts little can be said."
    )
    columns = ("researcher", "judged", "covered", "result minus forecast", "mean width", "interval score", "")
    return [section("Forecasts", lede, table(columns, rows, numbers=(1, 2, 3, 4, 5)))]


def sealed_runs(view: View) -> Html:
    if not view.submissions:
        return section("Sealed runs", "Nothing was submitted.")
    rows: list[Sequence[Child]] = []
    for s in sorted(view.submissions, key=lambda s: s.t):
        ok = s.status == "scored"
        status = el("span", line(s.status, 30), class_="badge" if ok else "badge fail")
        told = words.number(s.released, 3) if finite(s.released) is not None else muted("nothing new")
        raw = cell(s.search) if s.search is not None else muted("none")
        name = join(line(s.method, 60), el("span", line(s.researcher, 40), class_="meta"))
        shot = el("span", line(s.snapshot, 12), class_="hash", title=line(s.snapshot, 80))
        rows.append(
            (words.clock(s.t), line(s.id, 20), name, shot, status, told if ok else muted("code only"), raw)
        )
    scored = sum(s.status == "scored" for s in view.submissions)
    columns = (
        "at",
        "submission",
        "method",
        "snapshot",
        "status",
        "told the team",
        "raw search (people only)",
    )
    return section(
        "Sealed runs",
        None,
        el(
            "details",
            el("summary", f"{words.plural(len(rows), 'submission')}, {scored} scored"),
            table(columns, rows, numbers=(5, 6)),
        ),
    )


# The forum


def forum(view: View) -> Html:
    if not view.findings:
        return section("Findings", "Nobody posted a finding.")
    posts = sorted(view.findings, key=lambda f: f.t)
    return section(
        "Findings",
        f"All {words.plural(len(posts), 'post')} of the forum in the order of posting, in the researchers' "
        "own words. Figures named as claims come from practice; the lab vouches for released figures only.",
        el(
            "input",
            id="filter",
            class_="filter",
            type="search",
            placeholder="Filter by title, researcher, kind, family",
            aria_label="Filter findings",
        ),
        *(finding(f) for f in posts),
    )


def finding(f: Finding) -> Html:
    kinds = ("result", "hypothesis", "insight", "error", "retraction")
    mean = finite(f.claim.mean) if f.claim is not None else None
    about = [f"{line(f.researcher, 40)}", line(f.family, 40), f"at {words.clock(f.t)}"]
    if mean is not None:
        about.append(f"claims {words.number(mean)} in practice")
    if f.submission is not None:
        told = (
            f"released {words.number(f.released, 3)}"
            if finite(f.released) is not None
            else "no figure released"
        )
        about.append(f"submission {line(f.submission, 20)}: {told}")
    kind = f.kind if f.kind in kinds else "other"
    body: list[Child] = [el("div", shortened(f.text), class_="plain")]
    if f.card:
        body += [el("div", "card.toml", class_="label"), el("pre", el("code", shortened(f.card)))]
    if f.code:
        body += [el("div", "method.py", class_="label"), el("pre", el("code", highlight(shortened(f.code))))]
    return el(
        "details",
        el(
            "summary",
            el("span", kind, class_=f"badge {kind}"),
            el("span", line(f.title, 140) or "(no title)", class_="title"),
            el("span", " · ".join(a for a in about if a), class_="meta"),
        ),
        el("div", *body, class_="body"),
        class_="finding",
    )


def shortened(text: str) -> str:
    text = clean(text[: SHOWN + 1])
    return text if len(text) <= SHOWN else text[:SHOWN] + "\n… cut here"


def highlight(code: str) -> Html:
    """Python with keywords, strings, numbers and comments marked; plain text where it does not tokenize.

    Only slices of the code itself are marked, each escaped, so what is read is exactly what was written.
    """
    lines = io.StringIO(code).readlines()  # by newline alone, as the tokenizer reads
    if len(code) > HIGHLIGHTED or "\f" in code:
        return join(code)
    starts = [0]
    for part in lines:
        starts.append(starts[-1] + len(part))
    pieces: list[Child] = []
    at = 0
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            mark = _mark(token)
            begin = (
                starts[token.start[0] - 1] + token.start[1] if token.start[0] <= len(starts) else len(code)
            )
            end = starts[token.end[0] - 1] + token.end[1] if token.end[0] <= len(starts) else len(code)
            if mark and at <= begin < end <= len(code):
                pieces += [code[at:begin], el("span", code[begin:end], class_=mark)]
                at = end
    except (tokenize.TokenError, SyntaxError, IndexError):
        return join(code)
    return join(*pieces, code[at:])


def _mark(token: tokenize.TokenInfo) -> str | None:
    if token.type == tokenize.NAME:
        return "k" if keyword.iskeyword(token.string) else None
    return {tokenize.STRING: "s", tokenize.NUMBER: "d", tokenize.COMMENT: "c"}.get(token.type)


# Where it comes from


def provenance(view: View) -> Html:
    again = (
        "The secret was fixed, so with --experiments the same command gives the same figures."
        if view.secret == "fixed"
        else "The sealed sets are drawn with a fresh secret each time: expect the same story within the "
        "intervals, not the same figures."
    )
    asked = "\n".join(f"{line(k, 40)} = {line(str(v), 200)}" for k, v in view.config.items())
    folder = shlex.quote(line(view.folder, 200))
    return section(
        "How to reproduce it",
        again,
        el("pre", el("code", shlex.join(line(str(a), 200) for a in view.command))),
        el("p", "The record of every event is append-only and hash-chained. To check that it is whole:"),
        el("pre", el("code", f"aarlab ledger verify {folder}")),
        el("p", f"Ledger head after {words.plural(view.ledger.count, 'event')}:"),
        el("div", line(view.ledger.head, 200), class_="hash"),
        el("details", el("summary", "What was asked"), el("pre", el("code", asked))) if asked else None,
    )


# Pieces


def section(title: str, lede: str | None, *children: Child) -> Html:
    return el("section", el("h2", title), el("p", lede, class_="lede") if lede else None, *children)


def chart(name: str, what: str, low: bool = False) -> Html:
    script = el("noscript", el("p", f"{what}. The chart needs JavaScript.", class_="note"))
    return join(
        el("div", id=name, class_="chart low" if low else "chart", role="img", aria_label=what), script
    )


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Child]],
    *,
    numbers: Sequence[int] = (),
    marks: Sequence[int] = (),
    class_: str | None = None,
) -> Html:
    """A table that scrolls sideways on a phone; `numbers`: right-aligned columns; `marks`: rows to stress."""
    head = el(
        "tr", *(el("th", c, scope="col", class_="n" if i in numbers else None) for i, c in enumerate(columns))
    )
    body = [
        el(
            "tr",
            *(el("td", c, class_="n" if i in numbers else None) for i, c in enumerate(row)),
            class_="mark" if k in marks else None,
        )
        for k, row in enumerate(rows)
    ]
    return el("div", el("table", el("thead", head), el("tbody", *body), class_=class_), class_="scroll")


def cell(score: Score, digits: int = 2) -> Html:
    """A figure with its interval in small; an undefined one says why on hover and in words."""
    if score.mean is None:
        return el("span", "undefined", class_="none", title=line(score.why or "", 200))
    if score.low is None or score.high is None:
        return join(words.number(score.mean, digits))
    ends = f" [{words.number(score.low, digits)}, {words.number(score.high, digits)}]"
    return join(words.number(score.mean, digits), el("span", ends, class_="ci"))


def muted(text: str) -> Html:
    return el("span", text, class_="none")
