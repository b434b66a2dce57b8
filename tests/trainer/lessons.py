"""Signed cases to learn from, put into the database without a worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from db.cases import FrozenReport, add_reopening, add_sign_off, change_sheet, get_case_record
from db.edits import LoggedEdit, append_edits
from db.engine import session_scope
from db.images import NewImage, add_image
from db.learning_cases import learn_from, list_splits
from db.scorings import VersionUsed, finish_scoring, queue_scoring, start_scoring
from nucleus_app.domain.confidence import Confidence
from nucleus_app.domain.nuclei import Nuclei
from nucleus_app.domain.oddities import Oddity
from nucleus_app.domain.scale import PixelSize
from nucleus_app.domain.sheet import FieldBox, FieldPlan
from nucleus_app.domain.split import Split
from nucleus_app.imaging.reader import encode_png
from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from nucleus_app.services.workplace import Workplace
from tests.services.reviewing import CANDIDATES, THRESHOLDS

NOW = datetime(2030, 1, 1, tzinfo=UTC)
Edit = dict[str, Any]


@dataclass(frozen=True)
class NewCase:
    """``edits``: JSON edits, or (author, edit) pairs, in order; ``ann@home`` is Ann in another browser; their keys are ``c:1``, ``c:2`` …"""

    edits: Sequence[Edit | tuple[str, Edit]] = ()
    candidates: Nuclei = CANDIDATES
    rgb: NDArray[np.uint8] | None = None
    mpp: float = 0.5
    label: str = ""
    boxes: tuple[FieldBox | None, ...] = (None,)
    oddities: tuple[Oddity, ...] = ()
    sha256: str = ""
    is_synthetic: bool = False


def add_case(workplace: Workplace, new: NewCase, *, signed: bool = True) -> tuple[int, int]:
    """A case of one image with its corrections; returns the case and the image."""
    rgb = noise() if new.rgb is None else new.rgb
    blob = workplace.blobs.put(encode_png(rgb))
    height, width = rgb.shape[:2]
    size = PixelSize(new.mpp, "test")
    with session_scope(workplace.engine, write=True) as session:
        taken = NewImage(new.sha256 or blob, blob, "x", "PNG", width, height, size, (), new.is_synthetic)
        image = add_image(session, taken, NOW)
        case = get_case_record(session, image.case_id)
        fields = tuple(FieldPlan(n, image.id, box=box) for n, box in enumerate(new.boxes, 1))
        change_sheet(session, case.id, replace(case.sheet, label=new.label or case.sheet.label, fields=fields), "", NOW)
        scoring = queue_scoring(session, image.id, size, NOW)
        start_scoring(session, scoring, 1, "e" * 64, NOW, oddities=new.oddities)
        version = VersionUsed("v", "e" * 64, THRESHOLDS, "0", Confidence(10.0, -3.5))
        finish_scoring(session, scoring, new.candidates, version, NOW)
        log = [(e if isinstance(e, tuple) else ("ann", e)) for e in new.edits]
        append_edits(
            session,
            scoring,
            [
                LoggedEdit(n, "c", n, author, author.split("@")[0], NOW, op, None)
                for n, (author, op) in enumerate(log, 1)
            ],
        )
    if signed:
        sign(workplace, case.id)
    return case.id, image.id


def sign(workplace: Workplace, case_id: int) -> Split:
    with session_scope(workplace.engine, write=True) as session:
        add_sign_off(session, case_id, 1, "Dr. A", NOW, FrozenReport("f" * 64, "10 %", None))
        return learn_from(session, case_id, NOW)


def reopen(workplace: Workplace, case_id: int) -> None:
    with session_scope(workplace.engine, write=True) as session:
        add_reopening(session, case_id, 2, "Dr. A", "why", NOW)


def noise(width: int = 80, height: int = 60, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)


def add_drawn_cases(workplace: Workplace, n: int, *, side_px: int = 96, validates: bool = False) -> None:
    """Signed cases of synthetic fields in which a person classed every nucleus; without those that would validate, for
    looking at them in between takes most of a short run's time.
    """
    for seed in range(n):
        field = draw_field(
            FieldRecipe(width_px=side_px, height_px=side_px, positive_share=0.4), np.random.default_rng(seed)
        )
        edits = [
            {"op": "class", "ids": np.flatnonzero(field.nuclei.classes == c).tolist(), "c": c}
            for c in range(3)
            if (field.nuclei.classes == c).any()
        ]
        case, _ = add_case(workplace, NewCase(edits, field.nuclei, field.rgb))
        with session_scope(workplace.engine) as session:
            side = list_splits(session, [case])[case]
        if side is Split.VALIDATION and not validates:
            reopen(workplace, case)


def region(label: str, *points: float, shape: str = "polygon", **more: Any) -> Edit:
    return {"op": "region", "label": label, "shape": shape, "pts": list(points), **more}


def rectangle(label: str, left: float, top: float, right: float, bottom: float) -> Edit:
    return region(label, left, top, right, top, right, bottom, left, bottom)
