"""The page of a run in a real headless Chromium: what a reader clicks, and how it looks."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deltanas.records import Attempt, Baseline, Finalist, Retraining, Run, Summary
from deltanas.report.metrics import run_summary
from deltanas.report.run.page import run_page
from tests.run_fixtures import CHOSEN, used

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if not (CHROMIUM and DRIVER):
    pytest.skip(
        "no Chromium: `make browser` installs Debian's chromium and chromium-driver",
        allow_module_level=True,
    )
webdriver: Any = pytest.importorskip("selenium.webdriver")

BEFORE = "".join(f"line_{n} = {n}\n" for n in range(30))
AFTER = BEFORE.replace("line_9 = 9\n", "line_9 = '<b>nine</b>'\nadded = len(line_9)\n")
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")


class Browser:
    """A page of a browser: what a reader does, and what the page looks like."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, page: Path, width: int, *, dark: bool) -> None:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.driver.get("about:blank")  # else an address with another hash is not loaded anew
        self.driver.get(page.as_uri())

    def run(self, script: str, *values: object) -> Any:
        return self.driver.execute_script(f"return {script}", *values)

    def click(self, selector: str, text: str = "") -> None:
        found = self.driver.find_elements("css selector", selector)
        next(each for each in found if text in each.text).click()

    def until(self, script: str) -> None:
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, 10, poll_frequency=0.02).until(lambda _: self.run(script))

    def shown(self) -> list[str]:
        return self.run(
            "[...document.querySelectorAll('#table tr[id]:not([hidden])')].map(r => r.id)"
        )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    grant = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    driver.execute_cdp_cmd("Browser.grantPermissions", grant)
    yield Browser(driver)
    driver.quit()


