"""The real server, asked as a browser and as a program would: every page, every fault, every decision."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from fabricated import PAGES, Fabricated, Serve, fabricate, hostile, hostile_pages, log_of
from xss import PAYLOADS

from aarlab.campaign.steering import steer
from aarlab.dashboard import accounts, render
from aarlab.kit.cache import home_dir
from aarlab.lab import seal
from aarlab.lab.ledger import Event, Ledger, verify
from aarlab.lab.records import Records
from aarlab.lab.state import replay

Places = tuple[Path, Fabricated, Fabricated]


@pytest.fixture
def own(serve: Serve, tmp_path: Path) -> tuple[httpx.Client, Path]:
    """A campaign of the test's own, which goes on, and a client."""
    fabricate(tmp_path / "own", finished=False).ledger.close()
    return httpx.Client(base_url=serve(tmp_path / "own"), timeout=30), tmp_path / "own"


def decisions(folder: Path) -> list[dict[str, Any]]:
    ledger = Ledger(folder / "lab.db")
    try:
        return [e.payload for e in ledger.events("decision")]
    finally:
        ledger.close()


class Form(HTMLParser):
    """The fields of a page's form that has a button or option for a verb."""

    def __init__(self, page: str, verb: str) -> None:
        super().__init__()
        self.forms: list[dict[str, str]] = []
        self.verbs: list[set[str]] = []
        self.feed(page)
        found = [f for f, v in zip(self.forms, self.verbs, strict=True) if verb in v]
        self.fields = {**found[0], "verb": verb, "reason": "a good reason", "by": "Ada"} if found else {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        a = dict(attrs)
        if tag == "form":
            self.forms.append({})
            self.verbs.append(set())
        elif self.forms and tag == "input" and a.get("type") == "hidden":
            self.forms[-1][str(a["name"])] = a.get("value") or ""
            self.verbs[-1] |= {a.get("value") or ""} if a["name"] == "verb" else set()
        elif self.forms and tag in ("button", "option"):
            self.verbs[-1].add(a.get("value") or "")


# Looking


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_shown_under_the_policy(site: httpx.Client, path: str) -> None:
    answer = site.get(path)
    policy = answer.headers["content-security-policy"]
    assert answer.status_code == 200 and "unsafe" not in policy and "default-src 'none'" in policy
    assert not re.search(r"<script(?![^>]* src=\"/static/|[^>]*json\">)|<style|\sstyle=|\son\w+=", answer.text), "nothing inline"
    assert answer.headers["x-content-type-options"] == "nosniff" and "<h1" in answer.text
    for asset in re.findall(r'(?:src|href)="(/static/[^"]+)"', answer.text):
        assert site.head(asset).status_code in (200, 405)


def test_a_campaign_page_answers_the_five_questions(site: httpx.Client) -> None:
    text = " ".join(re.sub(r"<[^>]+>", " ", site.get("/c/done").text).split())
    for said in (
        "What was found method 2 of r3 : 0.70 [0.65, 0.75] on final", "Audits speak against the best method: constants",
        "10 s of CPU, 20% of it the lab's own", "r2 flooded the lab", "Judge 1 audit against a finalist",
    ):  # fmt: skip
        assert said in text, said


def test_what_models_cost_and_did_is_shown(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aarlab.campaign.llm.models.check", lambda _: None)
    f = Fabricated(tmp_path / "thinking", 2, kind="llm", model=("a/one", "b/two"), price=((1.0, 2.0), (3.0, 4.0)))
    for call, who, usd in ((1, "r1", 0.5), (2, "r2", 1.0)):
        f.log("model_call", who, call=call, usd=9.0, tokens=5000)
        f.log("model_answer", who, call=call, usd=usd, tokens=1234, written=1)
    f.log("model_call", "r2", call=3, usd=0.25, tokens=100)  # open: all that was set aside counts
    f.log("iteration", "r1", number=1, code="ended", seconds=3.0, counts={"turns": 4, "tool_calls": 7, "tool_errors": 2})
    f.log("paused", code="quota", why="a/one: gone")
    with httpx.Client(base_url=serve(f.folder), timeout=30) as client:
        d = client.get("/api/campaigns/thinking").json()
        assert d["cost"]["cost_usd"] == 1.75 and d["cost"]["tokens"] == 2568
        assert [r["models"]["cost_usd"] for r in d["team"]] == [0.5, 1.25] and d["team"][0]["models"]["tool_errors"] == 2
        said = [e["text"] for e in d["events"]]
        assert said[:2] == ["the lab paused: a/one: gone", "r1 ended session 1 (ended): 4 turns, 2 tool errors"]
        assert not any("model" in text for text in said), "every call by itself is noise"
        page, person = client.get("/c/thinking").text, client.get("/c/thinking/r/r1").text
        assert "Models: $1.75, 2,568 tokens" in page and "a/one" in person and "2 of 7" in person and "$0.50" in person


def test_what_can_be_watched_is_on_the_page_of_the_best(site: httpx.Client) -> None:
    for path in ("/c/done/s/301", "/c/done/f/3"):
        page = site.get(path).text
        assert 'class="replay"' in page and "/replay.js" in page and "<script>alert" not in page, path
    assert all("replay" not in site.get(path).text for path in ("/c/done/s/101", "/c/done/f/1"))
    assert site.get("/api/campaigns/done/findings/3").json()["exhibits"][0]["truth"] == "3"


def test_what_a_model_said_and_did_is_shown(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aarlab.campaign.llm.models.check", lambda _: None)
    f = Fabricated(tmp_path / "thinking", 2, kind="llm", model=("a/one",))
    evil = "<script>alert(1)</script>\u202e"
    for number, log in ((1, "t_r1-session-1_x.eval"), (2, "../campaign.toml"), (3, "gone.eval"), (4, "junk.eval")):
        f.log("iteration", "r1", number=number, code="ended", why=evil, seconds=3.0, counts={"turns": 4}, log=log)
    call = {"function": evil, "arguments": {"command": evil}}
    log_of(f.folder / "logs" / "t_r1-session-1_x.eval", [
        {"role": "system", "content": "attachment://abc"}, {"role": "user", "content": [{"type": "text", "text": "go on"}]},
        {"role": "assistant", "content": [{"type": "reasoning", "reasoning": evil}], "tool_calls": [call]},
        {"role": "tool", "function": "bash", "content": "x" * 20_000, "error": {"type": "timeout", "message": "too late"}},
    ], {"abc": "You are a researcher"})  # fmt: skip
    (f.folder / "logs" / "junk.eval").write_text("not a log")
    for who in ("r1", "r2"):
        (f.folder / "sandboxes" / who).mkdir(exist_ok=True)
    (f.folder / "sandboxes" / "r1" / "notebook.md").write_text("# what I know\n" + evil)
    (f.folder / "sandboxes" / "r2" / "notebook.md").symlink_to(f.folder / "campaign.toml")
    with httpx.Client(base_url=serve(f.folder), timeout=30) as client:
        page, data = client.get("/c/thinking/r/r1/t/1").text, client.get("/api/campaigns/thinking/researchers/r1/sessions/1")
        rows = data.json()["rows"]
        assert [r["role"] for r in rows] == ["system", "user", "assistant", "tool"] and rows[0]["text"] == "You are a researcher"
        assert rows[1]["text"] == "go on" and rows[3]["error"] == "too late" and rows[3]["left"] == 12_000
        assert "12,000 characters more" in page and "<script>alert" not in page and "\u202e" not in page
        for number, said in ((2, "names no log"), (3, "is not there"), (4, "cannot be read")):
            answer = client.get(f"/c/thinking/r/r1/t/{number}")
            assert answer.status_code == 200 and said in answer.text, number
        assert client.get("/c/thinking/r/r1/t/9").status_code == client.get("/c/thinking/r/r9/t/1").status_code == 404
        person = client.get("/c/thinking/r/r1").text
        assert "what I know" in person and "/c/thinking/r/r1/t/4" in person and "<script>alert" not in person
        other = client.get("/c/thinking/r/r2").text
        assert "It keeps none." in other and "problem =" not in other, "a link leads nowhere"


def test_what_monitors_flag_is_reviewed_with_the_words_that_it_rests_on(serve: Serve, tmp_path: Path) -> None:
    f = fabricate(tmp_path / "own", finished=False)
    quote = {"seq": 3, "part": "method.py", "offset": 0, "text": "<b>fitted_on = 'sealed'</b>"}
    said = {"monitor": "rules", "tag": "hard-coded", "researcher": "r1", "why": "it says so", "quotes": [quote, "junk"]}
    f.log("monitored", verdicts=[said])
    f.log("monitored", "r2", why="a verdict by itself", quotes=None)
    with httpx.Client(base_url=serve(f.folder), timeout=30) as client:
        flagged = [i for i in client.get("/api/campaigns/own/review").json()["open"] if i["kind"] == "monitor"]
        assert [i["researcher"] for i in flagged] == ["r1", "r2"] and flagged[0]["quotes"][0]["text"] == quote["text"]
        page = client.get("/c/own/review").text
        assert "rules says hard-coded of r1" in page and "&lt;b&gt;fitted_on" in page and "<b>fitted" not in page
        assert "ledger?before=4" in page
        steer(f.folder, {"verb": "note", "by": "Ada", "reason": "a false alarm", "about": flagged[0]["text"]})
        time.sleep(0.3)  # what was looked at a moment ago is not looked at anew
        left = [i for i in client.get("/api/campaigns/own/review").json()["open"] if i["kind"] == "monitor"]
        assert [i["researcher"] for i in left] == ["r2"]


def test_a_budget_a_direction_and_a_new_researcher_are_decided_on_the_page(own: tuple[httpx.Client, Path]) -> None:
    client, folder = own
    page = client.get("/c/own")
    form = Form(page.text, "budget").fields
    assert client.post("/c/own/steer", data={**form, "by": "Ada", "reason": "more", "minutes": "junk"}).status_code == 422
    sent = client.post("/c/own/steer", data={**form, "by": "Ada", "reason": "more", "minutes": "90"}, follow_redirects=True)
    assert "Ada changed the budget: 90 minutes." in sent.text and " of 90 minutes" in sent.text
    assert client.get("/api/campaigns/own").json()["budget"]["whole"] == 90
    form = Form(client.get("/c/own/r/r2").text, "direct").fields
    sent = client.post(
        "/c/own/steer", data={**form, "by": "Ada", "reason": "try", "direction": "<i>elsewhere</i>"}, follow_redirects=True
    )
    assert "gave a direction to r2: &lt;i&gt;elsewhere" in sent.text and "r2: &lt;i&gt;elsewhere" in sent.text
    assert [d["verb"] for d in decisions(folder)] == ["budget", "direct"]
    added = client.post("/api/campaigns/own/steer", json={"verb": "add", "by": "Ada", "reason": "more"})
    assert added.status_code == 409 and "no process runs this campaign" in added.json()["error"]


def test_a_ledger_that_is_being_read_says_how_far(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fabricate(tmp_path / "own", finished=False).ledger.close()
    gate, after = threading.Event(), Records.after

    def slowly(records: Records, seq: int, most: int | None = None) -> Iterator[Event]:
        if seq:
            gate.wait(60)
        return after(records, seq, most)

    monkeypatch.setattr("aarlab.dashboard.index.STEP", 10)
    monkeypatch.setattr("aarlab.dashboard.index.PATIENCE", 0.2)
    monkeypatch.setattr("aarlab.dashboard.asked.PATIENCE", 0.2)
    monkeypatch.setattr(Records, "after", slowly)
    with httpx.Client(base_url=serve(tmp_path / "own"), timeout=30) as client:
        told = client.get("/api/campaigns/own")
        assert told.status_code == 503 and int(told.headers["retry-after"]) > 0
        assert told.json()["read"] == 10 < told.json()["records"]
        page = client.get("/c/own")
        assert page.status_code == 503 and "own is being read" in page.text and 'value="10"' in page.text
        assert client.get("/api/campaigns/own/events").status_code == 503
        assert "10 of" in client.get("/").text and client.get("/api/campaigns").json()["campaigns"][0]["read"] == 10
        gate.set()
        until = time.monotonic() + 20
        while client.get("/api/campaigns/own").status_code == 503 and time.monotonic() < until:
            time.sleep(0.05)
        assert client.get("/api/campaigns/own").json()["records"] == told.json()["records"]
        assert "Leaderboard" in client.get("/c/own").text


def test_what_is_looked_for_is_looked_for_step_by_step(
    site: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aarlab.dashboard.pages.SEARCHED", 8)
    before, found, first = "", [], 0
    for _ in range(20):
        page = site.get(f"/api/campaigns/done/ledger?text=try+0{before}").json()
        found += [r["seq"] for r in page["rows"]]
        first = page["first"]
        if page["next"] is None:
            break
        before = f"&before={page['next']}"
    assert first == 1 and found == [3], "one record says so, near the beginning"
    assert "look further back, before number" in site.get("/c/done/ledger?text=try+0").text


def test_pages_and_calls_say_the_same(site: httpx.Client) -> None:
    d = site.get("/api/campaigns/done").json()
    assert d["standing"] == "finished" and d["accused_by"] == ["constants"] and d["best"]["submission"] == 301
    board = site.get("/api/campaigns/done/submissions/301").json()
    assert [f["on"] for f in board["figures"]][:3] == ["claim", "search", "select"]
    assert board["figures"][0]["score"]["mean"] == 0.6 and board["figures"][3]["score"]["mean"] == 0.7
    going = site.get("/api/campaigns/going").json()
    assert going["standing"] == "stopped" and going["best"] is None and going["experiments"] == 16
    assert site.get("/api/campaigns/done/charts").json()["climb"]["researchers"][0]["raw"]["up"][0] == pytest.approx(0.05)


def test_a_diff_shows_what_changed_against_the_parent(site: httpx.Client) -> None:
    d = site.get("/api/campaigns/going/submissions/102").json()
    assert d["parent_submission"] == 101 and ["-", "    return task.weak[:50]"] in d["diff"]
    assert ["+", "    return task.weak[:53]"] in d["diff"] and [k["submission"] for k in d["lineage"]["above"]] == [101]
    first = site.get("/api/campaigns/going/submissions/101").json()
    assert first["diff"] == [] and [k["submission"] for k in first["lineage"]["below"]] == [102]


def test_the_ledger_is_filtered_exported_and_verified(site: httpx.Client, places: Places) -> None:
    d = site.get("/api/campaigns/done/ledger", params={"kind": "practice", "actor": "r1"}).json()
    assert {(r["kind"], r["actor"]) for r in d["rows"]} == {("practice", "r1")} and d["next"] is None
    assert len(d["rows"]) == d["kinds"]["practice"] // 3 + 1
    exported = [json.loads(x) for x in site.get("/api/campaigns/done/ledger/export").text.splitlines()]
    assert len(exported) == places[1].ledger.count and exported[-1]["hash"] == places[1].ledger.head
    checked = site.get("/api/campaigns/done/ledger/verify").json()
    assert checked["ok"] and checked["head_signed"]


def test_a_forged_record_is_found_by_the_page(own: tuple[httpx.Client, Path]) -> None:
    client, folder = own
    assert client.get("/api/campaigns/own/ledger/verify").json()["ok"]
    ledger = Ledger(folder / "lab.db")
    with ledger._engine.begin() as c:
        c.exec_driver_sql("UPDATE events SET payload = replace(payload, '0.2', '0.1') WHERE seq = 7")
    ledger.close()
    assert "record 7 (practice) does not fit the chain" in client.get("/c/own/ledger?verify=1").text


def test_what_is_written_while_it_is_shown_appears(own: tuple[httpx.Client, Path]) -> None:
    client, folder = own
    before = client.get("/api/campaigns/own").json()
    steer(folder, {"verb": "note", "by": "Grace", "reason": "seen"})
    limit = 40
    while (after := client.get("/api/campaigns/own").json())["record"]["count"] == before["record"]["count"] and limit:
        limit -= 1
    assert after["decisions"][0]["by"] == "Grace"


def test_events_come_as_they_are_written_and_from_where_one_stopped(own: tuple[httpx.Client, Path]) -> None:
    client, folder = own

    def numbers(headers: dict[str, str], after: str, count: int) -> list[int]:
        found: list[int] = []
        with client.stream("GET", f"/api/campaigns/own/events{after}", headers=headers) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            for text in answer.iter_lines():
                if text.startswith("id: "):
                    found.append(int(text[4:]))
                if len(found) == count:
                    break
        return found

    count = client.get("/api/campaigns/own").json()["record"]["count"]
    threading.Timer(0.7, steer, (folder, {"verb": "note", "by": "Grace", "reason": "seen"})).start()
    assert numbers({}, "", 1) == [count + 1], "from now on"
    assert numbers({}, f"?after={count - 2}", 2) == [count - 1, count + 1], "the clock says nothing to people"
    assert numbers({"last-event-id": str(count)}, "?after=1", 1) == [count + 1], "a line that was cut goes on"


# Hostile text


TAGS = {
    *("html", "head", "meta", "title", "link", "body", "a", "header", "div", "nav", "span", "form", "input", "button"),
    *("main", "p", "h1", "h2", "section", "article", "ul", "ol", "li", "dl", "dt", "dd", "table", "thead", "tbody", "tr"),
    *("th", "td", "details", "summary", "pre", "code", "b", "progress", "label", "select", "option", "textarea", "footer"),
    *("script", "time", "noscript", "blockquote"),
}


class Markup(HTMLParser):
    """What a page holds that no template of ours has."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS or (tag == "script" and not str(dict(attrs).get("src")).startswith("/static/")):
            self.wrong.append(tag)
        for name, value in attrs:
            goes = (value or "").strip().lower()
            leads = name in ("href", "src", "action", "formaction") and not goes.startswith(("/", "?", "#", "data:,"))
            if name.startswith("on") or name in ("style", "srcdoc", "xlink:href") or leads:
                self.wrong.append(f"{tag} {name}={value}")

    def handle_comment(self, data: str) -> None:
        self.wrong.append("comment")


@pytest.fixture(scope="module")
def wild(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hostile(tmp_path_factory.mktemp("wild") / "wild")


def test_text_of_a_researcher_adds_no_markup(serve: Serve, wild: Path) -> None:
    assert len(PAYLOADS) >= 100
    with httpx.Client(base_url=serve(wild), timeout=60) as client:
        seen = list(hostile_pages(client))
        wrong = {path: found for path in seen if (found := Markup(client.get(path).text).wrong)}
        assert wrong == {} and len(seen) > len(PAYLOADS)
        assert "What monitors said" in client.get("/c/wild/r/r1").text and "flagged</span>" in client.get("/c/wild/review").text
        text = client.get("/c/wild/f/1").text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text, "it is shown, as it was written"
        for path in ("/c/wild/forum?kind=%22%3E%3Cscript%3Ealert(1)", "/c/%3Cscript%3E", "/c/wild/r/%3Cb%3E", "/%3Cb%3E",
                     "/login?next=javascript:alert(1)", "/c/wild/ledger?actor=%22onx=%22&text=%3Cb%3E"):  # fmt: skip
            assert Markup(client.get(path).text).wrong == []


def test_without_escaping_it_would(serve: Serve, wild: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check above can fail: the same page from templates that escape nothing."""
    monkeypatch.setattr(render.templates(), "autoescape", False)
    render.templates().cache.clear()  # type: ignore[union-attr]
    try:
        with httpx.Client(base_url=serve(wild), timeout=60) as client:
            assert Markup(client.get("/c/wild/f/1").text).wrong
    finally:
        render.templates().cache.clear()  # type: ignore[union-attr]


# Faults


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/c/nothing", 404, "no campaign &#39;nothing&#39;"), ("/c/done/s/999", 404, "no submission 999"),
        ("/c/done/f/999", 404, "no finding 999"), ("/c/done/r/r9", 404, "no researcher"), ("/nothing", 404, "Not Found"),
        ("/c/done/s/abc", 422, "number: "), ("/c/done/forum?page=0", 422, "page: "),
        ("/compare?campaign=nothing", 404, "no campaign"), ("/static/x/passwd", 404, "no such file"),
        ("/c/done/forum?text=" + "x" * 300, 422, "text: "), ("/c/..%2f..%2fetc", 404, "Not Found"),
    ],
)  # fmt: skip
def test_a_wrong_address_has_the_right_status_and_one_line(
    site: httpx.Client, path: str, status: int, said: str
) -> None:
    answer = site.get(path)
    assert answer.status_code == status and said in answer.text


def test_a_name_that_is_not_ours_is_not_served(site: httpx.Client) -> None:
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", ""):
        assert site.get("/", headers={"host": host}).status_code in (400, 421), host
    for host in ("localhost", "localhost:1234", "127.0.0.1:99"):
        assert site.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://evil.example"}, 403), ({"origin": "null"}, 403), ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403), ({"content-type": "text/plain"}, 422),
        ({"content-type": "application/x-www-form-urlencoded"}, 422),
    ],
)  # fmt: skip
def test_another_sites_page_decides_nothing(own: tuple[httpx.Client, Path], headers: dict[str, str], status: int) -> None:
    client, folder = own
    wanted = json.dumps({"verb": "note", "by": "Eve", "reason": "x"})
    answer = client.post(
        "/api/campaigns/own/steer", content=wanted, headers={"content-type": "application/json", **headers}
    )
    assert answer.status_code == status and decisions(folder) == []


def test_too_much_is_not_read(own: tuple[httpx.Client, Path]) -> None:
    client, folder = own
    many = b"x" * 50_000_000
    for path in ("/c/own/steer", "/api/campaigns/own/steer", "/login"):
        try:
            answer = client.post(path, content=many, headers={"content-type": "application/x-www-form-urlencoded"})
        except httpx.TransportError:
            continue  # it was cut off while it was sent
        assert answer.status_code == 413

    def parts() -> Iterator[bytes]:
        yield from (b"x" * 10_000 for _ in range(20))

    answer = client.post("/c/own/steer", content=parts(), headers={"content-type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 413 and decisions(folder) == []


def test_a_folder_that_goes_away_says_so_and_the_others_stay(serve: Serve, tmp_path: Path) -> None:
    for name in ("kept", "lost"):
        fabricate(tmp_path / name, finished=False).ledger.close()
    with httpx.Client(base_url=serve(tmp_path), timeout=30) as client:
        assert client.get("/c/lost").status_code == 200
        (tmp_path / "lost" / "lab.db").rename(tmp_path / "lost" / "gone.db")
        client.get("/c/lost")  # within a quarter of a second it may still be remembered
        threading.Event().wait(0.3)
        answer = client.get("/c/lost")
        assert answer.status_code == 503 and "folder is gone" in answer.text
        assert client.get("/api/campaigns/lost/ledger").json()["error"]
        assert "folder is gone" in client.get("/").text and client.get("/c/kept").status_code == 200


def test_a_folder_of_a_newer_version_is_not_guessed_at(serve: Serve, tmp_path: Path) -> None:
    fabricate(tmp_path / "newer", finished=False).ledger.close()
    with (tmp_path / "newer" / "campaign.toml").open("a") as file:
        file.write("telepathy = true\n")
    f = fabricate(tmp_path / "stranger", finished=False)
    f.log("judged", id=4711, mood="unknown")
    f.ledger.close()
    with httpx.Client(base_url=serve(tmp_path), timeout=30) as client:
        assert client.get("/c/newer").status_code == 409 and "campaign.toml" in client.get("/c/newer").text
        strange = client.get("/c/stranger")
        assert strange.status_code == 503 and "newer version of aarlab" in strange.text and "record " in strange.text


# Deciding


def test_a_form_decides_once_in_a_name_with_a_reason(own: tuple[httpx.Client, Path]) -> None:
    client, folder = own
    fields = Form(client.get("/c/own/s/102").text, "hold").fields
    assert fields["submission"] == "102"
    answer = client.post("/c/own/steer", data=fields)
    assert answer.status_code == 303 and answer.headers["location"].startswith("/c/own/s/102?done=")
    assert "Ada held submission 102" in client.get(answer.headers["location"]).text
    again = client.post("/c/own/steer", data=fields)
    assert again.status_code == 303 and again.headers["location"] == answer.headers["location"], "sent twice, done once"
    [told] = decisions(folder)
    assert (told["verb"], told["by"], told["reason"], told["submission"]) == ("hold", "Ada", "a good reason", 102)
    page = client.get("/c/own/review").text
    assert "1 item to review" in page
    assert client.post("/c/own/steer", data=Form(page, "approve").fields).status_code == 303
    assert [d["verb"] for d in decisions(folder)] == ["hold", "approve"] and "Nothing waits" in client.get("/c/own/review").text
    assert seal.check_own(folder / "lab.db").head_signed and verify(folder / "lab.db")[0]


def test_a_form_without_its_sessions_mark_decides_nothing(own: tuple[httpx.Client, Path]) -> None:
    client, folder = own
    fields = Form(client.get("/c/own/s/102").text, "hold").fields
    stranger = httpx.Client(base_url=client.base_url)
    other = Form(stranger.get("/c/own/s/102").text, "hold").fields
    for wrong in ({**fields, "csrf": ""}, {**fields, "csrf": other["csrf"]}, {k: v for k, v in fields.items() if k != "csrf"}):
        assert client.post("/c/own/steer", data=wrong).status_code == 403
    client.cookies.clear()
    assert client.post("/c/own/steer", data=fields).status_code == 403
    assert decisions(folder) == []


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"reason": ""}, 422, "every decision has one"), ({"by": ""}, 422, "by: a name"), ({"verb": "burn"}, 422, "one of pause"),
        ({"submission": "x"}, 422, "its number"), ({"submission": "999"}, 409, "no submission 999"),
        ({"verb": "stop", "submission": ""}, 409, "no process runs this campaign"),
        ({"verb": "approve"}, 409, "submission 102 is not held"),
    ],
)  # fmt: skip
def test_what_cannot_be_decided_says_why(
    own: tuple[httpx.Client, Path], change: dict[str, str], status: int, said: str
) -> None:
    client, folder = own
    fields = {**Form(client.get("/c/own/s/102").text, "hold").fields, **change}
    answer = client.post("/c/own/steer", data=fields)
    assert answer.status_code == status and said in answer.text and decisions(folder) == []


