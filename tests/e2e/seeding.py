"""Cases with known nuclei, put into a running app's store without scoring anything."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

import numpy as np

from db.engine import session_scope
from db.images import NewImage, add_image
from db.scorings import VersionUsed, finish_scoring, queue_scoring, start_scoring
from nucleus_app import __version__
from nucleus_app.domain.nuclei import Nuclei
from nucleus_app.domain.scale import PixelSize
from nucleus_app.imaging.reader import encode_png
from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from nucleus_app.kinet.preprocess import Rgb
from nucleus_app.services.carrying import carry_corrections
from nucleus_app.services.workplace import Workplace

THRESHOLDS = (0.4, 0.4, 0.4)
SIZE = PixelSize(0.5, "synthetic field")


def seed_case(workplace: Workplace, rgb: Rgb, candidates: Nuclei, label: str, *, is_synthetic: bool = True) -> int:
    """An image of 0.5 µm/px with a finished scoring that holds exactly these candidates; returns the image's id. What is
    synthetic teaches nothing.
    """
    blob = workplace.blobs.put(encode_png(rgb))
    new = NewImage(blob, blob, label, "synthetic", rgb.shape[1], rgb.shape[0], SIZE, (), is_synthetic)
    with session_scope(workplace.engine, write=True) as session:
        image = add_image(session, new, datetime.now(UTC))
    seed_scoring(workplace, image.id, candidates)
    return image.id


def seed_scoring(workplace: Workplace, image_id: int, candidates: Nuclei) -> None:
    """Score an image (again) with these candidates, as the worker finishes it."""
    now, version = datetime.now(UTC), VersionUsed("seeded", "0" * 64, THRESHOLDS, __version__)
    with session_scope(workplace.engine, write=True) as session:
        scoring = queue_scoring(session, image_id, SIZE, now)
        start_scoring(session, scoring, 1, "0" * 64, now)
        finish_scoring(session, scoring, candidates, version, now)
        carry_corrections(session, scoring, now)


@cache
def draw_seeded(side_px: int, seed: int) -> tuple[Rgb, Nuclei]:
    """A drawn field and its nuclei as a network would have found them. Drawn once; nobody writes into it."""
    field = draw_field(FieldRecipe(width_px=side_px, height_px=side_px), np.random.default_rng(seed))
    field.rgb.setflags(write=False)
    return field.rgb, grade_candidates(field.nuclei, np.random.default_rng(seed + 1))


def grade_candidates(nuclei: Nuclei, rng: np.random.Generator) -> Nuclei:
    """Known nuclei as a network would have found them: most surely, some barely, and some faint peaks that do not count."""
    scores = rng.choice([0.9, 0.45, 0.3], len(nuclei), p=(0.86, 0.08, 0.06)).astype(np.float32)
    return Nuclei(nuclei.xy, nuclei.classes, scores)
