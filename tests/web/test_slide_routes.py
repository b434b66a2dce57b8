"""Slides over HTTP: what the picker asks for, and what it may not."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from nucleus_app.services.slides import take_in_slide
from nucleus_app.services.workplace import Workplace
from tests.imaging.slide_files import write_slide

RGB = np.full((900, 1300, 3), 200, np.uint8)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slide(tmp_path_factory.mktemp("slides") / "slide.svs", RGB)


@pytest.fixture
def slide_id(workplace: Workplace, original: Path, tmp_path: Path) -> int:
    return take_in_slide(workplace, Path(shutil.copyfile(original, tmp_path / "a.svs")), "a.svs").id


def test_a_slide_is_listed_looked_at_cut_and_removed(client: TestClient, slide_id: int) -> None:
    listed = client.get("/nucleus/api/slides").json()
    [slide] = listed["slides"]
    assert (slide["id"], slide["width_px"], slide["mpp"], slide["case"], slide["fields"]) == (
        slide_id,
        1300,
        0.25,
        None,
        [],
    )
    assert listed["max_megapixels"] == 150
    base = f"/nucleus/slides/{slide['key']}/{slide_id}"
    assert 'Width="1300"' in client.get(f"{base}.dzi").text
    tile = client.get(f"{base}_files/11/2_1.jpeg")
    assert Image.open(io.BytesIO(tile.content)).size == (1300 - 1024, 900 - 512)
    assert "immutable" in tile.headers["cache-control"]
    assert client.get(f"{base}_files/11/3_0.jpeg").status_code == 404
    brown = client.get(f"/nucleus/api/slides/{slide_id}/brown").json()
    assert (brown["columns"], brown["rows"]) == (4, 3)
    made = client.post(f"/nucleus/api/slides/{slide_id}/fields", json={"box": [0, 0, 400, 300]})
    assert made.status_code == 200
    [slide] = client.get("/nucleus/api/slides").json()["slides"]
    assert slide["fields"] == [{"image": made.json()["image"], "label": "a.svs · 1", "box": [0, 0, 400, 300]}]
    assert slide["case"] == made.json()["case"]
    assert client.post(f"/nucleus/api/slides/{slide_id}/remove", json={}).json() == {"removed": True}
    assert client.get(f"{base}_files/11/0_0.jpeg").status_code == 404
    assert client.post(f"/nucleus/api/slides/{slide_id}/remove", json={}).status_code == 404


@pytest.mark.parametrize(
    ("sent", "status", "words"),
    [
        ({"box": [0, 0, 400]}, 422, "box"),
        ({"box": [0, 0, 400, 2.5]}, 422, "box"),
        ({"box": [-1, 0, 400, 300]}, 422, "box"),
        ({"box": [0, 0, 400, 2**40]}, 422, "box"),
        ({"box": [0, 0, 2000, 300]}, 422, "outside the slide"),
        ({}, 422, "box"),
        ([], 422, "valid"),
    ],
)
def test_what_is_no_box_is_refused_with_a_sentence(
    client: TestClient, slide_id: int, sent: object, status: int, words: str
) -> None:
    answer = client.post(f"/nucleus/api/slides/{slide_id}/fields", json=sent)
    assert answer.status_code == status
    assert words in answer.json()["detail"]


def test_another_sites_page_can_neither_cut_nor_remove(client: TestClient, slide_id: int) -> None:
    for what, body in (("fields", '{"box": [0, 0, 400, 300]}'), ("remove", "{}")):
        url = f"/nucleus/api/slides/{slide_id}/{what}"
        foreign = {"origin": "http://evil.example", "content-type": "application/json"}
        assert client.post(url, content=body, headers=foreign).status_code == 403
        assert client.post(url, content=body, headers={"content-type": "text/plain"}).status_code == 415
    assert client.get("/nucleus/api/slides").json()["slides"][0]["fields"] == []
