"""Hot spots and imports over the real routes."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from nucleus_app.services.intake import score_at
from nucleus_app.services.workplace import Workplace
from nucleus_app.web import qupath_routes
from tests.domain.qupath_files import POSITIVE, collection, feature, multipoint
from tests.services.reviewing import add_scoring

JSON = {"content-type": "application/json"}
FILE = collection(feature(multipoint((10.5, 10.5), (20.5, 10.5)), POSITIVE, measurements={"a": float("nan")}))


@pytest.fixture
def url(workplace: Workplace, image_id: int) -> str:
    add_scoring(workplace, image_id)
    return f"/nucleus/api/images/{image_id}"


def test_hot_spots_are_those_of_the_contract(client: TestClient, url: str) -> None:
    answer = client.get(f"{url}/hotspots", params={"area_mm2": 0.2})
    assert answer.headers["cache-control"] == "no-store"
    found = answer.json()
    (spot,) = found["spots"]
    assert spot["box"] == [-0.5, -0.5, 79.5, 59.5]
    assert (spot["positive"], spot["tumour"]) == (2, 3)
    assert {"box", "positive", "tumour", "percent", "low_percent", "high_percent", "area_mm2"} == set(spot)
    assert found["heat"] == {"size_px": 100.0, "columns": 1, "rows": 1, "percent": [None], "tumour": [3]}
    assert client.get(f"{url}/hotspots", params={"nuclei": 500}).json()["spots"] == [spot]


WRONG_QUERIES = [
    ("", "either area_mm2"),
    ("?area_mm2=0.2&nuclei=500", "not both"),
    ("?area_mm2=x", "valid number"),
    ("?area_mm2=nan", "finite number"),
    ("?area_mm2=0", "greater than or equal to 0.01"),
    ("?area_mm2=1e9", "less than or equal to 100"),
    ("?nuclei=3", "greater than or equal to 50"),
    ("?nuclei=99.5", "valid integer"),
    ("?nuclei=", "valid integer"),
]


def test_parameters_that_cannot_be_are_answered_with_a_sentence(client: TestClient, url: str) -> None:
    for query, says in WRONG_QUERIES:
        answer = client.get(f"{url}/hotspots{query}")
        assert (query, answer.status_code) == (query, 422)
        assert says in answer.json()["detail"]


def test_what_is_not_there_is_404_and_what_is_not_done_409(
    client: TestClient, url: str, workplace: Workplace, image_id: int
) -> None:
    assert client.get("/nucleus/api/images/99/hotspots?nuclei=500").status_code == 404
    score_at(workplace, image_id, 0.25)
    answer = client.get(f"{url}/hotspots?nuclei=500")
    assert answer.status_code == 409
    assert "once it is done" in answer.json()["detail"]


def test_a_file_is_looked_into_and_imported(client: TestClient, url: str) -> None:
    looked = client.post(f"{url}/qupath/classes", content=FILE, headers=JSON)
    assert looked.json() == {
        "classes": [{"name": "Positive", "points": 2, "areas": 0, "guess": "positive"}],
        "notes": [],
        "on_slide": None,
    }
    sent = {"geojson": FILE.decode(), "mapping": {"Positive": "positive"}, "reader": "Dr. A"}
    answer = client.post(f"{url}/qupath", json=sent)
    assert answer.status_code == 200
    case = client.get(url).json()
    assert case["scoring"] == answer.json()["scoring"]
    assert case["counts"] == {"positive": 2, "negative": 0, "other": 0}
    assert case["version"] == {"name": "QuPath import", "sha256": hashlib.sha256(FILE).hexdigest()}
    packed = client.get(f"/nucleus/api/scorings/{case['scoring']}/candidates")
    assert packed.status_code == 200


def test_a_file_may_be_sent_as_json_within_json(client: TestClient, url: str) -> None:
    parsed = json.loads(FILE)
    del parsed["features"][0]["properties"]["measurements"]
    answer = client.post(f"{url}/qupath", json={"geojson": parsed, "mapping": {"Positive": "other"}})
    assert answer.status_code == 200
    assert client.get(url).json()["counts"] == {"positive": 0, "negative": 0, "other": 2}


SENT: dict[str, Any] = {"geojson": FILE.decode(), "mapping": {"Positive": "positive"}, "reader": ""}


WRONG_IMPORTS: list[tuple[bytes, dict[str, str], int]] = [
    (b"no json", JSON, 422),
    (b"[]", JSON, 422),
    (b"[" * 9_000, JSON, 422),
    (json.dumps(SENT | {"geojson": "no json"}).encode(), JSON, 422),
    (json.dumps(SENT | {"geojson": 3}).encode(), JSON, 422),
    (json.dumps(SENT | {"mapping": {"Positive": "tumor"}}).encode(), JSON, 422),
    (json.dumps(SENT | {"reader": 3}).encode(), JSON, 422),
    (json.dumps(SENT | {"author": "a b"}).encode(), JSON, 422),
    (json.dumps(SENT | {"on_slide": "yes"}).encode(), JSON, 422),
    (json.dumps(SENT | {"on_slide": True}).encode(), JSON, 422),
    (json.dumps(SENT | {"geojson": "\ud800"}).encode(), JSON, 422),
    (json.dumps(SENT).encode(), {"content-type": "text/plain"}, 415),
    (json.dumps(SENT).encode(), JSON | {"origin": "https://evil.example"}, 403),
    (b" " * 20_000, JSON, 413),
]


def test_an_import_that_cannot_be_says_why_and_changes_nothing(
    client: TestClient, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qupath_routes, "MAX_BODY_BYTES", 10_000)
    before = client.get(url).json()
    for content, headers, status in WRONG_IMPORTS:
        answer = client.post(f"{url}/qupath", content=content, headers=headers)
        assert (content[:80], answer.status_code) == (content[:80], status)
        assert answer.json()["detail"]
    assert client.get(url).json() == before


def test_imports_into_what_is_not_there_or_is_being_scored_are_refused(
    client: TestClient, url: str, workplace: Workplace, image_id: int
) -> None:
    assert client.post("/nucleus/api/images/99/qupath", json=SENT).status_code == 404
    assert client.post("/nucleus/api/images/99/qupath/classes", content=FILE, headers=JSON).status_code == 404
    score_at(workplace, image_id, 0.25)
    assert client.post(f"{url}/qupath", json=SENT).status_code == 409
    assert client.post(f"{url}/qupath/classes", content=b"[]", headers=JSON).status_code == 422
