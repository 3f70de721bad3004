"""``report.html`` in a real browser without a network: Chromium, where the machine has one."""

from __future__ import annotations

import json
import math
import re
import shutil
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pytest
from msgspec.structs import replace
from playwright.sync_api import Browser, Page, expect, sync_playwright
from tests.unit.reports import (
    factory,
    factory_moe,
    figures,
    test_fronts,
    test_hostile,
    test_imported,
    test_several,
)

from inferometer.language import speaking, tr
from inferometer_reports import html, report_json
from inferometer_reports.languages import load

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FULL = replace(factory_moe.comparison(), fronts=test_fronts.FRONTS)
REPORT: dict[str, Any] = json.loads(report_json.render(FULL)["report.json"])
WIDE = {"width": 1200, "height": 900}
PHONE = {"width": 390, "height": 844}
IMAGES = {"image", "img"}
MARKS = ".chart :not(g)[aria-label]"
DARK, LIGHT = "rgb(21, 24, 28)", "rgb(255, 255, 255)"
OPEN_ALL = "for (const one of document.querySelectorAll('details')) one.open = true"
ONLY = {"resultTypes": ["violations"]}
AXE = files("axe_playwright_python").joinpath("axe.min.js")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
        found = own if own.exists() else next(filter(None, map(shutil.which, NAMES)), None)
        if found is None:
            pytest.skip(
                "no Chromium here: apt-get install chromium, or playwright install chromium"
            )
        with playwright.chromium.launch(executable_path=found) as started:
            yield started


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with all sections."""
    return written(tmp_path_factory.mktemp("page"), html.render(FULL))


@pytest.fixture(scope="module")
def indonesian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same page in Indonesian."""
    with speaking(load("id")):
        return written(tmp_path_factory.mktemp("id"), html.render(FULL))


def written(folder: Path, made: Mapping[str, bytes]) -> Path:
    found = folder / "report.html"
    found.write_bytes(made["report.html"])
    return found


@contextmanager
def opened(
    browser: Browser,
    file: Path,
    *,
    size: Mapping[str, int] = WIDE,
    scheme: Literal["light", "dark"] = "light",
    script: bool = True,
) -> Iterator[Page]:
    """Open a page without a network; nothing but the page itself may be asked for."""
    context = browser.new_context(
        offline=True,
        viewport={"width": size["width"], "height": size["height"]},
        color_scheme=scheme,
        java_script_enabled=script,
        reduced_motion="reduce",
        permissions=["clipboard-read", "clipboard-write"],
    )
    page = context.new_page()
    asked: list[str] = []
    wrong: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    page.goto(file.as_uri())
    try:
        yield page
        assert asked == [file.as_uri()]
        assert wrong == []
    finally:
        context.close()


@pytest.fixture
def page(browser: Browser, file: Path) -> Iterator[Page]:
    with opened(browser, file) as found:
        yield found


def texts(page: Page, css: str) -> list[str]:
    return page.locator(css).all_text_contents()


class Ranked(NamedTuple):
    """A table of places: its CSS, the column of the values, and its rankings in report.json."""

    css: str
    column: int
    rankings: list[dict[str, Any]]

    @property
    def entries(self) -> dict[str, dict[str, Any]]:
        return {it["cell"]: it for ranking in self.rankings for it in ranking["entries"]}


def ranked(page: Page) -> Ranked:
    """The first table of places."""
    css = "#ranking table:has(tbody button) >> nth=0"
    cells = page.locator(f"{css} >> tbody tr").evaluate_all("them => them.map(r => r.dataset.cell)")
    heads = texts(page, f"{css} >> thead th")
    column = heads.index("Stack") + 1
    titles = {it["id"]: tr(it["title"]) for it in REPORT["metrics"]}
    rankings = [
        it
        for it in REPORT["rankings"]
        if heads[column].startswith(titles[it["metric"]])
        and (it["meter"] or "") in heads[column]
        and {entry["cell"] for entry in it["entries"]} <= set(cells)
    ]
    found = Ranked(css, column, rankings)
    assert sorted(found.entries) == sorted(cells)
    return found


