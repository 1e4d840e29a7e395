"""A language-model researcher, from the lab's side: its sandbox, its sessions, its money.

One thread a researcher. It starts the sandbox and keeps it, orders each session from a worker of its own, in which the
model is called, and answers what that worker asks: leave to spend, and hands in the sandbox. The worker is never told
where anything lies, and the sandbox never hears of the model.
"""

import base64
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from aarlab.campaign.llm import prompts
from aarlab.campaign.llm.hands import Dead, Hands
from aarlab.campaign.llm.models import NoModel, Nursery
from aarlab.lab import account, forum
from aarlab.lab.providers import PAUSING
from aarlab.lab.service import Lab
from aarlab.lab.spending import Price, Purse, SpentUp
from aarlab.sandbox.box import Box, Finished, Limits
from aarlab.sandbox.process import Running, start

MAX_TOKENS, LEAST_TOKENS = 8192, 512  # that a model may write in one call; fewer are not worth one
TURNS = 100  # of one session
NOTHING = 3  # sessions in a row in which nothing came about, after which a researcher is stopped
DEATHS = 5  # of its sandbox, in one session
PATIENCE = 900.0  # seconds that a provider which has answered before may be out of reach before the lab pauses
PAUSE, MOST_PAUSE = 5.0, 300.0  # seconds after a session that failed; doubled with each
END_SECONDS = 5.0  # in which a worker that is interrupted shall have written its transcript
PROVIDER = ("failing", "refused", "unreachable")  # what it says that may be about one request, or pass


@dataclass
class Mind:
    """What makes one researcher another than the next."""

    name: str
    model: str
    price: Price | None
    hours: float | None = None  # that it may work


@dataclass
class Shared:
    """What the researchers of a campaign have in common. pause: why it shall pause, once one of them knows; stuck: who
    has stopped because its provider gave nothing, a code and why: nobody else is stopped for that."""

    lab: Lab
    nursery: Nursery
    purse: Purse
    prompts: Mapping[str, str]
    practice_seed: int
    pause: tuple[str, str] | None = None
    stuck: dict[str, tuple[str, str]] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)  # models that have answered in this session of the lab


