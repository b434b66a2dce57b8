"""The column on the left: whose details it shows, and where files go, whatever comes first."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from nucleus_app.domain.labelled import LabelledImage
from tests.e2e.pages import open_page, save, upload, wait_scored
from tests.e2e.running import RunningApp

pytestmark = pytest.mark.browser


def make_ready_to_score(page: Page, app: RunningApp, path: Path) -> Locator:
    """Upload a blank image and give its pixel size; returns the field with its label."""
    open_page(page, app)
    upload(page, save(np.full((64, 64, 3), 240, np.uint8), path))
    expect(page.locator(".nv-panel h2")).to_contain_text(path.name)
    label = page.locator("#label textarea, #label input").first
    expect(label).to_have_value(re.compile(path.name))
    page.locator("#mpp input").fill("0.5")
    page.locator("#mpp input").blur()
    page.wait_for_timeout(500)
    return label


def hold_next_event(page: Page) -> list[Route]:
    """Gradio's next event waits in this list until it is continued; later ones pass."""
    held: list[Route] = []
    page.route("**/queue/join**", lambda route: route.continue_() if held else held.append(route))
    return held


def test_leaving_the_label_for_another_case_opens_that_case(page: Page, app: RunningApp, tmp_path: Path) -> None:
    open_page(page, app)
    upload(page, save(np.full((64, 64, 3), 240, np.uint8), tmp_path / "other.png"))
    expect(page.locator(".nv-panel h2")).to_contain_text("other.png")
    label = page.locator("#label textarea, #label input").first
    for name in ("Demo field", "other.png", "Demo field"):
        label.click()
        page.locator(".nv-list button", has_text=name).first.click()
        expect(page.locator(".nv-panel h2")).to_contain_text(name)
        expect(label).to_have_value(re.compile(re.escape(name)))
        page.wait_for_timeout(600)  # time for a late answer to do harm
        expect(page.locator(".nv-panel h2")).to_contain_text(name)
        expect(label).to_have_value(re.compile(re.escape(name)))


def test_a_case_chosen_before_the_page_has_opened_the_latest_stays(page: Page, app: RunningApp, tmp_path: Path) -> None:
    open_page(page, app)
    upload(page, save(np.full((64, 64, 3), 240, np.uint8), tmp_path / "latest.png"))
    expect(page.locator(".nv-panel h2")).to_contain_text("latest.png")
    held = hold_next_event(page)
    open_page(page, app)
    page.locator(".nv-list button", has_text="Demo field").click()
    expect(page.locator(".nv-panel h2")).to_contain_text("Demo field")
    held[0].continue_()
    page.wait_for_timeout(2000)  # the answer that would open the latest image arrives
    expect(page.locator(".nv-panel h2")).to_contain_text("Demo field")
    expect(page.locator("#label textarea, #label input").first).to_have_value(re.compile("Demo field"))


def test_a_case_chosen_before_the_answer_to_score_stays(page: Page, app: RunningApp, tmp_path: Path) -> None:
    label = make_ready_to_score(page, app, tmp_path / "scored.png")
    held = hold_next_event(page)
    page.locator("#score").click()
    page.locator(".nv-list button", has_text="Demo field").click()
    expect(page.locator(".nv-panel h2")).to_contain_text("Demo field")
    held[0].continue_()
    page.wait_for_timeout(2000)
    expect(page.locator(".nv-panel h2")).to_contain_text("Demo field")
    expect(label).to_have_value(re.compile("Demo field"))


def test_nothing_is_said_of_the_case_that_was_open_before(page: Page, app: RunningApp, tmp_path: Path) -> None:
    label = make_ready_to_score(page, app, tmp_path / "unscored.png")
    held = hold_next_event(page)
    page.locator(".nv-list button", has_text="Demo field").click()  # whose details are held back
    expect(page.locator(".nv-panel h2")).to_contain_text("Demo field")
    assert page.evaluate("document.getElementById('details').inert")
    for control in (label, page.locator("#score")):
        box = control.bounding_box()
        assert box
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.keyboard.type("x")
    held[0].continue_()
    expect(label).to_have_value(re.compile("Demo field"))
    assert not page.evaluate("document.getElementById('details').inert")
    page.locator(".nv-list button", has_text="unscored.png").click()
    expect(label).to_have_value("unscored.png")
    expect(page.locator(".nv-state")).to_contain_text("states no pixel size")


def test_files_join_the_case_they_were_dropped_on(
    page: Page, app: RunningApp, tmp_path: Path, field: LabelledImage
) -> None:
    open_page(page, app)
    upload(page, save(np.full((64, 64, 3), 240, np.uint8), tmp_path / "meant.png"))
    expect(page.locator(".nv-panel h2")).to_contain_text("meant.png")
    meant = app.images()[0]["case"]
    page.get_by_label("Add to the open case").check()
    held: list[Route] = []
    page.route("**/upload?**", lambda route: held.append(route))
    upload(page, save(field.rgb[:80, :80], tmp_path / "second field.png"))
    page.wait_for_function("document.querySelector('.nv-root').dataset.droppedOn")
    page.locator(".nv-list button", has_text="Demo field").click()
    expect(page.locator(".nv-panel h2")).to_contain_text("Demo field")
    held[0].continue_()
    expect(page.locator("#label textarea, #label input").first).to_have_value("second field.png")
    assert app.images()[0]["case"] == meant


def test_images_that_wait_for_a_pixel_size_can_all_have_the_same(
    page: Page, app: RunningApp, tmp_path: Path, field: LabelledImage
) -> None:
    open_page(page, app)
    every = page.locator("#score-all")
    names = [f"camera {i}.png" for i in range(3)]
    upload(page, *(save(field.rgb[: 100 + i, :100], tmp_path / name) for i, name in enumerate(names)))
    expect(every).to_have_text("Score all 3 that wait, at this size")
    every.click()
    expect(page.locator(".nv-notices")).to_contain_text("Give the pixel size")
    page.locator("#mpp input").fill("0.5")
    page.locator("#mpp input").blur()
    page.wait_for_timeout(500)
    every.click()
    expect(every).to_be_hidden()
    for name in names:
        image = next(image for image in app.images() if image["label"] == name)
        assert (image["mpp"], image["mpp_source"]) == (0.5, "stated by the user")
    wait_scored(page)


def test_a_second_tab_sees_a_new_case(
    page: Page, app: RunningApp, browser: Browser, tmp_path: Path, field: LabelledImage
) -> None:
    open_page(page, app)
    other = browser.new_page()
    open_page(other, app)
    upload(other, save(field.rgb[:90, :90], tmp_path / "from the other tab.png"))
    expect(page.get_by_role("region", name="Cases")).to_contain_text("from the other tab.png", timeout=20_000)
    other.close()