def test_the_way_back_leads_nowhere_else(own: tuple[httpx.Client, Path]) -> None:
    client, _ = own
    for number, back in enumerate(("//evil.example", "https://evil.example", "/c/own\r\nx: y", "/c/other")):
        fields = {**Form(client.get("/c/own").text, "note").fields, "back": back, "once": f"abcdefgh{number}"}
        location = client.post("/c/own/steer", data=fields).headers["location"]
        assert location.startswith("/c/own?done=")


def test_the_call_is_the_command_is_the_page(own: tuple[httpx.Client, Path], command: Callable[..., Any]) -> None:
    client, folder = own
    asked = {"verb": "retract", "submission": 301, "reason": "it cheats", "by": "Ada"}
    assert client.post("/api/campaigns/own/steer", json=asked).json()["decided"] == "retract"
    status, _, err = command("steer", folder, "retract", "--submission", 201, "--reason", "so does this", "--by", "Ada")
    assert status == 0, err
    assert [(d["verb"], d["by"]) for d in decisions(folder)] == [("retract", "Ada")] * 2
    assert client.post("/api/campaigns/own/steer", json=asked).status_code == 409
    ledger = Ledger(folder / "lab.db")
    assert set(replay(ledger.events()).retracted) == {301, 201}
    ledger.close()
    assert "Retracted: it cheats" in client.get("/c/own/s/301").text


