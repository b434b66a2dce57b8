"""Removing an image in a real Chromium, putting it back, deleting it for good, and what another window sees of it."""

from __future__ import annotations

import httpx
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.domain.nuclei import Nuclei
from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from nucleus_app.services.workplace import Workplace
from tests.e2e.desk import Desk
from tests.e2e.running import RunningApp
from tests.e2e.seeding import grade_candidates, seed_case

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def app(seeded_app: RunningApp) -> RunningApp:
    return seeded_app


@pytest.fixture(scope="module")
def drawn() -> LabelledImage:
    return draw_field(FieldRecipe(width_px=420, height_px=420), np.random.default_rng(21))


@pytest.fixture
def desk(page: Page, app: RunningApp, store: Workplace, drawn: LabelledImage) -> Desk:
    """A fresh case."""
    return Desk(page, app, seed_case(store, drawn.rgb, candidates(drawn), "Seeded")).open()


def candidates(drawn: LabelledImage) -> Nuclei:
    return grade_candidates(drawn.nuclei, np.random.default_rng(22))


def test_a_removed_image_leaves_the_score_and_is_put_back_with_its_corrections(
    desk: Desk, page: Page, store: Workplace, drawn: LabelledImage
) -> None:
    other = seed_case(store, drawn.rgb, candidates(drawn), "Cut by mistake")
    httpx.post(
        f"{desk.app.url}nucleus/api/cases/{desk.case}/images",
        json={"rev": desk.state()["rev"], "reader": "", "images": [other]},
    ).raise_for_status()
    Desk(page, desk.app, other).open()
    page.locator(".nv-moving", has=page.get_by_text("Move or remove this image")).evaluate(
        "(node) => { node.open = true; }"
    )
    before = desk.state()
    page.get_by_role("button", name="Remove it", exact=True).click()
    expect(desk.root).to_have_attribute("data-open", str(desk.image))  # the next one of the case
    assert [image["id"] for image in desk.state()["images"]] == [desk.image]
    expect(page.locator(f".nv-cases [data-id='{other}']")).to_have_count(0)
    page.locator(".nv-notice", has_text="Removed Cut by mistake.").get_by_role("button", name="Undo").click()
    expect(desk.root).to_have_attribute("data-open", str(other))
    assert desk.state()["sheet"] == before["sheet"]
    assert desk.state()["score"] == before["score"]
    page.get_by_role("button", name="Remove it", exact=True).click()
    expect(desk.root).to_have_attribute("data-open", str(desk.image))
    page.get_by_text("Removed images (1)").click()
    page.get_by_role("button", name="Delete now…: Cut by mistake").click()
    page.get_by_role("button", name="Keep it: Cut by mistake").click()
    page.get_by_role("button", name="Delete now…: Cut by mistake").click()
    page.get_by_role("button", name="Delete for good: Cut by mistake").click()
    expect(page.get_by_text("Removed images")).to_be_hidden()
    tile = f"{desk.app.url}nucleus/tiles/x/{other}_files/8/0_0.jpeg"
    assert httpx.get(tile).status_code == 404


def test_an_image_removed_in_another_window_gives_way_to_the_next(
    desk: Desk, page: Page, store: Workplace, drawn: LabelledImage
) -> None:
    other = seed_case(store, drawn.rgb, candidates(drawn), "Other")
    Desk(page, desk.app, other).open()
    case = desk.state()
    httpx.post(
        f"{desk.app.url}nucleus/api/cases/{case['id']}/remove", json={"rev": case["rev"], "image": other}
    ).raise_for_status()
    page.evaluate("document.querySelector('.nv-root').viewer.refresh()")
    expect(page.locator(".nv-notice", has_text="This image was removed.")).to_be_visible()
    expect(desk.root).not_to_have_attribute("data-open", str(other))
    expect(desk.root).to_have_attribute("data-connected", "yes")
