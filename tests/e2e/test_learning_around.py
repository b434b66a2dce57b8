"""Around the page about learning: screens, keys, names, addresses, and servers that go and come. Hand-made answers."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.bench import Bench
from tests.e2e.pages import learning_of, open_learning
from tests.e2e.running import SEEDED, RunningApp, running_app
from tests.e2e.school import (
    FakeSchool,
    after_lessons,
    change_some,
    lesson_line,
    nobody_signed,
    one_runs,
    progress,
    three_signed,
)

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=\"document.body.dataset.hurt='yes'\"> ${document.body.dataset.hurt='yes'} & «é»"
# Whether anything in the page about learning is wider than its room, or has a text cut off by its own box.
OVERFLOWS = """() => [...document.querySelectorAll('.nv-learning *')].filter((n) => n.clientWidth && !n.closest('svg, .nv-label, .nv-learning-say')
  && n.scrollWidth > n.clientWidth + 1 && getComputedStyle(n).display !== 'inline').map((n) => `${n.tagName}.${n.className}`)"""
# The dialog as a screen reader and the keyboard have it: nothing behind it has the focus.
FOCUS_INSIDE = "() => document.querySelector('.nv-learning').contains(document.activeElement)"


@pytest.fixture(scope="module")
def app(seeded_app: RunningApp) -> RunningApp:
    return seeded_app


def test_the_open_case_and_what_is_not_saved_stay_untouched(schooled: Bench, page: Page, school: FakeSchool) -> None:
    schooled.counts()
    page.route("**/edits", lambda route: route.abort() if route.request.method == "POST" else route.continue_())
    nucleus = schooled.counted()[0]
    page.mouse.move(*schooled.at(nucleus[1], nucleus[2]))
    schooled.key("x")
    expect(schooled.root).to_have_attribute("data-pending", "1")
    learning = open_learning(page)
    page.keyboard.press("x")  # no key reaches the image behind
    page.keyboard.press("1")
    learning.get_by_role("button", name="Close").click()
    expect(schooled.root).to_have_attribute("data-pending", "1")
    page.unroute("**/edits")
    schooled.saved()
    page.go_forward()
    learning_of(page)
    page.go_back()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(schooled.root).to_have_attribute("data-open", str(schooled.image))


def test_its_address_opens_it_and_closing_leads_to_the_image(
    schooled: Bench, page: Page, app: RunningApp, images: list[int]
) -> None:
    page.goto(f"{app.url}?image={images[1]}&learning=1")
    learning = learning_of(page)
    expect(learning.locator(".nv-lead")).to_contain_text("base-1")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert page.url.endswith(f"?image={images[1]}")
    page.reload()
    expect(schooled.root).to_have_attribute("data-open", str(images[1]))
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_lost_server_is_said_and_what_was_known_stays(schooled: Bench, page: Page, school: FakeSchool) -> None:
    school.training = after_lessons()
    school.ends(3, "rejected")
    learning = open_learning(page)
    expect(learning.locator(".nv-outcome")).to_be_visible()
    school.is_away = True
    learning.get_by_role("button", name="Learn now").click()
    expect(learning.get_by_role("alert")).to_contain_text("The answer of the server did not come.")
    expect(learning.locator(".nv-lost")).to_have_text(
        re.compile(r"The server does not answer\. You see how it was at \d\d:\d\d:\d\d\. This page tries again\.")
    )
    expect(learning.locator(".nv-outcome")).to_be_visible()
    school.training["rule"] |= {"signed_fields": 6}
    school.is_away = False
    expect(learning).to_contain_text("6 of 8 newly signed fields")
    expect(learning.locator(".nv-lost")).to_be_empty()


def test_it_asks_seldom_when_closed_and_not_at_all_when_nobody_can_see_it(
    schooled: Bench, page: Page, school: FakeSchool
) -> None:
    school.training = one_runs()
    school.lessons[4] = lesson_line(4, "training", "", None) | {"events": progress(), "verdict": None}
    school.ends(3, "rejected")
    open_learning(page)
    page.evaluate("Object.defineProperty(document, 'hidden', { get: () => window.away ?? false, configurable: true })")
    page.evaluate("window.away = true")
    page.wait_for_timeout(2000)
    asked = school.asked
    page.wait_for_timeout(4000)  # more than two turns of the poll
    assert school.asked == asked
    school.training["run"] |= {"step": 1000}
    page.evaluate("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")
    expect(learning_of(page)).to_contain_text("step 1,000 of 2,000")
    page.keyboard.press("Escape")
    page.wait_for_timeout(2000)
    asked = school.asked
    page.wait_for_timeout(4000)
    assert school.asked == asked


def test_names_from_outside_are_shown_as_text(
    schooled: Bench, page: Page, school: FakeSchool, images: list[int]
) -> None:
    school.training = one_runs()
    school.training["in_service"] |= {"name": HOSTILE, "sentence": HOSTILE}
    for version in school.training["versions"]:
        version |= {"name": HOSTILE, "sentence": HOSTILE}
    school.training["run"] |= {"device": HOSTILE}
    for run in school.training["runs"]:
        run |= {"sentence": HOSTILE}
    events = [*progress(), {"event": "note", "text": HOSTILE}]
    school.lessons[4] = lesson_line(4, "training", "", None) | {"events": events, "verdict": None}
    school.ends(3, "rejected", change_some(images))
    school.lessons[3]["verdict"] |= {"sentence": HOSTILE, "reasons": [HOSTILE]}
    school.worklist = {"fields": [{"image": images[1], "label": HOSTILE, "case": 2, "value": 1, "reason": HOSTILE}], "unscored": 0}  # fmt: skip
    page.reload()
    expect(page.locator(".nv-worklist")).to_contain_text(HOSTILE)
    learning = open_learning(page)
    for place in (".nv-lead", ".nv-lineage", ".nv-run-notes", ".nv-outcome", ".nv-reasons", ".nv-facts"):
        expect(learning.locator(place)).to_contain_text(HOSTILE)
    assert page.evaluate("document.body.dataset.hurt ?? 'no'") == "no"
    assert page.evaluate(OVERFLOWS) == []


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (3840, 2160), (700, 900)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_any_screen_in_both_colour_schemes(
    schooled: Bench, page: Page, school: FakeSchool, images: list[int], width: int, height: int, scheme: Any
) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": height})
    school.training = one_runs()
    school.lessons[4] = lesson_line(4, "training", "", None) | {"events": progress(), "verdict": None}
    school.ends(3, "rejected", change_some(images))
    page.reload()
    learning = open_learning(page)
    expect(learning.locator(".nv-tile").first).to_be_attached()
    assert page.evaluate(OVERFLOWS) == []
    box = learning.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert box["y"] + box["height"] <= height
    ground = learning.evaluate("(n) => getComputedStyle(n).backgroundColor.match(/\\d+/g).map(Number)")
    assert (max(ground) < 60) == (scheme == "dark")


def test_the_keyboard_alone_does_everything(schooled: Bench, page: Page, school: FakeSchool) -> None:
    school.training = after_lessons()
    school.ends(3, "rejected")
    school.ends(1, "undecided")
    page.locator("#title a", has_text="Learning").focus()
    page.keyboard.press("Enter")
    learning = learning_of(page)
    expect(learning.get_by_role("heading", level=2)).to_be_focused()
    reached: list[str] = []
    for _ in range(14):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.ariaLabel ?? document.activeElement.textContent.trim()"))
        if page.evaluate("document.activeElement.closest('.nv-lessons') !== null"):
            break
        assert page.evaluate(FOCUS_INSIDE)
    assert {"Close", "Learn now", "Put base-1 in service…"} <= set(reached)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(learning.locator(".nv-judged h3")).to_contain_text("Lesson 1")
    expect(learning.locator(".nv-judged h3")).to_be_focused()  # what she asked for is where she is
    page.keyboard.press("Escape")
    expect(page.locator("#title a", has_text="Learning")).to_be_focused()


def test_a_server_that_starts_again_is_found_again(page: Page, tmp_path_factory: pytest.TempPathFactory) -> None:
    school = FakeSchool(page)
    school.training = nobody_signed()
    with running_app(tmp_path_factory.mktemp("restart") / "data", SEEDED) as app:
        page.goto(f"{app.url}?learning=1")
        learning = learning_of(page)
        app.kill()
        school.is_away = True
        expect(learning.locator(".nv-lost")).to_contain_text("The server does not answer.", timeout=20_000)
        app.start()
        school.training = three_signed()
        school.is_away = False
        expect(learning).to_contain_text("3 of 8 newly signed fields")
        expect(learning.locator(".nv-lost")).to_be_empty()