@pytest.fixture(scope="module")
def page(
    attempts: list[Attempt],
    finalists: list[Finalist],
    retrainings: list[Retraining],
    baseline: Baseline,
    summary: Summary,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Write the page of a small run whose first attempt has networks of many lines."""
    first = replace(attempts[0], code=AFTER, family="plain", novelty=0.875)
    run = Run(
        attempts=(first, *attempts[1:]),
        finalists=tuple(finalists),
        retrainings=tuple(retrainings),
        baselines=(used(replace(baseline, code=BEFORE)),),
        meta={"confirm": CHOSEN},
    )
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(run_page(run, summary), encoding="utf-8")
    return path


def test_rows_sort_by_a_click_on_their_head(browser: Browser, page: Path) -> None:
    browser.open(page, 1400, dark=False)
    assert browser.shown()[:2] == ["c01-s000", "c01-s003"]  # the best is on top
    browser.click("#table th button", "attempt")
    assert browser.shown()[:2] == ["c00-s000", "c00-s001"]
    browser.click("#table th button", "gain")
    falling = browser.shown()
    assert falling.index("c00-s002") == 4  # the least of the five that were measured
    browser.click("#table th button", "gain")
    assert browser.shown()[0] == "c00-s002"
    assert falling[-1] == browser.shown()[-1]  # what was not measured comes last either way
    assert browser.run("document.querySelector('[aria-sort]').ariaSort") == "ascending"


def test_filters_leave_the_rows_that_are_asked_for(browser: Browser, page: Path) -> None:
    browser.open(page, 1400, dark=False)
    browser.run("document.querySelector('[name=verdict]').value = 'shape'")
    browser.run("document.querySelector('#filters').dispatchEvent(new Event('input'))")
    assert browser.shown() == ["c00-s001"]
    assert browser.run("document.querySelector('#shown').textContent") == "1 of 8 attempts"
    browser.click("#filters button", "clear")
    browser.until("document.querySelectorAll('#table tr[id]:not([hidden])').length === 8")
    browser.driver.find_element("css selector", "[name=text]").send_keys("CHANNELS 32 AND 16")
    browser.until("document.querySelector('#shown').textContent === '3 of 8 attempts'")
    browser.driver.find_element("css selector", "[name=text]").send_keys("nowhere")
    browser.until("!document.querySelector('#none').hidden")


def test_what_is_cleared_while_the_texts_are_unpacked_filters_nothing(
    browser: Browser, page: Path
) -> None:
    browser.open(page, 1400, dark=False)
    field = "document.querySelector('[name=text]').value"
    browser.run(f"({field} = 'channels 32', filter(), {field} = '', filter())")
    browser.driver.execute_async_script("payload.then(() => setTimeout(arguments[0]))")
    assert len(browser.shown()) == 8


def test_a_row_opens_to_its_delta_and_code_and_copies_them(browser: Browser, page: Path) -> None:
    browser.open(page, 1400, dark=False)
    browser.click("a[href='#c00-s000'] circle")  # a dot of the lineage
    browser.until("document.querySelector('.detail')")
    signs = "[...document.querySelectorAll('.unified .sign')].map(cell => cell.textContent)"
    assert browser.run(signs) == [*[""] * 3, "−", "+", "+", *[""] * 3]
    assert browser.run("document.querySelector('.unified .added').textContent").endswith(
        "'<b>nine</b>'"
    )
    places = "[...document.querySelectorAll('.unified tr')].at(-2).textContent"
    assert browser.run(places) == "1314line_12 = 12"  # old number, new number, line
    assert browser.run("document.querySelectorAll('.t-b').length") == 1  # len, a builtin
    browser.click(".whole input")
    assert browser.run("document.querySelectorAll('.unified tr').length") == 32 + 1
    browser.click(".tabs button", "side by side")
    assert browser.run("document.querySelectorAll('.sides .nothing').length") == 1
    browser.click(".tabs button", "network")
    browser.click(".bar-of-views button", "copy")
    browser.until("document.querySelector('.detail [role=status]').textContent")
    assert browser.run("document.querySelector('.detail [role=status]').textContent") == "copied"
    copied = browser.driver.execute_async_script(
        "navigator.clipboard.readText().then(arguments[0])"
    )
    assert copied == AFTER
    browser.click(".tabs button", "training")
    points = "document.querySelector('.curve .first').getAttribute('points')"
    assert browser.run(points) == "44,120 306,10"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_nothing_overflows_and_the_console_is_silent(
    browser: Browser, page: Path, width: int, dark: bool
) -> None:
    browser.driver.get_log("browser")
    browser.open(page, width, dark=dark)
    browser.click("#table .open")
    browser.until("document.querySelector('.detail')")
    assert browser.run("document.documentElement.scrollWidth") == width
    table = "document.querySelector('#attempts .wide')"
    assert browser.run(f"{table}.scrollWidth <= {table}.clientWidth")
    narrow = (
        "[...document.querySelectorAll('td, dd, th')].filter(cell => cell.offsetParent"
        " && cell.textContent.trim().length > 3 && cell.clientWidth < 30).length"
    )
    assert browser.run(narrow) == 0  # no column is one letter wide
    red = "Number(getComputedStyle(document.body).backgroundColor.match(/[0-9]+/)[0])"
    assert (browser.run(red) < 60) == dark
    assert browser.driver.get_log("browser") == []


def test_runs_without_anything_to_show_are_silent_too(
    browser: Browser, make_attempt: Callable[..., Attempt], tmp_path: Path
) -> None:
    from deltanas.records import Verdict

    invalid = [
        make_attempt(0, slot, verdict=Verdict.NO_DELTA, delta="", code="") for slot in range(150)
    ]
    for name, run in {"empty": Run(), "invalid": Run(attempts=tuple(invalid))}.items():
        summary = run_summary(
            run, run_id=name, llm="tiny", dataset="digits", archive="builtin", protocol="quick",
            ablation=None, seed=1, wall_seconds=None, seconds={},
        )  # fmt: skip
        (tmp_path / f"{name}.html").write_text(run_page(run, summary), encoding="utf-8")
        browser.open(tmp_path / f"{name}.html", 390, dark=False)
        assert browser.run("document.documentElement.scrollWidth") == 390
        assert browser.driver.get_log("browser") == []
    assert len(browser.shown()) == 100
    browser.click("#more button")
    assert len(browser.shown()) == 150
