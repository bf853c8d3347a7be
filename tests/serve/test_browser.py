"""The page in a real browser: headless Chromium."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright
from serve_fake import DASHBOARD, Factory, FakePlatform

from deras.serve.app import Server
from deras.serve.definition import Dashboards
from deras.serve.platform import SourceStatus, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.browser

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find_chromium() -> str | None:
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"):
        if found := shutil.which(name):
            return found
    return None


@pytest.fixture(scope="session")
def chromium() -> str:
    found = find_chromium()
    if found is None and hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        install = ["apt-get", "install", "-y", "--no-install-recommends", "chromium"]
        subprocess.run(install, capture_output=True, check=False, timeout=280)
        found = find_chromium()
    if found is None:
        message = "no Chromium here: the page is not tested; install it with 'apt-get install chromium'"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found


@pytest.fixture(scope="session")
def playwright_() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def browser(playwright_: Playwright, chromium: str) -> Iterator[Browser]:
    browser = playwright_.chromium.launch(executable_path=chromium, args=FLAGS)
    yield browser
    browser.close()


@pytest.fixture
def history(platform: FakePlatform, factory: Factory) -> Factory:
    now = platform.clock.now()
    for back in range(120, 0, -1):
        factory.rows(now - back * 1000, odd=back == 60)
    return factory


@pytest.fixture
def show(browser: Browser, server: Server) -> Iterator[Callable[..., Page]]:
    """Opens the page; at the end, whatever it complained about fails the test."""
    complaints: list[str] = []
    contexts = []

    def open_page(path: str = "/", expected: tuple[str, ...] = (), **options: Any) -> Page:
        options.setdefault("viewport", {"width": 1280, "height": 900})
        context = browser.new_context(timezone_id="Asia/Jakarta", locale="en-GB", **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        expect.set_options(timeout=15_000)
        page.add_init_script(
            "document.addEventListener('securitypolicyviolation', e => console.error('CSP', e.violatedDirective))"
        )

        def said(kind: str, text: str) -> None:
            if kind == "error" and not any(re.search(e, text) for e in expected):
                complaints.append(text)

        page.on("console", lambda m: said(m.type, m.text))
        page.on("pageerror", lambda e: complaints.append(str(e)))
        page.on("request", lambda r: complaints.append(r.url) if not local(r.url) else None)
        page.goto(server.url + path)
        return page

    def local(url: str) -> bool:
        return url.startswith((server.url + "/", "blob:", "data:"))

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def card(page: Page, title: str) -> Any:
    return page.locator("section.card").filter(has=page.get_by_role("heading", name=title, exact=True))


def test_rows_move_the_picture(history: Factory, show: Callable[..., Page], platform: FakePlatform) -> None:
    page = show()
    expect(page.locator(".status")).to_have_text("live")
    expect(page.locator(".top h1")).to_have_text("Factory floor")
    tile = page.locator(".tile").filter(has_text="Readings").locator(".tile-value")
    expect(tile).to_have_text("480")
    readout = card(page, "Spindle temperature").locator(".readout")
    expect(readout).to_have_text(re.compile(r"\d\d\.\d °C"))
    before = readout.inner_text()
    for _ in range(3):
        history.rows(platform.clock.now(), odd=True)
    expect(tile).to_have_text("492")
    expect(readout).not_to_have_text(before)
    # The newest alert is the uppermost.
    first = page.locator(".tbody .tr:visible").first
    expect(first).to_contain_text(re.compile(r"now|s ago"))
    expect(page.locator(".figures")).to_contain_text("events/s")
    expect(page.locator(".figures")).to_contain_text("data complete until")
    expect(page.locator(".bottom")).to_contain_text("Asia/Jakarta")


def test_a_mark_opens_its_reason(history: Factory, show: Callable[..., Page]) -> None:
    page = show()
    bearing = card(page, "Bearing vibration")
    expect(bearing.locator(".chip")).to_have_text("◆ 1 anomaly")
    # The mark itself, on the canvas: found by its colour, then clicked.
    canvas = bearing.locator("canvas")
    x, y = canvas.evaluate(
        """c => { const g = c.getContext('2d'), d = g.getImageData(0, 0, c.width, c.height).data;
        let n = 0, sx = 0, sy = 0;
        for (let i = 0; i < d.length; i += 4) if (d[i] === 196 && d[i+1] === 41 && d[i+2] === 46 && d[i+3] === 255) {
          const p = i / 4, px = p % c.width, py = Math.floor(p / c.width);
          if (py > 30) { n++; sx += px; sy += py; } }
        return [sx / n / devicePixelRatio, sy / n / devicePixelRatio]; }"""
    )
    box = canvas.bounding_box()
    page.mouse.click(box["x"] + x, box["y"] + y)
    drawer = page.get_by_role("dialog")
    expect(drawer).to_contain_text("above what was expected")
    row = next(r for r in history.platform._views["readings"].rows if r[0] == "bearing" and r[7])
    expect(drawer).to_contain_text(f"{row[2]:.2f}".rstrip("0").rstrip("."))
    expect(drawer).to_contain_text(f"{row[6]:.2f}".rstrip("0").rstrip("."))
    expect(drawer.locator(".near .this")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)


def test_an_alarm_is_announced(history: Factory, show: Callable[..., Page], platform: FakePlatform) -> None:
    page = show()
    expect(card(page, "Spindle temperature").locator(".chip")).to_be_visible()
    history.rows(platform.clock.now(), odd=True)
    expect(page.locator("#said")).to_contain_text(re.compile("anomaly: |New in Latest alerts"))
    expect(card(page, "Spindle temperature").locator(".chip")).to_have_text("◆ 2 anomalies")


def test_a_lost_server_keeps_the_picture_and_the_gap_is_filled(
    history: Factory, platform: FakePlatform, browser: Browser, tmp_path: Path
) -> None:
    (tmp_path / "dashboard.yaml").write_text(DASHBOARD, "utf-8")
    first = Server(platform, Dashboards(tmp_path), port=0)
    first.start()
    context = browser.new_context()
    page = context.new_page()
    try:
        page.goto(first.url)
        count = card(page, "Latest alerts").locator(".readout")
        expect(count).to_have_text("4 rows", timeout=15_000)
        first.stop()
        expect(page.locator(".status")).to_have_text("disconnected", timeout=15_000)
        expect(page.locator(".banner")).to_contain_text("Connection lost")
        expect(card(page, "Spindle temperature").locator("canvas")).to_be_visible()
        history.rows(platform.clock.now(), odd=True)
        second = Server(platform, Dashboards(tmp_path), port=first.port)
        second.start()
        try:
            expect(page.locator(".status")).to_have_text("live", timeout=20_000)
            expect(count).to_have_text("8 rows", timeout=15_000)
            expect(page.locator(".banner")).to_contain_text("the gap is filled")
        finally:
            second.stop()
    finally:
        context.close()
        first.stop()


def test_light_and_dark(history: Factory, show: Callable[..., Page]) -> None:
    page = show(color_scheme="dark")
    root = page.locator("html")
    expect(root).to_have_attribute("data-theme", "dark")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Light or dark").click()
    expect(root).to_have_attribute("data-theme", "light")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark
    page.reload()
    expect(root).to_have_attribute("data-theme", "light")


@pytest.mark.parametrize("width", [320, 400])
def test_on_a_phone_nothing_is_cut(history: Factory, show: Callable[..., Page], width: int) -> None:
    page = show(viewport={"width": width, "height": 800}, device_scale_factor=2)
    expect(card(page, "Latest alerts").locator(".readout")).to_have_text("4 rows")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    tops = page.locator(".tile").evaluate_all("els => els.map(e => e.getBoundingClientRect().top)")
    assert tops[0] == tops[1] < tops[2]
    assert card(page, "Spindle temperature").locator(".body").bounding_box()["height"] == 180
    row = page.locator(".tbody .tr:visible").first
    assert row.bounding_box()["height"] > 60
    expect(row.locator(".is-words")).to_be_visible()


def test_keys(history: Factory, show: Callable[..., Page], platform: FakePlatform) -> None:
    page = show()
    readout = card(page, "Spindle temperature").locator(".readout")
    tile = page.locator(".tile").filter(has_text="Readings").locator(".tile-value")
    expect(tile).to_have_text("480")
    page.keyboard.press("Space")
    expect(page.locator(".status")).to_have_text("paused")
    history.rows(platform.clock.now(), odd=False)
    page.wait_for_timeout(700)
    expect(tile).to_have_text("480")
    page.keyboard.press("Space")
    expect(page.locator(".status")).to_have_text("live")
    expect(tile).to_have_text("484")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("button", name="Back to live")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("button", name="Back to live")).to_be_hidden()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Help")).to_have_count(0)
    page.keyboard.press("/")
    page.keyboard.type("spindle")
    expect(card(page, "Latest alerts").locator(".readout")).to_have_text("1 row")
    page.keyboard.press("Escape")
    expect(card(page, "Latest alerts").locator(".readout")).to_have_text("4 rows")
    expect(readout).to_be_visible()


def test_drag_zooms_all_charts_and_double_click_returns(history: Factory, show: Callable[..., Page]) -> None:
    page = show()
    spindle = card(page, "Spindle temperature").locator(".u-over")
    expect(spindle).to_be_visible()
    box = spindle.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.6, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, middle, steps=4)
    page.mouse.up()
    back = page.get_by_role("button", name="Back to live")
    expect(back).to_be_visible()
    page.mouse.dblclick(box["x"] + box["width"] / 2, middle)
    expect(back).to_be_hidden()


def test_the_crosshair_is_shared(history: Factory, show: Callable[..., Page]) -> None:
    page = show()
    spindle = card(page, "Spindle temperature").locator(".u-over")
    expect(spindle).to_be_visible()
    box = spindle.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 20)
    notes = [card(page, t).locator(".note") for t in ("Spindle temperature", "Bearing vibration")]
    expect(notes[0]).to_have_text(re.compile(r"\d\d:\d\d:\d\d"))
    expect(notes[1]).to_have_text(notes[0].inner_text())


def test_an_empty_page_says_how_to_fill_it(show: Callable[..., Page], platform: FakePlatform, factory: Factory) -> None:
    hint = "curl -d '{}' http://127.0.0.1/ingest/readings"
    now = platform.clock.now()
    platform.the_status = Status(sources=(SourceStatus("readings", 0, None, now, hint),))
    page = show()
    empty = card(page, "Spindle temperature")
    expect(empty).to_contain_text("No rows yet")
    expect(empty).to_contain_text("The source readings has received 0 records since")
    expect(empty.locator("code")).to_have_text(hint)
    expect(page.locator("code")).to_have_count(1)
    factory.rows(now)
    expect(empty.locator("canvas")).to_be_visible()
    expect(empty.locator(".message")).to_be_hidden()


def test_a_wrong_panel_shows_its_error_and_recovers(
    show: Callable[..., Page], tmp_path: Path, history: Factory
) -> None:
    file = tmp_path / "dashboard.yaml"
    file.write_text(
        "title: T\npanels:\n - {title: A, mark: table, sql: SELECT nope FROM stats}\n - {title: B, mark: table, view: stast}"
    )
    page = show()
    expect(card(page, "A")).to_contain_text("nope")
    expect(card(page, "B")).to_contain_text("there is no view 'stast'")
    expect(card(page, "B")).to_contain_text("Did you mean 'stats'?")
    # Saving the file is enough: the page loads again by itself.
    file.write_text("title: T\npanels:\n - {title: B, mark: table, view: stats}")
    expect(card(page, "B").locator(".tbody")).to_contain_text("spindle")


def test_a_wrong_file_shows_its_line_and_recovers(show: Callable[..., Page], tmp_path: Path, history: Factory) -> None:
    file = tmp_path / "dashboard.yaml"
    file.write_text("titel: T\n")
    page = show(expected=("400",))
    expect(page.locator("main")).to_contain_text("dashboard.yaml, line 1: unknown key 'titel'")
    file.write_text("title: T\npanels: [{title: B, mark: table, view: stats}]")
    expect(card(page, "B")).to_be_visible()


def test_long_tables_hold_few_elements(
    show: Callable[..., Page], platform: FakePlatform, factory: Factory, tmp_path: Path
) -> None:
    import datetime as dt

    start = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    rows = [(start + dt.timedelta(seconds=i), "pump", "info", float(i), 0.0, f"row {i}") for i in range(20_000)]
    platform.push("alerts", rows)
    (tmp_path / "dashboard.yaml").write_text(
        "title: T\npanels: [{title: All, mark: table, view: alerts, sort: ts, limit: 50000}]"
    )
    page = show()
    expect(card(page, "All").locator(".readout")).to_have_text("20,000 rows")
    assert page.locator(".tbody .tr").count() < 60
    expect(page.locator(".tbody")).to_contain_text("row 19999")
    page.locator(".tbody").evaluate("e => e.scrollTo(0, e.scrollHeight)")
    expect(page.locator(".tbody .tr").filter(has_text=re.compile(r"row 0$"))).to_be_visible()
    page.locator(".find").fill("row 1234")
    expect(card(page, "All").locator(".readout")).to_have_text("11 rows")
    page.locator(".tbody .tr:visible").first.click()
    expect(page.get_by_role("dialog")).to_contain_text("row 1234")


def test_a_chart_as_table_picture_and_file(history: Factory, show: Callable[..., Page]) -> None:
    page = show(accept_downloads=True)
    spindle = card(page, "Spindle temperature")
    expect(spindle.locator("canvas")).to_be_visible()
    spindle.get_by_role("button", name="More for Spindle temperature").click()
    with page.expect_download() as picture:
        page.get_by_role("menuitem", name="Save picture").click()
    assert picture.value.suggested_filename == "spindle-temperature.png"
    assert Path(picture.value.path()).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    spindle.get_by_role("button", name="More for Spindle temperature").click()
    with page.expect_download() as data:
        page.get_by_role("menuitem", name="Save data").click()
    lines = Path(data.value.path()).read_text().splitlines()
    assert lines[0].startswith("ts,value,lower,upper,expected")
    assert len(lines) == 121
    spindle.get_by_role("button", name="More for Spindle temperature").click()
    page.get_by_role("menuitem", name="Show as table").click()
    expect(spindle.get_by_role("table")).to_be_visible()
    expect(spindle.locator("canvas")).to_be_hidden()


def test_one_card_for_each_value(show: Callable[..., Page], tmp_path: Path, history: Factory) -> None:
    (tmp_path / "dashboard.yaml").write_text(
        "title: T\npanels: [{title: Sensor, view: readings, x: ts, y: value, repeat: sensor}]"
    )
    page = show()
    expect(page.locator("section.card h2")).to_have_text(
        ["Sensor · bearing", "Sensor · motor", "Sensor · pump", "Sensor · spindle"]
    )
    expect(page.locator("canvas")).to_have_count(4)


def test_a_page_in_indonesian(history: Factory, show: Callable[..., Page]) -> None:
    page = show("/?lang=id")
    expect(page.locator(".status")).to_have_text("langsung")
    expect(page.get_by_role("button", name="Bantuan")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "id")


def test_both_languages_have_the_same_texts() -> None:
    source = Path(__file__).parents[2] / "src/deras/serve/static/js/texts.js"
    en, indonesian = re.findall(r"const (?:en|id) = \{(.*?)\n\};", source.read_text("utf-8"), re.DOTALL)

    def keys(text: str) -> list[str]:
        return re.findall(r'(?:^|, |\n\s*)"?([A-Za-z ]+)"?: "', text)

    def holes(text: str) -> list[set[str]]:
        return [set(re.findall(r"\{\w+\}", t)) for t in re.findall(r': "([^"]*)"', text)]

    assert keys(en) == keys(indonesian)
    assert len(keys(en)) > 80
    assert holes(en) == holes(indonesian)


def test_without_the_token_the_page_asks_for_it(platform: FakePlatform, factory: Factory, browser: Browser) -> None:
    token = "0123456789abcdef"
    with Server(platform, port=0, token=token) as server:
        context = browser.new_context()
        page = context.new_page()
        page.goto(server.url)
        page.get_by_label("Access token").fill(token)
        page.get_by_role("button").click()
        expect(page.locator(".status")).to_have_text("live", timeout=15_000)
        assert token not in page.url
        context.close()