def test_all_charts_and_all_words_are_there_without_the_script(
    browser: Browser, file: Path, page: Page
) -> None:
    with opened(browser, file, script=False) as still:
        drawn = still.locator(".chart svg")
        assert drawn.count() == page.locator(".chart svg").count() >= 6
        for place in range(drawn.count()):
            box = drawn.nth(place).bounding_box()
            assert box is not None
            assert box["width"] > 300
            assert box["height"] > 50
        assert still.locator("button, input, select").count() == 0
        assert texts(still, "#ranking td") == [
            text for text in texts(page, "#ranking td") if text not in {"copy", ""}
        ]


def test_the_policy_lets_nothing_else_in(browser: Browser, file: Path) -> None:
    """A script or an image that were in the page after all would not run and not load."""
    context = browser.new_context()
    page = context.new_page()
    page.goto((file).as_uri())
    loaded: list[str] = []
    page.on("requestfinished", lambda request: loaded.append(request.url))
    refused = page.evaluate(
        """async () => {
          const seen = [];
          addEventListener("securitypolicyviolation", (it) => seen.push(it.effectiveDirective));
          const script = document.createElement("script");
          script.textContent = "window.broken = 1";
          const image = new Image();
          image.src = "https://example.invalid/x.png";
          document.body.append(script, image);
          document.body.setAttribute("onclick", "window.broken = 1");
          document.body.click();
          await fetch("https://example.invalid/").catch(() => 0);
          await new Promise((done) => setTimeout(done, 100));
          return [seen.sort(), window.broken];
        }"""
    )
    assert refused == [["connect-src", "img-src", "script-src-attr", "script-src-elem"], None]
    assert loaded == []
    context.close()


@pytest.mark.parametrize(
    ("scheme", "size"),
    [("light", WIDE), ("dark", PHONE)],  # no colour hangs on the width, nor width on the colours
    ids=["wide-light", "phone-dark"],
)
def test_axe_finds_nothing(
    browser: Browser, file: Path, scheme: Literal["light", "dark"], size: Mapping[str, int]
) -> None:
    with opened(browser, file, scheme=scheme, size=size) as page:
        page.evaluate(OPEN_ALL)
        page.locator(MARKS).first.focus()
        page.locator("#ranking thead button").first.click()
        assert violations(page) == []


def violations(page: Page, *, colours: bool = True) -> list[tuple[str, str, str]]:
    """What axe-core finds: the rule, the first element and what is wrong with it.

    Looking at ``colours`` takes most of its time.
    """
    page.evaluate(AXE.read_text("utf-8"))
    rules = {} if colours else {"color-contrast": {"enabled": False}}
    found = page.evaluate(f"axe.run(document, {json.dumps({**ONLY, 'rules': rules})})")
    return [
        (it["id"], it["nodes"][0]["html"][:200], it["nodes"][0]["failureSummary"])
        for it in found["violations"]
    ]


def test_pages_of_several_directories_are_accessible_too(browser: Browser, tmp_path: Path) -> None:
    several = html.render_several(test_several.several(factory.comparison()))
    with opened(browser, written(tmp_path, several)) as page:
        page.evaluate(OPEN_ALL)
        assert violations(page) == []
        page.locator("main thead button").first.click()


def test_every_datum_is_in_the_accessibility_tree(page: Page) -> None:
    page.evaluate(OPEN_ALL)
    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    told = [
        " ".join(node["name"]["value"].split())
        for node in nodes
        if not node["ignored"] and node.get("name", {}).get("value")
    ]
    marks = [node for node in nodes if not node["ignored"] and node["role"]["value"] in IMAGES]
    assert {node["name"]["value"] for node in marks} >= {
        it.get_attribute("aria-label") for it in page.locator(MARKS).all()
    }
    cells = {
        " ".join(text.split()) for text in texts(page, "main td:not(:has(button))") if text.strip()
    }
    assert {cell for cell in cells if cell not in told} == set()
    assert not [name for name in told if re.search(r"\b(NaN|undefined|null)\b", name)]


