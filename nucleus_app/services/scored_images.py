"""Images as the page shows them: state, progress, counts, index, warnings."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from sqlalchemy.orm import Session

from db.edits import StoredReview, find_review, list_reviews
from db.engine import session_scope
from db.images import StoredImage, get_image, list_images
from db.scorings import StoredScoring, find_latest_scoring, get_nuclei, get_scoring, list_latest_scorings
from nucleus_app.domain.cautions import list_count_cautions, list_image_cautions
from nucleus_app.domain.index import LabellingIndex, find_labelling_index
from nucleus_app.domain.nuclei import Counts
from nucleus_app.domain.reviewed import Tally
from nucleus_app.errors import NotFound
from nucleus_app.reports.formats import tally_to_mapping
from nucleus_app.reports.record import ImageRecord
from nucleus_app.services.records import record_review
from nucleus_app.services.reviews import list_floors, open_review
from nucleus_app.services.workplace import Workplace

LISTED = 300
"""So many of the latest images are listed; older ones open by their address."""
NEEDS_PIXEL_SIZE = "needs pixel size"
NOTHING = Counts(0, 0, 0)


@dataclass(frozen=True, slots=True)
class ScoredImage:
    """An image with its latest scoring, if it has one, and what corrections made of that, if anybody made any."""

    image: StoredImage
    scoring: StoredScoring | None
    review: StoredReview | None = None

    @property
    def state(self) -> str:
        return self.scoring.state.value if self.scoring else NEEDS_PIXEL_SIZE

    @property
    def is_busy(self) -> bool:
        return self.scoring is not None and self.scoring.is_open

    @property
    def tally(self) -> Tally | None:
        """Reviewed counts; None until it is scored."""
        if self.review is not None:
            return self.review.tally
        if self.scoring is None or self.scoring.counts is None:
            return None
        return Tally.untouched(self.scoring.counts)

    @property
    def index(self) -> LabellingIndex | None:
        return find_labelling_index(self.tally.counts) if self.tally else None

    @property
    def is_refused(self) -> bool:
        """Scored, but as no Ki67 field: nothing was counted."""
        return self.scoring is not None and self.scoring.is_refused

    @property
    def cautions(self) -> tuple[str, ...]:
        if self.scoring is None or self.tally is None:
            return self.image.notes
        s = self.scoring
        of_image = list_image_cautions(
            s.pixel_size, self.image.pixel_size, self.image.notes, oddities=s.oddities, confirmed=s.confirmed
        )
        return (*of_image, *list_count_cautions(None if s.is_refused else self.tally.counts))

    @property
    def seconds_left(self) -> float | None:
        """By what the latest tiles took, in the middle: hours in which the app was off are one long tile. None before the
        first is done.
        """
        s = self.scoring
        if s is None or not s.tiles_total or not s.tiles_done:
            return None
        took = [(after - before).total_seconds() for before, after in pairwise(s.recent)]
        return median(took) * (s.tiles_total - s.tiles_done) if took else None


def list_scored_images(workplace: Workplace) -> list[ScoredImage]:
    """The latest images, latest first."""
    with session_scope(workplace.engine) as session:
        return find_results(session, list_images(session, LISTED))


def find_results(session: Session, images: list[StoredImage]) -> list[ScoredImage]:
    """Images with what was made of them, in their order."""
    scorings = list_latest_scorings(session, [image.id for image in images])
    reviews = list_reviews(session, [scoring.id for scoring in scorings.values()])
    return [
        ScoredImage(image, scoring, reviews.get(scoring.id) if scoring else None)
        for image in images
        for scoring in [scorings.get(image.id)]
    ]


def get_scored_image(workplace: Workplace, image_id: int) -> ScoredImage:
    """Raises NotFound."""
    with session_scope(workplace.engine) as session:
        scoring = find_latest_scoring(session, image_id)
        review = find_review(session, scoring.id) if scoring else None
        return ScoredImage(get_image(session, image_id), scoring, review)


def get_packed_candidates(workplace: Workplace, scoring_id: int) -> bytes:
    """Candidates of a scoring, packed. Raises NotFound while there are none."""
    with session_scope(workplace.engine) as session:
        get_scoring(session, scoring_id)
        return get_nuclei(session, scoring_id)


def get_record(workplace: Workplace, image_id: int) -> ImageRecord:
    """The report value of an image. Raises NotFound while it has no result."""
    with session_scope(workplace.engine) as session:
        get_image(session, image_id)
        scoring = find_latest_scoring(session, image_id)
        if scoring is None or scoring.version is None or scoring.counts is None:
            raise NotFound("This image has no result yet: wait until it is scored.")
        opened = open_review(session, scoring)
    return record_review(opened)


def scored_image_to_mapping(shown: ScoredImage) -> dict[str, object]:
    """An image as JSON types, for the page."""
    scoring, tally = shown.scoring, shown.tally
    version = scoring.version if scoring else None
    pixel_size = scoring.pixel_size if scoring else shown.image.pixel_size
    return {
        "id": shown.image.id,
        "case": shown.image.case_id,
        "blob": shown.image.blob[:12],
        "label": shown.image.label,
        "synthetic": shown.image.is_synthetic,
        "width_px": shown.image.width_px,
        "height_px": shown.image.height_px,
        "mpp": pixel_size.mpp if pixel_size else None,
        "mpp_source": pixel_size.source if pixel_size else None,
        "state": shown.state,
        "scoring": scoring.id if scoring else None,
        "tiles_done": scoring.tiles_done if scoring else 0,
        "tiles_total": scoring.tiles_total if scoring else None,
        "seconds_left": shown.seconds_left,
        "error": scoring.error if scoring else None,
        **tally_to_mapping(tally or Tally.untouched(NOTHING)),
        **({} if tally and not shown.is_refused else {"counts": None}),
        "network_counts": scoring.counts._asdict() if scoring and scoring.counts and not shown.is_refused else None,
        "refused": shown.is_refused,
        "rev": shown.review.rev if shown.review else 0,
        "warnings": list(shown.cautions),
        "version": {"name": version.name, "sha256": version.sha256} if version else None,
        "thresholds": list(version.thresholds) if version else None,
        "floors": list(list_floors(version.thresholds)) if version else None,
    }