class Researcher:
    """A researcher at work; `poll` and `kill` as of any process in a box (sandbox/process.py)."""

    def __init__(self, mind: Mind, shared: Shared, box: Callable[[Path], Box], program: str, limits: Limits) -> None:
        self.mind, self.shared, self.lab = mind, shared, shared.lab
        self._box, self._program, self._limits = box, program, limits
        self._stop = threading.Event()
        self._counts: dict[str, int] = {}
        self._dead = 0
        self._busy = self._start = 0.0  # seconds that its sandbox has worked in this session, and that it took to begin
        self._paused = 0.0  # seconds of this session for which a person had paused the campaign
        self._cpu = 0.0
        self._running: Running | None = None
        self._hands: Hands | None = None
        self._called: tuple[int, int, int] | None = None  # the open call, and tokens set aside to read and to write
        self._refused = ""  # money or tokens
        self.why = ""
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._live, name=f"llm-{mind.name}", daemon=True)
        self._thread.start()

    # -- as a process

    def poll(self) -> Finished | None:
        if self._thread.is_alive():
            return None
        if self._error is not None:
            raise self._error
        return Finished("ok", 0, b"", self.why.encode(), 0.0, self._cpu)

    def ask_to_stop(self) -> None:
        self._stop.set()

    def kill(self) -> Finished:
        """End it; the transcript of the session under way is written first, if its worker can."""
        stopped = self._thread.is_alive()
        self._stop.set()
        self._thread.join()
        if self._error is not None:
            raise self._error
        return Finished("stopped" if stopped else "ok", 0, b"", self.why.encode(), 0.0, self._cpu)

    # -- its life

    def _live(self) -> None:
        try:
            self.why = self._work()
        except NoModel as error:
            self._pause("fault", str(error))
        except BaseException as error:
            self._error = error
        finally:
            self._end_sandbox()

    def _work(self) -> str:
        """Session after session, until there is a reason to stop, which is returned."""
        nothing, failed, pause, since = 0, 0, PAUSE, time.monotonic()
        while not self._stop.is_set():
            number = self.lab.state.spending.counted(self.mind.name)["iterations"] + 1
            self._wait_out_a_pause()
            began, before = time.monotonic(), self._achieved()
            told = self._session(number)
            code = str(told["code"])
            counts = {**self._counts, "dead_sandboxes": self._dead}
            self.lab.log(
                "iteration", self.mind.name, number=number, code=code, why=str(told.get("why", ""))[:500],
                log=told.get("log"), model=self.mind.model, counts=counts,
                seconds=round(time.monotonic() - began - self._paused, 3),
                waited={
                    "start": round(self._start, 3), "model": round(told.get("waited", 0.0), 3),
                    "sandbox": round(self._busy, 3),
                },
            )  # fmt: skip
            if self._refused or self._stop.is_set() or self.mind.name in self.lab.state.gave_up:
                return self._refused
            if self.mind.hours is not None and self._hours() >= self.mind.hours:
                return "hours"
            if counts.get("turns"):
                self.shared.answered.add(self.mind.model)
                since = time.monotonic()
            if code in PAUSING:
                self._pause(code, str(told.get("why")))
                return code
            if code == "unreachable":
                new = self.mind.model not in self.shared.answered
                if new or time.monotonic() - since > PATIENCE:
                    self._pause(code, str(told.get("why")))
                    return code
            failed = failed + 1 if code in (*PROVIDER, "fault") else 0
            idle = code != "unreachable" and counts.get("tool_calls", 0) <= counts.get("tool_errors", 0)
            nothing = nothing + 1 if idle and self._achieved() == before else 0
            if nothing >= NOTHING:
                if code in (*PROVIDER, "fault"):
                    self.shared.stuck[self.mind.name] = (code, f"{self.mind.model}: {told.get('why')}")
                return f"nothing came about in {NOTHING} sessions in a row; the last one: {code}, {told.get('why')}"
            if failed:
                self.lab.doing[self.mind.name] = "idle"
                self._stop.wait(pause)
            pause = min(2 * pause, MOST_PAUSE) if failed else PAUSE
        return ""

    def _achieved(self) -> int:
        state, name = self.lab.state, self.mind.name
        made = [p.researcher for p in list(state.practices)] + [f.researcher for f in list(state.findings)]
        return (made + [s.researcher for s in list(state.submissions.values())]).count(name)

    def _hours(self) -> float:
        return self.lab.state.spending.counted(self.mind.name)["seconds"] / 3600

    def _pause(self, code: str, why: str) -> None:
        self.why = code
        self.shared.pause = self.shared.pause or (code, f"{self.mind.model}: {why}")

    def _session(self, number: int) -> dict[str, Any]:
        self._counts, self._dead, self._busy, self._paused, began = {}, 0, 0.0, 0.0, time.monotonic()
        self.lab.doing[self.mind.name] = "thinking"
        try:
            notebook = self._notebook()
        except Dead as error:
            self._counts = {}
            return {"code": "fault", "why": str(error)}
        connection = self.shared.nursery.worker()
        self._start = time.monotonic() - began
        try:
            connection.send(self._order(number, notebook))
            return self._serve(connection)
        except (OSError, EOFError):
            return {"code": "stop" if self._stop.is_set() else "fault", "why": "the worker ended"}
        finally:
            connection.close()  # its worker ends with it, whatever it does, and what inspect-ai keeps of a session too
            if self._called is not None:  # interrupted: it may have been charged in full
                self._settle(*self._called[1:])

    def _order(self, number: int, notebook: str) -> dict[str, Any]:
        lab, name, texts = self.lab, self.mind.name, self.shared.prompts
        hello = lab.hello(name)
        box = self._box(Path("/"))
        limit = lab.budget.minutes
        minutes = "no limit of" if limit is None else f"{max(0.0, limit - lab.elapsed / 60):.1f}"
        system = prompts.fill(
            texts["system"], problem=hello["problem"], question=hello["question"],
            entries=", ".join(f"{e}(task)" for e in hello["entries"]), start=box.path("/start"),
            workspace=box.path("/workspace"), practice=box.path(f"/practice/{self.shared.practice_seed}/task"),
            forum=hello.get("forum", "open to everybody"),
        )  # fmt: skip
        first = prompts.fill(
            texts["session"], researcher=name, number=str(number), hint=hello["hint"], minutes=minutes,
            submissions_left=hello["submissions_left"], published=hello["published"], budget=self._budget(),
            notebook=notebook or "(empty)", submissions=account.mine(lab.state, name),
            leaderboard=lab.leaderboard(name)["leaderboard"],
            findings=len(forum.findings(lab.state, 0)["findings"]),
        )  # fmt: skip
        return {
            "researcher": name, "number": number, "model": self.mind.model, "task": f"{name}-session-{number}",
            "logs": str(lab.folder / "logs"), "system": system, "start": first, "nudge": texts["nudge"],
            "full": texts["full"], "turns": TURNS, "practice_seed": self.shared.practice_seed,
            "campaign": lab.state.started["commitment"][:12], "prompts": prompts.hashes(texts),
        }  # fmt: skip

    def _budget(self) -> str:
        a, spending = self.shared.purse.allowance, self.lab.state.spending
        left = []
        if a.usd is not None:
            left.append(f"${max(0.0, a.usd - spending.used().usd):.2f} for the whole lab")
        if a.usd_each is not None:
            left.append(f"${max(0.0, a.usd_each - spending.used(self.mind.name).usd):.2f} for you")
        return f"Left for calls of models: {', '.join(left)}.\n" if left else ""

    # -- what a worker asks

    def _serve(self, connection: Connection) -> dict[str, Any]:
        """Answer the worker until its session is done."""
        interrupted = 0.0
        while True:
            if self._stop.is_set():
                if not interrupted:
                    interrupted = time.monotonic()
                    connection.send({"interrupt": True})
                elif time.monotonic() - interrupted > END_SECONDS:
                    raise EOFError
            if not connection.poll(0.1):
                continue
            message = connection.recv()
            self._counts = message.get("counts", self._counts)
            if "done" in message:
                told: dict[str, Any] = message["done"]
                self._counts = told.get("counts", self._counts)
                self.lab.worked(float(told.get("cpu", 0.0)))
                return told
            connection.send(self._answer(message))

    def _answer(self, message: dict[str, Any]) -> dict[str, Any]:
        name, purse, price = self.mind.name, self.shared.purse, self.mind.price
        match message["ask"]:
            case "call":
                self._wait_out_a_pause()
                if self._stop.is_set() or self.shared.pause:
                    return {"stop": "the research time is over"}
                if self._dead >= DEATHS:
                    return {"stop": f"the sandbox ended {self._dead} times"}
                try:
                    number, tokens = purse.reserve(
                        name, price, int(message["tokens"]), MAX_TOKENS, LEAST_TOKENS, self._stop.is_set
                    )
                except SpentUp as error:
                    self._refused = error.why
                    return {"stop": f"spent up: {error}"}
                self._called = (number, int(message["tokens"]), tokens)
                return {"call": number, "tokens": tokens}
            case "answer":
                read, written = message["read"], message["written"]
                told = read is not None and read > 0 and written is not None and written >= 0
                # Nobody reads nothing, or less: that would be money for us. What is not told was all that could be.
                self._settle(*((read, written) if told else (None, None)))
            case "failed" if not message["charged"]:
                self._settle(0, 0)
            case "failed":
                self._settle(None, None)
            case "hands":
                return self._do(message["request"])
        return {}

    def _settle(self, read: int | None, written: int | None) -> None:
        """Close the open call; what is not known was all that was set aside."""
        assert self._called is not None
        number, asked, most = self._called
        self._called = None
        tokens = asked if read is None else read, most if written is None else written
        self.shared.purse.settle(self.mind.name, number, self.mind.price, *tokens)

    def _wait_out_a_pause(self) -> None:
        """While a person has paused the campaign, no model is asked: that would be their money."""
        began = time.monotonic()
        while self.lab.state.paused and not (self._stop.is_set() or self.lab.over.is_set()):
            self._stop.wait(0.1)
        self._paused += time.monotonic() - began

    # -- its sandbox

    def _do(self, request: dict[str, Any]) -> dict[str, Any]:
        began = time.monotonic()
        try:
            answer = self._awake().ask(request, self._stop)
            said = answer.get("seconds")  # by the sandbox: it is not believed to have worked longer than we waited
            self._busy += min(said, time.monotonic() - began) if isinstance(said, int | float) and said > 0 else 0.0
            return answer
        except Dead as error:
            self._busy += time.monotonic() - began
            done = self._end_sandbox()
            if self._stop.is_set():
                return {"dead": "the research time is over"}
            self._dead += 1
            return {"dead": f"{error}{f': {done.code}' if done else ''}; it is started anew, files are kept"}

    def _awake(self) -> Hands:
        """The hands in the sandbox, which is started if it does not run. Raises Dead."""
        if self._hands is None:
            path = self.shared.nursery.folder / f"{self.mind.name}.hands"
            self._hands = Hands(path)
            box = self._box(path)
            argv = [box.python, box.path(self._program), box.path("/workspace")]
            self._running = start(box, argv, self._limits)
            self._hands.meet(self._running, self._stop)
        return self._hands

    def _notebook(self) -> str:
        """The notebook's end. Raises Dead if the sandbox cannot be had."""
        told = self._awake().ask({"verb": "read", "path": "notebook.md"}, self._stop)
        try:
            text = base64.b64decode(str(told.get("data") or "")).decode("utf-8", "replace")
        except ValueError:
            return ""
        return text if len(text) <= prompts.MOST else "… " + text[-prompts.MOST :]

    def _end_sandbox(self) -> Finished | None:
        done = self._running.kill() if self._running is not None else None
        if self._hands is not None:
            self._hands.close()
        if done is not None:
            self._cpu += done.cpu_seconds
        self._running = self._hands = None
        return done
