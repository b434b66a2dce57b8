"""Taking an image in: read, strip, store, queue. All of it or nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sqlalchemy.orm import Session

from db.cases import change_sheet, lock_case, pseudonym
from db.engine import session_scope
from db.images import (
    NewImage,
    StoredImage,
    add_image,
    find_same_file,
    get_image,
    has_images,
    list_images_of,
    rename_image,
)
from db.scorings import find_latest_scoring, queue_scoring
from nucleus_app.domain.line import to_line
from nucleus_app.domain.scale import STATED_BY_USER, PixelSize, check_extent, check_mpp
from nucleus_app.errors import UnknownPixelSize
from nucleus_app.imaging.reader import ReadImage, encode_png, read_image
from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from nucleus_app.services.kept import KeptPicture, keep_picture
from nucleus_app.services.locks import is_signed, lock_open_case, lock_open_case_of
from nucleus_app.services.workplace import Workplace

MAX_LABEL = 120

DEMO_LABEL = "Demo field (synthetic, no patient)"


def clean_label(name: str) -> str:
    """A file name as one harmless line: no folders, no control characters, at most 120 characters."""
    return to_line(re.split(r"[\\/]", name)[-1], MAX_LABEL) or "Untitled image"


def take_in(workplace: Workplace, path: Path, name: str, case_id: int | None = None) -> StoredImage:
    """Store an uploaded file's pixels (nothing else of it) and queue its scoring if its pixel size is known. The image
    becomes a field of the case, or a case of its own.

    Raises InvalidImage when it cannot be read, StorageFull when there is no room, NotFound or SignedOff for such a case;
    then nothing is kept.
    """
    image = read_image(path, max_megapixels=workplace.settings.max_megapixels)
    return store_image(workplace, image, lambda _: Place(clean_label(name), case_id))


def say_twin(workplace: Workplace, image: StoredImage) -> str:
    """That an image just taken in was there already in another case; nothing where it was not. Within one case its
    warnings say so.
    """
    with session_scope(workplace.engine) as session:
        first = find_same_file(session, image)
    if first is None:
        return ""
    return f"the same file is in case {first.case_id} already, as “{first.label}”. It was added all the same; one tissue in two cases counts twice."


def take_in_demo(workplace: Workplace) -> StoredImage | None:
    """On first start: a synthetic field with known nuclei, so that the page is never empty."""
    with session_scope(workplace.engine) as session:
        if has_images(session):
            return None
    recipe = FieldRecipe()
    field = draw_field(recipe, np.random.default_rng(7))
    image = ReadImage(field.rgb, "", "synthetic", PixelSize(recipe.mpp, "synthetic field"), ())
    return store_image(workplace, image, lambda _: Place(DEMO_LABEL), is_synthetic=True)


class Place(NamedTuple):
    """What an image is called, and the case that it goes into; None: one of its own."""

    label: str
    case_id: int | None = None


def store_image(
    workplace: Workplace,
    image: ReadImage,
    find_place: Callable[[Session], Place],
    note: Callable[[Session, StoredImage], None] = lambda *_: None,
    *,
    is_synthetic: bool = False,
) -> StoredImage:
    """Store pixels as an image of a case, and queue its scoring. ``find_place`` is asked, and ``note`` may write down more of the
    image, in the transaction that keeps it.
    """
    with keep_picture(workplace, encode_png(image.rgb)) as kept:
        with session_scope(workplace.engine, write=True) as session:
            stored = _record(workplace, session, image, kept, find_place(session), is_synthetic=is_synthetic)
            note(session, stored)
        return stored


def _record(
    workplace: Workplace, session: Session, image: ReadImage, kept: KeptPicture, place: Place, *, is_synthetic: bool
) -> StoredImage:
    """Image, scoring and job."""
    new = NewImage(
        sha256=image.sha256 or kept.blob,
        blob=kept.blob,
        label=place.label,
        format=image.format,
        width_px=image.width_px,
        height_px=image.height_px,
        pixel_size=image.pixel_size,
        notes=image.notes,
        is_synthetic=is_synthetic,
        case_id=place.case_id,
    )
    now = datetime.now(UTC)
    if place.case_id is not None:
        lock_open_case(session, place.case_id)
    stored = add_image(session, new, now)
    kept.hold()
    if stored.pixel_size is not None and _fits(stored, workplace.settings.max_megapixels):
        workplace.jobs.enqueue_scoring(session, queue_scoring(session, stored.id, stored.pixel_size, now))
    return stored


def _fits(image: StoredImage, max_megapixels: float) -> bool:
    """False when the file's own pixel size would make it too large; then a person is asked for it."""
    try:
        check_extent(image.width_px, image.height_px, image.pixel_size.mpp if image.pixel_size else 0, max_megapixels)
    except UnknownPixelSize:
        return False
    return True


def rename(workplace: Workplace, image_id: int, label: str) -> str:
    """Change an image's label, and that of its case while nobody named that otherwise; returns it as kept: an empty one
    changes nothing, and a slash stays, since accession numbers have some. Raises NotFound.
    """
    with session_scope(workplace.engine, write=True) as session:
        image = get_image(session, image_id)
        kept = to_line(label, MAX_LABEL) or image.label
        rename_image(session, image_id, kept)
        case = lock_case(session, image.case_id)
        is_alone = len(list_images_of(session, [case.id])) == 1
        is_unnamed = is_alone and case.sheet.label in (pseudonym(case.id), image.label)
        if is_unnamed and kept != image.label and not is_signed(session, case.id):
            change_sheet(session, case.id, replace(case.sheet, label=kept), "", datetime.now(UTC))
    return kept


def score_at(workplace: Workplace, image_id: int, mpp: float) -> None:
    """Score an image (again) at a pixel size that a person states. Asking again for what was refused insists on it.

    Raises UnknownPixelSize when it is not possible, SignedOff while its case is signed.
    """
    stated = PixelSize(check_mpp(mpp), STATED_BY_USER)
    now = datetime.now(UTC)
    with session_scope(workplace.engine, write=True) as session:
        image = lock_open_case_of(session, image_id)
        check_extent(image.width_px, image.height_px, mpp, workplace.settings.max_megapixels)
        known = image.pixel_size
        used = known if known is not None and np.isclose(known.mpp, mpp, rtol=1e-4) else stated
        latest = find_latest_scoring(session, image_id)
        if latest is not None and latest.is_open and latest.pixel_size == used:
            return  # it is on its way already: pressing twice is not asking twice
        insists = latest is not None and latest.pixel_size == used and (latest.is_refused or latest.confirmed)
        scoring_id = queue_scoring(session, image_id, used, now, confirmed=insists)
        workplace.jobs.enqueue_scoring(session, scoring_id)
