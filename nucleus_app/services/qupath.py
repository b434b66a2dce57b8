"""Annotations from QuPath as a scoring of an image (decision 0009)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from db.edits import LoggedEdit, append_edits, put_review
from db.engine import session_scope
from db.images import StoredImage, get_image
from db.scorings import (
    StoredScoring,
    VersionUsed,
    find_latest_scoring,
    finish_scoring,
    queue_scoring,
    start_scoring,
)
from db.slides import find_cuts_of
from nucleus_app import __version__
from nucleus_app.domain import qupath_targets
from nucleus_app.domain.edits import Bounds, SignedEdit, edit_to_mapping
from nucleus_app.domain.line import to_line
from nucleus_app.domain.qupath import IMPORT_NAME, Annotations, parse_annotations
from nucleus_app.domain.qupath_import import ImportPlan, plan_import
from nucleus_app.domain.qupath_targets import ClassFound, parse_mapping
from nucleus_app.domain.review import Review
from nucleus_app.domain.scale import PixelSize
from nucleus_app.errors import InvalidAnnotations, StaleRevision, UnknownPixelSize
from nucleus_app.services.locks import lock_open_case_of
from nucleus_app.services.reviews import list_floors
from nucleus_app.services.submissions import MAX_READER
from nucleus_app.services.workplace import Workplace

THRESHOLDS = (0.5, 0.5, 0.5)
"""Imported nuclei have a score of 1: all are over these, and none is doubtful."""
IMPORT_AUTHOR = "qupath-import"


@dataclass(frozen=True, slots=True)
class ClassesFound:
    """``on_slide``: whether places in the file are probably of the slide that the image was cut out of; None if it was not."""

    classes: tuple[ClassFound, ...]
    notes: tuple[str, ...]
    on_slide: bool | None


@dataclass(frozen=True, slots=True)
class Imported:
    """The scoring that an import made; ``notes``: what of the file was passed over."""

    scoring_id: int
    notes: tuple[str, ...]


def list_classes(workplace: Workplace, image_id: int, data: bytes) -> ClassesFound:
    """The classes of a GeoJSON file for an image, each with a guess. Raises NotFound and InvalidAnnotations."""
    with session_scope(workplace.engine) as session:
        image = get_image(session, image_id)
        corner = _find_corner(session, image_id)
    annotations = parse_annotations(data)
    on_slide = None if corner is None else _guess_on_slide(annotations, image, corner)
    return ClassesFound(qupath_targets.list_classes(annotations), annotations.notes, on_slide)


def _guess_on_slide(annotations: Annotations, image: StoredImage, corner: tuple[int, int]) -> bool:
    """All of a file of the image itself lies in it; of a file of the slide much lies elsewhere."""
    here = annotations.count_within(image.width_px, image.height_px)
    there = annotations.seen_from(corner).count_within(image.width_px, image.height_px)
    return here < len(annotations.xy) + len(annotations.areas) and there >= here


def import_annotations(
    workplace: Workplace,
    image_id: int,
    data: bytes,
    mapping: object,
    reader: str,
    author: str = IMPORT_AUTHOR,
    *,
    on_slide: bool = False,
) -> Imported:
    """Store a GeoJSON file as the image's latest scoring: nuclei as its candidates, regions as the first edits of its log.

    Results that were there before stay, with their corrections; the last import wins. Regions are ``author``'s, who may undo
    them. ``on_slide``: places in the file are of the slide that the image was cut out of. Raises NotFound, InvalidAnnotations (also
    for a slide where there is none), StaleRevision while the image is being scored, and UnknownPixelSize.
    """
    with session_scope(workplace.engine) as session:
        image = get_image(session, image_id)
        _find_pixel_size(image, _get_settled(session, image_id))  # before the work, which is long
        corner = _find_corner(session, image_id) if on_slide else (0, 0)
    if corner is None:
        raise InvalidAnnotations("This image was not cut out of a slide: import a file of the image itself.")
    annotations = parse_annotations(data).seen_from(corner)
    bounds = Bounds(image.width_px, image.height_px, list_floors(THRESHOLDS))
    plan = plan_import(annotations, parse_mapping(mapping, annotations.names), bounds, on_slide=on_slide)
    now = datetime.now(UTC)
    sha256 = hashlib.sha256(data).hexdigest()
    review, log = _fold(plan, image, f"import-{sha256[:16]}", author, to_line(reader, MAX_READER), now)
    version = VersionUsed(IMPORT_NAME, sha256, THRESHOLDS, __version__)
    with session_scope(workplace.engine, write=True) as session:
        lock_open_case_of(session, image_id)
        latest = _get_settled(session, image_id)
        insists = latest is not None and latest.confirmed  # so that "Score again" still does
        size = _find_pixel_size(image, latest)
        scoring_id = queue_scoring(session, image_id, size, now, confirmed=insists)
        start_scoring(session, scoring_id, 0, sha256, now)
        finish_scoring(session, scoring_id, plan.nuclei, version, now)
        if log:
            append_edits(session, scoring_id, log)
            put_review(session, scoring_id, review.rev, review.tally, now)
    return Imported(scoring_id, plan.notes)


def _fold(
    plan: ImportPlan, image: StoredImage, client: str, author: str, reader: str, now: datetime
) -> tuple[Review, list[LoggedEdit]]:
    """The review that the import's regions make, and its log."""
    review = Review(plan.nuclei, THRESHOLDS, (image.width_px, image.height_px))
    log = []
    for seq, region in enumerate(plan.regions, 1):
        was = review.apply(SignedEdit(client, seq, author, region))
        log.append(LoggedEdit(review.rev, client, seq, author, reader, now, edit_to_mapping(region), was))
    return review, log


def _find_corner(session: Session, image_id: int) -> tuple[int, int] | None:
    """Where the image's upper left pixel lies on the slide that it was cut out of; None if it was not."""
    cut = find_cuts_of(session, [image_id]).get(image_id)
    return None if cut is None else (cut.box[0], cut.box[1])


def _get_settled(session: Session, image_id: int) -> StoredScoring | None:
    """The image's latest scoring, if it has any. Raises StaleRevision while that is under way."""
    latest = find_latest_scoring(session, image_id)
    if latest is not None and latest.is_open:
        raise StaleRevision(
            "This image is being scored: import again once that is done, or its result would replace yours."
        )
    return latest


def _find_pixel_size(image: StoredImage, latest: StoredScoring | None) -> PixelSize:
    """What the latest result was scored at, which a reader may have stated against the file; else what the file states."""
    if latest is not None and latest.version is not None and not latest.is_refused:
        return latest.pixel_size
    if image.pixel_size is not None:
        return image.pixel_size
    if latest is not None:
        return latest.pixel_size
    raise UnknownPixelSize(
        "The pixel size of this image is not known: type it in and press Score, then import (in QuPath it is in the tab "
        "Image, as pixel width)."
    )
