from __future__ import annotations

import csv
import hashlib
import json
from datetime import UTC, datetime
from io import BytesIO, StringIO
from zipfile import ZipFile

import pytest
from fastapi.testclient import TestClient

from db.edits import LoggedEdit, append_edits
from db.engine import session_scope
from nucleus_app.services.casework import CaseDesk
from nucleus_app.services.downloads import write_cases
from nucleus_app.services.reviews import ReviewDesk
from nucleus_app.services.scored_images import get_scored_image
from nucleus_app.services.workplace import Workplace
from tests.services.reviewing import add_scoring, body, reclass

NOW = datetime(2026, 11, 30, tzinfo=UTC)


@pytest.fixture
def case(workplace: Workplace, image_id: int) -> str:
    add_scoring(workplace, image_id)
    return f"/nucleus/api/cases/{get_scored_image(workplace, image_id).image.case_id}"


def test_a_case_goes_from_its_sheet_to_a_signature_and_back(client: TestClient, case: str) -> None:
    state = client.get(case).json()
    saved = client.put(
        case, json={"rev": state["rev"], "reader": "Dr. A", "sheet": state["sheet"] | {"protocol": "net hot spot"}}
    )
    assert saved.status_code == 200
    assert saved.json()["rule"]["cutoffs"] == [3, 20]
    assert client.put(case, json={"rev": state["rev"], "sheet": state["sheet"]}).status_code == 409
    signed = client.post(f"{case}/sign", json={"digest": saved.json()["digest"], "reader": "Dr. A"}).json()
    assert (signed["signature"]["reader"], len(signed["signature"]["sha256"])) == ("Dr. A", 64)
    refused = client.put(case, json={"rev": saved.json()["rev"], "sheet": state["sheet"]})
    assert (refused.status_code, "reopen it" in refused.json()["detail"]) == (409, True)
    listed = client.get("/nucleus/api/images").json()
    assert [(c["state"], c["shown"], c["images"]) for c in listed["cases"]] == [
        ("signed", saved.json()["score"]["primary"]["shown"], [listed["images"][0]["id"]])
    ]
    reopened = client.post(f"{case}/reopen", json={"reader": "Dr. B", "reason": "recount"}).json()
    assert (reopened["signature"], reopened["revision"]) == (None, 2)


def test_a_signed_report_that_is_lost_costs_no_other_case_its_row(
    client: TestClient, case: str, workplace: Workplace
) -> None:
    digest = client.get(case).json()["digest"]
    signed = client.post(f"{case}/sign", json={"digest": digest, "reader": "Dr. A"}).json()
    workplace.blobs.discard(signed["signature"]["sha256"])
    after_a_restart = CaseDesk(workplace, ReviewDesk(workplace))
    with ZipFile(BytesIO(write_cases(workplace, after_a_restart).content)) as book:
        said = b"".join(book.read(name) for name in book.namelist())
    assert b"the signed report is missing or damaged: restore it from a backup" in said


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 422),
        (b"[]", "application/json", 422),
        (b'{"rev": 1}', "application/json", 422),
        (b'{"rev": 1, "sheet": {"target": NaN}}', "application/json", 422),
        (b'{"rev": 1e99, "sheet": {}}', "application/json", 422),
        (b'{"rev": 1, "sheet": {}}', "text/plain", 415),
        (b'{"rev": 1, "sheet": {"comment": "' + b"x" * 5_000_000 + b'"}}', "application/json", 413),
    ],
)
def test_what_is_no_sheet_is_refused_with_a_sentence(
    client: TestClient, case: str, body: bytes, content_type: str, status: int
) -> None:
    answer = client.put(case, content=body, headers={"content-type": content_type})
    assert answer.status_code == status
    assert isinstance(answer.json()["detail"], str)
    assert client.get(case).json()["rev"] == 2


def test_a_case_comes_in_every_format_and_a_signed_one_as_the_bytes_that_were_signed(
    client: TestClient, case: str
) -> None:
    state = client.get(case).json()
    signed = client.post(f"{case}/sign", json={"digest": state["digest"], "reader": "Dr. A"}).json()
    image = state["images"][0]["id"]
    begins = {
        "report.pdf": b"%PDF-1.7", "report.json": b"{", "report.xlsx": b"PK", "case.csv": b"case,label", "fields.csv": b"field", "nuclei.csv": b"",
        "edits.csv": b"image,scoring", "coco.json": b"{", f"qupath-{image}.geojson": b"{",
    }  # fmt: skip
    for name, start in begins.items():
        answer = client.get(f"{case}/{name}")
        assert (answer.status_code, answer.content[: len(start)]) == (200, start), name
        assert "a.png" not in answer.headers["content-disposition"]
        assert b"a.png" not in answer.content
    frozen = client.get(f"{case}/report.json").content
    assert hashlib.sha256(frozen).hexdigest() == signed["signature"]["sha256"]
    assert client.get("/nucleus/api/cases.xlsx").content[:2] == b"PK"
    assert client.get(f"{case}/report.exe").status_code == 404
    assert client.get(f"{case}/qupath-99.geojson").status_code == 404
    assert client.get(f"{case}/report.pdf?palette=pink").status_code == 422


def test_the_log_of_corrections_says_who_changed_what_and_when(
    client: TestClient, case: str, workplace: Workplace
) -> None:
    scoring = get_scored_image(workplace, client.get(case).json()["images"][0]["id"]).scoring
    ReviewDesk(workplace).take_edits(scoring.id, body(reclass(0, c=1), {"op": "add", "x": 5, "y": 6, "c": 0}))
    rows = list(csv.DictReader(StringIO(client.get(f"{case}/edits.csv").text)))
    assert [(row["image"], row["edit"], row["reader"], row["operation"], row["before"]) for row in rows] == [
        ("Image 1", "1", "Dr. A", "class", "[0]"), ("Image 1", "2", "Dr. A", "add", ""),
    ]  # fmt: skip
    assert json.loads(rows[1]["what"]) == {"x": 5, "y": 6, "c": 0}
    assert (rows[1]["key"], rows[1]["carried_over"]) == (
        "c1:2",
        "0",
    )  # as an undo, or a later edit of that nucleus, names it
    with session_scope(workplace.engine, write=True) as session:
        many = {"op": "class", "ids": list(range(30_000)), "c": 1}
        append_edits(session, scoring.id, [LoggedEdit(3, "carried-1-ann", 1, "ann", "Dr. A", NOW, many, None)])
    add_scoring(workplace, scoring.image_id)
    rows = list(csv.DictReader(StringIO(client.get(f"{case}/edits.csv").text)))
    assert [row["scoring"] for row in rows] == 3 * [str(scoring.id)]  # also after it was scored again
    assert (rows[2]["carried_over"], rows[2]["what"]) == ("1", '{"ids": "30000 values", "c": 1}')
    assert datetime.fromisoformat(rows[0]["at"]).tzinfo is not None


def test_a_case_that_there_is_not_says_so(client: TestClient) -> None:
    assert client.get("/nucleus/api/cases/77").status_code == 404
