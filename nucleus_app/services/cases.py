"""Cases as the page shows them: state, progress, counts, index, warnings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from db.engine import session_scope
from db.images import StoredImage, get_image, list_images
from db.scorings import StoredScoring, find_latest_scoring, get_nuclei, list_latest_scorings
from nucleus_app.domain.cautions import list_cautions
from nucleus_app.domain.index import LabellingIndex, find_labelling_index
from nucleus_app.domain.packing import unpack_nuclei
from nucleus_app.errors import NotFound
from nucleus_app.reports.record import ImageRecord
from nucleus_app.services.workplace import Workplace

LISTED = 300
"""So many of the latest cases are listed; older ones open by their address."""
NEEDS_PIXEL_SIZE = "needs pixel size"


@dataclass(frozen=True, slots=True)
class Case:
    """An image with its latest scoring, if it has one."""

    image: StoredImage
    scoring: StoredScoring | None

    @property
    def state(self) -> str:
        return self.scoring.state.value if self.scoring else NEEDS_PIXEL_SIZE

    @property
    def is_busy(self) -> bool:
        return self.scoring is not None and self.scoring.is_open

    @property
    def index(self) -> LabellingIndex | None:
        if self.scoring is None or self.scoring.counts is None:
            return None
        return find_labelling_index(self.scoring.counts)

    @property
    def is_refused(self) -> bool:
        """Scored, but as no Ki67 field: nothing was counted."""
        return self.scoring is not None and self.scoring.is_refused

    @property
    def cautions(self) -> tuple[str, ...]:
        if self.scoring is None or self.scoring.counts is None:
            return self.image.notes
        s = self.scoring
        return list_cautions(
            self.scoring.counts, s.pixel_size, self.image.pixel_size, self.image.notes,
            oddities=s.oddities, confirmed=s.confirmed,
        )  # fmt: skip

    def seconds_left(self, now: datetime) -> float | None:
        """Estimate from the tiles done so far; None before the first."""
        s = self.scoring
        if s is None or s.started is None or not s.tiles_total or not s.tiles_done:
            return None
        return (now - s.started).total_seconds() / s.tiles_done * (s.tiles_total - s.tiles_done)


def list_cases(workplace: Workplace) -> list[Case]:
    """The latest cases, latest first."""
    with session_scope(workplace.engine) as session:
        images = list_images(session, LISTED)
        scorings = list_latest_scorings(session, [image.id for image in images])
    return [Case(image, scorings.get(image.id)) for image in images]


def get_case(workplace: Workplace, image_id: int) -> Case:
    """Raises NotFound."""
    with session_scope(workplace.engine) as session:
        return Case(get_image(session, image_id), find_latest_scoring(session, image_id))


def get_packed_nuclei(workplace: Workplace, image_id: int) -> bytes:
    """Nuclei of a case's latest scoring, packed. Raises NotFound while there are none."""
    scoring = get_case(workplace, image_id).scoring
    if scoring is None:
        raise NotFound("This image is not scored yet: give its pixel size first.")
    with session_scope(workplace.engine) as session:
        return get_nuclei(session, scoring.id)


def get_record(workplace: Workplace, image_id: int) -> ImageRecord:
    """The report value of a case. Raises NotFound while it has no result."""
    case = get_case(workplace, image_id)
    scoring = case.scoring
    if scoring is None or scoring.version is None:
        raise NotFound("This image has no result yet: wait until it is scored.")
    with session_scope(workplace.engine) as session:
        nuclei = unpack_nuclei(get_nuclei(session, scoring.id))  # of this scoring, whatever was queued since
    return ImageRecord(
        case.image.sha256, case.image.width_px, case.image.height_px, scoring.pixel_size,
        scoring.version.name, scoring.version.sha256, scoring.version.app_version, scoring.version.thresholds,
        scoring.version.confidence, nuclei, case.cautions, not case.is_refused,
    )  # fmt: skip


def case_to_mapping(case: Case, now: datetime | None = None) -> dict[str, object]:
    """A case as JSON types, for the page."""
    scoring, index = case.scoring, case.index
    pixel_size = scoring.pixel_size if scoring else case.image.pixel_size
    return {
        "id": case.image.id,
        "blob": case.image.blob[:12],
        "label": case.image.label,
        "synthetic": case.image.is_synthetic,
        "width_px": case.image.width_px,
        "height_px": case.image.height_px,
        "mpp": pixel_size.mpp if pixel_size else None,
        "mpp_source": pixel_size.source if pixel_size else None,
        "state": case.state,
        "scoring": scoring.id if scoring else None,
        "tiles_done": scoring.tiles_done if scoring else 0,
        "tiles_total": scoring.tiles_total if scoring else None,
        "seconds_left": case.seconds_left(now or datetime.now(UTC)),
        "error": scoring.error if scoring else None,
        "counts": scoring.counts._asdict() if scoring and scoring.counts and not case.is_refused else None,
        "refused": case.is_refused,
        "index_percent": index.percent if index else None,
        "ci95_percent": [index.low_percent, index.high_percent] if index else None,
        "sparse": index.is_sparse if index else False,
        "warnings": list(case.cautions),
        "version": {"name": scoring.version.name, "sha256": scoring.version.sha256}
        if scoring and scoring.version
        else None,
    }