def test_every_mark_is_reached_by_keyboard(page: Page) -> None:
    assert walked(page) == page.locator(MARKS).count() > 20


def walked(page: Page) -> int:
    """Walk over all marks of all charts; return how many there are."""
    active = "document.activeElement.getAttribute('aria-label')"
    steps = 0
    for chart in page.locator(".chart").all():
        labels = [it.get_attribute("aria-label") for it in chart.locator("[tabindex]").all()]
        assert len(labels) == chart.locator(":not(g)[aria-label]").count()
        chart.focus()
        page.keyboard.press("Tab")
        for label in labels:
            assert page.evaluate(active) == label
            assert page.locator("#tip").text_content() == label
            page.keyboard.press("ArrowRight")
            steps += 1
        assert page.evaluate(active) == labels[-1]
        page.keyboard.press("Home")
        assert page.evaluate(active) == labels[0]
        assert chart.locator("[tabindex='0']").count() == 1
    return steps


def test_the_page_in_indonesian(browser: Browser, file: Path, indonesian: Path) -> None:
    with opened(browser, file) as page:
        english = set(texts(page, "main h2"))
        tables, marks = page.locator("main table").count(), page.locator(MARKS).count()
    with opened(browser, indonesian) as page:
        assert page.locator("html").get_attribute("lang") == "id"
        titles = texts(page, "main h2")
        assert len(titles) == len(english) == 13
        assert english.isdisjoint(titles)
        assert page.locator("main table").count() == tables
        assert page.locator(MARKS).count() == marks > 20
        page.evaluate(OPEN_ALL)
        assert violations(page, colours=False) == []  # which the language does not change
        quoted = page.locator("main span[lang=en]")
        assert quoted.count() > 0


def test_the_script_reads_and_writes_indonesian(browser: Browser, indonesian: Path) -> None:
    with speaking(load("id")), opened(browser, indonesian) as page:
        page.evaluate(OPEN_ALL)
        assert texts(page, "header button") == ["Halaman gelap"]
        css = ranked(page).css
        copy = page.locator(f"{css} >> tbody button").first
        assert copy.text_content() == "salin"
        copy.click()
        expect(copy).to_have_text("tersalin")
        assert "\nhasil: " in page.evaluate("navigator.clipboard.readText()")
        page.locator("#ranking select").first.select_option(index=1)
        against = texts(page, f"{css} >> .against")
        assert against
        assert all(re.fullmatch(r" \([+-]\d+,\d %\)", it) for it in against)
        page.locator(".calculator input").first.fill("7.2")
        yours = texts(page, ".calculator tbody td:last-child")
        assert all(re.fullmatch(r"\d+(,\d+)? taks\.", it) for it in yours)
        tools = page.locator(".tools:has(input[type=search])").first
        tools.locator("input").fill("no such row")
        assert re.fullmatch(r"0 dari \d+ baris", tools.locator("output").text_content() or "")


def test_indonesian_numbers_are_sorted_as_numbers(browser: Browser, indonesian: Path) -> None:
    """A decimal comma is no mark of thousands: 1,25 comes before 12."""
    with opened(browser, indonesian) as page:
        page.evaluate(OPEN_ALL)
        tables = page.locator("table:has(thead button):has(td.num:not([data-v]))").all()
        assert tables
        for table in tables:
            column = table.locator("td.num").first.evaluate("it => it.cellIndex")
            table.locator("thead button").nth(column).click()
            cells = table.locator("tbody tr").evaluate_all(
                "(them, n) => them.map(row => row.cells[n].textContent)", column
            )
            found = [re.match(r"~?([\d\u202f]+(?:,\d+)?)", cell) for cell in cells]
            values = [float(_c_locale(it[1])) for it in found if it]
            assert values == sorted(values)


def _c_locale(text: str) -> str:
    return text.replace("\u202f", "").replace(",", ".")


