"""Scorings to correct, and requests that correct them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from db.engine import session_scope
from db.scorings import VersionUsed, finish_scoring
from nucleus_app.domain.confidence import Confidence
from nucleus_app.domain.nuclei import Nuclei
from nucleus_app.services.intake import score_at, take_in
from nucleus_app.services.scored_images import get_scored_image
from nucleus_app.services.workplace import Workplace

THRESHOLDS = (0.3, 0.3, 0.4)
CANDIDATES = Nuclei.from_arrays(
    [[10, 10], [20, 10], [30, 10], [40, 10], [50, 10]], [0, 0, 1, 2, 1], [0.9, 0.8, 0.7, 0.6, 0.2]
)
"""Two positive, one negative, one non-tumour, and a hidden negative one."""


def add_scoring(workplace: Workplace, image_id: int, candidates: Nuclei = CANDIDATES) -> int:
    """Score an image as the worker would; returns the scoring."""
    latest = get_scored_image(workplace, image_id).scoring
    score_at(workplace, image_id, 0.5 if latest is None or latest.pixel_size.mpp != 0.5 else 0.25)
    scoring_id = get_scored_image(workplace, image_id).scoring.id
    version = VersionUsed("v", "e" * 64, THRESHOLDS, "0.3.0", Confidence(10.0, -3.5))
    with session_scope(workplace.engine, write=True) as session:
        finish_scoring(session, scoring_id, candidates, version, datetime.now(UTC))
    return scoring_id


def add_image(workplace: Workplace, folder: Path, *, size: tuple[int, int] = (80, 60)) -> int:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (*size[::-1], 3), dtype=np.uint8)).save(folder / "a.png")
    return take_in(workplace, folder / "a.png", "a.png").id


def body(*ops: Any, client: str = "c1", author: str = "ann", first: int = 1, after: int = 0) -> dict[str, Any]:
    edits = [{"seq": seq, "op": op} for seq, op in enumerate(ops, start=first)]
    return {"client": client, "author": author, "reader": "Dr. A", "after": after, "edits": edits}


def reclass(*ids: int | str, c: int) -> dict[str, Any]:
    return {"op": "class", "ids": list(ids), "c": c}


EXCLUDE = {"op": "region", "label": "exclude", "shape": "brush", "r": 3, "pts": [30, 10]}
