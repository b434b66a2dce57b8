"""The page about learning on the app's own routes: what readers and a trainer leave in the store, in a real Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from db.engine import session_scope
from db.images import NewImage, add_image
from db.versions import list_activations
from nucleus_app.domain.learning import Change, RunState
from nucleus_app.domain.nuclei import NucleusClass
from nucleus_app.imaging.reader import encode_png
from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from nucleus_app.kinet.checkpoint import SHIPPED_WEIGHTS, load_version
from nucleus_app.services.workplace import Workplace
from tests.e2e.bench import Bench
from tests.e2e.lessons import SAID, Lessons
from tests.e2e.pages import close_learning, learn_now, open_learning, put_in_service, read_lead, wait_outcome
from tests.e2e.running import RunningApp, running_app
from tests.e2e.school import after_lessons, lesson_line, one_runs, progress, verdict
from tests.e2e.seeding import SIZE, draw_seeded, grade_candidates, seed_case, seed_scoring

SHIPPED = load_version(SHIPPED_WEIGHTS).name

pytestmark = pytest.mark.browser
# Every picture of the gallery, as wide as the server drew it; 0 for one that did not come.
WIDTHS = "() => Promise.all([...document.querySelectorAll('.nv-tile img')].map(async (n) => { n.loading = 'eager'; await n.decode().catch(() => {}); return n.naturalWidth; }))"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """A trainer is expected from outside; the tests are it."""
    apart = {"NUCLEUS_DEMO": "no", "NUCLEUS_WORKER": "external", "NUCLEUS_TRAINER": "external"}
    with running_app(tmp_path_factory.mktemp("lessons") / "data", apart) as running:
        yield running


@pytest.fixture(scope="module")
def lessons(store: Workplace) -> Lessons:
    return Lessons(store)


@pytest.fixture
def image(store: Workplace) -> int:
    return seed_case(store, *draw_seeded(300, seed=5), "Seeded", is_synthetic=False)


@pytest.fixture
def bench(page: Page, app: RunningApp, image: int) -> Bench:
    return Bench(page, app, image).open()


def sign(app: RunningApp, image: int) -> None:
    """Sign the image's case, as its reader would."""
    case = httpx.get(f"{app.url}nucleus/api/images/{image}").json()["case"]
    digest = httpx.get(f"{app.url}nucleus/api/cases/{case}").json()["digest"]
    body = {"digest": digest, "reader": "A. N."}
    httpx.post(f"{app.url}nucleus/api/cases/{case}/sign", json=body).raise_for_status()


def ask(app: RunningApp, path: str = "") -> dict[str, Any]:
    answer: dict[str, Any] = httpx.get(f"{app.url}nucleus/api/training{path}").raise_for_status().json()
    return answer


def test_a_signed_case_is_learned_from_and_going_back_is_one_click(
    bench: Bench, page: Page, app: RunningApp, store: Workplace, lessons: Lessons, image: int
) -> None:
    learning = open_learning(page)
    assert read_lead(page).startswith(f"{SHIPPED} is in service.")
    expect(learning).to_contain_text("Sign off cases with corrections: the network learns from them.")
    sign(app, image)
    expect(learning).to_contain_text("1 of 8 newly signed fields until the next lesson.", timeout=20_000)

    lesson = learn_now(page)
    assert lessons.find_asked() == lesson
    expect(learning).to_contain_text("No trainer is there. This lesson goes on when one is started.")
    assert lessons.take() == lesson
    lessons.reach(lesson, RunState.PREPARING)
    lessons.reach(lesson, RunState.TRAINING, device="cpu")
    lessons.tell(lesson, *progress(600, 1000), {"event": "paused"})
    expect(learning).to_contain_text("step 600 of 1,000 · on the CPU")
    expect(learning.locator(".nv-paused")).to_contain_text("scoring comes first")
    expect(learning.locator(".nv-lesson .nv-curve").first).to_be_visible()
    lessons.tell(lesson, {"event": "resumed"})
    expect(learning).to_contain_text("about 4 min left")
    lessons.reach(lesson, RunState.JUDGING)
    kinds = NucleusClass
    gallery = (
        Change(image, 100, 120, kinds.POSITIVE, kinds.NEGATIVE, kinds.POSITIVE),
        Change(image, 2, 290, None, kinds.OTHER, None),
        Change(image, 200, 50, kinds.OTHER, kinds.OTHER, kinds.NEGATIVE),
    )
    name = lessons.finish(lesson, RunState.PROMOTED, gallery)
    assert wait_outcome(page, lesson, 60) == f"✓ Taken into service. {SAID}"
    assert read_lead(page).startswith(f"{name} has been in service since 20")
    assert page.evaluate(WIDTHS) == [96, 96, 96]
    versions = learning.get_by_role("region", name="Versions")
    expect(versions.locator("[aria-current=true]")).to_contain_text("put in service by the judge")

    put_in_service(page, SHIPPED, "A. N.")
    assert read_lead(page).startswith(f"{SHIPPED} has been in service since 20")
    expect(versions.locator("[aria-current=true]")).to_contain_text("put in service by A. N.")
    with session_scope(store.engine) as session:
        assert [row.actor for row in list_activations(session)] == ["A. N.", "trainer"]
    put_in_service(page, name, "A. N.")
    close_learning(page)
    page.reload()
    expect(page.locator(".nv-sealed")).to_be_visible()
    expect(page.locator(".nv-outdated")).to_have_count(0)  # what is signed stays as it is