def test_the_mark_in_focus_is_seen_and_its_tooltip_stays_beside_it(page: Page) -> None:
    first = page.locator(".chart").first
    first.focus()
    page.keyboard.press("Tab")
    look = "document.activeElement"
    style = page.evaluate(
        f"(({{outlineStyle: a, outlineWidth: b}}) => [a, b])(getComputedStyle({look}))"
    )
    assert style == ["solid", "3px"]
    gap = """() => {
      const mark = document.activeElement.getBoundingClientRect();
      return Math.abs(mark.top - document.getElementById("tip").getBoundingClientRect().bottom);
    }"""
    assert page.evaluate(gap) < 12
    page.evaluate("scrollBy(0, 40)")
    page.wait_for_timeout(50)
    assert page.evaluate(gap) < 12
    page.keyboard.press("Escape")
    assert not page.locator("#tip").is_visible()


def test_a_tooltip_follows_the_pointer(page: Page) -> None:
    mark = page.locator(".chart :not(g)[aria-label]").first
    mark.scroll_into_view_if_needed()
    mark.dispatch_event("pointerenter")
    assert page.locator("#tip").text_content() == mark.get_attribute("aria-label")
    mark.dispatch_event("pointerleave")
    assert not page.locator("#tip").is_visible()


def test_tables_are_sorted_by_numbers_and_by_words(page: Page) -> None:
    css, column, _ = found = ranked(page)
    by_value = sorted(found.entries, key=lambda it: found.entries[it]["value"]["value"])
    head = page.locator(f"{css} >> thead th").nth(column)
    rows = page.locator(f"{css} >> tbody tr")
    for cells, said in ((by_value, "ascending"), (by_value[::-1], "descending")):
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == said
        assert rows.evaluate_all("them => them.map(row => row.dataset.cell)") == cells
    names = sorted(rows.locator(f"td:nth-child({column})").all_text_contents())
    for expected in (names, names[::-1]):
        page.locator(f"{css} >> thead button").nth(column - 1).click()
        assert rows.locator(f"td:nth-child({column})").all_text_contents() == expected
    assert head.get_attribute("aria-sort") is None


def test_what_is_absent_stays_last(page: Page) -> None:
    """However a column is sorted."""
    page.evaluate(OPEN_ALL)
    table = page.locator("table:has(td.na):has(td.num)").first
    column = table.locator("td.na").first.evaluate("it => it.cellIndex")
    for _ in range(2):
        table.locator("thead button").nth(column).click()
        found = table.locator("tbody tr").evaluate_all(
            "(them, n) => them.map(row => row.cells[n].classList.contains('na'))", column
        )
        assert found == sorted(found)


def test_rows_are_filtered(page: Page) -> None:
    page.evaluate(OPEN_ALL)
    tools = page.locator(".tools:has(input[type=search])").first
    rows = tools.locator("+ .scroll tbody tr")
    every = rows.all_text_contents()
    word = every[-1].split()[0].lower()
    tools.locator("input").fill(word)
    expected = [text for text in every if word in text.lower()]
    assert rows.filter(visible=True).all_text_contents() == expected
    assert tools.locator("output").text_content() == f"{len(expected)} of {len(every)} rows"
    tools.locator("input").fill("")
    assert rows.filter(visible=True).count() == len(every)


def test_values_are_held_against_a_baseline(page: Page) -> None:
    """Each against the baseline's value at the same operating point."""
    found = ranked(page)
    table = page.locator(found.css)
    pick = page.locator("#ranking select").first
    base = REPORT["stacks"][1]
    pick.select_option(base["label"])
    for ranking in found.rankings:
        values = {it["stack"]: it["value"]["value"] for it in ranking["entries"]}
        for entry in ranking["entries"]:
            share = (values[entry["stack"]] / values[base["id"]] - 1) * 100
            row = table.locator(f"tr[data-cell='{entry['cell']}']")
            assert row.locator(".against").text_content() == f" ({share:+.1f} %)"
    pick.select_option("no baseline")
    assert table.locator(".against").count() == 0


