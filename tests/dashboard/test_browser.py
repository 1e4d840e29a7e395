"""The pages in Chromium: nothing of a researcher's runs, charts draw under the policy, people decide, nobody is kept out.

Chromium is Debian's package; `make test` installs it as root. Where it is missing these tests name what they skipped,
and in CI (the variable CI is set) that is a failure.
"""

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fabricated import PAGES, Fabricated, Serve, fabricate, hostile, hostile_pages, thinking
from playwright.sync_api import Browser, Page, sync_playwright
from xss import PAYLOADS

from aarlab.campaign.steering import steer

KEEP = os.environ.get("AARLAB_SCREENSHOTS")  # a folder: every page as it looks, light, dark and on a phone


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        message = "chromium is not installed (apt install chromium): the pages were not looked at in a browser"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


class Watched:
    """A page of the browser, and everything that it complains about, asks another host for, or runs."""

    def __init__(self, browser: Browser, address: str, **how: Any) -> None:
        self.context = browser.new_context(base_url=address, **how)
        self.context.add_init_script(
            "window.ran = 0; for (const n of ['alert', 'confirm', 'prompt']) window[n] = () => { window.ran += 1; };"
        )
        self.page: Page = self.context.new_page()
        self.said: list[str] = []
        self.page.on("console", lambda m: self.said.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda e: self.said.append(str(e)))
        self.page.on("request", lambda r: None if r.url.startswith((address, "data:,")) else self.said.append(r.url))

    def go(self, path: str) -> Page:
        self.page.goto(path, wait_until="load")
        return self.page

    def complaints(self) -> list[str]:
        ran = self.page.evaluate("window.ran")
        return self.said + ([f"alert ran on {self.page.url}"] if ran else [])


@pytest.fixture(scope="module")
def address(serve: Serve, places: tuple[Path, Fabricated, Fabricated]) -> str:
    return serve(places[0])


def drawn(page: Page, chart: str) -> int:
    page.wait_for_selector(f"#{chart} .main-svg", timeout=15_000)
    return page.locator(f"#{chart} .main-svg .trace").count()


def strange(page: Page) -> list[str]:
    """What no page of ours holds."""
    found: list[str] = page.evaluate(
        """[...document.querySelectorAll("script:not([src^='/static/']), style:not([id^='plotly']), iframe, object, "
        + "embed, img, video, audio, svg:not(.js-plotly-plot svg, #js-plotly-tester), base, link:not([href^='/static/']):not([rel=icon])")]
        .map((e) => e.outerHTML)"""
    )
    return found


