"""The closed loop in a real Chromium, with the real trainer: a lab whose brown is so pale that the shipped network takes much
of it for blue. Corrections teach it, the gate lets it in, another field of that lab is scored better, going back undoes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from db.cases import FrozenReport, add_sign_off
from db.edits import LoggedEdit, append_edits
from db.engine import session_scope
from db.images import get_image
from db.learning_cases import learn_from
from db.scorings import VersionUsed, finish_scoring, queue_scoring, start_scoring
from nucleus_app import __version__
from nucleus_app.domain.agreement import compare_nuclei
from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.domain.matching import match_points
from nucleus_app.domain.nuclei import CANDIDATE_SHARE
from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from nucleus_app.kinet.checkpoint import SHIPPED_WEIGHTS, load_version
from nucleus_app.kinet.predictor import Predictor
from nucleus_app.services.workplace import Workplace, open_workplace
from nucleus_app.settings import Settings
from tests.e2e.desk import Desk
from tests.e2e.pages import learn_now, learning_of, open_learning, open_page, put_in_service, read_lead, wait_outcome
from tests.e2e.running import RunningApp, running_app
from tests.e2e.seeding import SIZE, seed_case

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
PALE = FieldRecipe(260, 260, positive_share=0.4, dab_strength=0.12)
SEEDED = 7
"""With the one that is corrected in the page: four train, two validate, two are locked."""
REACH_PX = 12.0
MARKED = 12
STEPS = 40


def draw(seed: int) -> LabelledImage:
    return draw_field(PALE, np.random.default_rng(50 + seed), f"pale_{seed}")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """An app that trains, by the button only."""
    settings = {
        "NUCLEUS_TRAINER": "embedded", "NUCLEUS_TRAIN_AFTER_FIELDS": "0", "NUCLEUS_TRAIN_STEPS": str(STEPS), "NUCLEUS_DEMO": "no",
    }  # fmt: skip
    with running_app(tmp_path_factory.mktemp("loop") / "data", settings) as running:
        yield running


@pytest.fixture(scope="module")
def store(app: RunningApp) -> Iterator[Workplace]:
    workplace = open_workplace(Settings(data_dir=app.data_dir, demo=False))
    predictor = Predictor.open(load_version(SHIPPED_WEIGHTS), "cpu")
    for seed in range(SEEDED):
        sign_corrected(workplace, predictor, draw(seed))
    yield workplace
    workplace.jobs.close()
    workplace.engine.dispose()


def sign_corrected(workplace: Workplace, predictor: Predictor, field: LabelledImage) -> None:
    """A case as the shipped network scored it, corrected to the truth and signed."""
    version, now = predictor.version, datetime.now(UTC)
    candidates = predictor.with_lower_thresholds(CANDIDATE_SHARE).find(field.rgb, field.mpp)
    image_id = seed_case(workplace, field.rgb, candidates, field.name, is_synthetic=False)
    used = VersionUsed(version.name, version.sha256, version.thresholds.per_class, __version__, version.confidence)
    pairs = match_points(field.nuclei.xy, candidates.xy, REACH_PX)
    wrong = np.setdiff1d(np.flatnonzero(candidates.reach(version.thresholds.per_class)), pairs.found)
    missed = np.setdiff1d(np.arange(len(field.nuclei)), pairs.truth)
    kinds = field.nuclei.classes[pairs.truth]
    ops = [{"op": "class", "ids": pairs.found[kinds == kind].tolist(), "c": kind} for kind in range(3)]
    ops += [{"op": "delete", "ids": wrong.tolist()}]
    ops += [
        {"op": "add", "x": float(x), "y": float(y), "c": int(c)}
        for (x, y), c in zip(field.nuclei.xy[missed], field.nuclei.classes[missed], strict=True)
    ]
    with session_scope(workplace.engine, write=True) as session:
        scoring = queue_scoring(session, image_id, SIZE, now)
        start_scoring(session, scoring, 1, version.sha256, now)
        finish_scoring(session, scoring, candidates, used, now)
        kept = [op for op in ops if op.get("ids") != []]
        append_edits(
            session, scoring, [LoggedEdit(n, "c", n, "ann", "Dr. A", now, op, None) for n, op in enumerate(kept, 1)]
        )
        case_id = get_image(session, image_id).case_id
        add_sign_off(session, case_id, 1, "Dr. A", now, FrozenReport("f" * 64, "40 %", None))
        learn_from(session, case_id, now)


def upload(page: Page, app: RunningApp, folder: Path, field: LabelledImage) -> Desk:
    """Drop a field on the page, say its pixel size, wait for the score."""
    file = folder / f"{field.name}.png"
    Image.fromarray(field.rgb).save(file)
    known = {image["id"] for image in app.images()}
    page.set_input_files("#upload input[type=file]", [str(file)])
    expect(page.locator(".nv-root")).not_to_have_attribute("data-open", re.compile("|".join(map(str, known)) or "x"))
    page.locator("#mpp input").fill("0.5")
    page.locator("#score").click()
    image_id = next(int(str(image["id"])) for image in app.images() if image["id"] not in known)
    return Desk(page, app, image_id).open()


def score_again(desk: Desk) -> None:
    scoring = desk.root.get_attribute("data-ready")
    desk.page.locator("#score").click()
    expect(desk.root).not_to_have_attribute("data-ready", scoring or "")
    desk.open()


def index_error(desk: Desk, field: LabelledImage) -> float:
    """By how many percentage points the index that the page shows is off."""
    positive, negative, _ = desk.counts()
    truth = compare_nuclei("x", field.nuclei, field.nuclei, REACH_PX).true_percent
    assert truth is not None
    return abs(100 * positive / (positive + negative) - truth)


def correct_some(desk: Desk, field: LabelledImage) -> None:
    """Point at nuclei that the network took for negative and press 1."""
    negative = [(x, y) for _, x, y, kind in desk.counted() if kind == 1]
    pairs = match_points(field.nuclei.xy, np.array(negative, np.float32), REACH_PX)
    wrong = [negative[f] for t, f in zip(pairs.truth, pairs.found, strict=True) if field.nuclei.classes[t] == 0]
    assert len(wrong) >= 3
    for x, y in wrong[:MARKED]:
        desk.page.mouse.move(*desk.at(x, y))
        desk.key("1")
    desk.saved()


def test_corrections_make_another_field_better_and_going_back_undoes_it_exactly(
    page: Page, app: RunningApp, store: Workplace, tmp_path: Path
) -> None:
    other_field, own_field = draw(20), draw(21)
    open_page(page, app)
    other = upload(page, app, tmp_path, other_field)
    first, first_error = other.counts(), index_error(other, other_field)
    assert first_error > 3

    own = upload(page, app, tmp_path, own_field)
    correct_some(own, own_field)
    page.get_by_role("button", name="Sign off…").click()
    page.get_by_label("Reader", exact=True).fill("A. Nowak")
    page.get_by_role("button", name="Sign", exact=True).click()
    expect(page.locator(".nv-signed")).to_contain_text("Signed off by A. Nowak")

    open_learning(page)
    assert "base" in read_lead(page)
    outcome = wait_outcome(page, learn_now(page), timeout_s=600)
    assert "in" in outcome, outcome
    expect(learning_of(page)).to_have_attribute("data-service", "lab-1")
    assert "Learned from" in read_lead(page)
    page.keyboard.press("Escape")

    other.open()
    score_again(other)
    assert index_error(other, other_field) < first_error / 2
    assert other.counts() != first

    open_learning(page)
    put_in_service(page, load_version(SHIPPED_WEIGHTS).name, "A. Nowak")
    page.keyboard.press("Escape")
    other.open()
    score_again(other)
    assert other.counts() == first