def test_dollars_are_counted_from_typed_prices(page: Page) -> None:
    cells = {it["id"]: it["values"] for it in REPORT["cells"]}
    table = page.locator(".calculator table")
    hour, power = page.locator(".calculator input").all()

    def yours() -> dict[str, str]:
        rows = table.locator("tbody tr").all()
        return {
            row.get_attribute("data-cell") or "": row.locator("td").last.text_content() or ""
            for row in rows
        }

    assert set(yours().values()) == {"type a price"}
    hour.fill("7.2")
    power.fill("0.3")
    found = yours()
    assert len(found) == table.locator("tbody tr").count()
    for cell, text in found.items():
        values = cells[cell]
        joules = next(
            values[key]["value"]
            for key in (f"energy_j_per_output_token@{it['name']}" for it in REPORT["meters"])
            if key in values and values[key]["value"] is not None
        )
        usd = 7.2 / 3600 / values["output_tok_s"]["value"] * 1e6 + 0.3 * joules / 3.6
        number, kind = text.split()
        assert math.isclose(float(number), usd, rel_tol=0.006)
        assert kind == "est."
    hour.fill("-1")
    assert set(yours().values()) == {"type a price"}


def test_a_row_is_copied_with_its_result(page: Page) -> None:
    css, column, _ = found = ranked(page)
    row = page.locator(f"{css} >> tbody tr").first
    row.locator("button").click()
    expect(row.locator("button")).to_have_text("copied")
    text = page.evaluate("navigator.clipboard.readText()")
    cell = row.get_attribute("data-cell")
    assert cell in found.entries
    title = page.locator(f"{css} >> thead th").nth(column).text_content()
    assert f"{title}: {row.locator('td').nth(column).text_content()}\n" in text
    assert text.endswith(f"\nresult: {cell}\nplan: {REPORT['plan_sha256']}")


def test_where_nothing_may_be_copied_the_button_says_so(page: Page) -> None:
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    button = page.locator("#ranking tbody button").first
    button.click()
    expect(button).to_have_text("not allowed")


def test_what_was_imported_stops_no_script(browser: Browser, tmp_path: Path) -> None:
    """Its table has places and no stacks."""
    both = [test_imported.measurement(n, test_imported.figure("ttft_ms", n)) for n in (1, 2)]
    made = html.render(replace(factory.comparison(), imported=both))
    with opened(browser, written(tmp_path, made)) as page:
        assert page.locator("header button").count() == 1
        assert page.locator(".calculator").is_visible()


def test_typed_prices_keep_the_kind_and_the_reason(browser: Browser, tmp_path: Path) -> None:
    base = factory.comparison()
    first, second, *rest = base.cells
    speed, joules = figures.TOKENS, f"{figures.JOULES}@rapl"
    made_up = {speed: replace(first.values[speed], kind="simulated")}
    cells = [
        replace(first, values=first.values | made_up),
        replace(second, values=second.values | {joules: figures.absent("J/token", "disputed")}),
        *rest,
    ]
    made = html.render(replace(base, cells=cells))
    with opened(browser, written(tmp_path, made)) as page:
        hour, power = page.locator(".calculator input").all()
        hour.fill("7.2")
        power.fill("0.3")
        yours = texts(page, ".calculator tbody tr td:last-child")
        told = texts(page, ".calculator tbody tr td:nth-child(5)")
    assert yours[0].endswith(" sim.")
    assert yours[1] == told[1]
    assert yours[1].startswith("n/a (")
    assert yours[2].endswith(" est.")