# Tokens


@pytest.fixture
def guarded(own: tuple[httpx.Client, Path]) -> Iterator[tuple[httpx.Client, Path, dict[str, str]]]:
    """A lab with a token of each role, and one that has expired."""
    made = {role: accounts.issue(f"a {role}", role, None) for role in accounts.ROLES}
    made["late"] = accounts.issue("late", "owner", 1e-9)
    yield (*own, made)
    accounts.path().unlink()


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_once_there_is_a_token_nobody_comes_in_without(guarded: tuple[httpx.Client, Path, dict[str, str]]) -> None:
    client, _, tokens = guarded
    for path in PAGES:
        path = path.replace("/c/done", "/c/own").replace("/c/going", "/c/own")
        if path != "/login":
            answer = client.get(path)
            assert answer.status_code == 303 and answer.headers["location"].startswith("/login?next=/"), path
    for path in client.get("/api/openapi.json").json()["paths"]:
        if "steer" not in path:
            assert client.get(path.format(name="own", researcher="r1", number=101)).status_code == 401, path
    for wrong in ("wrong", tokens["late"]):
        assert client.get("/api/campaigns", headers=bearer(wrong)).status_code == 401
    for role in accounts.ROLES:
        assert client.get("/api/campaigns", headers=bearer(tokens[role])).status_code == 200


