"""The page about learning and the list of fields worth reviewing, in a real Chromium, on hand-made answers of decision 0010."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from nucleus_app.services.workplace import Workplace
from tests.e2e.bench import Bench
from tests.e2e.pages import learn_now, learning_of, open_learning, put_in_service, read_lead, wait_outcome
from tests.e2e.running import RunningApp, free_port
from tests.e2e.school import (
    BASE,
    FakeSchool,
    after_lessons,
    lesson_line,
    nobody_signed,
    one_runs,
    progress,
    three_signed,
)
from tests.e2e.seeding import grade_candidates, seed_case

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=\"document.body.dataset.hurt='yes'\"> ${document.body.dataset.hurt='yes'} & «é»"
# Whether anything in the page about learning is wider than its room, or has a text cut off by its own box.
OVERFLOWS = """() => [...document.querySelectorAll('.nv-learning *')].filter((n) => n.clientWidth && !n.closest('svg, .nv-label, .nv-say')
  && n.scrollWidth > n.clientWidth + 1 && getComputedStyle(n).display !== 'inline').map((n) => `${n.tagName}.${n.className}`)"""
# The dialog as a screen reader and the keyboard have it: nothing behind it has the focus.
FOCUS_INSIDE = "() => document.querySelector('.nv-learning').contains(document.activeElement)"
CELLS = "(table) => [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent))"
MIDDLE = """() => { const v = document.querySelector('.nv-root').viewer, at = v.tools.toImage({ x: v.view.width / 2, y: v.view.height / 2 });
  return [at.x, at.y]; }"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """Nothing is scored here."""
    quick = {"NUCLEUS_DEMO": "no", "NUCLEUS_WORKER": "external"}
    running = RunningApp(tmp_path_factory.mktemp("learning") / "data", free_port(), quick)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def images(store: Workplace) -> list[int]:
    """Two images, each a case."""
    drawn = [
        draw_field(FieldRecipe(width_px=420, height_px=420, positive_share=0.3), np.random.default_rng(n))
        for n in (1, 2)
    ]
    return [
        seed_case(store, field.rgb, grade_candidates(field.nuclei, np.random.default_rng(3)), f"Field {n}")
        for n, field in enumerate(drawn, 1)
    ]


@pytest.fixture
def school(page: Page) -> FakeSchool:
    return FakeSchool(page)


@pytest.fixture
def bench(page: Page, app: RunningApp, school: FakeSchool, images: list[int]) -> Bench:
    """The first image is open; the trainer's answers are those of the test."""
    return Bench(page, app, images[0]).open()


def gallery(images: list[int]) -> list[list[Any]]:
    """Newly right: wrong class, missed, one too many. Newly wrong: one nucleus that was right."""
    return [
        [images[0], 100.0, 120.0, 0, 1, 0],
        [images[1], 210.0, 220.0, 1, None, 1],
        [images[0], 300.0, 140.0, None, 2, None],
        [images[0], 320.0, 300.0, 2, 2, 1],
    ]


def lesson_of(learning: Locator) -> Locator:
    return learning.get_by_role("region", name="A lesson and what came of it")


def test_a_fresh_installation_teaches_what_to_do(bench: Bench, page: Page) -> None:
    learning = open_learning(page)
    expect(learning.locator(".nv-lead")).to_contain_text("base-3 is in service. It came with this app")
    expect(learning).to_contain_text("Sign off cases with corrections: the network learns from them.")
    expect(learning.get_by_role("button", name="Learn now")).to_have_count(0)  # there is nothing to learn from
    expect(learning.get_by_role("region", name="Versions")).to_contain_text("● in service")
    expect(learning.get_by_role("region", name="Lessons")).to_be_hidden()


def test_the_page_says_how_far_it_is_to_the_next_lesson(bench: Bench, page: Page, school: FakeSchool) -> None:
    school.training = three_signed()
    learning = open_learning(page)
    expect(learning).to_contain_text("3 of 8 newly signed fields until the next lesson.")
    expect(learning).to_contain_text("2 teach · 1 check while it learns · 0 are locked away to judge")
    expect(learning).to_contain_text("2 are still missing")
    school.training["trainer"] |= {"is_there": False}
    expect(learning.locator(".nv-trainer")).to_contain_text("No trainer is there.", timeout=20_000)
    school.training["trainer"] |= {"is_failing": True}
    expect(learning.locator(".nv-trainer")).to_contain_text("tell whoever runs this app", timeout=20_000)


