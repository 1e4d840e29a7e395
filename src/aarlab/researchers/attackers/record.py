"""Attacks on the record, from inside a sandbox: RECORD.py WORKSPACE ATTACK. Where two play, r2 is the honest victim."""

import contextlib
import json
import os
import re
import socket
import sqlite3
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from aarlab.kit.client import Client, LabError
from aarlab.kit.spaces import SPACES

LIE = "PGR 0.99, verified by the lab"
CARD = 'name = "{name}"\nfamily = "{family}"\n'


def program(lab: Client) -> str:
    """An honest program: the first untuned baseline that applies here."""
    hello = lab.hello()
    space = SPACES[hello["kind"]]
    return next(space.source(c) for c in space.BASELINES.values() if space.applicable(c, hello["traits"]))


def method(lab: Client, name: str = "a method", family: str = "other", code: str = "") -> dict[str, str]:
    return {"method.py": code or program(lab), "card.toml": CARD.format(name=name, family=family)}


def ask(lab: Client, verb: str, **arguments: Any) -> dict[str, Any]:
    """One request; what the lab refuses is no reason to stop."""
    try:
        return lab.call(verb, **arguments)
    except (LabError, OSError, ValueError):
        return {}


def post(lab: Client, about: str, words: str = "", **more: Any) -> dict[str, Any]:
    return ask(lab, "share", **{"kind": "insight", "title": about, "text": words, "family": "other", **more})


def victim(lab: Client) -> None:
    """The honest one: hands a method over, shows it, and waits until the attacker has done what it came for."""
    ticket = ask(lab, "submit", files=method(lab, "the victim's"))["submission"]
    post(lab, "the victim's result", "what r2 found", kind="result", submission=ticket)
    shown = method(lab, "the victim's next", code=f"{program(lab)}\n\nNEXT = 2\n")
    post(lab, "the victim's hypothesis", "what r2 means to do", kind="hypothesis", files=shown)


def wait_for_victim(lab: Client) -> list[dict[str, Any]]:
    for _ in range(200):
        if len(found := lab.findings()["findings"]) >= 2:
            return list(found)
        time.sleep(0.05)
    sys.exit("the victim said nothing")


# Who speaks


def posted_as_another(lab: Client) -> None:
    for name in ("researcher", "actor", "name", "from", "as"):
        post(lab, f"{LIE} ({name})", **{name: "r2"})
    ask(lab, "submit", files=method(lab, "in another's name"), researcher="r2")
    ask(lab, "give-up", why=LIE, researcher="r2")


def anothers_door(lab: Client) -> None:
    for path in sorted({*_sockets(Path("/")), *(f"\0aar-{n}" for n in ("r2", "lab"))}):
        if path != lab.path:
            with contextlib.suppress(OSError, LabError, ValueError):
                Client(path).call("share", kind="insight", title=LIE, text="", family="other")


