"""The result in words: one honest sentence, what it rests on, and what stands in its way. Plain text
throughout."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from aarlab.kit.stats import Score
from aarlab.report.text import line
from aarlab.report.view import View, as_score

PLAIN = {"pass": "passed", "fail": "failed", "undecided": "undecided", "not_run": "not run"}
SILENT = {"informs": "informs", "not assessed": "not assessed"}  # shown as if they had not run


def verdicts(view: View) -> dict[str, str]:
    """Every verdict that is known by name, in words: the plain ones, those of the problem's two-by-two, the others."""
    own = view.verdicts
    cleared = [v for v in (own.both, own.alone, own.sign) if v is not None] if own else []
    return PLAIN | {v: v for v in cleared + ([own.neither] if own else [])} | SILENT


def like(view: View, verdict: str) -> str:
    """How a verdict is shown: as one of the plain ones, or as it is."""
    if verdict in SILENT:
        return "not_run"
    if view.verdicts is None or verdict in PLAIN or verdict not in verdicts(view):
        return verdict
    return "fail" if verdict == view.verdicts.neither else "pass"


def figure(score: Score, digits: int = 2) -> str:
    """`0.63 [0.58, 0.68]`, `0.63 (no interval)` or `undefined`."""
    if score.mean is None:
        return "undefined"
    if score.low is None or score.high is None:
        return f"{number(score.mean, digits)} (no interval)"
    return f"{number(score.mean, digits)} [{number(score.low, digits)}, {number(score.high, digits)}]"


def number(value: float | None, digits: int = 2) -> str:
    """A number with a real minus sign and never minus zero; a dash for None."""
    if value is None:
        return "–"
    written = f"{value:.{digits}f}"
    return written.lstrip("-") if float(written) == 0 else written.replace("-", "−")


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def clock(seconds: float) -> str:
    """`42 s`, `3 min 05 s`, `2 h 10 min`."""
    s = max(round(seconds), 0)
    if s < 60:
        return f"{s} s"
    return f"{s // 60} min {s % 60:02d} s" if s < 3600 else f"{s // 3600} h {s % 3600 // 60:02d} min"


def best_of(view: View) -> Mapping[str, Any] | None:
    best = view.summary.get("best")
    return best if best else None


def comparator_of(view: View) -> tuple[str, Score]:
    """Name and `final` score of the comparator."""
    c = view.summary.get("comparator") or {}
    return line(c.get("method") or "unnamed", 60), as_score(c.get("final"), "no comparator was measured")


def headline(view: View) -> str:
    """The result of the campaign in one sentence that claims no more than was measured."""
    best = best_of(view)
    if best is None:
        return f"No method passed: {why_none(view)}."
    method, final = named(best["method"]), as_score(best.get("final"))
    if final.mean is None:
        why = final.why or "no reason was recorded"
        return f"{method} passed selection, but its gap recovered on final is undefined: {line(why, 160)}."
    if final.high is not None and final.high <= 0:
        return f"{method} is no better than {view.terms.rival}: it recovers {figure(final)} of the gap on final."
    return f"{method} recovers {figure(final)} of the gap on final {against_comparator(view)}."


def against_comparator(view: View) -> str:
    """A clause: does the best method beat the comparator, by how much, with what certainty?"""
    best = best_of(view)
    name, its = comparator_of(view)
    if its.mean is None:
        return "and there is no comparator to hold it against"
    d = as_score((best or {}).get("beats_comparator"))
    whom = f"the comparator, {named(name)} at {figure(its)}"
    if d.mean is None:
        why = line(d.why or "no reason was recorded", 120)
        return f"and whether it beats {whom}, is undefined: {why}"
    if d.low is None or d.high is None:
        return f"and differs by {number(d.mean)} from {whom}, with no interval to judge it by"
    if d.low > 0:
        return f"and beats {whom}, by {figure(d)}"
    if d.high < 0:
        return f"and falls short of {whom}: the difference is {figure(d)}"
    return f"and cannot be told apart from {whom}: the difference, {figure(d)}, may be zero"


def named(method: str) -> str:
    """A name in quotation marks, so that commas and verbs inside it are seen to be the name's."""
    return f"“{line(method, 60)}”"


def beats(view: View) -> bool | None:
    """True: the paired interval lies above zero; False: it does not; None: there is no interval."""
    d = as_score((best_of(view) or {}).get("beats_comparator"))
    return None if d.low is None else d.low > 0


def why_none(view: View) -> str:
    """Why there is no best method, from what happened: the first gate that nobody passed."""
    if not view.experiments and not view.submissions:
        return "no experiment was finished"
    if not view.submissions:
        failed = sum(e.claim is None for e in view.experiments)
        tail = f" ({failed} of them failed)" if failed else ""
        return f"after {plural(len(view.experiments), 'experiment')}{tail} nothing had been submitted"
    scored = [s for s in view.submissions if s.status == "scored"]
    if not scored:
        codes = Counter(s.status for s in view.submissions).most_common(4)
        listed = ", ".join(f"{line(code, 30)} {count}" for code, count in codes)
        return f"none of {plural(len(view.submissions), 'submission')} could be scored ({listed})"
    if not view.finalists:
        return f"{plural(len(scored), 'submission')} scored on search, and none was taken to select"
    passed = [f for f in view.finalists if f.passed]
    if not passed:
        best = max(view.finalists, key=lambda f: f.select.mean if f.select.mean is not None else -1e9)
        if len(view.finalists) == 1:
            return (
                f"the one finalist, {named(best.method)}, recovered {figure(best.select)} on select and did "
                "not pass, so final was not read"
            )
        return (
            f"none of {len(view.finalists)} finalists passed select (Holm-corrected); the best there, "
            f"{named(best.method)}, recovered {figure(best.select)}, and final was not read"
        )
    return f"{plural(len(passed), 'finalist')} passed select, but none has a defined score on final"


