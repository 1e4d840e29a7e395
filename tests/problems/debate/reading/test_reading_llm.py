"""Language models as debaters and judges, played by inspect-ai's mock model; without the extra, a plain message."""

import asyncio
import importlib.util
import json
from dataclasses import replace
from typing import Any

import pytest

from aarlab.problems.debate.reading import llm
from aarlab.problems.debate.reading.passages import Case
from aarlab.problems.debate.reading.protocols import PROTOCOLS, Bench, play

CASE = Case(
    ("The lamp is kept at the mill.", "Later, the lamp was moved to the barn.", "The bell hangs in the inn."),
    "Where is the lamp now?", ("mill", "barn", "inn", "forge"), 1, (1,), "where",
)  # fmt: skip
HERE = importlib.util.find_spec("inspect_ai") is not None
needs_it = pytest.mark.skipif(not HERE, reason="the extra `llm` (inspect-ai) is not installed")


def mock(reply: Any, heard: list[str]) -> Any:
    from inspect_ai.model import ModelOutput, ModelUsage, get_model  # noqa: PLC0415 - an extra

    def outputs(input: Any, tools: Any, tool_choice: Any, config: Any) -> Any:
        heard.append(input[-1].text)
        text = reply(input[-1].text)
        out = ModelOutput.from_content("mockllm/model", text if isinstance(text, str) else json.dumps(text))
        out.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)  # else it counts tokens by a download
        return out

    return get_model("mockllm/model", custom_outputs=outputs, memoize=False)


@pytest.mark.skipif(HERE, reason="inspect-ai is installed")
def test_without_the_extra_it_says_how_to_get_it() -> None:
    with pytest.raises(llm.LLMMissing, match=r"pip install 'aarlab\[llm\]'"):
        llm.debater("mockllm/model")


@needs_it
def test_models_debate_and_judge() -> None:
    heard: list[str] = []
    ruled: list[str] = []
    honest = llm.debater(mock(
        lambda _: {"answer": "B", "quotation": "the lamp was moved to the barn.", "argument": "It moved.", "confidence": 0.7},
        heard,
    ))  # fmt: skip
    liar = llm.debater(mock(lambda _: 'Sure: {"answer": "mill", "quotation": "The lamp is kept", "argument": ""}', []))
    judge = llm.judge(mock(lambda text: {"first": 0.9, "question": "When?"} if "barn" in text else {"first": 0.5}, ruled))
    t = play(CASE, "7", PROTOCOLS["interactive-debate"], (1, 0), [honest, liar], judge)
    assert t.verdict.answer == 1 and not t.forfeits and t.rounds[0].question == "When?"
    assert t.rounds[0].statements[0].confidence == 0.7 and t.rounds[0].statements[1].confidence is None
    assert "The bell hangs in the inn." in heard[0] and "The judge asks: When?" in heard[1]
    assert "The lamp is kept" in heard[1].split("Said so far:")[1]
    assert not any("The bell hangs" in text for text in ruled)


@needs_it
@pytest.mark.parametrize(
    "reply, reason",
    [
        ("I would rather not.", "names no answer"),
        ("[1]", "names no answer"),
        ({"quotation": "The lamp"}, "names no answer"),
        ({"answer": "B", "quotation": "The lamp is in the barn."}, "not in the passage"),
        ({"answer": "A"}, "changes its answer"),
    ],
)
def test_models_forfeit_as_others_do(reply: Any, reason: str) -> None:
    model = llm.debater(mock(lambda _: reply, []))
    t = play(CASE, "7", PROTOCOLS["consultancy"], (1, 0), [model], llm.judge(mock(lambda _: {"first": 1}, [])))
    assert [f.reason for f in t.forfeits] == [reason]


@needs_it
def test_a_slow_model_is_out_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    model = mock(lambda _: {"answer": "B"}, [])
    answers = model.generate

    async def slow(prompt: str, **more: Any) -> Any:
        await asyncio.sleep(0 if prompt == llm.GREETING else 60)
        return await answers(prompt, **more)

    monkeypatch.setattr(model, "generate", slow)
    quick = replace(PROTOCOLS["consultancy"], seconds=0.05)
    t = play(CASE, "7", quick, (1, 0), [llm.debater(model)], llm.judge(mock(lambda _: {"first": 1}, [])))
    assert [f.reason for f in t.forfeits] == ["out of time"]


@needs_it
@pytest.mark.parametrize("reply", ["none", {"first": 2}, {"first": "high"}, {"first": True}, {}])
def test_a_judge_that_gives_no_probability_is_an_error(reply: Any) -> None:
    with pytest.raises(llm.NoReply):
        llm.judge(mock(lambda _: reply, []))(Bench("7", "?", ("x", "y"), (0, 1), ()))
