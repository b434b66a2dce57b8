"""Correcting nuclei as a pathologist does, by mouse and by keyboard, compared with what the server then holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from nucleus_app.services.workplace import Workplace, open_workplace
from nucleus_app.settings import Settings
from tests.e2e.conftest import RunningApp, free_port
from tests.e2e.seeding import grade_candidates, seed_case
from tests.e2e.test_page import INKED, open_page, wait_scored

pytestmark = pytest.mark.browser

# Page coordinates of image coordinates, whatever the zoom.
TO_PAGE = """([x, y]) => { const v = document.querySelector('.nv-root').viewer, b = v.osd.canvas.getBoundingClientRect();
  return [b.left + (x + 0.5) * v.view.scale + v.view.x, b.top + (y + 0.5) * v.view.scale + v.view.y]; }"""
# Nuclei that count, as [index, x, y, class], those in the middle of the view only.
COUNTED = """() => { const v = document.querySelector('.nv-root').viewer, p = v.points, found = [];
  for (let i = 0; i < p.n; i++) { const x = (p.xy[2 * i] + 0.5) * v.view.scale + v.view.x, y = (p.xy[2 * i + 1] + 0.5) * v.view.scale + v.view.y;
    if (p.standings[i] === 1 && x > 120 && y > 160 && x < v.view.width - 60 && y < v.view.height - 90) found.push([i, p.xy[2 * i], p.xy[2 * i + 1], p.classes[i]]); }
  return found; }"""
# A place in the middle of the view, at least so many µm from every candidate.
EMPTY = """(um) => { const v = document.querySelector('.nv-root').viewer, p = v.points, r = um / v.mpp;
  for (let y = 200; y < v.view.height - 100; y += 7) for (let x = 140; x < v.view.width - 80; x += 7) {
    const at = v.tools.toImage({ x, y }); if (p.nearest(at.x, at.y, r, () => true) < 0) return [at.x, at.y]; }
  return null; }"""
COUNTS = "() => [...document.querySelector('.nv-root').viewer.review.counts]"
ZOOM_IN = """() => { const v = document.querySelector('.nv-root').viewer, p = v.osd.viewport;
  p.zoomTo(p.getHomeZoom() * 3, null, true); p.panTo(new OpenSeadragon.Point(0.5, 0.5), true); v.osd.forceRedraw(); v.draw(); }"""


class Bench:
    """A page on one image, and the server's view of the same image."""

    def __init__(self, page: Page, app: RunningApp, image: int) -> None:
        self.page, self.app, self.image = page, app, image
        self.root = page.locator(".nv-root")

    def open(self) -> Bench:
        open_page(self.page, self.app, f"?image={self.image}")
        wait_scored(self.page)
        self.root.focus()
        return self

    def key(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def at(self, x: float, y: float) -> tuple[float, float]:
        left, top = self.page.evaluate(TO_PAGE, [x, y])
        return float(left), float(top)

    def counted(self) -> list[list[float]]:
        found: list[list[float]] = self.page.evaluate(COUNTED)
        assert found
        return found

    def empty(self, um: float = 4.0) -> tuple[float, float]:
        place = self.page.evaluate(EMPTY, um)
        assert place is not None, "no empty tissue in view"
        return tuple(place)

    def drag(self, *places: tuple[float, float], steps: int = 6) -> None:
        """Press at the first image place, move over the others, release at the last."""
        self.page.mouse.move(*self.at(*places[0]))
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*self.at(*place), steps=steps)
        self.page.mouse.up()

    def saved(self) -> None:
        expect(self.root).to_have_attribute("data-pending", "0")
        expect(self.root).to_have_attribute("data-agrees", "yes")

    def result(self) -> dict[str, Any]:
        self.saved()
        answer: dict[str, Any] = httpx.get(f"{self.app.url}nucleus/api/images/{self.image}/result.json").json()
        return answer

    def counts(self) -> tuple[int, int, int]:
        """What the page counts; the server must count the same."""
        here = tuple(self.page.evaluate(COUNTS))
        there = self.result()["counts"]
        assert here == (there["positive"], there["negative"], there["other"])
        expect(self.page.locator(".nv-counts")).to_have_text(
            f"{here[0]:,} positive of {here[0] + here[1]:,} tumour nuclei"
        )
        return here