def test_a_role_may_what_it_may(guarded: tuple[httpx.Client, Path, dict[str, str]]) -> None:
    client, folder, tokens = guarded

    def tries(role: str, verb: str, **more: Any) -> int:
        asked = {"verb": verb, "reason": "x", "by": "somebody else", **more}
        return client.post("/api/campaigns/own/steer", json=asked, headers=bearer(tokens[role])).status_code

    assert tries("viewer", "note") == tries("viewer", "pause") == tries("reviewer", "finish") == 403
    assert tries("reviewer", "hold", submission=102) == 200 and tries("owner", "approve", submission=102) == 200
    assert tries("owner", "finish") == 409, "it may, but nothing runs"
    assert [d["by"] for d in decisions(folder)] == ["a reviewer", "a owner"], "in the token's name, whatever was said"


def test_a_browser_logs_in_and_out(guarded: tuple[httpx.Client, Path, dict[str, str]]) -> None:
    client, _, tokens = guarded
    form = {"csrf": Form(client.get("/login?next=/c/own").text, "").forms or ""}
    csrf = re.search(r'name="csrf" value="(\w+)"', client.get("/login").text)
    assert form and csrf is not None
    assert client.post("/login", data={"csrf": csrf[1], "token": "wrong", "next": "/"}).status_code == 401
    assert client.post("/login", data={"csrf": "", "token": tokens["owner"]}).status_code == 403
    before = client.cookies["aarlab"]
    answer = client.post("/login", data={"csrf": csrf[1], "token": tokens["viewer"], "next": "//evil.example"})
    assert answer.status_code == 303 and answer.headers["location"] == "/" and client.cookies["aarlab"] != before
    assert "httponly" in answer.headers["set-cookie"].lower() and "samesite=strict" in answer.headers["set-cookie"].lower()
    page = client.get("/c/own").text
    assert "a viewer, viewer" in page and "Decide</button>" not in page
    accounts.revoke("a viewer")
    assert client.get("/c/own").status_code == 303, "a session ends with its token"


