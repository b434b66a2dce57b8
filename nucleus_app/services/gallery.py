"""Pictures of the nuclei that a training run got newly right or newly wrong."""

from __future__ import annotations

from db.engine import session_scope
from db.images import get_image
from db.runs import get_run
from db.scorings import find_latest_scoring
from nucleus_app.domain.scale import NETWORK_MPP
from nucleus_app.errors import NotFound
from nucleus_app.services.memory import Memory
from nucleus_app.services.pixels import PyramidCache
from nucleus_app.services.workplace import Workplace

SIDE_UM, SIZE_PX = 48.0, 96
KEPT = 500


class GalleryDesk:
    """Draws what the page shows; marks are the page's."""

    def __init__(self, workplace: Workplace, pyramids: PyramidCache) -> None:
        self._workplace = workplace
        self._pyramids = pyramids
        self._drawn: Memory[bytes] = Memory(KEPT)

    def draw(self, run_id: int, n: int) -> bytes:
        """The neighbourhood of the n-th nucleus (0, 1 …) of a run's gallery as PNG, the nucleus in its middle.

        Raises NotFound.
        """
        with session_scope(self._workplace.engine) as session:
            verdict = get_run(session, run_id).verdict
            if verdict is None or not 0 <= n < len(verdict.gallery):
                raise NotFound(f"The gallery of training run {run_id} has no nucleus {n}.")
            change = verdict.gallery[n]
            image, scoring = get_image(session, change.image), find_latest_scoring(session, change.image)
        size = scoring.pixel_size if scoring else image.pixel_size
        side_px = SIDE_UM / (size.mpp if size else NETWORK_MPP)

        def crop() -> bytes:
            return self._pyramids.get(image.id).crop_around(change.x, change.y, side_px, SIZE_PX)

        return self._drawn.get((image.blob, change.x, change.y, side_px), crop)