def test_a_lesson_is_begun_followed_and_judged_while_one_looks(
    bench: Bench, page: Page, school: FakeSchool, images: list[int]
) -> None:
    school.training = three_signed()
    page.get_by_role("textbox", name="Reader").fill("A. N.")
    learning = open_learning(page)

    def begin(what: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        school.training = one_runs("preparing", 0)
        school.lessons[4] = lesson_line(4, "preparing", "", None) | {"events": [], "verdict": None}
        school.ends(3, "rejected")
        return 200, {"id": 4}

    school.on_post = begin
    assert learn_now(page) == 4
    assert school.posted == [("start", {"reader": "A. N."})]
    way = learning.get_by_role("list", name="Where the lesson stands")
    expect(way.locator("[aria-current=step]")).to_contain_text("Collecting")

    school.training = one_runs("training", 840)
    school.lessons[4]["events"] = progress(840)
    expect(way.locator("[aria-current=step]")).to_contain_text("Learning")
    expect(learning).to_contain_text("step 840 of 2,000 · about 12 min left")
    curves = learning.get_by_role("img", name=re.compile("F1 with class: 0.760 → 0.788"))
    expect(curves).to_be_visible()
    before = curves.locator("polyline").first.get_attribute("points") or ""
    school.lessons[4]["events"] = progress(1400)
    school.training["run"] |= {"step": 1400, "seconds_left": 95}
    expect(learning).to_contain_text("step 1,400 of 2,000 · about 2 min left")
    curves = learning.get_by_role("img", name=re.compile("How right it is"))
    expect(curves.locator("polyline").first).not_to_have_attribute("points", before)

    school.lessons[4]["events"] = [*progress(1400), {"event": "paused"}]
    expect(learning.locator(".nv-paused")).to_have_text("Paused. Images are being scored, and scoring comes first.")
    school.lessons[4]["events"] += [{"event": "resumed"}]
    expect(learning.locator(".nv-paused")).to_have_count(0)

    school.training = after_lessons()
    school.training["runs"].insert(0, lesson_line(4, "promoted", "Better."))
    school.ends(4, "promoted", gallery(images))
    assert wait_outcome(page, 4).startswith("✓ Taken into service. On 3 locked cases it gives more nuclei")
    expect(learning.locator(".nv-say")).to_have_text("Lesson 4 ended: taken into service.")


def test_what_was_not_taken_says_why_in_words_and_numbers(bench: Bench, page: Page, school: FakeSchool) -> None:
    school.training = after_lessons()
    school.ends(3, "rejected")
    lesson = lesson_of(open_learning(page))
    expect(lesson.locator(".nv-outcome")).to_contain_text("Not taken. It found more positive nuclei")
    expect(lesson.locator(".nv-reasons li")).to_have_text(
        [re.compile("0.041; 0.02 is allowed"), re.compile("1.4 points; 1.0 is allowed")]
    )
    table = lesson.get_by_role("table").first
    rows = {row[0]: row[1:] for row in table.evaluate(CELLS)}
    assert rows["Non-tumour"] == ["0.664", "0.623", "−0.041 (−0.062 to −0.019)", "", "▼worse"]
    assert rows["Immunopositive tumour"][-1] == "▲better"
    assert rows["Immunonegative tumour"][-1] == "≈no clear change"  # its interval reaches over nothing
    assert rows["Error of the index, %\u00a0points"][-1] == "▲better"  # less is better there
    expect(lesson).to_contain_text("93 % the class that you gave")


def test_a_nucleus_of_the_gallery_leads_to_its_place_and_back_leads_to_the_gallery(
    bench: Bench, page: Page, school: FakeSchool, images: list[int]
) -> None:
    school.training = after_lessons()
    school.ends(3, "promoted", gallery(images))
    lesson = lesson_of(open_learning(page))
    right, wrong = lesson.get_by_role("region", name="Newly right"), lesson.get_by_role("region", name="Newly wrong")
    expect(right.get_by_role("button")).to_have_count(3)
    expect(wrong.get_by_role("button")).to_have_text([re.compile("non-tumour → negative\\s*signed: non-tumour")])
    ring = "(n) => [...n.getContext('2d').getImageData(63, 48, 1, 1).data].slice(0, 3)"
    first = right.locator("canvas").first
    first.scroll_into_view_if_needed()
    assert first.evaluate(ring) == pytest.approx([255, 225, 0], abs=20)  # positive on paper
    lesson.get_by_role("radio", name="before").check()
    assert first.evaluate(ring) == pytest.approx([230, 25, 25], abs=20)
    right.get_by_role("button", name="before nothing, after negative").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(bench.root).to_have_attribute("data-open", str(images[1]))
    page.wait_for_function(f"() => {{ const [x, y] = ({MIDDLE})(); return Math.hypot(x - 210, y - 220) < 3; }}")
    expect(page.locator(".nv-stage")).to_be_focused()
    page.go_back()
    expect(lesson_of(learning_of(page)).get_by_role("region", name="Newly right")).to_be_visible()
    assert f"image={images[1]}" in page.url  # what is open stays open
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(bench.root).to_have_attribute("data-open", str(images[1]))


def test_going_back_to_an_earlier_version_asks_for_a_name(bench: Bench, page: Page, school: FakeSchool) -> None:
    school.training = after_lessons()
    school.ends(3, "rejected")

    def activate(what: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if body["reader"] == "nobody":
            return 422, {"detail": "nobody may not do this."}
        school.training["in_service"] = {"sha256": BASE, "name": "base-3", "since": "2025-11-24T08:00:00+00:00", "sentence": "Put in service by A. N."}  # fmt: skip
        for version in school.training["versions"]:
            version["is_active"] = version["sha256"] == BASE
        return 200, {}

    school.on_post = activate
    learning = open_learning(page)
    versions = learning.get_by_role("region", name="Versions")
    expect(versions.get_by_role("listitem")).to_contain_text(["lab-3", "lab-2", "lab-1", "base-3"])
    expect(versions.locator("[aria-current=true]")).to_contain_text("lab-2")
    versions.get_by_role("button", name="Put lab-3 in service…").click()
    expect(versions).to_contain_text("The judge did not take this one.")
    versions.get_by_role("button", name="Put base-3 in service…").click()
    question = versions.get_by_role("group", name="Put base-3 in service")
    expect(question.get_by_label("Reader")).to_be_focused()
    expect(question.get_by_role("button", name="Put in service")).to_be_disabled()
    page.keyboard.press("Escape")
    expect(question).to_have_count(0)
    expect(learning).to_be_visible()  # only the question went
    versions.get_by_role("button", name="Put base-3 in service…").click()
    question.get_by_label("Reader").fill("nobody")
    question.get_by_role("button", name="Put in service").click()
    expect(question.get_by_role("alert")).to_have_text("nobody may not do this.")
    page.keyboard.press("Escape")
    put_in_service(page, "base-3", "A. N.")
    assert school.posted[-1] == ("activate", {"reader": "A. N.", "sha256": BASE})
    assert read_lead(page).startswith("base-3 has been in service since 2025-11-24")
    page.keyboard.press("Escape")
    expect(page.get_by_role("textbox", name="Reader")).to_have_value("A. N.")


def test_a_lesson_is_stopped_only_after_a_question(bench: Bench, page: Page, school: FakeSchool) -> None:
    school.training = one_runs()
    school.lessons[4] = lesson_line(4, "training", "", None) | {"events": progress(), "verdict": None}
    school.ends(3, "rejected")

    def cancel(what: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        school.training = after_lessons()
        school.training["runs"].insert(0, lesson_line(4, "cancelled", "Stopped by a reader."))
        school.ends(4, "cancelled")
        return 200, {}

    school.on_post = cancel
    learning = open_learning(page)
    learning.get_by_role("button", name="Stop this lesson…").click()
    expect(learning.get_by_role("button", name="Let it go on")).to_be_focused()  # the harmless answer
    assert school.posted == []
    learning.get_by_role("button", name="Stop it").click()
    expect(learning.get_by_role("button", name="Learn now")).to_be_visible()
    assert school.posted == [("cancel", {"reader": "", "run": 4})]
    expect(lesson_of(learning).locator(".nv-outcome")).to_contain_text("Stopped.")


def test_the_open_case_and_what_is_not_saved_stay_untouched(bench: Bench, page: Page, school: FakeSchool) -> None:
    bench.counts()
    page.route("**/edits", lambda route: route.abort() if route.request.method == "POST" else route.continue_())
    nucleus = bench.counted()[0]
    page.mouse.move(*bench.at(nucleus[1], nucleus[2]))
    bench.key("x")
    expect(bench.root).to_have_attribute("data-pending", "1")
    learning = open_learning(page)
    page.keyboard.press("x")  # no key reaches the image behind
    page.keyboard.press("1")
    learning.get_by_role("button", name="Close").click()
    expect(bench.root).to_have_attribute("data-pending", "1")
    page.unroute("**/edits")
    bench.saved()
    page.go_forward()
    learning_of(page)
    page.go_back()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(bench.root).to_have_attribute("data-open", str(bench.image))


def test_its_address_opens_it_and_closing_leads_to_the_image(
    bench: Bench, page: Page, app: RunningApp, images: list[int]
) -> None:
    page.goto(f"{app.url}?image={images[1]}&learning=1")
    learning = learning_of(page)
    expect(learning.locator(".nv-lead")).to_contain_text("base-3")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert page.url.endswith(f"?image={images[1]}")
    page.reload()
    expect(bench.root).to_have_attribute("data-open", str(images[1]))
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_lost_server_is_said_and_what_was_known_stays(bench: Bench, page: Page, school: FakeSchool) -> None:
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
    bench: Bench, page: Page, school: FakeSchool
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


def test_names_from_outside_are_shown_as_text(bench: Bench, page: Page, school: FakeSchool, images: list[int]) -> None:
    school.training = one_runs()
    school.training["in_service"] |= {"name": HOSTILE, "sentence": HOSTILE}
    for version in school.training["versions"]:
        version |= {"name": HOSTILE, "sentence": HOSTILE}
    school.training["run"] |= {"device": HOSTILE}
    for run in school.training["runs"]:
        run |= {"sentence": HOSTILE}
    events = [*progress(), {"event": "note", "text": HOSTILE}]
    school.lessons[4] = lesson_line(4, "training", "", None) | {"events": events, "verdict": None}
    school.ends(3, "rejected", gallery(images))
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
    bench: Bench, page: Page, school: FakeSchool, images: list[int], width: int, height: int, scheme: Any
) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": height})
    school.training = one_runs()
    school.lessons[4] = lesson_line(4, "training", "", None) | {"events": progress(), "verdict": None}
    school.ends(3, "rejected", gallery(images))
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


def test_the_keyboard_alone_does_everything(bench: Bench, page: Page, school: FakeSchool) -> None:
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
    assert {"Close", "Learn now", "Put base-3 in service…"} <= set(reached)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(learning.locator(".nv-judged h3")).to_contain_text("Lesson 1")
    expect(learning.locator(".nv-judged h3")).to_be_focused()  # what she asked for is where she is
    page.keyboard.press("Escape")
    expect(page.locator("#title a", has_text="Learning")).to_be_focused()


def test_the_next_best_field_is_one_click_away_with_its_reason(
    bench: Bench, page: Page, school: FakeSchool, images: list[int]
) -> None:
    work = page.get_by_role("region", name="Next best field")
    expect(work).to_be_hidden()  # nothing is worth it
    school.worklist = {
        "fields": [
            {"image": images[1], "label": "Field 2", "case": 2, "value": 2.4, "reason": "31 doubtful nuclei"},
            *({"image": 1000 + n, "label": f"Far {n}", "case": 2, "value": 1, "reason": "Unlike the others"} for n in range(4)),
        ],
        "unscored": 2,
    }  # fmt: skip
    page.reload()
    expect(work.get_by_role("listitem")).to_have_count(3)
    expect(work).to_contain_text("2 images not scored yet.")
    work.get_by_role("button", name="all 5").click()
    expect(work.get_by_role("listitem")).to_have_count(5)
    first = work.get_by_role("button", name="Field 2")
    expect(first).to_contain_text("31 doubtful nuclei")
    first.click()
    expect(bench.root).to_have_attribute("data-open", str(images[1]))
    expect(first).to_have_attribute("aria-current", "true")
    school.worklist = {"fields": [], "unscored": 0}
    bench.focus()
    bench.key("n", "Enter")  # a correction changes what is best next
    expect(work).to_be_hidden(timeout=20_000)


def test_a_score_by_another_version_says_so(bench: Bench, page: Page, school: FakeSchool) -> None:
    school.training = after_lessons()
    open_learning(page)
    page.keyboard.press("Escape")
    hint = page.locator(".nv-outdated")
    expect(hint).to_contain_text("Scored by seeded; lab-2 is in service. Score again to use it")
    school.training["in_service"] = {"sha256": "0" * 64, "name": "seeded", "since": None, "sentence": ""}
    open_learning(page)
    expect(hint).to_have_count(0)


def test_a_server_that_starts_again_is_found_again(page: Page, tmp_path_factory: pytest.TempPathFactory) -> None:
    app = RunningApp(tmp_path_factory.mktemp("restart") / "data", free_port(), {"NUCLEUS_DEMO": "no", "NUCLEUS_WORKER": "external"})  # fmt: skip
    app.start()
    school = FakeSchool(page)
    school.training = nobody_signed()
    try:
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
    finally:
        app.stop()
