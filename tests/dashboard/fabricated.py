"""Campaigns that nobody ran, written straight into a ledger as the lab would: to be shown, and to be hostile."""

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
from xss import PAYLOADS

from aarlab.campaign import run as campaigns
from aarlab.campaign.config import Config
from aarlab.campaign.steering import steer
from aarlab.dashboard.pages import PAGE
from aarlab.lab import seal, snapshots
from aarlab.lab.ledger import Ledger

Serve = Callable[..., str]
CODE = "import numpy as np\n\n\ndef run(task):\n    # {comment}\n    return task.weak[:{n}]\n"
HOURS = 1 / 1200


def score(mean: float, half: float = 0.05, seeds: int = 10) -> dict[str, Any]:
    return {
        "mean": mean,
        "se": half / 2.2,
        "low": mean - half,
        "high": mean + half,
        "seeds": seeds,
        "n": 400,
        "why": None,
    }


def card(name: str, family: str = "other") -> str:
    """A card with any name: TOML's basic string is JSON's, but for what TOML knows no escape for."""
    written = json.dumps("".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in name))
    return f"name = {written}\nwhat = {written}\nfamily = {json.dumps(family)}\n"


def log_of(place: Path, messages: list[dict[str, Any]], attachments: dict[str, str] | None = None) -> None:
    """A log as inspect-ai writes it, but for its compression."""
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as log:
        log.writestr("header.json", "{}")
        log.writestr("samples/1_epoch_1.json", json.dumps({"messages": messages, "attachments": attachments or {}}))


class Fabricated:
    """A campaign's folder and its ledger, written event by event as the lab would."""

    def __init__(self, folder: Path, researchers: int = 3, **options: Any) -> None:
        self.folder = folder
        self.names = [f"r{i + 1}" for i in range(researchers)]
        campaigns.start(Config(problem="w2s/toy", researchers=researchers, minutes=1.0, seed=1, **options), folder)
        self.ledger = Ledger(folder / "lab.db")
        self.at = 0.0
        self.handed: dict[str, int] = dict.fromkeys(self.names, 0)
        self.log("baseline_published", name="naive_hard", published=0.3, search=score(0.3))

    def log(self, kind: str, actor: str = "lab", /, **payload: Any) -> int:
        return self.ledger.append(kind, actor, **payload).seq

    def store(self, name: str, n: int = 1, comment: str = "calm", more: dict[str, str] | None = None) -> str:
        files = {"method.py": CODE.format(n=n, comment=comment), "card.toml": card(name), **(more or {})}
        return snapshots.store(self.folder / "snapshots", files)

    def practice(self, who: str, name: str, snapshot: str, claim: float | None = 0.5, family: str = "other") -> None:
        self.at += 0.1
        self.log("practice", who, snapshot=snapshot, name=name, family=family, seeds=[1000], elapsed=self.at,
                 hours=self.at * HOURS, code="ok" if claim is not None else "raised",
                 claim=score(claim) if claim is not None else None, cpu_seconds=0.2)  # fmt: skip

    def submit(self, who: str, name: str, snapshot: str, family: str = "other", near: int | None = None) -> int:
        self.handed[who] += 1
        number = 100 * (self.names.index(who) + 1) + self.handed[who]
        self.at += 0.1
        self.log("submission", who, id=number, snapshot=snapshot, name=name, family=family, shape=f"{number:016x}",
                 near=near, elapsed=self.at, hours=self.at * HOURS)  # fmt: skip
        return number

    def judge(self, number: int, mean: float, released: float | None = None) -> None:
        self.log("judged", id=number, status="scored", draw=0, improved=released is not None, released=released, z=4.0,
                 crossed=False, search=score(mean), elapsed=self.at)  # fmt: skip

    def post(self, who: str, title: str, text: str, submission: int | None = None, kind: str = "result") -> None:
        self.at += 0.1
        self.log("finding", who, researcher=who, kind=kind, title=title, text=text, family="other", submission=submission,
                 snapshot=None, elapsed=self.at, queued=None)  # fmt: skip

    def finish(
        self, best: int, name: str, snapshot: str, audits: dict[str, Any], record: list[str] | None = None
    ) -> None:
        self.log("research_ended", why="time", elapsed=self.at)
        accused = [n for n, a in audits.items() if a["verdict"] == "fail"]
        common = {"submission": best, "method": name, "researcher": f"r{best // 100}", "snapshot": snapshot,
                  "search": score(0.8), "select": score(0.75), "final": score(0.7), "final_ood": score(0.65)}  # fmt: skip
        for read in ("select", "final"):
            self.log("reading", set=read, submission=best, code="ok", score=common[read])
        finalist = {**common, "rank": 1, "p": 0.001, "passed": True, "audits": audits}
        self.log("finished", summary={
            "campaign": "fabricated", "problem": "w2s/toy", "seed": 1, "kind": "search", "researchers": len(self.names),
            "sandbox": "bwrap", "secret": "random", "placebo": None, "experiments": 1, "submissions": 1, "findings": 1,
            "wall_seconds": 61.0, "lab_share": 0.1, "floor": score(0.7), "ceiling": score(0.99),
            "baselines": [{"method": "naive_hard", "final": score(0.3)}],
            "comparator": {"method": "tuned", "final": score(0.6)},
            "best": {**common, "finding": 1, "beats_comparator": score(0.1), "audits": audits, "accused_by": accused},
            "finalists": [finalist], "why": None, "conduct": {}, "record": record or [], "report": "report.html",
        })  # fmt: skip
        seal.publish(self.ledger)