def serious(browser: Browser, address: str, scheme: str, paths: Iterable[str]) -> dict[str, list[tuple[str, str, str]]]:
    """What axe finds serious or critical, page by page. It is put into the page by script, which the policy forbids to
    everybody: that is lifted for the examiner alone."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    context = browser.new_context(base_url=address, color_scheme=scheme, bypass_csp=True, reduced_motion="reduce")  # type: ignore[arg-type]
    page, found = context.new_page(), {}
    for path in paths:
        page.goto(path, wait_until="load")
        wrong = [v for v in axe.run(page).response["violations"] if v["impact"] in ("serious", "critical")]
        if wrong:
            found[path] = [(v["id"], v["nodes"][0]["html"][:120], v["nodes"][0]["failureSummary"][:200]) for v in wrong]
    context.close()
    return found


def test_charts_draw_under_the_policy(browser: Browser, address: str) -> None:
    w = Watched(browser, address)
    for path, charts in (("/c/done", ("climb", "entropy", "forest")), ("/c/done/r/r1", ("lane",)), ("/c/going", ("climb",)),
                         ("/compare?campaign=done&campaign=going", ("compare",))):  # fmt: skip
        page = w.go(path)
        assert all(drawn(page, chart) > 0 for chart in charts), path
        top = page.evaluate(f"getComputedStyle(document.querySelector('#{charts[0]} .main-svg')).position")
        assert top == "absolute", "the library's own styles are in force"
    page = w.go("/c/done/s/301")
    page.get_by_label("reveals").fill("2")
    page.get_by_text("Reveal 2 of 2, for the lie: the judge believes the truth with 0.60.").wait_for()
    page.get_by_text("two-by-two").first.click()
    assert drawn(page, "graded") > 0 and w.complaints() == []


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_every_page_fits_and_complains_of_nothing(browser: Browser, address: str, look: str) -> None:
    size = {"width": 390 if look == "phone" else 1280, "height": 844}
    w = Watched(browser, address, viewport=size, color_scheme="dark" if look == "dark" else "light")
    for path in PAGES:
        page = w.go(path)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, f"{path} is wider than {look}"
        if KEEP:
            page.wait_for_timeout(600)
            name = re.sub(r"\W+", "-", path).strip("-") or "home"
            page.screenshot(path=str(Path(KEEP) / f"{name}-{look}.png"), full_page=True)
    assert [s for s in w.complaints() if "Password forms" not in s] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_keeps_anybody_out(browser: Browser, address: str, scheme: str) -> None:
    paths = PAGES if scheme == "light" else ["/c/done", "/c/going/review", "/c/done/s/301", "/c/done/ledger"]
    assert serious(browser, address, scheme, paths) == {}


def test_hostile_text_runs_nothing(browser: Browser, serve: Serve, tmp_path: Path) -> None:
    hostile(tmp_path / "wild")
    address = serve(tmp_path / "wild")
    w = Watched(browser, address)
    with httpx.Client(base_url=address, timeout=60) as client:
        paths = list(hostile_pages(client))
    for path in paths:
        page = w.go(path)
        assert strange(page) == [] and w.complaints() == [], path
    assert len(paths) > 100


def test_what_models_say_runs_nothing_fits_and_keeps_nobody_out(
    browser: Browser, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aarlab.campaign.llm.models.check", lambda _: None)
    paths = thinking(tmp_path / "thinking", list(PAYLOADS))
    address = serve(tmp_path / "thinking")
    w = Watched(browser, address, viewport={"width": 390, "height": 844})
    for path in paths:
        page = w.go(path)
        assert strange(page) == [] and w.complaints() == [], path
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, f"{path} is wider than a phone"
    assert page.locator("ol.transcript li").count() > 0 and len(paths) > 3
    for scheme in ("light", "dark"):
        assert serious(browser, address, scheme, paths[:2]) == {}


def test_the_watch_sees_a_script_that_runs(browser: Browser, address: str) -> None:
    """The checks above can fail: with the policy lifted, a planted handler runs and is seen."""
    w = Watched(browser, address, bypass_csp=True)
    page = w.go("/c/done")
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x:x onerror=alert(1)>')")
    page.wait_for_function("window.ran > 0")
    assert any("alert ran" in c for c in w.complaints())
    under = Watched(browser, address)
    page = under.go("/c/done")
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x:x onerror=alert(1)>')")
    page.wait_for_timeout(300)
    assert page.evaluate("window.ran") == 0 and any("Content Security Policy" in c for c in under.complaints())


def test_a_person_watches_holds_and_approves_with_the_keyboard(browser: Browser, serve: Serve, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    f = fabricate(folder, finished=False)
    w = Watched(browser, serve(folder))
    page = w.go("/c/own")
    page.get_by_text("Following the ledger.").wait_for()
    f.post("r2", "<b>news</b>", "just in", kind="insight")
    page.get_by_text("r2 posted a finding (insight): <b>news</b>").wait_for()

    page = w.go("/c/own/s/102")
    page.get_by_label("your name").focus()
    page.keyboard.type("Ada")
    page.keyboard.press("Tab")
    page.keyboard.type("I read it first")
    page.keyboard.press("Tab")  # to the first button: Hold
    page.keyboard.press("Enter")
    page.get_by_text("Ada held submission 102.").wait_for()
    page.get_by_role("link", name="Review").click()
    page.get_by_role("heading", name="1 item to review").wait_for()
    item = page.locator("article.item")
    assert item.get_by_label("your name").input_value() == "Ada", "the name is remembered"
    item.get_by_label("why").fill("it is sound")
    item.get_by_role("button", name="Approve").click()
    page.get_by_text("Ada approved submission 102.").wait_for()
    page.get_by_role("link", name="Ledger").click()
    page.get_by_role("link", name="Verify the chain").click()
    page.get_by_text("The chain fits").wait_for()
    assert w.complaints() == []


def test_without_scripts_it_still_says_everything(browser: Browser, serve: Serve, tmp_path: Path) -> None:
    fabricate(tmp_path / "own", finished=False).ledger.close()
    context = browser.new_context(base_url=serve(tmp_path / "own"), java_script_enabled=False)
    page = context.new_page()
    page.goto("/c/own/s/102")
    page.get_by_label("your name").fill("Ada")
    page.get_by_label("why, or a remark for the record").fill("I read it first")
    page.get_by_role("button", name="Hold").click()
    page.get_by_text("Ada held submission 102.").wait_for()
    assert steer(tmp_path / "own", {"verb": "approve", "submission": 102, "by": "Bo", "reason": "fine"})["record"]