def audits_of(view: View) -> dict[str, Mapping[str, Any]]:
    return dict((best_of(view) or {}).get("audits") or {})


def accused_by(view: View) -> list[str]:
    """The audits that speak against the best method."""
    told = [line(str(name), 40) for name in (best_of(view) or {}).get("accused_by") or []]
    failed = [n for n, a in audits_of(view).items() if like(view, str(a.get("verdict"))) == "fail"]
    return list(dict.fromkeys([*told, *failed]))


def audit_sentence(view: View) -> str:
    """What the audits said of the best method, or that they did not run."""
    if best_of(view) is None:
        return "No audits: there is no method to audit."
    known = verdicts(view)
    by: dict[str, list[str]] = {v: [] for v in known}
    for name, audit in audits_of(view).items():
        by.setdefault(str(audit.get("verdict", "not_run")), []).append(line(name, 40))
    if not any(by[v] for v in known if v not in ("not_run", *SILENT)):
        listed = f" ({', '.join(by['not_run'])})" if by["not_run"] else ""
        return (
            f"No audit has run{listed}: the figure rests on re-execution by the lab and held-out data alone."
        )
    own = [v for v in known if v not in PLAIN and v not in SILENT]
    bad = [v for v in own if like(view, v) == "fail"]
    order = ("fail", *bad, "undecided", *(v for v in own if v not in bad), "pass", "not assessed", "not_run")
    others = [v for v in by if v not in known]  # such as "holds on 1 of 3"
    said = "; ".join(f"{known.get(v, line(v, 40))} ({', '.join(by[v])})" for v in (*order, *others) if by[v])
    end = " A method that fails an audit is not a result." if accused_by(view) else ""
    return f"Audits: {said}.{end}"


def stamps(view: View) -> list[tuple[str, str]]:
    """Short label and explanation of everything that spoils a campaign as evidence."""
    found = []
    if view.placebo is not None:
        found.append(
            (
                "PLACEBO",
                f"The sealed truth was redrawn so that nothing above {view.terms.floor} can be found: whatever gain "
                "stands here is luck, error or cheating.",
            )
        )
    if view.sandbox == "none":
        found.append(
            (
                "NOT ISOLATED",
                "Researchers ran without a sandbox and could have read sealed labels: do not rely on this.",
            )
        )
    if view.secret == "fixed":
        found.append(
            (
                "FIXED SECRET",
                "The sealed sets were drawn with a known secret: repeatable, but not a held-out result.",
            )
        )
    return found


def placebo_sentences(view: View) -> list[str]:
    """Where the headline stands among campaigns in which there was nothing to find, and on truth drawn anew."""
    best, found = best_of(view) or {}, []
    placed, redrawn = best.get("placebo_rank") or {}, best.get("p_redrawn") or {}
    if placed.get("p") is not None:
        above = int(placed["rank"]) - 1
        s, why = placed["settings"], line(placed.get("why") or "", 300)
        found.append(
            f"Placebo: of {plural(int(placed['of']), 'campaign')} with nothing to find "
            f"({s['experiments']} experiments, {s['researchers']} researchers), "
            f"{above or 'none'} had a best raw search score as high as this figure on final: p = {placed['p']:.3f}"
            + (f"; {why}." if why else ".")
        )
    elif placed:
        found.append(f"Not ranked among placebo campaigns: {line(placed.get('why') or 'no reason recorded', 300)}.")
    if redrawn.get("p") is not None:
        select = redrawn.get("select") or redrawn.get("final") or {}
        held = number(select["q95"])
        found.append(
            f"With the truth redrawn {redrawn['redraws']:,} times so that only {view.terms.floor} is right more often "
            f"than not, the best of {plural(int(select['methods']), 'finalist')} recovers {held} in all but "
            f"5% of draws, against {number(select['observed'])} here: p = {redrawn['p']:.3f}."
        )
    return found


def caveats(view: View) -> list[str]:
    """What a careful reader should know before believing the headline."""
    found = [f"{label}. {why}" for label, why in stamps(view)]
    if view.ended:
        found.append(f"The campaign ended early: {line(view.ended, 200)}.")
    found += [f"On record: {line(str(note), 200)}." for note in view.summary.get("record") or []]
    found.append(audit_sentence(view))
    found += placebo_sentences(view)
    best = best_of(view)
    if best is not None:
        final, ood = as_score(best.get("final")), as_score(best.get("final_ood"))
        if final.seeds:
            rows = f" of {final.n:,} test rows each" if final.n else ""
            found.append(
                f"Square brackets are 95% intervals, here over {plural(final.seeds, 'sealed instance')}"
                f"{rows}, in one campaign on one testbed."
            )
        if ood.mean is not None:
            found.append(f"On the out-of-distribution part of final it recovers {figure(ood)}.")
    return found