@pytest.mark.parametrize(
    ("scheme", "before", "after"), [("light", LIGHT, DARK), ("dark", DARK, LIGHT)]
)
def test_the_page_turns_dark_and_light(
    browser: Browser, file: Path, scheme: Literal["light", "dark"], before: str, after: str
) -> None:
    with opened(browser, file, scheme=scheme) as page:
        button = page.locator("header button")
        ground = "getComputedStyle(document.body).backgroundColor"
        for seen in (before, after, before):
            assert page.evaluate(ground) == seen
            assert button.text_content() == ("Dark page" if seen == LIGHT else "Light page")
            button.click()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_and_marks_of_charts_stand_out(
    browser: Browser, file: Path, scheme: Literal["light", "dark"]
) -> None:
    """Words by 4.5 to 1, marks by 3 to 1, as they are drawn on this ground."""
    drawn = """them => them.map(it => {
      const {fill, stroke} = getComputedStyle(it);
      return [it.textContent || it.getAttribute("aria-label"), fill, stroke];
    })"""
    ground = _colour(DARK if scheme == "dark" else LIGHT)
    with opened(browser, file, scheme=scheme) as page:
        words = page.locator(".chart text").evaluate_all(drawn)
        marks = page.locator(".chart :not(g)[aria-label]").evaluate_all(drawn)
    assert len(words) > len(marks) > 20
    faint = [name for name, fill, _ in words if _contrast(_colour(fill), ground) < 4.5]
    faint += [
        name
        for name, *paints in marks
        if max(_contrast(_colour(paint), ground) for paint in paints) < 3
    ]
    assert faint == []


def _colour(css: str) -> tuple[float, ...] | None:
    return tuple(map(float, re.findall(r"[\d.]+", css)[:3])) or None


def _contrast(colour: tuple[float, ...] | None, ground: tuple[float, ...] | None) -> float:
    """Contrast as WCAG 2.2 counts it; of ``none`` there is none."""
    if colour is None or ground is None:
        return 1.0

    def light(rgb: tuple[float, ...]) -> float:
        parts = [c / 3294.6 if c <= 10.31475 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
        return sum(
            share * part for share, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True)
        )

    low, high = sorted((light(colour), light(ground)))
    return (high + 0.05) / (low + 0.05)


def test_header_and_answer_are_seen_at_once(page: Page) -> None:
    boxes = [card.bounding_box() for card in page.locator("#answer .cards li").all()]
    assert len(boxes) == 6
    assert max(box["y"] + box["height"] for box in boxes if box) <= WIDE["height"]
    words = " ".join(page.locator("#answer").all_inner_texts()).split()
    assert len(words) <= 120


def test_links_lead_to_what_is_seen(page: Page) -> None:
    for link in page.locator("a").all():
        target = page.locator(link.get_attribute("href") or "none")
        assert target.is_visible()
    for link in page.locator("#answer .cards a").all():
        link.click()
        where = page.evaluate("location.hash.slice(1)")
        top = page.evaluate("id => document.getElementById(id).getBoundingClientRect().top", where)
        assert -1 <= top < WIDE["height"]


def test_a_phone_scrolls_one_way(browser: Browser, file: Path) -> None:
    with opened(browser, file, size=PHONE) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_print_is_light_and_whole(browser: Browser, file: Path) -> None:
    with opened(browser, file, scheme="dark") as page:
        page.emulate_media(media="print")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == LIGHT
        assert page.locator(".tools").filter(visible=True).count() == 0
        folded = page.locator("details table")
        assert folded.count() > 0
        assert all(it.is_visible() for it in folded.all())
        assert len(page.pdf()) > 10_000


def test_hostile_names_do_nothing(browser: Browser, file: Path, tmp_path: Path) -> None:
    """No message, no element, no error: names are words, in the page as in its script's."""
    tags = "[...new Set([...document.querySelectorAll('*')].map(it => it.localName))].sort()"
    hostile = written(tmp_path, html.render(test_hostile.hostile()))
    with opened(browser, file) as page:
        known = set(page.evaluate(tags))
    with opened(browser, hostile) as page:
        assert set(page.evaluate(tags)) <= known | {"code", "pre"}
        assert page.locator("script").count() == 1
        assert page.locator("[onload], [onclick], [onerror], [src], [style]:not(#tip)").count() == 0
        assert "<script>|" in (page.locator("#answer").text_content() or "")
        for button in page.locator("#ranking thead button, #ranking tbody button").all()[:12]:
            button.click()
        page.locator("#ranking select").first.select_option(index=1)
        assert set(page.evaluate(tags)) <= known | {"code", "pre"}
        assert page.locator("script").count() == 1