def test_tokens_are_hashed_at_rest_for_their_owner_alone(guarded: tuple[httpx.Client, Path, dict[str, str]]) -> None:
    _, _, tokens = guarded
    kept = accounts.path()
    assert kept.parent == home_dir() and kept.stat().st_mode & 0o777 == 0o600
    assert not any(secret in kept.read_text() for secret in tokens.values())
    kept.write_text("[{]")
    client = guarded[0]
    assert client.get("/c/own").status_code == 409, "a damaged list lets nobody in"


def test_elsewhere_it_listens_only_with_a_token(command: Callable[..., Any], places: Places) -> None:
    status, out, err = command("serve", places[0], "--host", "0.0.0.0", "--port", "0")
    assert (status, out) == (2, "") and "only with a token" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["serve", "/no/such/folder"], "/no/such/folder: no such folder"),
        (["serve", ".", "--host", "no.such.host.invalid"], "only with a token"),
        (["token", "new", "<b>"], "a token's name says who decides"), (["token", "new", "Ada", "--role", "king"], "--role"),
        (["token", "new", "Ada", "--days", "-1"], "--days"), (["token", "revoke", "Ada"], "has no token"),
        (["steer", "/no/such/folder", "note", "--reason", "x"], "no campaign.toml there"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_status_2(command: Callable[..., Any], argv: list[str], said: str) -> None:
    status, out, err = command(*argv)
    assert (status, out) == (2, "") and said in err and err.count("\n") == 1
