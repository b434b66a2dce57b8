"""Fields that grow to what a protocol asks, and the way from one to the next."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from nucleus_app.services.workplace import Workplace
from tests.e2e.desk import ZOOM, Desk
from tests.e2e.running import RunningApp
from tests.e2e.seeding import draw_seeded, seed_case

pytestmark = pytest.mark.browser
WENT = "() => { const { desk } = document.querySelector('.nv-root').viewer; return desk.store.sheet.fields.findIndex(({ id }) => id === desk.went); }"


@pytest.fixture(scope="module")
def app(seeded_app: RunningApp) -> RunningApp:
    return seeded_app


@pytest.fixture
def desk(page: Page, app: RunningApp, store: Workplace) -> Desk:
    """A fresh case of about 340 nuclei."""
    return Desk(page, app, seed_case(store, *draw_seeded(420, seed=21), "Fields")).open()


def test_a_field_is_grown_until_it_holds_what_the_protocol_asks_and_a_key_goes_there(desk: Desk, page: Page) -> None:
    holding = page.get_by_role("button", name=re.compile("nuclei in view"))
    expect(holding).to_be_hidden()  # the index alone asks for no number
    desk.choose_protocol("breast global")
    expect(holding).to_have_text("100 nuclei in view")
    page.evaluate(ZOOM, 3)
    holding.click()
    desk.shows_primary()
    state = desk.state()
    [box] = [field["box"] for field in state["sheet"]["fields"] if field["box"]]
    left, top, right, bottom = box
    assert right - left == bottom - top
    [field] = state["fields"]
    tallies = field["tallies"]
    assert 100 <= tallies["positive"] + tallies["negative"] <= 104  # as many as one more pixel brings in
    inner = [n for n in desk.counted() if n[3] < 2 and left + 1 < n[1] < right - 1 and top + 1 < n[2] < bottom - 1]
    assert len(inner) < 100
    page.evaluate(ZOOM, 1)  # which draws at once
    seen = "() => document.querySelector('.nv-root').viewer.view.scale"
    before = page.evaluate(seen)
    desk.focus()
    desk.key("j")
    page.wait_for_function(
        "(before) => document.querySelector('.nv-root').viewer.view.scale > 1.2 * before", arg=before
    )


def test_keys_go_from_field_to_field_around_the_end(desk: Desk, page: Page) -> None:
    for left in (10, 120, 230):
        page.evaluate("(left) => document.querySelector('.nv-root').viewer.desk.add([left, 10, left + 90, 100])", left)
        desk.settled()
    assert len(desk.state()["sheet"]["fields"]) == 3
    desk.focus()
    went = []
    for key in ("j", "j", "j", "j", "Shift+j"):
        desk.key(key)
        went.append(page.evaluate(WENT))
    assert went == [0, 1, 2, 0, 2]
    page.get_by_role("button", name="Show Field 2").click()
    desk.focus()
    desk.key("j")
    assert page.evaluate(WENT) == 2  # after the one that was shown
