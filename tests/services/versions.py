"""Small versions of the network, and a worker's steps without its process."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from db.engine import session_scope
from db.versions import StoredVersion, activate, add_version
from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from nucleus_app.kinet.checkpoint import Version, load_version, state_of, write_version
from nucleus_app.kinet.config import Provenance, Thresholds
from nucleus_app.kinet.network import KiNet
from nucleus_app.kinet.predictor import Predictor
from nucleus_app.services.intake import score_at, take_in
from nucleus_app.services.scored_images import get_packed_candidates, get_scored_image
from nucleus_app.services.serving import Shelf
from nucleus_app.services.worker import Scorer
from nucleus_app.services.workplace import Workplace
from tests.conftest import TINY

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def draw_version(folder: Path, seed: int, created: str = "") -> Path:
    """An untrained small version in a file: it finds something everywhere, and each seed something else."""
    torch.manual_seed(seed)
    provenance = Provenance(name=f"tiny-{seed}", created=created)
    version = Version(TINY, Thresholds((1e-4, 1e-4, 1e-4)), provenance, "", state_of(KiNet(TINY).eval()))
    path = folder / f"tiny-{seed}.safetensors"
    write_version(path, version)
    return path


def keep_version(workplace: Workplace, path: Path, *, parent: str | None = None, run_id: int | None = None) -> str:
    """Make a file a version of the store, as a training run does; returns its SHA-256."""
    content, version = path.read_bytes(), load_version(path)
    sha256 = workplace.blobs.put(content)
    stored = StoredVersion(sha256, version.name, parent, run_id, NOW, len(content), {"fields": 12, "cases": 4})
    with session_scope(workplace.engine, write=True) as session:
        add_version(session, stored)
    return sha256


def put_in_service(workplace: Workplace, sha256: str, reason: str = "chosen") -> None:
    with session_scope(workplace.engine, write=True) as session:
        activate(session, sha256, "Dr. A", NOW, reason)


def open_shelf(workplace: Workplace) -> Shelf:
    return Shelf(workplace, lambda version: Predictor.open(version, "torch-cpu"))


class Image200:
    """A synthetic field that can be scored step by step, and again."""

    def __init__(self, workplace: Workplace, folder: Path) -> None:
        self._workplace = workplace
        field = draw_field(FieldRecipe(width_px=200, height_px=200), np.random.default_rng(3))
        Image.fromarray(field.rgb).save(folder / "field.png")
        self.id = take_in(workplace, folder / "field.png", "field.png").id

    def ask(self) -> int:
        """Have it scored anew; returns the scoring."""
        score_at(self._workplace, self.id, 0.5)
        return get_scored_image(self._workplace, self.id).scoring.id

    def score(self, scorer: Scorer, scoring_id: int | None = None) -> tuple[str, bytes]:
        """What the worker does; returns the version's SHA-256 and the packed nuclei."""
        scoring_id = scoring_id or self.ask()
        for tile in range(scorer.start(scoring_id)):
            scorer.find_in_tile(scoring_id, tile)
        scorer.finish(scoring_id)
        done = get_scored_image(self._workplace, self.id).scoring
        return done.version.sha256, get_packed_candidates(self._workplace, scoring_id)
