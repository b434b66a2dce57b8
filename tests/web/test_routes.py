from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from db.engine import session_scope
from db.scorings import VersionUsed, finish_scoring
from nucleus_app.domain.confidence import Confidence
from nucleus_app.domain.nuclei import Nuclei
from nucleus_app.domain.packing import unpack_nuclei
from nucleus_app.services.intake import score_at, take_in
from nucleus_app.services.scored_images import get_scored_image
from nucleus_app.services.workplace import Workplace

NUCLEI = Nuclei.from_arrays([[10.25, 20.5], [30, 40], [50, 60]], [0, 1, 2], [0.9, 0.5, 0.7])
RUO = "For research use only. Not for use in diagnostic procedures."


@pytest.fixture
def client(server: FastAPI) -> TestClient:
    @server.post("/write")
    def write() -> str:
        return "written"

    return TestClient(server, base_url="http://ki67.lan")


@pytest.fixture
def image_id(workplace: Workplace, tmp_path: Path) -> int:
    rgb = np.random.default_rng(0).integers(0, 255, (90, 130, 3), dtype=np.uint8)
    Image.fromarray(rgb).save(tmp_path / "a.png")
    image = take_in(workplace, tmp_path / "a.png", '"><script>alert(1)</script>.png')
    score_at(workplace, image.id, 0.5)
    return image.id


@pytest.fixture
def done_id(workplace: Workplace, image_id: int) -> int:
    scoring = get_scored_image(workplace, image_id).scoring
    with session_scope(workplace.engine, write=True) as session:
        finish_scoring(
            session,
            scoring.id,
            NUCLEI,
            VersionUsed("v", "e" * 64, (0.1, 0.2, 0.3), "0.1.0", Confidence(8.0, -3.0)),
            datetime.now(UTC),
        )
    return image_id


def test_a_case_tells_its_state_and_result(client: TestClient, image_id: int, done_id: int) -> None:
    case = client.get(f"/nucleus/api/images/{done_id}").json()
    assert case["state"] == "done"
    assert case["counts"] == {"positive": 1, "negative": 1, "other": 1}
    assert case["index_percent"] == 50
    listed = client.get("/nucleus/api/images").json()
    assert (listed["images"], listed["worker_failing"]) == ([case], False)


def test_candidates_come_packed_and_may_be_kept(client: TestClient, done_id: int) -> None:
    scoring_id = client.get(f"/nucleus/api/images/{done_id}").json()["scoring"]
    answer = client.get(f"/nucleus/api/scorings/{scoring_id}/candidates")
    assert np.array_equal(unpack_nuclei(answer.content).xy, NUCLEI.xy)
    assert "immutable" in answer.headers["cache-control"]


def test_tiles_and_their_descriptor(client: TestClient, image_id: int) -> None:
    assert 'Width="130"' in client.get(f"/nucleus/tiles/x/{image_id}.dzi").text
    tile = client.get(f"/nucleus/tiles/x/{image_id}_files/8/0_0.jpeg")
    assert Image.open(io.BytesIO(tile.content)).size == (130, 90)
    assert client.get(f"/nucleus/tiles/x/{image_id}_files/8/5_0.jpeg").status_code == 404


def test_downloads_hold_the_same_numbers_and_the_research_line(client: TestClient, done_id: int) -> None:
    json_answer = client.get(f"/nucleus/api/images/{done_id}/result.json")
    csv_answer = client.get(f"/nucleus/api/images/{done_id}/nuclei.csv")
    result = json_answer.json()
    rows = list(csv.DictReader(io.StringIO(csv_answer.text)))
    assert result["notice"] == RUO
    assert RUO in rows[0]
    assert result["nuclei_columns"] == ["x_px", "y_px", "class", "score", "confidence", "origin", "left_out"]
    assert [
        [float(r["x_px"]), float(r["y_px"]), int(r["class"]), float(r["score"]), float(r["confidence"] or "nan")]
        for r in rows
    ] == [[*row[:4], pytest.approx(np.nan if row[4] is None else row[4], nan_ok=True)] for row in result["nuclei"]]
    assert [row[5:] for row in result["nuclei"]] == [["network", False]] * 3
    assert [(r["origin"], r["left_out"]) for r in rows] == [("network", "0")] * 3
    # 1 / (1 + exp(-(8 · score - 3))) for tumour nuclei, none for non-tumour ones.
    assert [row[4] for row in result["nuclei"]] == [
        pytest.approx(0.9852, abs=1e-4),
        pytest.approx(0.7311, abs=1e-4),
        None,
    ]
    assert [float(r["x_um"]) for r in rows] == pytest.approx([5.12, 15, 25], abs=0.011)
    assert result["thresholds"] == {"positive": 0.1, "negative": 0.2, "other": 0.3}
    # No label, which may be a patient's name, in the file's name.
    assert json_answer.headers["content-disposition"] == f'attachment; filename="image-{done_id}.json"'


@pytest.mark.parametrize(
    "path", ["api/images/99", "api/images/99/nuclei.csv", "tiles/x/99.dzi", "api/images/99/result.json"]
)
def test_what_does_not_exist_is_a_404_with_a_reason(client: TestClient, path: str) -> None:
    answer = client.get(f"/nucleus/{path}")
    assert answer.status_code == 404
    assert "There is no image 99" in answer.json()["detail"]


def test_results_are_not_there_before_the_scoring_is_done(client: TestClient, image_id: int) -> None:
    scoring_id = client.get(f"/nucleus/api/images/{image_id}").json()["scoring"]
    assert client.get(f"/nucleus/api/scorings/{scoring_id}/candidates").status_code == 404
    assert client.get(f"/nucleus/api/images/{image_id}/nuclei.csv").status_code == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://ki67.lan"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-origin", "origin": "http://ki67.lan"}, 200),
        ({"origin": "https://proxy.hospital", "x-forwarded-host": "proxy.hospital"}, 200),
        ({"origin": "null"}, 403),
    ],
)
def test_writes_from_other_sites_are_refused(client: TestClient, headers: dict[str, str], status: int) -> None:
    assert client.post("/write", headers=headers).status_code == status


def test_answers_carry_security_headers(client: TestClient) -> None:
    headers = client.get("/nucleus/healthz", headers={"origin": "https://evil.example"}).headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers
