"""The work list: images as a worker leaves them, ranked."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from sqlalchemy import text

from db.engine import session_scope
from db.scorings import VersionUsed, finish_scoring, start_scoring
from nucleus_app.domain.confidence import Confidence
from nucleus_app.domain.nuclei import Nuclei
from nucleus_app.domain.oddities import Oddity
from nucleus_app.services.intake import score_at, take_in, take_in_demo
from nucleus_app.services.reviews import ReviewDesk
from nucleus_app.services.scored_images import get_scored_image
from nucleus_app.services.workplace import Workplace
from tests.services.reviewing import body, reclass

URL = "/nucleus/api/worklist"
SURE, DOUBTFUL = 0.9, 0.36
"""Proximities; with this confidence the second one is a probability of a half."""


class Lab:
    """Images of so many sure and doubtful tumour nuclei."""

    def __init__(self, workplace: Workplace, folder: Path) -> None:
        self.workplace, self.folder = workplace, folder

    def take_in(self, name: str) -> int:
        Image.fromarray(np.full((60, 80, 3), 200, np.uint8)).save(self.folder / "a.png")
        return take_in(self.workplace, self.folder / "a.png", name).id

    def add(
        self, name: str, *, doubtful: int, traits: dict[str, float] | None = None, odd: tuple[Oddity, ...] = ()
    ) -> int:
        """100 sure negative nuclei and so many positive ones in doubt."""
        image_id = self.take_in(name)
        score_at(self.workplace, image_id, 0.5)
        scoring_id = get_scored_image(self.workplace, image_id).scoring.id
        classes = [1] * 100 + [0] * doubtful
        nuclei = Nuclei.from_arrays([[1, 1]] * len(classes), classes, [SURE] * 100 + [DOUBTFUL] * doubtful)
        version = VersionUsed("v", "e" * 64, (0.3, 0.3, 0.4), "0.5.0", Confidence(10.0, -3.6))
        now = datetime.now(UTC)
        with session_scope(self.workplace.engine, write=True) as session:
            start_scoring(session, scoring_id, 1, "e" * 64, now, oddities=odd, traits=traits)
            finish_scoring(session, scoring_id, nuclei, version, now)
        return image_id


@pytest.fixture
def lab(workplace: Workplace, tmp_path: Path) -> Lab:
    return Lab(workplace, tmp_path)


def test_the_least_sure_field_comes_first_with_its_reason_and_its_case(client: TestClient, lab: Lab) -> None:
    sure, doubtful = lab.add("sure", doubtful=1), lab.add("doubtful", doubtful=25)
    lab.take_in("not scored")
    told = client.get(URL).json()
    assert told["unscored"] == 1
    assert [(f["image"], f["label"], f["value"], f["reason"]) for f in told["fields"]] == [
        (doubtful, "doubtful", 0.2, "the index could be anywhere from 0 to 20 %"),
        (sure, "sure", 0.0099, "the index could be anywhere from 0 to 1 %"),
    ]
    assert told["fields"][0]["case"] == get_scored_image(lab.workplace, doubtful).image.case_id


def test_a_cutoff_of_the_cases_protocol_counts(client: TestClient, lab: Lab) -> None:
    plain, graded = lab.add("plain", doubtful=25), lab.add("graded", doubtful=10)
    case = f"/nucleus/api/cases/{get_scored_image(lab.workplace, graded).image.case_id}"
    state = client.get(case).json()
    client.put(case, json={"rev": state["rev"], "sheet": state["sheet"] | {"protocol": "net hot spot"}})
    fields = client.get(URL).json()["fields"]
    assert [field["image"] for field in fields] == [graded, plain]
    assert fields[0]["reason"].endswith("from 0 to 9 %, on either side of the cut-off at 3 %")


def test_what_was_signed_corrected_or_refused_is_not_on_the_list(client: TestClient, lab: Lab) -> None:
    signed, corrected = lab.add("signed", doubtful=3), lab.add("corrected", doubtful=3)
    lab.add("refused", doubtful=0, odd=(Oddity.DARK,))
    left = lab.add("left", doubtful=3)
    case = f"/nucleus/api/cases/{get_scored_image(lab.workplace, signed).image.case_id}"
    client.post(f"{case}/sign", json={"digest": client.get(case).json()["digest"], "reader": "Dr. A"})
    scoring = get_scored_image(lab.workplace, corrected).scoring
    ReviewDesk(lab.workplace).take_edits(scoring.id, body(reclass(0, c=0)))
    assert [field["image"] for field in client.get(URL).json()["fields"]] == [left]
    with session_scope(lab.workplace.engine, write=True) as session:
        session.execute(text("UPDATE image SET is_synthetic = true WHERE label = 'left'"))
    assert client.get(URL).json() == {"fields": [], "unscored": 0}


def test_an_image_of_another_lab_is_said_to_be_unlike_what_was_reviewed(client: TestClient, lab: Lab) -> None:
    usual = {"brown": 1.2, "ground": 230.0, "grain": 0.8}
    reviewed = [lab.add(f"r{n}", doubtful=2, traits=usual) for n in range(6)]
    for image_id in reviewed:
        scoring = get_scored_image(lab.workplace, image_id).scoring
        ReviewDesk(lab.workplace).take_edits(scoring.id, body(reclass(0, c=0)))
    near, far = (
        lab.add("near", doubtful=2, traits=usual),
        lab.add("far", doubtful=2, traits={"brown": 0.5, "ground": 231.0, "grain": 0.8}),
    )
    before = lab.add("scored before traits were kept", doubtful=2)
    fields = client.get(URL).json()["fields"]
    assert [field["image"] for field in fields] == [far, near, before]
    assert fields[0]["reason"].startswith("unlike anything reviewed so far: ")
    assert fields[1]["value"] == fields[2]["value"]


def test_the_demo_field_is_not_on_the_list(client: TestClient, workplace: Workplace) -> None:
    take_in_demo(workplace)
    assert client.get(URL).json() == {"fields": [], "unscored": 0}


def test_what_follows_from_a_scoring_is_worked_out_once(client: TestClient, lab: Lab, workplace: Workplace) -> None:
    for n in range(5):
        lab.add(f"{n}", doubtful=n, traits={"brown": n / 5})
    first = client.get(URL).json()
    with session_scope(workplace.engine, write=True) as session:
        session.execute(text("UPDATE scoring SET nuclei = NULL"))  # whoever reads them again fails
    assert client.get(URL).json() == first
    assert len(first["fields"]) == 5