@pytest.fixture(scope="module")
def store(app: RunningApp) -> Iterator[Workplace]:
    """The running app's own store."""
    workplace = open_workplace(Settings(data_dir=app.data_dir, demo=False))
    yield workplace
    workplace.jobs.close()
    workplace.engine.dispose()


@pytest.fixture
def bench(page: Page, app: RunningApp, store: Workplace) -> Bench:
    """A fresh case of its own with known candidates, zoomed in."""
    field = draw_field(FieldRecipe(width_px=420, height_px=420), np.random.default_rng(11))
    candidates = grade_candidates(field.nuclei, np.random.default_rng(12))
    bench = Bench(page, app, seed_case(store, field.rgb, candidates, "Seeded field")).open()
    page.evaluate(ZOOM_IN)
    return bench


def test_a_key_over_a_nucleus_classes_it_and_x_removes_it(bench: Bench) -> None:
    positive, negative, other = bench.counts()
    one = next(n for n in bench.counted() if n[3] == 1)
    bench.page.mouse.move(*bench.at(one[1], one[2]))
    bench.key("1")
    assert bench.counts() == (positive + 1, negative - 1, other)
    bench.key("3")
    assert bench.counts() == (positive, negative - 1, other + 1)
    bench.key("x")
    assert bench.counts() == (positive, negative - 1, other)
    assert bench.result()["edited"] + bench.result()["deleted"] >= 1
    bench.key("Control+z", "Control+z", "Control+z")
    assert bench.counts() == (positive, negative, other)


def test_a_click_on_empty_tissue_adds_and_a_drag_moves(bench: Bench) -> None:
    positive, negative, other = bench.counts()
    bench.key("a", "1")
    x, y = bench.empty()
    bench.page.mouse.click(*bench.at(x, y))
    assert bench.counts() == (positive + 1, negative, other)
    placed = [n for n in bench.result()["nuclei"] if n[5] == "placed"]
    assert len(placed) == 1
    assert placed[0][:2] == pytest.approx([x, y], abs=0.6)
    bench.drag((x, y), (x + 12, y + 3))
    moved = [n for n in bench.result()["nuclei"] if n[5] == "placed"]
    assert moved[0][:2] == pytest.approx([x + 12, y + 3], abs=0.6)
    bench.page.keyboard.down("Shift")
    bench.page.mouse.click(*bench.at(x + 12, y + 3))
    bench.page.keyboard.up("Shift")
    assert bench.counts() == (positive, negative, other)


def test_a_click_near_a_hidden_peak_takes_the_peak_and_alt_takes_the_place(bench: Bench) -> None:
    one = bench.counted()[0]
    bench.page.mouse.move(*bench.at(one[1], one[2]))
    bench.key("x")  # its peak is hidden now
    before = bench.counts()
    bench.key("a", "2")
    near = bench.at(one[1] + 3, one[2] + 2)
    bench.page.mouse.click(*near)
    assert sum(bench.counts()) == sum(before) + 1
    nuclei = bench.result()["nuclei"]
    assert any(n[:2] == pytest.approx(one[1:3], abs=0.01) and n[2] == 1 for n in nuclei)
    bench.key("Control+z")
    bench.page.keyboard.down("Alt")
    bench.page.mouse.click(*near)
    bench.page.keyboard.up("Alt")
    placed = [n for n in bench.result()["nuclei"] if n[5] == "placed"]
    assert [n[:2] for n in placed] == [pytest.approx([one[1] + 3, one[2] + 2], abs=0.6)]