AUDITS = {
    "re-execution": {"verdict": "pass", "value": score(0.0), "why": "the same predictions when run again"},
    "constants": {"verdict": "fail", "value": None, "why": "its numbers carry fitted labels", "accuses": True},
    "two-by-two": {
        "verdict": "undecided", "value": score(0.2), "why": "not shown either way",
        "cells": {"real": {"code": "ok", "accuracy": score(0.9), "recovered": score(0.7)}},
        "tests": [{"claim": "needs the student", "p": 0.001, "adjusted": 0.004, "holds": True}],
        "graded": [{"what": "permuted-teacher", "share": s, "score": score(0.7 - s / 2)} for s in (0.0, 0.5, 1.0)],
    },
}  # fmt: skip


GAME = {  # as a problem describes what can be watched, with a text that would like to be markup
    "question": "</script><script>alert(1)</script>", "truth": "3", "lie": "<b>8</b>", "image": [[0.0, 1.0], [0.5, 0.0]],
    "sentences": None, "legal": [False, True, True, False], "before": 0.5, "won": True, "whole": True,
    "steps": [{"item": 1, "side": "truth", "belief": 0.7}, {"item": 2, "side": "lie", "belief": 0.6}],
}  # fmt: skip


def fabricate(folder: Path, finished: bool = True) -> Fabricated:
    """A small campaign of harmless researchers: 12 runs, 4 submissions, 4 findings; one audit accuses the best."""
    f = Fabricated(folder)
    for i in range(12):
        who = f.names[i % 3]
        f.practice(who, f"try {i}", f.store(f"try {i}", n=i + 1), None if i == 5 else 0.3 + 0.03 * i, f"family {i % 4}")
    handed = []
    for i, who in enumerate(("r1", "r2", "r3", "r1")):
        snapshot = f.store(f"method {i}", n=50 + i)
        f.practice(who, f"method {i}", snapshot, 0.6)
        handed.append((f.submit(who, f"method {i}", snapshot), f"method {i}", snapshot))
        if i < 3:
            f.judge(handed[-1][0], 0.5 + 0.1 * i, 0.5 + 0.1 * i if i else None)
        f.post(who, f"result {i}", f"what method {i} found", handed[-1][0])
    f.log("gave_up", "r3", why="there is nothing more", elapsed=f.at)
    f.log("clock", elapsed=f.at, cpu={"lab": 1.0, "sandboxes": 8.0, "starts": 1.0})
    if finished:
        f.judge(handed[-1][0], 0.8, 0.75)
        (folder / "exhibits.json").write_text(json.dumps([GAME]))
        f.finish(*handed[2], AUDITS, ["r2 flooded the lab with requests and was kept to its rate"])
    return f


PAGES = [
    "/", "/compare", "/compare?campaign=done&campaign=going", "/api", "/login", "/c/done", "/c/going", "/c/done/review",
    "/c/going/review", "/c/done/submissions", "/c/done/s/301", "/c/done/s/101", "/c/going/s/102", "/c/done/f/1", "/c/done/f/3",
    "/c/done/forum", "/c/done/forum?kind=result&researcher=r1&text=method", "/c/done/r/r1", "/c/going/r/r3",
    "/c/done/ledger", "/c/done/ledger?verify=1", "/c/done/ledger?kind=practice&actor=r1&text=try&before=20",
]  # fmt: skip


