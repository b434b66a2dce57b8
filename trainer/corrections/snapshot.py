"""What a run learns from, frozen: signed cases → statements → one JSON blob → examples. A run is replayed from it alone."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from db.blobs import BlobStore
from db.cases import StoredCase, StoredSignOff, list_case_records, list_sign_offs
from db.edits import list_edits
from db.images import StoredImage, list_case_ids, list_images_of
from db.patients import find_able, find_standing
from db.scorings import StoredScoring, get_nuclei, list_latest_scorings
from nucleus_app.domain.edits import STORED, SignedEdit, parse_edit
from nucleus_app.domain.packing import unpack_nuclei
from nucleus_app.domain.split import Split
from nucleus_app.errors import NotFound, NucleusAppError
from nucleus_app.imaging.reader import decode_png
from trainer.corrections.said import ReviewedImage, state_image
from trainer.corrections.statement import Statement, make_example, parse_statement, statement_to_mapping
from trainer.learning.example import Example

FORMAT = 1
TRIES = 5
"""A signature that comes in between has the cases read again."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is to make of what it learns from. ``name``: of the version that it makes; ``policy``: JSON types."""

    run: int
    name: str
    start_sha256: str
    policy: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A frozen run: what it learns from, by side, and its plan."""

    plan: Plan
    training: tuple[Example, ...]
    validation: tuple[Example, ...]
    locked: tuple[Example, ...]

    @property
    def start_sha256(self) -> str:
        return self.plan.start_sha256

    @property
    def policy(self) -> Mapping[str, Any]:
        return self.plan.policy


def freeze(statements: Iterable[Statement], plan: Plan) -> bytes:
    """Everything that a run uses but pixels and weights, which are named by their SHA-256."""
    frozen = {
        "format": FORMAT,
        "run": plan.run,
        "name": plan.name,
        "start_sha256": plan.start_sha256,
        "policy": dict(plan.policy),
        "statements": [statement_to_mapping(statement) for statement in statements],
    }
    return json.dumps(frozen, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def read_snapshot(content: bytes, blobs: BlobStore, sides: Collection[Split] = tuple(Split)) -> Snapshot:
    """The examples of a frozen run; sides that are not asked for stay empty.

    Raises NucleusAppError for another format, NotFound for pixels that are gone or damaged.
    """
    plan, statements = parse_snapshot(content)
    examples: dict[Split, list[Example]] = defaultdict(list)
    wanted = (statement for statement in statements if statement.split in sides)
    for split, example in _add_pixels(wanted, blobs):
        examples[split].append(example)
    return Snapshot(plan, *(tuple(examples[side]) for side in (Split.TRAIN, Split.VALIDATION, Split.LOCKED)))


def parse_snapshot(content: bytes) -> tuple[Plan, list[Statement]]:
    """A frozen run without pixels. Raises NucleusAppError for another format."""
    frozen = json.loads(content)
    if frozen.get("format") != FORMAT:
        raise NucleusAppError(
            f"The frozen corrections have format {frozen.get('format')!r}, and this version of the app reads {FORMAT}: start the training again."
        )
    plan = Plan(frozen["run"], frozen["name"], frozen["start_sha256"], frozen["policy"])
    return plan, [parse_statement(mapping) for mapping in frozen["statements"]]


def _add_pixels(statements: Iterable[Statement], blobs: BlobStore) -> Iterator[tuple[Split, Example]]:
    blob, rgb = "", None
    for statement in statements:
        if rgb is None or blob != statement.blob:  # parts of one image follow each other
            blob, rgb = statement.blob, decode_png(blobs.get(statement.blob))
        yield statement.split, make_example(statement, rgb)


def find_lost(statements: Iterable[Statement], blobs: BlobStore) -> set[int]:
    """Images whose pixels are gone or damaged: one lost file is no reason to learn nothing of the others."""
    lost = set()
    for blob, image in {(statement.blob, statement.image) for statement in statements}:
        try:
            blobs.get(blob)
        except NotFound:
            lost.add(image)
    return lost


def say_lost(images: Collection[int]) -> str:
    """For the run's log."""
    named = f"image{'' if len(images) == 1 else 's'} {', '.join(map(str, sorted(images)))}"
    return f"Left out: {named}, whose pixels are missing or damaged in the store. Restore them from a backup."


def gather(session: Session) -> list[Statement]:
    """What the cases that are signed now say, in order of case and image. Only reads."""
    for _ in range(TRIES):
        before = list_sign_offs(session, list_case_ids(session))
        found = _gather(session, before)
        if list_sign_offs(session, list_case_ids(session)) == before:
            break
    return found


def list_signed_images(session: Session) -> dict[int, datetime]:
    """When the case of each image was signed, or reopened, last."""
    last = list_sign_offs(session, list_case_ids(session))
    return {image.id: last[image.case_id].at for image in list_images_of(session, sorted(last))}


def _gather(session: Session, sign_offs: Mapping[int, StoredSignOff]) -> list[Statement]:
    standing = find_standing(session)
    cases = list_case_records(session, sorted(standing.sides))
    signed = {case_id for case_id, last in sign_offs.items() if last.is_signed}
    statements: list[Statement] = []
    for case_id in sorted(signed & standing.sides.keys()):
        images, patient = standing.images.get(case_id, []), standing.patients[case_id]
        statements += _state_case(session, cases[case_id], images, patient, standing.sides[case_id])
    return statements


def count_silent(session: Session, statements: Iterable[Statement]) -> int:
    """Patients with a signed case on the locked side of whom nothing was said at all, though it could judge."""
    speaking = {statement.case for statement in statements}
    able = find_able(session).items()
    return sum(side is Split.LOCKED and patient not in speaking for patient, side in able)


def _state_case(
    session: Session, case: StoredCase, images: Sequence[StoredImage], patient: int, split: Split
) -> list[Statement]:
    counted = {field.image for field in case.sheet.fields}
    scorings = list_latest_scorings(session, [image.id for image in images if image.id in counted])
    said: list[Statement] = []
    for image in images:
        scoring = scorings.get(image.id)
        if scoring is not None and scoring.version is not None and not scoring.is_refused:
            said += state_image(_open(session, case, image, scoring, patient, split))
    return said


def _open(
    session: Session, case: StoredCase, image: StoredImage, scoring: StoredScoring, patient: int, split: Split
) -> ReviewedImage:
    log = list_edits(session, scoring.id, 0)
    edits = [SignedEdit(each.client, each.seq, each.author, parse_edit(each.op, STORED)) for each in log]
    return ReviewedImage(
        image.id, patient, split, image.blob, scoring.pixel_size.mpp, (image.width_px, image.height_px),
        unpack_nuclei(get_nuclei(session, scoring.id)), scoring.version.thresholds if scoring.version else (), edits,
        tuple(field.box for field in case.sheet.fields if field.image == image.id),
        {edit.key: each.reader for edit, each in zip(edits, log, strict=True) if each.reader},
    )  # fmt: skip