def test_an_image_of_an_open_case_says_that_another_version_is_in_service(bench: Bench, page: Page) -> None:
    expect(page.locator(".nv-outdated")).to_contain_text("Scored by seeded;")
    expect(page.locator(".nv-outdated")).to_contain_text("is in service. Score again to use it")


def test_a_lesson_that_waits_is_stopped_at_once(
    bench: Bench, page: Page, app: RunningApp, lessons: Lessons, image: int
) -> None:
    sign(app, image)
    learning = open_learning(page)
    lesson = learn_now(page)
    learning.get_by_role("button", name="Stop this lesson…").click()
    learning.get_by_role("button", name="Stop it").click()
    assert wait_outcome(page, lesson, 60).startswith("– Stopped.")
    assert lessons.find_asked() is None
    expect(learning.get_by_role("button", name="Learn now")).to_be_visible()


def test_what_was_refused_says_why(bench: Bench, page: Page, lessons: Lessons) -> None:
    lesson = lessons.take()
    lessons.reach(lesson, RunState.JUDGING)
    lessons.finish(lesson, RunState.REJECTED, reasons=("F1 of non-tumour nuclei fell by 0.050; 0.02 is allowed.",))
    learning = open_learning(page)
    assert wait_outcome(page, lesson, 60).startswith("✕ Not taken.")
    expect(learning.locator(".nv-reasons")).to_contain_text("fell by 0.050")
    expect(learning.get_by_role("row", name="Non-tumour")).to_contain_text("worse")


def test_the_next_best_field_is_listed_with_its_reason_until_it_was_corrected(
    bench: Bench, page: Page, store: Workplace
) -> None:
    field = draw_field(FieldRecipe(width_px=320, height_px=320), np.random.default_rng(8))
    blob = store.blobs.put(encode_png(field.rgb))
    new = NewImage(blob, blob, "Not looked at", "synthetic", 320, 320, SIZE, ())
    with session_scope(store.engine, write=True) as session:
        other = add_image(session, new, datetime.now(UTC)).id
    seed_scoring(store, other, grade_candidates(field.nuclei, np.random.default_rng(9)))
    page.reload()
    work = page.get_by_role("region", name="Next best field")
    line = work.get_by_role("button", name="Not looked at")
    assert line.locator(".nv-why").inner_text().strip()
    line.click()
    expect(bench.root).to_have_attribute("data-open", str(other))
    expect(line).to_have_attribute("aria-current", "true")
    page.wait_for_function("() => document.querySelector('.nv-root').viewer.session?.doubtful.length > 0")
    bench.focus()
    bench.key("n", "Enter")
    bench.saved()
    expect(line).to_have_count(0, timeout=20_000)


def test_the_hand_made_answers_are_of_the_same_shape_as_the_apps(app: RunningApp, lessons: Lessons, image: int) -> None:
    lesson = lessons.take()
    lessons.tell(lesson, *progress(40))
    told, made = ask(app), one_runs()
    assert made.keys() == told.keys()
    for part in ("trainer", "rule", "run", "in_service"):
        assert made[part].keys() == told[part].keys()
    lessons.reach(lesson, RunState.JUDGING)
    lessons.finish(lesson, RunState.PROMOTED)
    told, made = ask(app), after_lessons()
    for part in ("versions", "runs", "activations"):
        assert made[part][0].keys() == told[part][0].keys()
    shown = ask(app, f"/runs/{lesson}")
    assert verdict("promoted").keys() == shown["verdict"].keys()
    assert (lesson_line(1, "promoted", "") | {"events": [], "verdict": None, "error": None}).keys() <= shown.keys()