def hostile(folder: Path) -> Path:
    """A campaign in which everything that a researcher can write is a payload, and each payload is everywhere."""
    f = Fabricated(folder)
    plain = [p.encode("utf-8", "replace").decode() for p in PAYLOADS]
    every = "\n".join(f"# {' '.join(p.split())}"[:200] for p in plain).replace("\0", "")
    notes = "\n".join(p[:300] for p in plain).replace("\0", "")
    for i, p in enumerate(plain):
        who = f.names[i % 3]
        f.practice(who, p[:500], f.store("calm", n=i), 0.5, p[:60])
        f.post(who, p[:200], p, kind=("result", "insight", "error")[i % 3])
    for i, p in enumerate(plain):
        if i < 12 or i % 9 == 0:
            who = f.names[i % 3]
            snapshot = f.store(p, n=i, comment=p.replace("\n", " ").replace("\0", ""), more={"notes.md": notes[: 30_000 + i]})
            f.judge(number := f.submit(who, p[:500], snapshot, p[:60]), 0.5)
            f.post(who, p[:200], notes[:19_000], number)
    snapshot = f.store("all", more={"more.py": every, "picture.txt": notes})
    best = f.submit("r3", plain[1], snapshot)
    f.judge(best, 0.9, 0.9)
    for who, p in zip(f.names, plain, strict=False):
        f.log("gave_up", who, why=p + notes[:5000], elapsed=f.at)
        f.log("refused", who, why=p, verb=p)
        f.log("researcher_ended", who, code=p, said=notes[:2000])
        (folder / "logs" / f"{who}.log").write_text(notes[:12_000])
    f.log("lab_error", "r1", error=notes[:500])
    for i, p in enumerate(plain[:40]):
        quotes = [{"seq": 3, "part": p[:60], "offset": 0, "text": p[:300]}]
        told = {"monitor": p[:40], "tag": "concealment", "researcher": f.names[i % 3], "why": p[:500], "quotes": quotes}
        f.log("monitored", "monitor", when="after", monitor=p[:40], submission=None, verdicts=[told], counts={}, why=p[:200])
    audits = {p[:40]: {"verdict": "fail", "value": None, "why": p} for p in plain[:40]}
    f.finish(best, plain[1], snapshot, audits, plain[:40])
    f.ledger.close()
    for p in ("'><script>alert(1)</script>", "<img src=x onerror=alert(1)>"):
        steer(folder, {"verb": "message", "by": "Ada", "reason": p + notes[:1500], "researcher": "r1"})
    return folder


WILD = ["/", "/compare?campaign=wild", "/c/wild", "/c/wild/review", "/c/wild/r/r1", "/c/wild/r/r2", "/c/wild/r/r3"]


def hostile_pages(client: httpx.Client) -> Iterator[str]:
    """Every page of the hostile campaign, all of its pages of lists among them."""
    yield from WILD
    for name in ("forum", "submissions"):
        pages = client.get(f"/api/campaigns/wild/{'findings' if name == 'forum' else name}").json()["pages"]
        yield from (f"/c/wild/{name}?page={n + 1}" for n in range(pages))
    before = ""
    while True:
        yield f"/c/wild/ledger{before}"
        following = client.get(f"/api/campaigns/wild/ledger{before}").json()["next"]
        if following is None:
            break
        before = f"?before={following}"
    rows = client.get("/api/campaigns/wild").json()["leaderboard"]
    yield from (f"/c/wild/s/{r['submission']}" for r in rows)
    yield from (f"/c/wild/f/{n + 1}" for n in range(client.get("/api/campaigns/wild").json()["findings"]))


def thinking(folder: Path, texts: list[str]) -> list[str]:
    """A campaign of one language model that says each of the texts, in every place of its session and notebook; the
    pages that show them. (Whether its model is known is not asked here.)"""
    f = Fabricated(folder, 1, kind="llm", model=("a/one",))
    name = "t_r1-session-1_x.eval"
    f.log("iteration", "r1", number=1, code="ended", why=texts[0], seconds=3.0, counts={"turns": 4}, log=name)
    messages: list[dict[str, Any]] = [{"role": "system", "content": "You are a researcher"}]
    for text in texts:
        call = {"function": text, "arguments": {"command": text}}
        messages += [
            {"role": "assistant", "content": [{"type": "text", "text": text}], "tool_calls": [call]},
            {"role": "tool", "function": text, "content": text, "error": {"type": "timeout", "message": text}},
        ]
    log_of(folder / "logs" / name, messages)
    (folder / "sandboxes" / "r1").mkdir(exist_ok=True)
    (folder / "sandboxes" / "r1" / "notebook.md").write_text("\n\n".join(texts), "utf-8", "replace")
    f.ledger.close()
    person = f"/c/{folder.name}/r/r1"
    return [person, *(f"{person}/t/1?page={n + 1}" for n in range(-(-len(messages) // PAGE)))]
