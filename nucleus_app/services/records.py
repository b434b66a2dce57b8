"""The report value of an image from its review."""

from __future__ import annotations

from nucleus_app.domain.qupath import IMPORT_NAME
from nucleus_app.errors import StaleRevision
from nucleus_app.reports.record import ImageRecord
from nucleus_app.services.reviews import OpenReview


def record_review(opened: OpenReview) -> ImageRecord:
    """What a review comes to. Raises StaleRevision for a scoring that is not done."""
    image, scoring, review, version = opened.image, opened.scoring, opened.review, opened.scoring.version
    if version is None:
        raise StaleRevision(f"Scoring {scoring.id} is {scoring.state.value}: it has no result yet.")
    return ImageRecord(
        image.sha256, image.width_px, image.height_px, scoring.pixel_size,
        version.name, version.sha256, version.app_version, version.thresholds, version.confidence,
        review.cuts, review.nuclei(), review.tally, review.candidates.reaching(version.thresholds),
        tuple(review.regions()), opened.image_cautions, version.name == IMPORT_NAME, not scoring.is_refused,
    )  # fmt: skip
