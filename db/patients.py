"""Which signed cases are one patient's, and on which side of the learning loop each patient stands (decision 0010)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.cases import list_images_ever, list_labels, list_sign_offs
from db.images import StoredImage, list_images_of
from db.learning_cases import list_splits
from db.tables import CaseChangeRow, SignOffRow
from nucleus_app.domain.patients import find_sides, group_cases
from nucleus_app.domain.split import Split


class Standing(NamedTuple):
    """Each case's patient, and of those that were ever signed the side and the images that teach or judge."""

    patients: dict[int, int]
    sides: dict[int, Split]
    images: dict[int, list[StoredImage]]


def find_standing(session: Session) -> Standing:
    """Who stands where now. Reads every case: not for every request."""
    own, labels = list_splits(session), list_labels(session)
    held = list_images_ever(session)
    learned = {image_id for case_id in own for image_id in held.get(case_id, ())}
    ever = [image for image in list_images_of(session, sorted(labels), with_removed=True) if not image.is_synthetic]
    images = [image for image in ever if image.removed is None or image.id in learned]
    patients = group_cases(_list_ties(labels, images, held))
    by_patient = find_sides(patients, own)
    sides = {case_id: by_patient[patients[case_id]] for case_id in own}
    taught = _list_taught(own, images, held)
    usable: defaultdict[int, list[StoredImage]] = defaultdict(list)
    for image in images:
        side = sides.get(image.case_id) if image.removed is None else None
        if side is Split.TRAIN or (side and taught.isdisjoint((image.sha256, image.blob))):
            usable[image.case_id].append(image)
    return Standing(patients, sides, dict(usable))


def _list_ties(
    labels: Mapping[int, str], images: Collection[StoredImage], held: Mapping[int, Collection[int]]
) -> dict[int, set[tuple[str, str | int]]]:
    """What each case has in common with others of its patient: its label, images that it ever held, pixels."""
    there = {image.id for image in images}
    ties: dict[int, set[tuple[str, str | int]]] = {}
    for case_id, label in labels.items():
        key = " ".join(label.casefold().split())
        ties[case_id] = {("image", image_id) for image_id in there.intersection(held.get(case_id, ()))} | (
            {("label", key)} if key else set()
        )
    for image in images:
        ties[image.case_id] |= {("image", image.id), ("pixels", image.sha256), ("pixels", image.blob)}
    return ties


def _list_taught(
    own: Mapping[int, Split], images: Iterable[StoredImage], held: Mapping[int, Collection[int]]
) -> set[str]:
    """Files and pixels that may have taught already, whatever side their patient came to stand on since: they judge nobody."""
    training = {case_id for case_id, split in own.items() if split is Split.TRAIN}
    ever = {image_id for case_id in training for image_id in held.get(case_id, ())}
    found = [image for image in images if image.case_id in training or image.id in ever]
    return {digest for image in found for digest in (image.sha256, image.blob)}


def find_able(session: Session) -> dict[int, Split]:
    """The side of each patient with a case that is signed now and an image that can teach or judge."""
    standing = find_standing(session)
    last = list_sign_offs(session, sorted(standing.images))
    return {standing.patients[case_id]: standing.sides[case_id] for case_id in last if last[case_id].is_signed}


def count_patients(session: Session) -> dict[Split, int]:
    """Patients who can teach or judge now, on each side."""
    counted = Counter(find_able(session).values())
    return {split: counted[split] for split in Split}


def mark_standing(session: Session) -> tuple[int, int]:
    """Changes whenever who stands where may have."""
    signed = session.scalar(select(func.max(SignOffRow.id))) or 0
    return signed, session.scalar(select(func.count()).select_from(CaseChangeRow)) or 0
