"""A researcher's sessions: what it can do in its sandbox, what it cannot, what is counted, and what is written down."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from inspect_ai.log import list_eval_logs, read_eval_log
from played import Played
from scripted import KEY, Fault, Say, Scripted, research, script, turns

from aarlab.campaign.llm import driver, transcripts
from aarlab.campaign.llm.models import Nursery
from aarlab.cli import bench_llm
from aarlab.lab.oversight import Oversight
from aarlab.lab.service import Lab

Play = Callable[..., Played]


def heard(server: Scripted) -> list[str]:
    """What the tools answered, in order, as the model was told in the last call of a session."""
    longest = max(server.requests, key=lambda r: len(r["messages"]))
    return [str(m["content"]) for m in longest["messages"] if m["role"] == "tool"]


def test_it_writes_a_method_practises_submits_and_shares_and_remembers_by_its_notebook(
    play: Play, server: Scripted
) -> None:
    played = play(research, sessions=2)
    state = played.lab.state
    assert len(state.practices) >= 2 and all(p.code == "ok" and p.researcher == "r1" for p in state.practices)
    assert len(state.submissions) >= 2 and {f.title for f in state.findings} >= {"a constant, session 1"}
    first, second = played.sessions[:2]
    assert (first["code"], second["number"]) == ("ended", 2) and first["counts"]["tool_calls"] == 7
    assert first["counts"]["tool_errors"] == 0
    begins = [r for r in server.requests if not turns(r)]
    assert "(empty)" in begins[0]["messages"][1]["content"] and "session 1 done" in begins[1]["messages"][1]["content"]
    assert len(begins[1]["messages"]) == 2, "a fresh context"
    logs = {read_eval_log(log.name).eval.task: read_eval_log(log.name) for log in list_eval_logs(str(played.logs))}
    log = logs["r1-session-1"]
    assert log.status == "success" and log.samples and log.samples[0].id == "r1/1"
    assert log.eval.metadata and log.eval.metadata["prompts"] == state.started["prompts"]
    assert {t.function for m in log.samples[0].messages for t in getattr(m, "tool_calls", None) or []} >= {"practice", "submit"}
    assert played.used.usd == pytest.approx((server.charged[0] + 2 * server.charged[1]) / 1e6, abs=0.03)


@pytest.mark.parametrize(("forum", "told"), [("always", "is open to everybody."), ("none", "is closed in this campaign:")])
def test_it_is_told_who_reads_what_it_shares(play: Play, server: Scripted, forum: str, told: str) -> None:
    play(script(Say("", [("bash", {"command": "true"})])), forum=forum)
    assert told in server.requests[0]["messages"][0]["content"]


def test_what_was_charged_is_what_is_counted(play: Play, server: Scripted) -> None:
    played = play(script(Say("", [("bash", {"command": "true"})], 1234, 56)), sessions=2)
    settled = played.events("model_answer")
    assert sum(e.payload["tokens"] for e in settled) == sum(server.charged)
    assert not played.lab.state.spending.open and played.used.tokens == sum(server.charged)


def test_keys_never_enter_the_sandbox_and_it_has_no_network(play: Play, server: Scripted) -> None:
    look = "env; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'; grep -rl sk-test / --include='*' 2>/dev/null --exclude-dir=proc --exclude-dir=sys | head"
    port = server._server.server_address[1]
    net = f"import socket\ntry:\n    socket.create_connection(('127.0.0.1', {port}), 2)\nexcept OSError as e:\n    print('refused', e)"
    play(script(Say("", [("bash", {"command": look}), ("python", {"code": net})]), Say("", [("bash", {"command": "true"})])))
    assert server.requests[0]["authorization"] == f"Bearer {KEY}", "the key is used outside"
    answers = heard(server)
    assert "LAB_SOCKET" in answers[0] and KEY not in json.dumps(answers) and "API_KEY" not in json.dumps(answers)
    assert "refused" in answers[1] and "HANDS_SOCKET" not in answers[0].partition("\n/")[0].replace("HANDS_SOCKET=/hands.sock", "")


def test_paths_stay_in_the_sandbox(play: Play, server: Scripted) -> None:
    played = play(script(Say("", [
        ("write_file", {"path": "/etc/passwd", "text": "x"}),
        ("write_file", {"path": "../../../../tmp/../escaped.txt", "text": "x"}),
        ("bash", {"command": "ln -s /etc/hostname link; ln -s / root; echo here > ../workspace/kept.txt"}),
        ("read_file", {"path": "root/etc/shadow"}),
        ("practice", {"folder": "/etc"}),
        ("fetch", {"snapshot": "../../vault/secret", "folder": "x"}),
        ("read_file", {"path": "kept.txt"}),
    ])))  # fmt: skip
    answers = heard(server)
    assert not (played.lab.folder / "escaped.txt").exists() and "here" in answers[-1]
    assert all("rror" in a or "No such" in a or "Read-only" in a or "no snapshot" in a for a in (answers[i] for i in (0, 1, 3, 4, 5)))
    assert played.sessions[0]["counts"]["tool_errors"] >= 4


def test_output_is_cut_and_binary_output_said_to_be_so(play: Play, server: Scripted) -> None:
    many = "import sys\nfor i in range(10 * 1024):\n    sys.stdout.write(('%06d ' % i) + 'x' * 1016 + '\\n')"
    played = play(script(Say("", [
        ("python", {"code": many}),
        ("bash", {"command": "head -c 100000 /dev/urandom; printf '\\0'"}),
        ("bash", {"command": "printf '\\033[2J\\xff\\xfe text'"}),
    ]), Say("", [("bash", {"command": "true"})])))  # fmt: skip
    answers = heard(server)
    assert len(answers[0]) < 20_000 and "000000 " in answers[0] and "010239" in answers[0] and "left out" in answers[0]
    assert answers[1].startswith("(binary: 100001 bytes") and len(answers[1]) < 200
    assert "\x1b" not in answers[2] and "text" in answers[2]
    assert played.sessions[0]["counts"]["tool_errors"] == 0


def test_wrong_arguments_are_told_to_the_model_and_counted(play: Play, server: Scripted) -> None:
    played = play(script(
        Say("", [("bash", {"cmd": "true"})]), Say("", [("bash", '{"command": "tru')]), Say("", [("no_such_tool", {})]),
        Say("", [("bash", {"command": "true", "seconds": "many"})]), Say("", [("share", {"kind": "rumour", "title": "x", "text": "x"})]),
        Say("", [("bash", {"command": "exit 3"})]), Say("", [("bash", {"command": "true"})]),
    ))  # fmt: skip
    counts = played.sessions[0]["counts"]
    assert counts["tool_errors"] == 6 and counts["tool_calls"] == 8 and played.sessions[0]["code"] == "ended"
    assert "command" in heard(server)[0] and "exit status 3" in heard(server)[5]


def test_a_sandbox_that_dies_is_counted_and_started_anew_with_its_files(play: Play, server: Scripted) -> None:
    played = play(script(
        Say("", [("bash", {"command": "echo kept > a.txt"}), ("bash", {"command": "kill -9 -1"})]),
        Say("", [("bash", {"command": "cat a.txt"})]), Say("", [("bash", {"command": "true"})]),
    ))  # fmt: skip
    answers = heard(server)
    assert "started anew" in answers[1] and answers[2].strip() == "kept"
    assert played.sessions[0]["counts"]["dead_sandboxes"] == 1


def test_a_command_that_never_ends_is_ended(play: Play, server: Scripted) -> None:
    play(script(Say("", [("bash", {"command": "echo before; sleep 100", "seconds": 1})]), Say("", [("bash", {"command": "true"})])))
    assert "still running after 1 s" in heard(server)[0] and "before" in heard(server)[0]


@pytest.mark.parametrize("says", ["I am done.", ""], ids=["words", "nothing"])
def test_an_agent_that_ends_at_once_is_stopped_after_a_few_sessions(play: Play, server: Scripted, says: str) -> None:
    played = play(lambda _: Say(says), sessions=99)
    assert played.why.startswith("nothing came about in 3 sessions") and len(played.sessions) == driver.NOTHING
    assert all(s["code"] == "idle" for s in played.sessions) and len(server.requests) == 9
    assert played.sessions[0]["counts"].get("empty_turns", 0) == (0 if says else 3)


def test_an_agent_that_never_ends_is_ended_by_the_count_of_turns(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "TURNS", 20)
    session = play(lambda _: Say("", [("bash", {"command": "true"})])).sessions[0]
    assert session["code"] == "turns" and session["counts"]["turns"] == 20
    assert session["seconds"] / 20 < 0.5, "the harness's own part of a turn"


def test_the_time_of_models_and_programs_is_told_apart_from_the_harness_s(play: Play) -> None:
    played = play(script(Say("", [("bash", {"command": "sleep 0.6"})], seconds=0.6)))
    session = played.sessions[0]
    assert session["waited"]["model"] > 0.6 < session["waited"]["sandbox"] and session["seconds"] > 1.2
    told = bench_llm.harness([session])
    assert told["turns"] == 2 and 0 < told["harness_seconds_a_turn"] < 0.5


def test_refusals_are_counted(play: Play) -> None:
    played = play(lambda _: Say("I cannot help with that.", finish="content_filter"), sessions=99)
    assert played.sessions[0]["counts"]["refusals"] == 3 and played.why.startswith("nothing came about")


def test_when_time_is_over_a_call_in_flight_is_interrupted_and_its_transcript_written(
    play: Play, server: Scripted
) -> None:
    def slow(request: dict[str, Any]) -> Say | Fault:
        return Say("", [("bash", {"command": "true"})]) if not turns(request) else Say("late", seconds=30)

    played = play(slow, until=lambda _: len(server.requests) == 2)
    assert played.seconds < 15 and played.sessions[0]["code"] == "stop"
    log = read_eval_log(str(played.logs / str(played.sessions[0]["log"])))
    assert log.samples and log.status in ("cancelled", "success", "error")
    shown = transcripts.read(played.logs, str(played.sessions[0]["log"])).messages
    assert [(m.role, m.text) for m in shown] == [(m.role, m.text[:8000]) for m in log.samples[0].messages]
    assert [c.tool for m in shown for c in m.calls] == ["bash"]
    assert not played.lab.state.spending.open, "what may have been charged is settled in full"
    assert played.used.tokens > sum(server.charged[:1]) + 8000


def test_every_session_is_a_process_of_its_own(play: Play, nursery: Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    """inspect-ai keeps some megabytes of every session for as long as its process lives."""
    made, worker = [], nursery.worker
    monkeypatch.setattr(nursery, "worker", lambda: (made.append(1), worker())[1])
    play(research, sessions=3)
    assert len(made) >= 3


def steer(lab: Lab, verb: str, **more: object) -> None:
    Oversight(lab, lambda: None).answer({"verb": verb, "by": "Ada", "reason": "because", **more})


def test_while_a_person_has_paused_no_model_is_asked(play: Play, server: Scripted) -> None:
    asked: list[int] = []

    def until(lab: Lab) -> bool:
        if not lab.state.paused and len(server.requests) >= 3 and not asked:
            steer(lab, "pause")
            time.sleep(0.5)  # what is under way ends
            asked.append(len(server.requests))
            time.sleep(1.0)
            asked.append(len(server.requests))
            steer(lab, "resume")
        return len(asked) == 2 and len(server.requests) > asked[1] + 2

    played = play(lambda _: Say("", [("bash", {"command": "true"})]), until=until)
    assert asked[0] == asked[1], "money was spent while it was paused"
    [session] = played.sessions
    assert session["seconds"] < played.seconds - 1, "a pause is no time of work"


def test_who_is_dismissed_in_a_pause_ends_at_once(play: Play, server: Scripted) -> None:
    def until(lab: Lab) -> bool:
        if len(server.requests) >= 3 and not lab.state.paused:
            steer(lab, "pause")
            steer(lab, "dismiss", researcher="r1")
        return False

    played = play(lambda _: Say("", [("bash", {"command": "true"})]), until=until)
    assert played.seconds < 15 and played.lab.state.paused and played.sessions[0]["code"] == "stop"


def test_giving_up_ends_it(play: Play) -> None:
    played = play(script(Say("", [("give_up", {"why": "there is nothing"})])), sessions=99)
    assert played.lab.state.gave_up == {"r1": "there is nothing"} and len(played.sessions) == 1
