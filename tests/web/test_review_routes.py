"""Corrections over the real routes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from nucleus_app.domain.packing import unpack_nuclei
from nucleus_app.services.intake import score_at
from nucleus_app.services.workplace import Workplace
from tests.services.reviewing import CANDIDATES, EXCLUDE, add_scoring, body, reclass

JSON = {"content-type": "application/json"}


@pytest.fixture
def url(workplace: Workplace, image_id: int) -> str:
    return f"/nucleus/api/scorings/{add_scoring(workplace, image_id)}"


def test_candidates_hidden_ones_included_may_be_kept_by_the_browser(client: TestClient, url: str) -> None:
    answer = client.get(f"{url}/candidates")
    assert np.array_equal(unpack_nuclei(answer.content).scores, CANDIDATES.scores)
    assert answer.headers["cache-control"] == "private, max-age=86400, immutable"
    assert client.get("/nucleus/api/scorings/99/candidates").status_code == 404


def test_edits_go_there_and_come_back(client: TestClient, url: str, image_id: int) -> None:
    answer = client.post(f"{url}/edits", json=body(reclass(0, c=1), EXCLUDE)).json()
    assert {"ack", "rev", "edits", "score"} == set(answer)
    assert (answer["ack"], answer["rev"], len(answer["edits"])) == (2, 2, 2)
    read = client.get(f"{url}/edits", params={"after": 1})
    assert read.headers["cache-control"] == "no-store"
    assert read.json() == {"rev": 2, "edits": answer["edits"][1:], "score": answer["score"]}
    assert client.get(f"{url}/edits").json()["edits"] == answer["edits"]
    case = client.get(f"/nucleus/api/images/{image_id}").json()
    report = client.get(f"/nucleus/api/images/{image_id}/result.json").json()
    assert case["counts"] == report["counts"] == answer["score"]["counts"] == {"positive": 1, "negative": 1, "other": 1}
    assert client.get(f"{url}/doubtful").json() == {"ids": []}


def test_a_refusal_says_which_edit_and_why_and_what_is_kept(client: TestClient, url: str) -> None:
    answer = client.post(f"{url}/edits", json=body(EXCLUDE, reclass(77, c=0), EXCLUDE))
    assert answer.status_code == 422
    refusal = answer.json()
    assert (refusal["ack"], refusal["refused"], refusal["rev"], len(refusal["edits"])) == (1, 2, 1, 1)
    assert "no nucleus 77" in refusal["detail"]
    assert refusal["score"]["left_out"] == 1


def test_edits_that_come_too_late_or_too_early_are_409(
    client: TestClient, url: str, workplace: Workplace, image_id: int
) -> None:
    assert client.post(f"{url}/edits", json=body(EXCLUDE, after=1)).status_code == 409
    assert client.get(f"{url}/edits", params={"after": 1}).status_code == 409
    score_at(workplace, image_id, 0.25)
    queued = client.get(f"/nucleus/api/images/{image_id}").json()["scoring"]
    for scoring in (url, f"/nucleus/api/scorings/{queued}"):
        answer = client.post(f"{scoring}/edits", json=body(EXCLUDE))
        assert answer.status_code == 409
        assert answer.json()["detail"]
    assert client.post("/nucleus/api/scorings/99/edits", json=body(EXCLUDE)).status_code == 404


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b'{"client": NaN}', JSON, 422),
        (b'{"client": Infinity}', JSON, 422),
        (b"no json", JSON, 422),
        (b"", JSON, 422),
        (b"\xff\xfe", JSON, 422),
        (b"[" * 100_000, JSON, 422),
        (b"9" * 10_000, JSON, 422),
        (b"[]", JSON, 422),
        (b"{}", {"content-type": "text/plain"}, 415),
        (b"{}", {"content-type": "application/x-www-form-urlencoded"}, 415),
        (b"{}", {}, 415),
        (b"[" + b" " * 4 * 1024 * 1024 + b"]", JSON, 413),
        (b" " * 10_000_000, JSON, 413),
        (b"{}", JSON | {"origin": "https://evil.example"}, 403),
    ],
)
def test_a_body_that_cannot_be_is_refused_with_the_reason(
    client: TestClient, url: str, content: bytes, headers: dict[str, str], status: int
) -> None:
    before = client.get(f"{url}/edits").json()
    answer = client.post(f"{url}/edits", content=content, headers=headers)
    assert answer.status_code == status
    assert answer.json()["detail"]
    assert client.get(f"{url}/edits").json() == before


def test_an_endless_body_is_given_up_on(client: TestClient, url: str) -> None:
    sent = 0

    def endless() -> Any:
        nonlocal sent
        while sent < 64:
            sent += 1
            yield b" " * 1024 * 1024

    assert client.post(f"{url}/edits", content=endless(), headers=JSON).status_code == 413


@pytest.mark.parametrize("number", ["0", "-1", "x", "99999999999999999999"])
def test_what_is_no_number_of_a_scoring_is_refused(client: TestClient, number: str) -> None:
    assert client.get(f"/nucleus/api/scorings/{number}/edits").status_code == 422


def test_a_body_may_say_its_encoding(client: TestClient, url: str) -> None:
    answer = client.post(
        f"{url}/edits",
        content='{"client":"c","author":"a","reader":"Nagy","after":0,"edits":[]}',
        headers={"content-type": "application/json; charset=utf-8"},
    )
    assert (answer.status_code, answer.json()["ack"]) == (200, 0)


def test_a_map_is_asked_for_once(client: TestClient, url: str, workplace: Workplace, image_id: int) -> None:
    assert client.get(f"{url}/roi").json() == {"state": "none", "cells": None, "error": None}
    assert client.post(f"{url}/roi").json()["state"] == "running"
    assert client.post(f"{url}/roi").json() == client.get(f"{url}/roi").json()
    assert client.get("/nucleus/api/scorings/99/roi").status_code == 404
    score_at(workplace, image_id, 0.25)
    queued = client.get(f"/nucleus/api/images/{image_id}").json()["scoring"]
    assert client.post(f"/nucleus/api/scorings/{queued}/roi").status_code == 409
