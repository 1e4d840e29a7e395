"""`aarlab debate`: without a key, a network or the extra; with models of inspect-ai's mock; and every way to be refused."""

import importlib.util
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))
from hostile import PAYLOADS

from aarlab.cli import debate as command_module
from aarlab.problems.debate import transcripts
from aarlab.problems.debate.reading import judge, llm, session

Run = Callable[..., tuple[int, str, str]]
HERE = importlib.util.find_spec("inspect_ai") is not None
needs_it = pytest.mark.skipif(not HERE, reason="the extra `llm` (inspect-ai) is not installed")
ARTICLE = "One ship came. It carried salt! Nobody bought it. The crew went home."


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Models that are hardly trained, no key, and a folder of one's own."""
    monkeypatch.setattr(session, "TRAINING", 150)
    for steps in ("STEPS", "READER_STEPS"):
        monkeypatch.setattr(judge, steps, 5)
    monkeypatch.chdir(tmp_path)
    for key in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(key, raising=False)


def write(path: Path, *articles: str, options: Sequence[str] = ("salt", "wool", "tea", "rope")) -> Path:
    rows = [
        {"article": a, "questions": [{"question": f"What {i}, {options[0]}?", "options": list(options), "gold_label": 1}]}
        for i, a in enumerate(articles)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_it_runs_with_no_key_no_network_and_no_extra(command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "inspect_ai", None)
    status, out, err = command("debate", "debate/reading", "--protocol", "all", "--questions", "8", "--json")
    assert status == 0 and out.count("\n") == 1
    found = json.loads(out)
    assert set(found["protocols"]) == {
        "debate", "debate-swapped", "consultancy", "interactive-debate", "interactive-consultancy",
        "debate-best-of-4", "consultancy-best-of-4",
    }  # fmt: skip
    for p in found["protocols"].values():
        assert p["games"] == 8 == p["passages"] and p["accuracy"]["se"] is not None and p["brier"]["mean"] is not None
        assert p["escalation"]["mean"] is not None and p["forfeits"]["games"] == 0
    assert found["order_swap"]["consistent"]["mean"] is not None and found["spent"] == {}
    assert found["folder"] == "debates/reading-seed0" and Path(found["page"]).exists()
    assert "0 of 56 games" in err and "56 of 56 games" in err and "asks nothing" in err
    made = list(transcripts.read(Path(found["transcripts"])))
    assert len(made) == 56 and all(s.confidence is not None for t in made for r in t.rounds for s in r.statements)
    assert all(s.quotation for t in made for r in t.rounds for s in r.statements)


def test_the_same_folder_goes_on_and_another_begins(command: Run) -> None:
    first = json.loads(command("debate", "debate/reading", "--questions", "3", "--out", "d", "--json")[1])
    status, out, err = command("debate", "debate/reading", "--questions", "5", "--out", "d")
    assert status == 0 and "judge right ± se [95%]" in out and "order swapped" in out and "9 of 15 games" in err
    assert first["questions"] == 3 and len(list(transcripts.read(Path("d/transcripts.jsonl")))) == 15
    status, _, err = command("debate", "debate/reading", "--seed", "1", "--out", "d")
    assert status == 2 and err.count("\n") == 1 and "was played with seed 0, not 1" in err
    for number in ("", "-2"):
        assert command("debate", "debate/reading", "--questions", "2")[0] == 0
        assert Path(f"debates/reading-seed0{number}/debates.html").exists()


@pytest.mark.parametrize(
    "argv, said",
    [
        (["w2s/prose"], "w2s/prose: no testbed of texts"),
        (["debate/digits"], "debate/digits: no testbed of texts"),
        (["debate/raeding"], "known are debate/reading"),
        (["debate/reading", "--protocol", "talk"], "'talk' is no protocol; known are debate, "),
        (["debate/reading", "--best-of", "3"], "--best-of 3: no protocol that was chosen drafts"),
        (["debate/reading", "--debater", "gpt-4o"], "--debater gpt-4o: neither reader nor planner nor PROVIDER/MODEL"),
        (["debate/reading", "--judge", "planner"], "--judge planner: neither reader nor PROVIDER/MODEL"),
        (["debate/reading", "--data", "none.jsonl"], "none.jsonl: No such file"),
        (["debate/reading", "--data", "bad.jsonl"], "bad.jsonl:2: "),
        (["debate/reading", "--data", "."], ".: Is a directory"),
        (["debate/reading", "--out", "bad.jsonl"], "bad.jsonl: there is something else there"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_status_2(command: Run, argv: list[str], said: str) -> None:
    good = json.dumps({"article": ARTICLE, "questions": [{"question": "?", "options": ["a", "b"], "gold_label": 1}]})
    Path("bad.jsonl").write_text(good + '\n{"article": "\x1b[31m"}\n')
    status, out, err = command("debate", *argv)
    assert (status, out) == (2, "") and said in err and err.count("\n") == 1 and "\x1b" not in err
    assert sorted(p.name for p in Path().iterdir()) == ["bad.jsonl"]


def test_without_the_extra_it_says_what_to_install(command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [m for m in sys.modules if m.partition(".")[0] == "inspect_ai"] + ["inspect_ai", "inspect_ai.model"]:
        monkeypatch.setitem(sys.modules, module, None)
    status, out, err = command("debate", "debate/reading", "--judge", "openai/gpt-4o")
    assert (status, out) == (2, "") and "pip install 'aarlab[llm]'" in err.splitlines()[-1]
    assert not Path("debates/reading-seed0").exists()


@needs_it
@pytest.mark.parametrize("name, said", [("openai/gpt-4o", "OpenAI"), ("nobody/model", "nobody")])
def test_a_model_that_cannot_be_had_is_one_line_and_status_2(command: Run, name: str, said: str) -> None:
    status, out, err = command("debate", "debate/reading", "--debater", name)
    announced, told = err.splitlines()
    assert (status, out) == (2, "") and "up to 1,500 calls" in announced and said in told


class Scripted:
    """A model that answers by what it is asked; it counts, and can be made to fail from its n-th answer on."""

    def __init__(self, name: str, fails_at: int = 10**9) -> None:
        from inspect_ai.model import ModelOutput, ModelUsage, get_model  # noqa: PLC0415 - an extra

        self.answered, self.fails_at, self.prompts = 0, fails_at, list[str]()

        def outputs(messages: Any, tools: Any, tool_choice: Any, config: Any) -> Any:
            if self.answered >= self.fails_at:
                raise ConnectionError("no route to \x1b[31mhost")
            text = messages[-1].text
            if text != llm.GREETING:
                self.answered += 1
                self.prompts.append(text)
            out = ModelOutput.from_content(name, self.reply(text))
            out.usage = ModelUsage(input_tokens=7, output_tokens=3, total_tokens=10)
            return out

        self.model = get_model("mockllm/model", custom_outputs=outputs, memoize=False)

    def reply(self, text: str) -> str:
        if text == llm.GREETING:
            return "ready"
        if text.startswith("You take part"):
            own = re.search(r'"answer": "(.)"', text)
            assert own
            quoted = {"A": "It carried salt!", "B": "It carried wool!", "C": "", "D": "Nobody bought it."}[own[1]]
            reply = {"answer": own[1], "quotation": quoted, "argument": "<b>so</b>", "confidence": 0.5 + 0.2 * ("Said" in text)}
            return "" if own[1] == "C" else json.dumps(reply)
        return json.dumps({"first": 0.9 if '"It carried salt!"' in text else 0.5, "question": "Why?"})


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Scripted]:
    def make(**more: Any) -> Scripted:
        model = Scripted("mockllm/model", **more)
        real = llm._open
        monkeypatch.setattr(llm, "_open", lambda name: model.model if name == "some/model" else real(name))
        return model

    return make


ASKED = ("debate", "debate/reading", "--data", "p.jsonl", "--debater", "some/model", "--judge", "some/model", "--out", "d")


@needs_it
def test_models_debate_about_passages_of_ones_own(command: Run, scripted: Callable[..., Scripted]) -> None:
    model = scripted()
    write(Path("p.jsonl"), *(f"Year {i}. {ARTICLE}" for i in range(12)))
    status, out, err = command(*ASKED, "--protocol", "debate,interactive", "--questions", "12", "--json")
    found = json.loads(out)
    p = found["protocols"]["debate"]
    assert status == 0 and p["games"] == 12 == p["passages"]
    # B quotes what is not there, C says nothing: both forfeit, on record, and the truth wins
    assert set(p["forfeits"]["reasons"]) == {"not in the passage", "names no answer"} and p["forfeits"]["honest"] == 0
    assert p["escalation"]["mean"] == pytest.approx(0.2) and "arguments_alone" in p
    spent = found["spent"]
    assert spent["debater"]["calls"] + spent["judge"]["calls"] == model.answered
    assert spent["debater"]["input"] == 7 * spent["debater"]["calls"] and spent["judge"]["output"] == 3 * spent["judge"]["calls"]
    announced = int(re.search(r"up to ([\d,]+) calls", err)[1].replace(",", ""))  # type: ignore[index]
    assert model.answered <= announced
    page = Path("d/debates.html").read_text()
    assert "The judge asks: Why?" in page and "<b>so</b>" not in page


@needs_it
def test_a_network_that_goes_away_stops_it_and_the_same_command_goes_on(command: Run, scripted: Callable[..., Scripted]) -> None:
    write(Path("p.jsonl"), *(f"Year {i}. {ARTICLE}" for i in range(8)))
    broken = scripted(fails_at=40)
    status, out, err = command(*ASKED, "--parallel", "1")
    last = err.splitlines()[-1]
    assert (status, out) == (1, "") and "no longer answers" in last and "--out d" in last and "\x1b" not in err
    kept = list(transcripts.read(Path("d/transcripts.jsonl")))
    assert kept and not any(f.reason in ("failed", "out of time") for t in kept for f in t.forfeits)
    whole = scripted()
    status, out, _ = command(*ASKED, "--parallel", "1", "--json")
    assert status == 0 and list(transcripts.read(Path("d/transcripts.jsonl")))[: len(kept)] == kept
    assert broken.answered == 40 and whole.answered < sum(s["calls"] for s in json.loads(out)["spent"].values())


@needs_it
def test_hostile_text_stays_text(command: Run, scripted: Callable[..., Scripted]) -> None:
    """From the passages, the answers and the models: one script of ours on the page, and no control character anywhere."""
    payloads = [p for p in PAYLOADS if "\ud800" not in p and "\x00" not in p]
    model = scripted()
    model.reply = lambda text: (  # type: ignore[method-assign]
        json.dumps({"answer": re.search(r'"answer": "(.)"', text)[1], "argument": "\n".join(payloads), "confidence": 1})  # type: ignore[index]
        if text.startswith("You take part") else json.dumps({"first": 0.5, "question": payloads[0]})
    )  # fmt: skip
    write(Path("p.jsonl"), *(f"First. {p} It came. Last." for p in payloads), options=["\x1b[31mred", "</script><b>", "c", "d"])
    status, out, err = command(*ASKED, "--protocol", "interactive-consultancy", "--questions", "40")
    assert status == 0 and "\x1b" not in out + err
    page = Path("d/debates.html").read_text()
    assert page.count("<script") == 2 and page.count("</script>") == 2 and "<img" not in page and "\x1b" not in page
    data = json.loads(page.split('type="application/json">')[1].split("</script>")[0])
    assert len(data) == command_module.WATCHED and any("<script>alert(1)" in s for g in data for s in g["sentences"])
    assert "\u202e" not in json.dumps(data, ensure_ascii=False) and "⟨U+001B⟩" in json.dumps(data, ensure_ascii=False)


def test_small_models_read_any_number_of_answers_and_short_or_long_passages(command: Run) -> None:
    """They know none of its words, and say so; nothing breaks, and nobody forfeits for a sentence that is too long."""
    long = "This one sentence goes on " + "and on " * 40 + "to its end."
    rows = [
        {"article": a, "questions": [{"question": "?", "options": o, "gold_label": 2}]}
        for a, o in [("One. Two.", ["a", "b"]), (f"One. {long}", ["a", "b", "c"]), (f"{long} {long} {long}", ["a", "b"]),
                     (" ".join(f"Sentence {i}." for i in range(120)), [str(i) for i in range(10)])]
    ]  # fmt: skip
    Path("p.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for debater in ("reader", "planner"):
        status, out, err = command("debate", "debate/reading", "--data", "p.jsonl", "--rounds", "3", "--debater", debater,
                                   "--out", debater, "--json")  # fmt: skip
        assert status == 0 and "there are 4 questions, not 100" in err and "generated passages alone" in err
        assert not any(p["forfeits"]["games"] for p in json.loads(out)["protocols"].values())


def test_help_teaches(command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    status, out, _ = command("debate", "--help")
    for told in ("pip install 'aarlab[llm]'", "--out DIR", "Ctrl-C", "forfeits", "gold_label", "best-of", "Exit status"):
        assert told in out, told
    assert status == 0