def test_two_hundred_quick_clicks_with_a_shaking_hand_are_all_kept_once(bench: Bench) -> None:
    before = sum(bench.counts())
    bench.key("a", "1")
    rng = np.random.default_rng(3)
    # Alt places exactly there, so that every click must be one nucleus; the grid keeps them apart.
    box = bench.page.locator(".nv-stage").bounding_box()
    assert box is not None
    grid = [(box["x"] + 130 + 22 * (k % 20), box["y"] + 150 + 22 * (k // 20)) for k in range(200)]
    free = bench.page.evaluate(
        """(places) => { const v = document.querySelector('.nv-root').viewer, b = v.osd.canvas.getBoundingClientRect();
          return places.filter(([x, y]) => v.tools.pick(v.tools.toImage({ x: x - b.left, y: y - b.top })) < 0).length; }""",
        grid,
    )
    bench.page.keyboard.down("Alt")
    for x, y in grid:
        bench.page.mouse.move(x, y)
        bench.page.mouse.down()
        angle, away = rng.uniform(0, 6.28), rng.uniform(0, 6)
        bench.page.mouse.move(x + away * np.cos(angle), y + away * np.sin(angle))
        bench.page.mouse.up()
    bench.page.keyboard.up("Alt")
    assert sum(bench.counts()) - before == free
    assert bench.result()["placed"] == free


def test_rectangle_and_lasso_select_and_a_key_classes_all_with_one_undo(bench: Bench) -> None:
    before = bench.counts()
    inside = bench.counted()
    xs, ys = [n[1] for n in inside], [n[2] for n in inside]
    bench.key("r")
    bench.drag((min(xs) - 1, min(ys) - 1), (max(xs) + 1, max(ys) + 1))
    expect(bench.root).to_have_attribute("data-selected", str(len(inside)))
    expect(bench.page.locator(".nv-chosen")).to_contain_text(f"{len(inside)} selected")
    bench.key("3")
    assert bench.counts()[2] == before[2] + sum(n[3] != 2 for n in inside)
    bench.key("Control+z")
    assert bench.counts() == before
    bench.key("l")
    left, right, top, bottom = min(xs) - 1, (min(xs) + max(xs)) / 2, min(ys) - 1, max(ys) + 1
    bench.drag((left, top), (right, top), (right, bottom), (left, bottom))
    half = int(bench.root.get_attribute("data-selected") or 0)
    assert 0 < half < len(inside)
    bench.key("Delete")
    assert sum(bench.counts()) == sum(before) - half


def test_a_threshold_moves_the_count_live_and_spares_what_a_person_placed(bench: Bench) -> None:
    before = bench.counts()
    bench.key("a", "2")
    bench.page.mouse.click(*bench.at(*bench.empty()))
    bench.page.get_by_text("Thresholds").click()
    slider = bench.page.locator("input[data-cut='1']")
    slider.fill("0.95")
    assert bench.counts()[1] == 1, "only the placed one is left"
    expect(bench.page.locator(".nv-cut output").nth(1)).to_have_text("0.95")
    bench.page.get_by_role("button", name="Back to the network’s own threshold for negative").click()
    assert bench.counts() == (before[0], before[1] + 1, before[2])
    slider.fill(str(slider.get_attribute("min")))
    assert bench.counts()[1] >= before[1] + 1


def test_an_excluded_region_takes_nuclei_out_of_the_index_at_once_and_the_eraser_brings_them_back(bench: Bench) -> None:
    before = bench.counts()
    one = bench.counted()[0]
    bench.key("b")
    bench.page.locator("[data-label=exclude]").click()
    bench.drag((one[1] - 6, one[2]), (one[1] + 6, one[2]))
    after = bench.counts()
    assert sum(after) < sum(before)
    result = bench.result()
    assert result["left_out"] == sum(before) - sum(after)
    assert [r["label"] for r in result["regions"]] == ["exclude"]
    expect(bench.page.locator(".nv-changed")).to_contain_text("left out by regions")
    bench.key("e")
    bench.drag((one[1] - 14, one[2]), (one[1] + 14, one[2]))
    assert bench.counts() == before
    bench.key("Control+z")
    assert bench.counts() == after
    bench.key("Control+z")
    assert bench.counts() == before


def test_a_polygon_and_a_reviewed_area_are_kept_as_vectors(bench: Bench) -> None:
    bench.key("p")
    bench.page.locator("[data-label='reviewed']").click()
    centre = bench.counted()[0]
    corners = [(centre[1] + dx, centre[2] + dy) for dx, dy in ((-15, -15), (15, -15), (15, 15), (-15, 15))]
    for corner in corners:
        bench.page.mouse.click(*bench.at(*corner))
    bench.key("Enter")
    regions = bench.result()["regions"]
    assert [(r["label"], r["shape"], len(r["pts"])) for r in regions] == [("reviewed", "polygon", 8)]
    assert regions[0]["pts"][:2] == pytest.approx(corners[0], abs=0.6)


def test_undo_and_redo_go_on_after_a_reload_and_a_restart(page: Page, tmp_path: Path) -> None:
    app = RunningApp(tmp_path / "data", free_port())
    app.start()
    try:
        bench = Bench(page, app, 1).open()
        start = bench.counts()
        for one in bench.counted()[:4]:
            page.mouse.move(*bench.at(one[1], one[2]))
            bench.key("x")
        after = bench.counts()
        assert sum(after) == sum(start) - 4
        bench.saved()
        app.kill()
        app.start()
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
    finally:
        app.stop()


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
    expect(page.locator(".nv-saved")).to_have_text(re.compile(r"saved \d\d:\d\d:\d\d"))


def test_a_killed_server_loses_nothing_that_was_shown_as_saved_and_gets_the_rest_later(
    page: Page, tmp_path: Path
) -> None:
    app = RunningApp(tmp_path / "data", free_port())
    app.start()
    try:
        bench = Bench(page, app, 1).open()
        page.evaluate(ZOOM_IN)
        before = sum(bench.counts())
        bench.key("a", "1")
        box = page.locator(".nv-stage").bounding_box()
        assert box is not None
        page.keyboard.down("Alt")
        clicked = 0
        for k in range(100):
            if k == 50:
                app.kill()
            place = (box["x"] + 120 + 40 * (k % 12), box["y"] + 150 + 40 * (k // 12))
            hits = page.evaluate(
                """([x, y]) => { const v = document.querySelector('.nv-root').viewer, b = v.osd.canvas.getBoundingClientRect();
                  return v.tools.pick(v.tools.toImage({ x: x - b.left, y: y - b.top })); }""",
                place,
            )
            if hits < 0:
                page.mouse.click(*place)
                clicked += 1
        page.keyboard.up("Alt")
        assert sum(page.evaluate(COUNTS)) == before + clicked
        expect(page.locator(".nv-saved")).to_contain_text("not saved yet")
        app.start()
        bench.saved()
        assert sum(bench.counts()) == before + clicked
        assert bench.result()["placed"] == clicked
    finally:
        app.stop()


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
    hers.root.focus()
    mine, her_one = bench.counted()[0], bench.counted()[1]
    bench.page.mouse.move(*bench.at(mine[1], mine[2]))
    bench.key("x")
    hers.page.mouse.move(*hers.at(her_one[1], her_one[2]))
    hers.key("x")
    expected = [sum(before) - 2]
    for b in (bench, hers):
        b.page.wait_for_function(
            f"[{expected[0]}].includes(document.querySelector('.nv-root').viewer.review.counts.reduce((a, b) => a + b))",
            timeout=3000,
        )
    bench.page.get_by_text("History").click()
    expect(bench.page.locator(".nv-history")).to_contain_text("Ann: removed 1 nucleus")
    # Each takes back their own.
    hers.key("Control+z", "Control+z")
    hers.saved()
    bench.page.wait_for_function(
        f"document.querySelector('.nv-root').viewer.review.counts.reduce((a, b) => a + b) === {sum(before) - 1}"
    )
    bench.root.focus()
    bench.key("Control+z")
    assert bench.counts() == before
    hers.page.wait_for_function(
        f"document.querySelector('.nv-root').viewer.review.counts.reduce((a, b) => a + b) === {sum(before)}"
    )


def test_the_queue_walks_the_doubtful_nuclei_and_enter_agrees(bench: Bench, page: Page) -> None:
    text = page.locator(".nv-review details").first
    doubtful = page.evaluate("document.querySelector('.nv-root').viewer.session.doubtful.length")
    assert doubtful > 10
    expect(text).to_contain_text(f"{doubtful} open")
    expect(text).to_contain_text(re.compile(r"between \d+\.\d and \d+\.\d %"))
    bench.key("n")
    focus = page.evaluate("document.querySelector('.nv-root').viewer.tools.focus")
    assert focus == page.evaluate("document.querySelector('.nv-root').viewer.session.doubtful[0]")
    expect(page.locator(".nv-say")).to_contain_text("Doubtful nucleus 1 of")
    counts = bench.counts()
    bench.key("Enter")
    assert bench.counts() == counts, "agreeing changes no count"
    expect(text).to_contain_text(f"{doubtful - 1} open")
    assert page.evaluate("document.querySelector('.nv-root').viewer.tools.focus") != focus


def test_all_of_it_without_a_mouse(bench: Bench, page: Page) -> None:
    before = bench.counts()
    page.mouse.move(5, 5)
    bench.key("a", "1", "c")
    x, y = bench.empty(5)
    page.evaluate("([x, y]) => document.querySelector('.nv-root').viewer.lookAt(x, y)", [x, y])
    bench.key("Enter")
    assert bench.counts() == (before[0] + 1, before[1], before[2])
    bench.key("2")  # the nucleus at the crosshair
    assert bench.counts() == (before[0], before[1] + 1, before[2])
    bench.key("ArrowRight", "ArrowLeft", "x")
    assert bench.counts() == before
    bench.key("p", "Enter")
    for move in ("ArrowRight", "ArrowDown", "ArrowLeft"):
        bench.key(move)
        page.wait_for_timeout(350)  # the view glides
        bench.key("Enter")
    bench.key("c", "Enter")
    assert [r["shape"] for r in bench.result()["regions"]] == ["polygon"]
    bench.key("Control+a")
    assert int(bench.root.get_attribute("data-selected") or 0) > 0
    bench.key("Escape")
    expect(bench.root).to_have_attribute("data-selected", "0")
    # The toolbar and the panel can be reached by Tab.
    for _ in range(4):
        bench.key("Tab")
    assert page.evaluate("document.activeElement.closest('.nv-tools') !== null")


def test_the_key_sheet_shows_and_changes_keys(bench: Bench, page: Page) -> None:
    bench.key("?")
    sheet = page.get_by_role("dialog", name="Keys")
    expect(sheet).to_be_visible()
    sheet.locator("[data-action=positive]").click()
    bench.key("q")
    expect(sheet.locator("[data-action=positive]")).to_have_text("Q")
    sheet.get_by_role("button", name="Close").click()
    before = bench.counts()
    one = next(n for n in bench.counted() if n[3] == 1)
    page.mouse.move(*bench.at(one[1], one[2]))
    bench.root.focus()
    bench.key("1")
    assert bench.counts() == before
    bench.key("q")
    assert bench.counts() == (before[0] + 1, before[1] - 1, before[2])
    page.reload()
    bench.open()
    bench.key("?")
    expect(sheet.locator("[data-action=positive]")).to_have_text("Q")
    sheet.get_by_role("button", name="Usual keys").click()
    expect(sheet.locator("[data-action=positive]")).to_have_text("1")


def test_space_moves_the_image_whatever_the_tool_and_h_hides_everything(bench: Bench, page: Page) -> None:
    before = bench.counts()
    bench.key("b")
    x, y = bench.counted()[0][1:3]
    where = "document.querySelector('.nv-root').viewer.osd.viewport.getCenter().x"
    start = page.evaluate(where)
    page.keyboard.down("Space")
    bench.drag((x, y), (x + 30, y))
    page.keyboard.up("Space")
    assert page.evaluate(where) != start
    assert bench.counts() == before
    assert bench.result()["regions"] == []
    page.keyboard.down("h")
    assert page.evaluate(INKED) == 0
    page.keyboard.up("h")
    assert page.evaluate(INKED) > 0


def test_the_view_of_an_image_is_found_again(bench: Bench, page: Page) -> None:
    bounds = "() => { const b = document.querySelector('.nv-root').viewer.osd.viewport.getBounds(true); return [b.x, b.y, b.width]; }"
    bench.key("+", "+", "ArrowLeft")
    page.wait_for_function("localStorage.getItem('nucleus:views') !== null")
    page.wait_for_timeout(600)
    left = page.evaluate(bounds)
    bench.open()
    assert page.evaluate(bounds) == pytest.approx(left, abs=0.02)


def test_the_networks_own_tumour_map_can_be_shown_and_accepted(page: Page, app: RunningApp) -> None:
    bench = Bench(page, app, 1).open()  # scored by the worker's own network
    before = bench.counts()
    page.locator(".nv-section summary", has_text="Regions").click()
    page.get_by_role("button", name="Show where the network sees tumour").click()
    accept = page.get_by_role("button", name="Accept as tumour")
    expect(accept).to_be_visible(timeout=60_000)
    accept.click()
    assert bench.counts() == before
    regions = bench.result()["regions"]
    assert [(r["label"], r["shape"]) for r in regions] == [("tumour", "cells")]
    assert sum(regions[0]["runs"][1::2]) > 0


def test_a_refused_edit_is_told_and_taken_back(bench: Bench, page: Page) -> None:
    before = bench.counts()
    page.evaluate("document.querySelector('.nv-root').viewer.commit({ op: 'add', x: 1e6, y: 5, c: 0 })")
    expect(page.locator(".nv-error")).to_contain_text("x is 1000000: use a number from -0.5 to 419.5")
    assert bench.counts() == before
