"""The page about learning and the list of fields worth reviewing, in a real Chromium, on hand-made answers of decision 0010."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.bench import Bench
from tests.e2e.pages import (
    learn_now,
    learning_of,
    lesson_of,
    open_learning,
    put_in_service,
    read_lead,
    wait_outcome,
    wait_scored,
)
from tests.e2e.running import RunningApp
from tests.e2e.school import (
    BASE,
    FakeSchool,
    after_lessons,
    change_some,
    lesson_line,
    one_runs,
    progress,
    three_signed,
)

pytestmark = pytest.mark.browser
CELLS = "(table) => [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent))"
MIDDLE = """() => { const v = document.querySelector('.nv-root').viewer, at = v.tools.toImage({ x: v.view.width / 2, y: v.view.height / 2 });
  return [at.x, at.y]; }"""


@pytest.fixture(scope="module")
def app(seeded_app: RunningApp) -> RunningApp:
    return seeded_app


def test_a_fresh_installation_teaches_what_to_do(schooled: Bench, page: Page) -> None:
    learning = open_learning(page)
    expect(learning.locator(".nv-lead")).to_contain_text("base-1 is in service. It came with this app")
    expect(learning).to_contain_text("Sign off cases with corrections: the network learns from them.")
    expect(learning.get_by_role("button", name="Learn now")).to_have_count(0)  # there is nothing to learn from
    expect(learning.get_by_role("region", name="Versions")).to_contain_text("● in service")
    expect(learning.get_by_role("region", name="Lessons")).to_be_hidden()


def test_the_page_says_how_far_it_is_to_the_next_lesson(schooled: Bench, page: Page, school: FakeSchool) -> None:
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
    schooled: Bench, page: Page, school: FakeSchool, images: list[int]
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
    school.ends(4, "promoted", change_some(images))
    assert wait_outcome(page, 4).startswith("✓ Taken into service. On 3 locked cases it gives more nuclei")
    expect(learning.locator(".nv-learning-say")).to_have_text("Lesson 4 ended: taken into service.")


def test_what_was_not_taken_says_why_in_words_and_numbers(schooled: Bench, page: Page, school: FakeSchool) -> None:
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
    expect(lesson).to_contain_text("93 % positive or negative as taught")


def test_a_nucleus_of_the_gallery_leads_to_its_place_and_back_leads_to_the_gallery(
    schooled: Bench, page: Page, school: FakeSchool, images: list[int]
) -> None:
    school.training = after_lessons()
    school.ends(3, "promoted", change_some(images))
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
    expect(schooled.root).to_have_attribute("data-open", str(images[1]))
    page.wait_for_function(f"() => {{ const [x, y] = ({MIDDLE})(); return Math.hypot(x - 210, y - 220) < 3; }}")
    expect(page.locator(".nv-stage")).to_be_focused()
    page.go_back()
    expect(lesson_of(learning_of(page)).get_by_role("region", name="Newly right")).to_be_visible()
    assert f"image={images[1]}" in page.url  # what is open stays open
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(schooled.root).to_have_attribute("data-open", str(images[1]))


def test_going_back_to_an_earlier_version_asks_for_a_name(schooled: Bench, page: Page, school: FakeSchool) -> None:
    school.training = after_lessons()
    school.ends(3, "rejected")

    def activate(what: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if body["reader"] == "nobody":
            return 422, {"detail": "nobody may not do this."}
        school.training["in_service"] = {"sha256": BASE, "name": "base-1", "since": "2025-11-24T08:00:00+00:00", "sentence": "Put in service by A. N."}  # fmt: skip
        for version in school.training["versions"]:
            version["is_active"] = version["sha256"] == BASE
        return 200, {}

    school.on_post = activate
    learning = open_learning(page)
    versions = learning.get_by_role("region", name="Versions")
    expect(versions.get_by_role("listitem")).to_contain_text(["lab-3", "lab-2", "lab-1", "base-1"])
    expect(versions.locator("[aria-current=true]")).to_contain_text("lab-2")
    versions.get_by_role("button", name="Put lab-3 in service…").click()
    expect(versions).to_contain_text("The judge did not take this one.")
    versions.get_by_role("button", name="Put base-1 in service…").click()
    question = versions.get_by_role("group", name="Put base-1 in service")
    expect(question.get_by_label("Reader")).to_be_focused()
    expect(question.get_by_role("button", name="Put in service")).to_be_disabled()
    page.keyboard.press("Escape")
    expect(question).to_have_count(0)
    expect(learning).to_be_visible()  # only the question went
    versions.get_by_role("button", name="Put base-1 in service…").click()
    question.get_by_label("Reader").fill("nobody")
    question.get_by_role("button", name="Put in service").click()
    expect(question.get_by_role("alert")).to_have_text("nobody may not do this.")
    page.keyboard.press("Escape")
    put_in_service(page, "base-1", "A. N.")
    assert school.posted[-1] == ("activate", {"reader": "A. N.", "sha256": BASE})
    assert read_lead(page).startswith("base-1 has been in service since 2025-11-24")
    page.keyboard.press("Escape")
    expect(page.get_by_role("textbox", name="Reader")).to_have_value("A. N.")


def test_a_lesson_is_stopped_only_after_a_question(schooled: Bench, page: Page, school: FakeSchool) -> None:
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


def test_the_next_best_field_is_one_click_away_with_its_reason(
    schooled: Bench, page: Page, school: FakeSchool, images: list[int]
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
    expect(schooled.root).to_have_attribute("data-open", str(images[1]))
    expect(first).to_have_attribute("aria-current", "true")
    expect(schooled.root).to_have_attribute("data-image", str(images[1]))
    wait_scored(page)  # no key finds a nucleus before
    school.worklist = {"fields": [], "unscored": 0}
    schooled.focus()
    schooled.key("n", "Enter")  # a correction changes what is best next
    expect(work).to_be_hidden(timeout=20_000)


def test_a_score_by_another_version_says_so(schooled: Bench, page: Page, school: FakeSchool) -> None:
    school.training = after_lessons()
    open_learning(page)
    page.keyboard.press("Escape")
    hint = page.locator(".nv-outdated")
    expect(hint).to_contain_text("Scored by seeded; lab-2 is in service. Score again to use it")
    school.training["in_service"] = {"sha256": "0" * 64, "name": "seeded", "since": None, "sentence": ""}
    open_learning(page)
    expect(hint).to_have_count(0)
