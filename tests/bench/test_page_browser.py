"""The page in a browser, from a file and without a network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bench_results import results

from isthmus.bench.show.page import page
from isthmus.bench.show.plots import draw

pytestmark = pytest.mark.slow
EVERYBODY = results(sizes=[8, 64, 64 << 10, 8 << 20])
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "results # 1.html"
    path.write_text(page(EVERYBODY, draw(EVERYBODY)), "utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium without a window, and without a network."""
    webdriver = pytest.importorskip("selenium.webdriver")
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("needs chromium and chromedriver (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    profile = tmp_path_factory.mktemp("profile")
    for argument in (
        "--headless=new",
        "--no-sandbox",  # which root may not have
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--disable-background-networking",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--no-first-run",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=driver)
    started = webdriver.Chrome(options=options, service=service)
    try:
        started.execute_cdp_cmd("Network.enable", {})
        started.execute_cdp_cmd(
            "Network.emulateNetworkConditions",
            {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0},
        )
        yield started
    finally:
        started.quit()


@pytest.fixture
def opened(browser: Any, url: str) -> Iterator[Open]:
    """Open the page in a size and a colour scheme; at the end, nothing was complained about."""

    def show(width: int = 1280, scheme: str = "light", media: str = "screen") -> Any:
        browser.get_log("performance")
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
        )
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"media": media, "features": [feature]}
        )
        browser.get(url)
        return browser

    yield show
    assert [entry["message"] for entry in browser.get_log("browser")] == []


def run(browser: Any, script: str) -> Any:
    return browser.execute_script(f"return {script}")


def requests(browser: Any) -> list[str]:
    """What has been asked for since the log was last read."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]


def test_the_file_is_all_that_is_asked_for(opened: Open, url: str) -> None:
    browser = opened()
    asked = requests(browser)
    assert url in asked
    assert {one for one in asked if not one.startswith("data:")} == {url}
    assert run(browser, "performance.getEntriesByType('resource').length") == 0
    assert "Which form suits" in browser.title


@pytest.mark.parametrize("width", [1280, 400])
def test_every_plot_is_there_and_nothing_sticks_out(opened: Open, width: int) -> None:
    browser = opened(width)
    sizes = run(
        browser,
        "[...document.querySelectorAll('figure svg')].map(svg => {"
        "const box = svg.getBoundingClientRect(); return [box.width, box.height]})",
    )
    assert len(sizes) == 9
    # On a narrow screen they are moved sideways, rather than too small to read.
    assert all(wide >= min(width * 0.8, 700) and high > 200 for wide, high in sizes), sizes
    assert run(browser, "document.documentElement.scrollWidth") <= width
    texts = run(
        browser,
        "[...document.querySelectorAll('figure svg text')].map(text => "
        "text.getBoundingClientRect().height)",
    )
    assert len(texts) > 200
    assert min(texts) >= 7
    tables = run(browser, "[...document.querySelectorAll('td')].every(td => td.offsetWidth > 0)")
    assert tables


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_the_background(opened: Open, scheme: str) -> None:
    browser = opened(scheme=scheme)
    colours = run(
        browser,
        """[document.body, ...document.querySelectorAll(
             'h1, dt, .choice, .note, th, td, figure svg text')].map(node => {
          const style = getComputedStyle(node);
          let back = node;
          while (back && getComputedStyle(back).backgroundColor === 'rgba(0, 0, 0, 0)')
            back = back.parentElement;
          return [node instanceof SVGElement ? style.fill : style.color,
                  getComputedStyle(back || document.documentElement).backgroundColor];
        })""",
    )
    assert len(colours) > 300
    for ink, paper in {tuple(pair) for pair in colours}:
        # Lines and their names in plots may be a little less than text that is read at length.
        assert contrast(ink, paper) >= 2.9, (ink, paper)
    body = colours[0]
    assert (luminance(body[1]) < luminance(body[0])) == (scheme == "dark")
    first = run(
        browser, "getComputedStyle(document.querySelector('figure svg #latency-spinning-patch_1 "
        "path')).fill",
    )  # fmt: skip
    assert first == body[1], "the paper of a plot is that of the page"


def test_a_table_is_sorted_by_the_column_that_is_clicked(opened: Open) -> None:
    browser = opened()
    values = (
        "[...document.querySelector('table').tBodies[0].rows].map(row => "
        "row.cells[{}].dataset.value || row.cells[{}].textContent)"
    )
    button = "document.querySelectorAll('table th button')[{}].click()"
    for order in (1, -1):
        run(browser, button.format(3))
        found = [float(value) for value in run(browser, values.format(3, 3))]
        assert found == sorted(found, reverse=order < 0)
        assert len(set(found)) > 5
    run(browser, button.format(0))
    names = run(browser, values.format(0, 0))
    assert names == sorted(names, key=str.lower)
    head = "document.querySelectorAll('table th')[0].getAttribute('aria-sort')"
    assert run(browser, head) == "ascending"


def test_on_paper_it_is_black_on_white_whatever_the_screen_is(opened: Open) -> None:
    browser = opened(scheme="dark", media="print")
    assert run(browser, "getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert run(browser, "getComputedStyle(document.querySelector('nav')).display") == "none"


def luminance(colour: str) -> float:
    """As the web's guidelines for contrast define it."""
    parts = [float(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
