"""What is on its way: pixels that did not come yet, corrections of an image that was left, answers of a proxy."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from nucleus_app.services.workplace import Workplace
from tests.e2e.desk import Desk
from tests.e2e.pages import wait_scored
from tests.e2e.running import RunningApp
from tests.e2e.seeding import draw_seeded, seed_case

pytestmark = pytest.mark.browser


def seed(store: Workplace, label: str) -> int:
    return seed_case(store, *draw_seeded(420, seed=21), label)


@pytest.fixture(scope="module")
def app(seeded_app: RunningApp) -> RunningApp:
    return seeded_app


@pytest.fixture
def desk(page: Page, app: RunningApp, store: Workplace) -> Desk:
    """A fresh case."""
    return Desk(page, app, seed(store, "Seeded")).open()


def test_nothing_is_corrected_before_the_pixels_are_there_and_they_are_asked_for_again(
    desk: Desk, page: Page, store: Workplace
) -> None:
    place = desk.at(*desk.empty())
    image = seed(store, "Lost on its way")
    page.route(f"**/{image}.dzi", lambda route: route.abort())
    page.evaluate("(id) => document.querySelector('.nv-root').viewer.choose(id)", image)
    expect(desk.root).to_have_attribute("data-image", str(image))
    expect(desk.root).to_have_attribute("data-ready", re.compile(r"\d+"))
    desk.focus()
    desk.key("a")
    page.mouse.click(*place)
    expect(page.locator(".nv-info")).to_contain_text("The image is still loading")
    desk.key("b")
    page.mouse.down()
    page.mouse.move(place[0] + 30, place[1], steps=3)
    page.mouse.up()
    page.unroute(f"**/{image}.dzi")
    wait_scored(page)
    assert page.evaluate("document.querySelector('.nv-root').viewer.review.edits.size") == 0
    desk.key("a")
    page.mouse.click(*place)
    page.wait_for_function("document.querySelector('.nv-root').viewer.review.edits.size === 1")
    desk.key("v")


def test_signing_waits_for_the_corrections_of_an_image_that_was_left(desk: Desk, page: Page, store: Workplace) -> None:
    second = seed(store, "Second level")
    body = {"reader": "A. Nowak", "rev": desk.state()["rev"], "images": [second]}
    httpx.post(f"{desk.app.url}nucleus/api/cases/{desk.case}/images", json=body).raise_for_status()
    desk.open()
    page.evaluate("document.querySelector('.nv-root').viewer.refresh()")
    page.wait_for_function("document.querySelector('.nv-root').viewer.desk.store.state.images.length === 2")
    page.route("**/edits*", lambda route: route.abort())
    page.mouse.move(*desk.at(*desk.counted()[0][1:3]))
    desk.key("x")
    expect(desk.root).to_have_attribute("data-pending", "1")
    page.evaluate("(id) => document.querySelector('.nv-root').viewer.choose(id)", second)
    expect(desk.root).to_have_attribute("data-open", str(second))
    page.get_by_label("Reader", exact=True).fill("A. Nowak")
    page.get_by_role("button", name="Sign off…").click()
    expect(page.locator(".nv-confirm")).to_contain_text("Corrections of an image of this case are being saved")
    sign = page.get_by_role("button", name="Sign", exact=True)
    expect(sign).to_be_disabled()
    page.unroute("**/edits*")
    expect(sign).to_be_enabled()
    assert page.evaluate("document.querySelector('.nv-root').viewer.leaving.isEmpty")
    sign.click()
    expect(page.locator(".nv-signed")).to_contain_text("Signed off by A. Nowak")
    assert httpx.get(f"{desk.app.url}nucleus/api/images/{desk.image}/result.json").json()["deleted"] == 1


def test_what_a_proxy_answers_in_the_apps_place_drops_no_change(desk: Desk, page: Page) -> None:
    statuses = [403, 404]

    def stand_between(route: Route) -> None:
        if route.request.method == "PUT" and statuses:
            return route.fulfill(status=statuses.pop(0), content_type="text/html", body="<h1>Sign in</h1>")
        return route.continue_()

    page.route("**/api/cases/*", stand_between)
    page.locator("#protocol").select_option("breast hot spot")
    expect(page.locator(".nv-case-saved")).to_have_text(re.compile("^saved "))
    page.unroute("**/api/cases/*")
    assert statuses == []
    assert desk.state()["sheet"]["protocol"] == "breast hot spot"
    expect(page.locator(".nv-error")).to_have_count(0)
