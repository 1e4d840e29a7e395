"""The defences of the record, each with a switch that turns it off: what a careless lab would do instead."""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from aarlab.audit import record
from aarlab.campaign import team
from aarlab.lab import forum, server, service, snapshots
from aarlab.lab.forum import BadFinding
from aarlab.lab.service import Lab
from aarlab.lab.state import Finding, State, Submission
from aarlab.report import markup, text
from aarlab.sandbox.box import Box

Off = Callable[[], AbstractContextManager[Any]]


@contextlib.contextmanager
def believe_names() -> Iterator[None]:
    """Who speaks follows from what is said."""
    answer = Lab.answer

    def trusting(lab: Lab, researcher: str, request: Mapping[str, Any]) -> dict[str, Any]:
        return answer(lab, str(request.get("researcher", researcher)), request)

    with patch.object(Lab, "answer", trusting):
        yield


def mounts(change: Callable[[Box], Box]) -> Off:
    """Researchers' sandboxes get other mounts."""
    return lambda: patch.object(team, "Box", lambda *args, **named: change(Box(*args, **named)))


def every_door(box: Box) -> Box:
    if "/lab.sock" not in box.read_only:
        return box
    return replace(box, read_only={**box.read_only, "/doors": box.read_only["/lab.sock"].parent})


def writable_mirror(box: Box) -> Box:
    if "/findings" not in box.read_only:
        return box
    kept = {k: v for k, v in box.read_only.items() if k != "/findings"}
    return replace(box, read_only=kept, writable={**box.writable, "/findings": box.read_only["/findings"]})


def whole_campaign(box: Box) -> Box:
    return replace(box, writable={**box.writable, "/campaign": box.read_only["/findings"].parent})


@contextlib.contextmanager
def verbs_that_edit() -> Iterator[None]:
    answer = Lab.answer

    def editing(lab: Lab, researcher: str, request: Mapping[str, Any]) -> dict[str, Any]:
        if request.get("verb") != "edit":
            return answer(lab, researcher, request)
        for finding in lab.state.findings:
            if finding.id == request["id"]:
                finding.title, finding.text = request["title"], request["text"]
        return {"edited": True}

    with patch.object(Lab, "answer", editing):
        yield


@contextlib.contextmanager
def fields_as_they_come() -> Iterator[None]:
    """What a request says of time, number and score is taken over."""
    answer = Lab.answer

    def taking(lab: Lab, researcher: str, request: Mapping[str, Any]) -> dict[str, Any]:
        told = answer(lab, researcher, request)
        things: list[Finding | Submission] = []
        if request.get("verb") == "share" and lab.state.findings:
            things = [lab.state.findings[-1]]
        elif request.get("verb") == "submit":
            things = [lab.state.submissions[told["submission"]]]
        for thing in things:
            for name in ("elapsed", "hours", "released"):
                if name in request and hasattr(thing, name):
                    setattr(thing, name, request[name])
        return told

    judge = Lab._judge

    def lenient(lab: Lab, submission: Submission) -> None:
        claimed = submission.released
        judge(lab, submission)
        submission.released = claimed if claimed is not None else submission.released

    with patch.object(Lab, "answer", taking), patch.object(Lab, "_judge", lenient):
        yield


@contextlib.contextmanager
def retractions_obeyed() -> Iterator[None]:
    apply = State.apply

    def obey(state: State, event: Any) -> None:
        apply(state, event)
        if any(f.kind == "retraction" for f in state.findings):
            for submission in state.submissions.values():
                submission.status, submission.search = "retracted", None

    with patch.object(State, "apply", obey):
        yield


@contextlib.contextmanager
def anybodys_tickets() -> Iterator[None]:
    share = Lab.share

    def lax(lab: Lab, researcher: str, request: Mapping[str, Any]) -> dict[str, Any]:
        number = request.get("submission")
        submission = lab.state.submissions.get(number) if isinstance(number, int) else None
        if submission is None:
            return share(lab, researcher, request)
        owner, submission.researcher = submission.researcher, researcher
        try:
            return share(lab, researcher, request)
        finally:
            submission.researcher = owner

    with patch.object(Lab, "share", lax):
        yield


@contextlib.contextmanager
def no_escaping() -> Iterator[None]:
    with patch.object(markup, "escape", str), patch.object(text, "clean", str):
        yield


@contextlib.contextmanager
def no_limits() -> Iterator[None]:
    with patch.object(forum, "MAX_FINDINGS", 10**9), patch.object(forum, "MAX_TOTAL", 10**12):
        yield


def unchecked(kind: object, title: object, text: object, family: object) -> None:
    if not isinstance(kind, str):
        raise BadFinding("kind")


def uncut(files: Mapping[str, str]) -> tuple[str, str]:
    card = service.tomllib.loads(files["card.toml"])
    return str(card.get("name")), str(card.get("family"))


OFF: dict[str, Off] = {
    "socket-names": believe_names,
    "one-door": mounts(every_door),
    "escaping": no_escaping,
    "look-alikes": lambda: patch.object(text, "unmask", str),
    "plain-families": lambda: patch.object(forum, "FAMILY", re.compile("(?s).*")),
    "fixed-verbs": verbs_that_edit,
    "read-only-mirror": mounts(writable_mirror),
    "named-fields": fields_as_they_come,
    "words-only": retractions_obeyed,
    "one-ticket": lambda: patch.object(State, "ticket", lambda *_: None),
    "program-identity": lambda: patch.object(snapshots, "program", lambda files: files["method.py"]),
    "own-tickets": anybodys_tickets,
    "borrowed": lambda: patch.object(record, "borrowed", lambda *_: []),
    "forum-limits": no_limits,
    "pace": lambda: patch.object(server.Pace, "wait", lambda *_: 0.0),
    "checked-posts": lambda: patch.object(forum, "check", unchecked),
    "cut-to-size": lambda: patch.object(service, "describe", uncut),
    "few-mounts": mounts(whole_campaign),
    "hash-chain": lambda: patch("aarlab.campaign.redteam.record.ledger.verify", lambda _: (0, "")),
}


@contextlib.contextmanager
def without(defences: tuple[str, ...]) -> Iterator[None]:
    """The lab without these defences."""
    with contextlib.ExitStack() as stack:
        for name in defences:
            stack.enter_context(OFF[name]())
        yield