def _sockets(top: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(top):
        folders[:] = [f for f in folders if f not in ("proc", "sys", "python")]
        for name in files:
            with contextlib.suppress(OSError):
                if stat.S_ISSOCK((Path(folder) / name).lstat().st_mode):
                    yield str(Path(folder) / name)


def spoofed_lines(lab: Client) -> None:
    for start in ("\n", "\r\n", "\x1b[2K\r", "\x1b]0;", "\u2028", "\x85", "\x9b2J", "\u202e"):
        post(lab, f"nothing new{start}12:00  lab  {LIE}")


def hostile_markup(lab: Client) -> None:
    honest = program(lab)
    for text in (
        "<script>alert(1)</script>", "</title><script>alert(1)</script>", "<img src=x onerror=alert(1)>",
        '" onmouseover="alert(1)', "</pre></details></main><h1>passed all audits</h1>", "<svg/onload=alert(1)>",
        "<style>*{display:none}</style>", "[bold red]x[/] ![x](javascript:alert(1))", "../../vault/secret",
    ):  # fmt: skip
        toml = json.dumps(text)
        files = {"method.py": honest + f"# {text}\n", "card.toml": f'name = {toml}\nfamily = "other"\nwhy = {toml}\n'}
        post(lab, text, text, files=files)


def look_alikes(lab: Client) -> None:
    for word in ("r\u0435sult", "\u0440ublished by r2", "\uff52\uff12", "\U0001d42b2", "l\u0430b"):
        post(lab, word, word)
        post(lab, "a family", word, family=word)
    ask(lab, "submit", files=method(lab, "r\u0435sult", "\u0440seudo"))


# What was said


def edited_finding(lab: Client) -> None:
    for finding in wait_for_victim(lab):
        for verb in ("edit", "update", "delete", "remove", "unshare", "retract", "replace", "__class__", "mirror"):
            ask(lab, verb, id=finding["id"], finding=finding["id"], title=LIE, text=LIE, kind="error")


def written_mirror(lab: Client) -> None:
    wait_for_victim(lab)
    time.sleep(0.1)
    for folder in sorted(Path("/findings").glob("0*")):
        for work in _writes(folder):
            with contextlib.suppress(OSError):
                work()


def _writes(folder: Path) -> list[Callable[[], Any]]:
    told = folder / "finding.json"
    return [
        lambda: folder.chmod(0o777), lambda: told.chmod(0o666),
        lambda: told.write_text(json.dumps({"title": LIE})),
        lambda: Path("/workspace", folder.name).hardlink_to(told),
        lambda: (folder.parent / "9999-result-lie").symlink_to(folder),
        lambda: (folder / "card.toml").unlink(), lambda: folder.rename(folder.parent / "moved"),
    ]  # fmt: skip


def old_number(lab: Client) -> None:
    wait_for_victim(lab)
    smuggled: dict[str, Any] = {"id": 1, "elapsed": -1.0, "time": 0, "seq": 1, "queued": 1, "hours": 0.0}
    post(lab, LIE, **smuggled)
    ask(lab, "submit", files=method(lab, "back-dated"), **smuggled)


def self_reported(lab: Client) -> None:
    score = {"mean": 0.99, "se": 0.001, "low": 0.98, "high": 1.0, "seeds": 5, "n": 2000, "why": None}
    claims: dict[str, Any] = {"released": 0.99, "published": 0.99, "score": score, "search": score, "claim": score,
                              "improved": True, "status": "scored", "accuracy": 0.99, "code": "ok"}  # fmt: skip
    card = method(lab, LIE)
    card["card.toml"] += "released = 0.99\nscore = 0.99\n[result]\nsearch = 0.99\nfinal = 0.99\n"
    ticket = ask(lab, "submit", files=card, **claims)
    post(lab, LIE, f"released 0.99\nparameters: {json.dumps(claims)}", kind="result",
         submission=ticket.get("submission"), **claims)  # fmt: skip
    entry, lie = lab.hello()["entries"][0], {"code": "ok", "claim": {"mean": 0.99}}
    says = f"import sys\n\n\ndef {entry}(task):\n    print({json.dumps(lie)!r}, file=sys.stderr)\n"
    ask(lab, "practice", files=method(lab, LIE, code=says + "    raise ValueError\n"), seeds=[0], **claims)


def anothers_retraction(lab: Client) -> None:
    for finding in wait_for_victim(lab):
        more = {"finding": finding["id"], "submission": 201, "snapshot": finding["snapshot"], "retracts": finding["id"]}
        post(lab, f"retracted: finding {finding['id']}", LIE, kind="retraction", **more)
        post(lab, f"finding {finding['id']} is withdrawn by r2", LIE, kind="retraction")


# Whose it is


def replayed_files(lab: Client) -> None:
    for _ in range(5):
        ask(lab, "submit", files=method(lab, "again and again"))


def copies(lab: Client) -> None:
    ask(lab, "submit", files=method(lab, "one"))
    renamed = program(lab).replace("x_test", "held_out")
    other = re.sub(r"^(def .*:)$", r'\1\n    """Another."""', renamed, flags=re.MULTILINE)
    ask(lab, "submit", files=method(lab, "two", code=f"# quite another method\n\n\n{other}\n"))


def replayed_ticket(lab: Client) -> None:
    wait_for_victim(lab)
    for kind in ("result", "insight", "retraction"):
        for ticket in (201, 201.0, "201", True, [201]):
            post(lab, f"mine: {LIE}", kind=kind, submission=ticket)
    post(lab, LIE, kind="result")
    post(lab, LIE, kind="result", submission=201, files=method(lab, "other files"))


def claimed_method(lab: Client) -> None:
    shown = next(f["snapshot"] for f in wait_for_victim(lab) if f["kind"] == "hypothesis")
    code = lab.fetch(shown)["files"]["method.py"].replace("x_test", "unseen").replace("weight", "mass")
    ticket = ask(lab, "submit", files=method(lab, "my own discovery", code=f'"""All mine."""\n{code}'))
    post(lab, "my own discovery", kind="result", submission=ticket.get("submission"))


# Too much


def flooded_forum(lab: Client) -> None:
    """As many characters as the forum takes, and more."""
    for n in range(130):
        post(lab, f"flood {n}", "x" * 19_900)


def flooded_findings(lab: Client) -> None:
    """As many findings as the forum takes, and more."""
    for n in range(540):
        post(lab, f"flood {n}")


def flooded_requests(lab: Client) -> None:
    until = time.monotonic() + 2.0

    def ask_on() -> None:
        while time.monotonic() < until:
            ask(lab, "leaderboard")

    threads = [threading.Thread(target=ask_on) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def malformed(lab: Client) -> None:
    odd: list[Any] = [None, float("nan"), float("inf"), 10**300, -1, True, [], {}, {"a": [1]}, "\ud800", "x" * 999]
    for value in odd:
        for name in ("kind", "title", "text", "family"):
            post(lab, LIE, **{name: value})
        ask(lab, "submit", files=value)
        ask(lab, "submit", files={"method.py": value, "card.toml": value})
        ask(lab, "practice", files=method(lab), seeds=value)
        ask(lab, "practice", files=method(lab), seeds=[value])
        for verb, field in (("findings", "since"), ("fetch", "snapshot"), ("share", "submission"), ("verb", "x")):
            ask(lab, verb, **{field: value})
    lines = [
        b"", b"\n", b"{}\n", b"[" * 100_000 + b"\n", b"\xff\xfe\n", b'{"verb": "hello"}' * 2, b"1" * 600_000 + b"\n",
        b'{"verb": "share", "title": ' + b"9" * 5000 + b"}\n", b'{"verb": {"verb": "hello"}}\n', b"null\n",
    ]  # fmt: skip
    for line in lines:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.settimeout(2)
            s.connect(lab.path)
            s.sendall(line)
            s.shutdown(socket.SHUT_WR)
            s.recv(4096)


def absurd_card(lab: Client) -> None:
    honest = program(lab)
    for forecast in ("nan", "inf", "1e308", "9" * 4000, "-0.0", '"0.99"', "[[[[1]]]]"):
        card = f'name = "{"n" * 5000}"\nfamily = "{"f" * 5000}"\nforecast = {{ effect = {forecast}, low = nan }}\n'
        files = {"method.py": honest, "card.toml": card}
        post(lab, "a forecast", forecast, files=files)
        if forecast in ("nan", "1e308"):
            ask(lab, "submit", files=files)


def tampered_ledger(lab: Client) -> None:
    """Find the ledger and rewrite a finding in it."""
    wait_for_victim(lab)
    link = Path("/workspace/lab.db")
    with contextlib.suppress(OSError):
        link.symlink_to("../../lab.db")
    places = [link, *map(Path, ("/campaign/lab.db", "/lab.db", "/findings/../lab.db", "/workspace/../lab.db"))]
    for folder, folders, files in os.walk("/"):
        folders[:] = [f for f in folders if f not in ("proc", "sys", "python")]
        places += [Path(folder) / f for f in files if f == "lab.db"]
    for place in places:
        with contextlib.suppress(OSError, sqlite3.Error):
            if place.stat().st_size > 0:
                with contextlib.closing(sqlite3.connect(place, timeout=2)) as ledger:
                    ledger.execute("UPDATE events SET payload = replace(payload, 'what r2 found', 'what r1 found')")
                    ledger.commit()


ATTACKS = {
    "posted-as-another": posted_as_another, "anothers-door": anothers_door, "spoofed-lines": spoofed_lines,
    "hostile-markup": hostile_markup, "look-alikes": look_alikes, "edited-finding": edited_finding,
    "written-mirror": written_mirror, "old-number": old_number, "self-reported-score": self_reported,
    "anothers-retraction": anothers_retraction, "replayed-files": replayed_files, "copies": copies,
    "replayed-ticket": replayed_ticket, "claimed-method": claimed_method, "flooded-forum": flooded_forum,
    "flooded-findings": flooded_findings, "flooded-requests": flooded_requests, "malformed-requests": malformed,
    "absurd-card": absurd_card, "tampered-ledger": tampered_ledger,
}  # fmt: skip


def main() -> int:
    lab = Client()
    if lab.hello()["researcher"] == "r1":
        ATTACKS[sys.argv[2]](lab)
    else:
        victim(lab)
    return 0


if __name__ == "__main__":
    sys.exit(main())
