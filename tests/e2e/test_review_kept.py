"""No correction is lost: reloads, restarts, a lost connection, a killed server, two people."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from nucleus_app.services.workplace import Workplace, open_workplace
from nucleus_app.settings import Settings
from tests.e2e.bench import COUNTS, ZOOM_IN, Bench
from tests.e2e.running import SEEDED, RunningApp, running_app
from tests.e2e.seeding import draw_seeded, grade_candidates, seed_case, seed_scoring

pytestmark = pytest.mark.browser


@pytest.fixture
def own_app(tmp_path: Path) -> Iterator[RunningApp]:
    """An app that may be killed, with one case."""
    store = open_workplace(Settings(data_dir=tmp_path / "data", demo=False))
    seed_case(store, *draw_seeded(420, seed=11), "Seeded field")
    store.jobs.close()
    store.engine.dispose()
    with running_app(tmp_path / "data", SEEDED) as running:
        yield running


def test_undo_and_redo_go_on_after_a_reload_and_a_restart(page: Page, own_app: RunningApp) -> None:
    bench = Bench(page, own_app, 1).open()
    start = bench.counts()
    for one in bench.counted()[:4]:
        page.mouse.move(*bench.at(one[1], one[2]))
        bench.key("x")
    after = bench.counts()
    assert sum(after) == sum(start) - 4
    bench.saved()
    own_app.kill()
    own_app.start()
    bench.open()
    assert bench.counts() == after
    bench.key(*["Control+z"] * 4)
    assert bench.counts() == start
    page.reload()
    bench.open()
    bench.key(*["Control+Shift+z"] * 4)
    assert bench.counts() == after
    bench.key(*["Control+z"] * 9)  # more than there is
    assert bench.counts() == start
    page.locator(".nv-section summary", has_text="History").click()
    expect(page.locator(".nv-history li")).to_have_count(16)
    expect(page.locator(".nv-history li.nv-undone")).to_have_count(4)


def test_edits_made_without_a_connection_are_kept_and_sent_later_even_by_another_page(bench: Bench, page: Page) -> None:
    before = bench.counts()
    page.route("**/edits*", lambda route: route.abort())
    ones = bench.counted()[:3]
    for one in ones:
        page.mouse.move(*bench.at(one[1], one[2]))
        bench.key("x")
    expect(bench.root).to_have_attribute("data-pending", "3")
    expect(page.locator(".nv-saved")).to_contain_text("3 edits not saved yet")
    assert sum(page.evaluate(COUNTS)) == sum(before) - 3
    page.unroute("**/edits*")
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    bench.open()
    bench.saved()
    assert sum(bench.counts()) == sum(before) - 3
    page.mouse.move(*bench.at(*bench.counted()[0][1:3]))
    bench.key("x")
    bench.saved()
    expect(page.locator(".nv-saved")).to_have_text(re.compile(r"saved \d\d:\d\d:\d\d"))


def test_what_a_proxy_answers_in_the_apps_place_drops_no_edit(bench: Bench, page: Page) -> None:
    before = sum(bench.counts())
    statuses = [401, 404, 429]

    def stand_between(route: Route) -> None:
        if route.request.method == "POST" and statuses:
            return route.fulfill(status=statuses.pop(0), content_type="text/html", body="<h1>Sign in</h1>")
        return route.continue_()

    page.route("**/edits*", stand_between)
    page.mouse.move(*bench.at(*bench.counted()[0][1:3]))
    bench.key("x")
    expect(page.locator(".nv-saved")).to_contain_text("1 edit not saved yet")
    assert sum(bench.counts()) == before - 1
    assert statuses == []
    expect(page.locator(".nv-error")).to_have_count(0)


def test_edits_count_as_kept_only_when_the_browser_kept_every_one(bench: Bench, page: Page) -> None:
    bench.counts()
    page.route("**/edits*", lambda route: route.abort())
    ones = bench.counted()[:3]

    def remove(one: list[float]) -> None:
        page.mouse.move(*bench.at(one[1], one[2]))
        bench.key("x")

    page.evaluate(
        """() => { const own = Storage.prototype.setItem; Storage.prototype.setItem = () => {
        Storage.prototype.setItem = own; throw new DOMException('full', 'QuotaExceededError'); }; }"""
    )
    remove(ones[0])
    remove(ones[1])
    said = page.locator(".nv-saved")
    expect(said).to_contain_text("2 edits not saved yet. This browser cannot keep them either")
    page.unroute("**/edits*")
    bench.saved()
    page.route("**/edits*", lambda route: route.abort())
    remove(ones[2])
    expect(said).to_contain_text("1 edit not saved yet. They are kept in this browser")
    page.unroute("**/edits*")
    bench.saved()


def test_what_the_viewer_says_stays_when_gradio_takes_its_own_notices_back(bench: Bench, page: Page) -> None:
    say = "(notices) => document.querySelector('.nv-root').viewer.panel.showNotices(notices)"
    page.evaluate("document.querySelector('.nv-root').viewer.panel.addNotice('error', '2 corrections were not kept.')")
    page.evaluate(say, [{"kind": "info", "text": "Drop an image first."}])
    expect(page.locator(".nv-notice")).to_have_count(2)
    page.evaluate(say, [])
    expect(page.locator(".nv-notice span")).to_have_text(["2 corrections were not kept."])


def test_a_killed_server_loses_nothing_that_was_shown_as_saved_and_gets_the_rest_later(
    page: Page, own_app: RunningApp
) -> None:
    bench = Bench(page, own_app, 1).open()
    page.evaluate(ZOOM_IN)
    before = sum(bench.counts())
    bench.key("a", "1")
    box = page.locator(".nv-stage").bounding_box()
    assert box is not None
    page.keyboard.down("Alt")
    for k in range(100):
        if k == 50:
            own_app.kill()
        place = (box["x"] + 120 + 40 * (k % 12), box["y"] + 150 + 40 * (k // 12))
        page.mouse.click(*place)
    page.keyboard.up("Alt")
    assert sum(page.evaluate(COUNTS)) == before + 100
    expect(page.locator(".nv-saved")).to_contain_text("not saved yet")
    own_app.start()
    bench.saved()
    assert sum(bench.counts()) == before + 100
    assert bench.result()["placed"] == 100


def test_a_page_closed_while_the_server_was_down_leaves_its_edits_to_the_next_one(
    page: Page, own_app: RunningApp
) -> None:
    bench = Bench(page, own_app, 1).open()
    ones = bench.counted()[:6]
    for k, one in enumerate(ones):
        if k == 3:
            bench.saved()
            own_app.kill()
        page.mouse.move(*bench.at(one[1], one[2]))
        bench.key("x")
    context = page.context
    page.close(run_before_unload=False)
    own_app.start()
    assert httpx.get(f"{own_app.url}nucleus/api/images/1/result.json").json()["deleted"] == 3
    later = context.new_page()
    later.goto(own_app.url)  # whatever it shows
    expect(later.locator(".nv-root")).to_have_attribute("data-ready", re.compile(r"\d+"), timeout=60_000)
    later.wait_for_function("Object.keys(localStorage).every((key) => !key.startsWith('nucleus:outbox'))")
    assert httpx.get(f"{own_app.url}nucleus/api/images/1/result.json").json()["deleted"] == 6


def test_edits_that_were_not_saved_yet_follow_when_another_case_is_opened(bench: Bench, page: Page) -> None:
    page.route("**/edits", lambda route: route.abort())
    one = bench.counted()[0]
    page.mouse.move(*bench.at(one[1], one[2]))
    bench.key("x")
    expect(bench.root).to_have_attribute("data-pending", "1")
    page.locator(".nv-list button", has_text="Demo field").click()
    expect(page.locator(".nv-panel h2")).to_contain_text("Demo field")
    page.unroute("**/edits")
    page.wait_for_function("Object.keys(localStorage).every((key) => !key.startsWith('nucleus:outbox'))")
    result = httpx.get(f"{bench.app.url}nucleus/api/images/{bench.image}/result.json").json()
    assert result["deleted"] == 1


def test_two_tabs_of_one_browser_lose_and_double_nothing(bench: Bench, page: Page) -> None:
    before = sum(bench.counts())
    page.route("**/edits", lambda route: route.abort())
    for one in bench.counted()[:2]:
        page.mouse.move(*bench.at(one[1], one[2]))
        bench.key("x")
    expect(bench.root).to_have_attribute("data-pending", "2")
    other = Bench(page.context.new_page(), bench.app, bench.image).open()
    other.saved()  # it has sent what the first tab could not
    third = bench.counted()[2]
    page.mouse.move(*bench.at(third[1], third[2]))
    bench.key("x")
    page.unroute("**/edits")
    assert sum(bench.counts()) == before - 3
    other.sees(before - 3)
    other.focus()
    other.key("Control+z", "Control+z", "Control+z")  # one reader, whichever tab
    assert sum(other.counts()) == before
    other.page.close()


def test_an_image_that_is_scored_again_meanwhile_keeps_its_corrections_and_says_what_came_too_late(
    bench: Bench, page: Page, store: Workplace
) -> None:
    before = bench.counts()
    one, late = bench.counted()[:2]
    page.mouse.move(*bench.at(one[1], one[2]))
    bench.key("x")
    bench.saved()
    field = draw_field(FieldRecipe(width_px=420, height_px=420), np.random.default_rng(11))
    seed_scoring(store, bench.image, grade_candidates(field.nuclei, np.random.default_rng(12)))
    page.mouse.move(*bench.at(late[1], late[2]))
    bench.key("x")
    expect(page.locator(".nv-error")).to_contain_text("scored again")
    expect(page.locator(".nv-error")).to_contain_text("1 correction was not kept")
    page.wait_for_function("document.querySelector('.nv-root').viewer.session !== null")
    assert sum(bench.counts()) == sum(before) - 1


def test_a_browser_whose_storage_is_full_still_corrects(browser: Browser, bench: Bench) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    context.add_init_script(
        "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); }"
    )
    full = Bench(context.new_page(), bench.app, bench.image).open()
    before = sum(full.counts())
    one = full.counted()[0]
    full.page.mouse.move(*full.at(one[1], one[2]))
    full.key("x")
    assert sum(full.counts()) == before - 1
    context.close()


@pytest.fixture
def second(browser: Browser) -> Iterator[Callable[[], Page]]:
    """Pages of other people: contexts with a storage of their own."""
    contexts: list[BrowserContext] = []

    def open_() -> Page:
        contexts.append(browser.new_context(viewport={"width": 1280, "height": 720}))
        return contexts[-1].new_page()

    yield open_
    for context in contexts:
        context.close()


def test_two_people_on_one_image_see_each_others_edits_within_three_seconds(
    bench: Bench, app: RunningApp, second: Callable[[], Page]
) -> None:
    before = bench.counts()
    hers = Bench(second(), app, bench.image).open()
    hers.page.evaluate(ZOOM_IN)
    hers.page.get_by_label("Reader", exact=True).fill("Ann")
    hers.page.get_by_label("Reader", exact=True).press("Tab")
    hers.focus()
    mine, her_one = bench.counted()[0], bench.counted()[1]
    bench.page.mouse.move(*bench.at(mine[1], mine[2]))
    bench.key("x")
    hers.page.mouse.move(*hers.at(her_one[1], her_one[2]))
    hers.key("x")
    bench.sees(sum(before) - 2)
    hers.sees(sum(before) - 2)
    bench.page.get_by_text("History").click()
    expect(bench.page.locator(".nv-history")).to_contain_text("Ann: removed 1 nucleus")
    # Each takes back their own.
    hers.key("Control+z", "Control+z")
    hers.saved()
    bench.sees(sum(before) - 1)
    bench.focus()
    bench.key("Control+z")
    assert bench.counts() == before
    hers.sees(sum(before))
