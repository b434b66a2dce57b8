"""The sliders of the thresholds, moved by key, by hand and by mouse."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.bench import COUNTS, Bench
from tests.e2e.running import RunningApp

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def app(seeded_app: RunningApp) -> RunningApp:
    return seeded_app


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


def test_a_slider_held_for_long_shows_the_counts_and_is_one_edit_when_let_go(bench: Bench, page: Page) -> None:
    before = bench.counts()
    page.get_by_text("Thresholds").click()
    slider = page.locator("input[data-cut='1']")
    drag = "(node, value) => { node.value = value; node.dispatchEvent(new Event('input')); }"
    slider.evaluate(drag, "0.5")
    shown = page.locator(".nv-class .nv-n").nth(1)
    fewer = int(page.evaluate(COUNTS)[1])
    assert fewer < before[1]
    expect(shown).to_have_text(str(fewer))
    page.wait_for_timeout(3500)  # two questions for others' edits go by
    expect(bench.root).to_have_attribute("data-agrees", "yes")
    expect(shown).to_have_text(str(fewer))
    slider.evaluate("(node) => node.dispatchEvent(new Event('change'))")
    assert bench.counts() == (before[0], fewer, before[2])
    bench.focus()
    bench.key("Control+z")
    assert bench.counts() == before


def test_a_slider_dragged_with_the_mouse_is_saved_as_one_edit_and_brought_back_as_none(
    bench: Bench, page: Page
) -> None:
    before = bench.counts()
    page.get_by_text("Thresholds").click()
    slider = page.locator("input[data-cut='1']")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box is not None
    lowest = float(slider.get_attribute("min") or 0)
    edits = "document.querySelector('.nv-root').viewer.review.edits.size"
    start = page.evaluate(edits)

    def at(level: float) -> tuple[float, float]:
        thumb = 16
        return box["x"] + thumb / 2 + (box["width"] - thumb) * (level - lowest) / (1 - lowest), box["y"] + box[
            "height"
        ] / 2

    page.mouse.move(*at(float(slider.input_value())))
    page.mouse.down()
    page.mouse.move(*at(0.6), steps=5)
    page.mouse.up()
    level = float(slider.input_value())
    assert level == pytest.approx(0.6, abs=0.05)
    after = bench.counts()
    assert after[1] < before[1]
    assert float(slider.input_value()) == level
    assert page.evaluate(edits) == start + 1

    page.mouse.move(*at(level))
    page.mouse.down()
    page.mouse.move(*at(0.95), steps=5)
    page.mouse.move(*at(level), steps=9)
    page.mouse.up()
    assert float(slider.input_value()) == level
    assert bench.counts() == after
    assert page.evaluate(edits) == start + 1
    bench.focus()
    bench.key("Control+z")
    assert bench.counts() == before
