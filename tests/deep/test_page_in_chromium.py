"""The page in a real browser: what it asks for, how it sorts, how it fits a phone and paper."""

import json
import shutil

import pytest
from fnet_runtime.bundle.manifest import PARITY_PAGE
from playwright.sync_api import sync_playwright
from support.paths import GOLDEN
from support.tiers import not_run

from fnet_export.parity.report.files import write_evidence

EXAMPLES = GOLDEN / "parity"
HEADS = "table.matrix thead th"
LARGEST = "table.matrix tbody tr td:nth-child(6)"
PHONE, SCREEN, PAPER = 390, 1200, 1032
"""Widths in pixels; paper is A4 in landscape between its margins."""


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium")
    if chromium is None:
        not_run("Page", "chromium", "scripts/system_packages.sh")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(params=["full", "failed"])
def address(request, tmp_path):
    write_evidence(tmp_path, json.loads((EXAMPLES / f"{request.param}.json").read_text()))
    return (tmp_path / PARITY_PAGE).as_uri()


@pytest.fixture
def full(browser, tmp_path):
    write_evidence(tmp_path, json.loads((EXAMPLES / "full.json").read_text()))
    with browser.new_page(viewport={"width": SCREEN, "height": 800}) as page:
        page.goto((tmp_path / PARITY_PAGE).as_uri())
        yield page


def values_of(page):
    return [cell.get_attribute("data-value") for cell in page.query_selector_all(LARGEST)]


def test_it_loads_without_a_word_and_asks_for_nothing(browser, address):
    asked, said = [], []
    with browser.new_page() as page:
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(address)
        page.wait_for_load_state("networkidle")
        assert (asked, said) == ([address], [])
        assert page.locator("h1 + .verdict .word").inner_text() in ("Passed", "Failed")


def test_the_browser_is_told_to_let_nothing_out(full):
    full.evaluate("""() => {
        window.refused = [];
        document.addEventListener("securitypolicyviolation", (event) => window.refused.push(event.effectiveDirective));
    }""")
    assert full.evaluate("() => fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')") == "refused"
    full.evaluate("""() => {
        document.body.append(Object.assign(new Image(), { src: "http://127.0.0.1:9/a.png" }));
        document.body.append(Object.assign(document.createElement("script"), { textContent: "window.ran = true" }));
    }""")
    full.wait_for_function("() => window.refused.length === 3")
    assert set(full.evaluate("window.refused")) == {"connect-src", "img-src", "script-src-elem"}
    assert full.evaluate("window.ran") is None


def test_a_press_sorts_up_then_down_and_keeps_what_did_not_run_last(full):
    before = values_of(full)
    head = full.locator(HEADS, has_text="max abs")
    ran = sorted(float(value) for value in before if value is not None)
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert [value and float(value) for value in values_of(full)] == [*ran, None, None]
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert [value and float(value) for value in values_of(full)] == [*reversed(ran), None, None]


def test_the_keyboard_sorts_as_well(full):
    head = full.locator(HEADS, has_text="run by")
    other = full.locator(HEADS, has_text="status")
    full.keyboard.press("Tab")  # into the first box that scrolls
    for _ in range(2):
        full.keyboard.press("Tab")
    full.keyboard.press("Enter")
    assert other.get_attribute("aria-sort") == "ascending"
    full.keyboard.press("Shift+Tab")
    full.keyboard.press("Space")
    assert (head.get_attribute("aria-sort"), other.get_attribute("aria-sort")) == ("ascending", None)
    names = [name.inner_text().split("\n")[0] for name in full.query_selector_all("table.matrix tbody th")]
    assert names == sorted(names, key=str.casefold)


@pytest.mark.parametrize(("width", "media"), [(PHONE, "screen"), (SCREEN, "screen"), (PAPER, "print")])
def test_it_is_never_wider_than_what_it_is_read_on(browser, address, width, media):
    with browser.new_page(viewport={"width": width, "height": 800}) as page:
        page.emulate_media(media=media)
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if media == "print":
            wide = "[...document.querySelectorAll('.scroll')].filter((box) => box.scrollWidth > box.clientWidth).length"
            assert page.evaluate(wide) == 0


def test_every_chart_has_a_label_and_every_region_a_name(full):
    charts = full.locator("svg")
    assert charts.count() == 5
    assert all(chart.get_attribute("role") == "img" and len(chart.get_attribute("aria-label")) > 40 for chart in charts.all())
    assert full.locator("[role=region]:not([aria-label])").count() == 0
    headings = full.eval_on_selector_all("h1, h2", "found => found.map((heading) => heading.tagName)")
    assert headings[0] == "H1"
    assert headings.count("H1") == 1


def test_it_prints(full):
    assert full.pdf(prefer_css_page_size=True).startswith(b"%PDF")
