"""Correcting nuclei by mouse and by keyboard, compared with what the server then holds."""

from __future__ import annotations

import re

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.bench import Bench
from tests.e2e.pages import INKED
from tests.e2e.running import RunningApp

pytestmark = pytest.mark.browser


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


def test_the_folded_out_downloads_stay_so_while_nuclei_are_corrected(bench: Bench) -> None:
    bench.counts()
    bench.page.get_by_text("More files").click()
    link = bench.page.get_by_role("link", name="CSV of nuclei")
    expect(link).to_be_visible()
    link.focus()
    before = bench.page.locator(".nv-value").inner_text()
    one = next(n for n in bench.counted() if n[3] == 1)
    bench.page.mouse.move(*bench.at(one[1], one[2]))
    bench.key("1")
    bench.saved()
    expect(bench.page.locator(".nv-value")).not_to_have_text(before)
    expect(link).to_be_focused()
    bench.page.get_by_label("Palette").select_option(index=1)  # only the links name it
    expect(link).to_be_visible()


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


def test_nothing_is_added_on_a_mark_whose_class_is_hidden(bench: Bench, page: Page) -> None:
    before = bench.counts()
    one = next(n for n in bench.counted() if n[3] == 1)
    page.locator("input[data-class=negative]").uncheck()
    bench.focus()
    bench.key("a", "1")
    page.mouse.click(*bench.at(one[1], one[2]))
    expect(page.locator(".nv-info")).to_contain_text("hidden")
    assert bench.counts() == before
    page.locator("input[data-class=negative]").check()
    bench.focus()
    page.mouse.click(*bench.at(one[1], one[2]))
    assert bench.counts() == (before[0] + 1, before[1] - 1, before[2])


def test_two_hundred_quick_clicks_with_a_shaking_hand_are_all_kept_once(bench: Bench) -> None:
    before = sum(bench.counts())
    bench.key("a", "1")
    rng = np.random.default_rng(3)
    # Alt places exactly there, so that every click must be one nucleus; the grid keeps them apart.
    box = bench.page.locator(".nv-stage").bounding_box()
    assert box is not None
    grid = [(box["x"] + 130 + 22 * (k % 20), box["y"] + 150 + 22 * (k // 20)) for k in range(200)]
    bench.page.keyboard.down("Alt")
    for x, y in grid:
        bench.page.mouse.move(x, y)
        bench.page.mouse.down()
        angle, away = rng.uniform(0, 6.28), rng.uniform(0, 6)
        bench.page.mouse.move(x + away * np.cos(angle), y + away * np.sin(angle))
        bench.page.mouse.up()
        bench.page.wait_for_timeout(30)
    bench.page.keyboard.up("Alt")
    assert sum(bench.counts()) - before == 200
    assert bench.result()["placed"] == 200


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


def test_a_nucleus_that_was_removed_does_not_pass_the_key_on_to_its_neighbour(bench: Bench, page: Page) -> None:
    before = sum(bench.counts())
    one = bench.counted()[0]
    page.mouse.move(*bench.at(one[1], one[2]))
    bench.key("x", "x", "x")
    assert sum(bench.counts()) == before - 1
    page.evaluate("(place) => document.querySelector('.nv-root').viewer.lookAt(...place)", [one[1] + 40, one[2]])
    bench.key("x")  # the image moved under a still mouse, and nobody pointed anew
    assert sum(bench.counts()) == before - 1


def test_two_fingers_and_a_gesture_cut_short_edit_nothing(bench: Bench, page: Page) -> None:
    before = bench.counts()
    x, y = bench.empty()
    for tool in ("a", "b", "l"):
        bench.key(tool)
        for end in ("pinch", "cancel", "Escape"):
            page.mouse.move(*bench.at(x, y))
            page.mouse.down()
            page.mouse.move(*bench.at(x + 9, y + 9), steps=3)
            if end == "pinch":
                page.evaluate("document.querySelector('.nv-root').viewer.osd.raiseEvent('canvas-pinch', {})")
            elif end == "cancel":
                page.evaluate(
                    "document.querySelector('.nv-root').viewer.osd.canvas.dispatchEvent(new PointerEvent('pointercancel'))"
                )
            else:
                bench.key("Escape")
            page.mouse.move(*bench.at(x + 15, y + 9), steps=3)
            page.mouse.up()
    assert bench.counts() == before
    assert bench.result()["regions"] == []


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


def test_an_outline_gets_the_label_that_is_chosen_when_it_is_closed(bench: Bench, page: Page) -> None:
    bench.key("p")
    page.locator("[data-label='tumour']").click()
    centre = bench.counted()[0]
    for dx, dy in ((-15, -15), (15, -15), (15, 15)):
        page.mouse.click(*bench.at(centre[1] + dx, centre[2] + dy))
    painted = """([x, y]) => { const { regions: { canvas }, view: v } = document.querySelector('.nv-root').viewer;
      return [...canvas.getContext('2d').getImageData((x * v.scale + v.x) * v.ratio, (y * v.scale + v.y) * v.ratio, 1, 1).data]; }"""
    inside = [centre[1] + 5, centre[2] - 5]
    before = page.evaluate(painted, inside)
    page.locator("[data-label='reviewed']").click()
    assert page.evaluate(painted, inside) != before
    bench.key("Enter")
    assert [r["label"] for r in bench.result()["regions"]] == ["reviewed"]


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
    bench.key("m", "ArrowRight")
    page.wait_for_timeout(350)  # the view glides
    bench.key("m")
    placed = [n for n in bench.result()["nuclei"] if n[5] == "placed"]
    assert placed[0][0] > x + 5
    bench.key("x")
    assert bench.counts() == before
    bench.key("p", "Enter")
    for move in ("ArrowRight", "ArrowDown", "ArrowLeft"):
        bench.key(move)
        page.wait_for_timeout(350)  # the view glides
        bench.key("Enter")
    bench.key("Enter", "c")  # twice at one place closes
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
    bench.focus()
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
